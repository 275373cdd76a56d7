"""Rules of TDX, SEV-SNP and Nitro: one that passes and one that refuses for each, with the exact reason."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from intaglio.reasons import Reason
from intaglio.verify.policy import Policy
from intaglio.verify.verdict import Decision, Platform
from intaglio.wire.snp_fields import FirmwareVersion, GuestPolicy, PlatformInfo, TcbVersion
from intaglio.wire.tdx import TdAttribute
from tests.verify.policies import (
    NITRO,
    NITRO_SUBJECT,
    PIN_HASH,
    SNP,
    SNP_REPORT,
    SNP_SUBJECT,
    SUBJECTS,
    TD_REPORT,
    TDX,
    TDX_SUBJECT,
    Keys,
    Subject,
    appraise,
    genuine,
    problems,
    reasons,
    table,
)  # fmt: skip

OTHER = f'["{"00" * 48}"]'
SVE = TdAttribute.SEPT_VE_DISABLE
FREE: Keys = {"dangerous_any_rtmr": "true"}
LOOSE: Keys = {**FREE, "rtmr1": None, "rtmr2": None, "dangerous_unpinned": "true"}

TDX_CASES: list[Any] = [
    ({}, {}, ()),
    ({"mr_td": OTHER}, {}, (Reason.WRONG_MEASUREMENT,)),
    *(({f"rtmr{n}": OTHER}, {}, (Reason.WRONG_MEASUREMENT,)) for n in range(4)),
    ({"rtmr3": f'["{"e3" * 48}"]'}, {}, ()),
    ({"rtmr0": None, **FREE}, {"rtmr0": bytes(48)}, ()),
    ({"rtmr0": None, **FREE}, {"rtmr1": bytes(48)}, (Reason.WRONG_MEASUREMENT,)),
    (LOOSE, {"rtmr1": bytes(48), "rtmr2": bytes(48)}, ()),
    ({"mr_seam": f'"{"5e" * 48}"'}, {}, ()),
    ({"mr_seam": f'"{"5f" * 48}"'}, {}, (Reason.WRONG_MODULE,)),
    ({"mr_signer_seam": f'"{"00" * 48}"'}, {}, ()),
    ({"mr_signer_seam": f'"{"01" * 48}"'}, {}, (Reason.WRONG_MODULE,)),
    ({"min_tee_tcb_svn": f'"050108{"00" * 13}"'}, {}, ()),
    ({"min_tee_tcb_svn": f'"050109{"00" * 13}"'}, {}, (Reason.TDX_MODULE_TOO_OLD,)),
    ({"min_tee_tcb_svn": f'"060000{"00" * 13}"'}, {}, (Reason.TDX_MODULE_TOO_OLD,)),
    ({"mr_config_id": f'"{"c1" * 48}"', "mr_owner": f'"{"c2" * 48}"', "mr_owner_config": f'"{"c3" * 48}"'}, {}, ()),
    ({"mr_config_id": f'"{"00" * 48}"'}, {}, (Reason.WRONG_CONFIGURATION,)),
    ({"mr_owner": f'"{"00" * 48}"'}, {}, (Reason.WRONG_CONFIGURATION,)),
    ({"mr_owner_config": f'"{"00" * 48}"'}, {}, (Reason.WRONG_CONFIGURATION,)),
    ({}, {"mr_service_td": b"\1" * 48}, (Reason.WRONG_CONFIGURATION,)),
    ({}, {"mr_service_td": None, "tee_tcb_svn2": None}, ()),
    ({"mr_service_td": f'"{"01" * 48}"'}, {"mr_service_td": b"\1" * 48}, ()),
    ({"mr_service_td": f'"{"01" * 48}"'}, {}, (Reason.WRONG_CONFIGURATION,)),
    ({"td_attributes": f'"{"00" * 3}10{"00" * 4}"', "td_attributes_mask": f'"{"ff" * 8}"'}, {}, ()),
    ({"td_attributes": f'"{"00" * 8}"', "td_attributes_mask": f'"{"ff" * 8}"'}, {}, (Reason.WRONG_CONFIGURATION,)),
    ({"xfam": f'"e7{"00" * 7}"', "xfam_mask": f'"{"ff" * 8}"'}, {}, ()),
    ({"xfam": f'"e6{"00" * 7}"', "xfam_mask": f'"{"ff" * 8}"'}, {}, (Reason.WRONG_CONFIGURATION,)),
    ({}, {"td_attributes": 0}, (Reason.SEPT_VE_ENABLED,)),
    ({"dangerous_allow_sept_ve": "true"}, {"td_attributes": 0}, ()),
    ({}, {"td_attributes": SVE | TdAttribute.MIGRATABLE}, (Reason.MIGRATABLE_GUEST,)),
    ({"dangerous_allow_migration": "true"}, {"td_attributes": SVE | TdAttribute.MIGRATABLE}, ()),
    ({}, {"td_attributes": SVE | TdAttribute.PERFMON}, (Reason.WRONG_CONFIGURATION,)),
    ({"perfmon": '"any"'}, {"td_attributes": SVE | TdAttribute.PERFMON}, ()),
    ({}, {"td_attributes": SVE | TdAttribute.DEBUG}, (Reason.DEBUG_ENCLAVE,)),
    ({"debug": None, "dangerous_allow_debug": "true"}, {"td_attributes": SVE | TdAttribute.DEBUG}, ()),
    ({"tcb": '["SWHardeningNeeded"]'}, {}, (Reason.TCB_STATUS,)),
    ({"min_tcb_evaluation_number": "18"}, {}, (Reason.TCB_EVALUATION_TOO_OLD,)),
    ({"smt": "false"}, {}, (Reason.PLATFORM_CONFIGURATION,)),
    ({"platforms": f'["{"09" * 16}"]'}, {}, (Reason.PLATFORM_NOT_ALLOWED,)),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "body", "expected"), TDX_CASES)
def test_each_rule_of_a_trust_domain(keys: Keys, body: dict[str, Any], expected: tuple[Reason, ...]) -> None:
    assert reasons(TDX_SUBJECT, keys, body=body) == expected


def _tcb(**changes: int) -> TcbVersion:
    return replace(SNP_REPORT.reported_tcb, **changes)


SIGNED: Keys = {
    "measurement": None, "author_key_digest": f'"{"a1" * 48}"', "family_id": f'"{"fa" * 16}"',
    "image_id": f'"{"1a" * 16}"', "min_guest_svn": "7", "dangerous_unpinned": "true",
}  # fmt: skip
AUTHOR: dict[str, Any] = {"flags": 1, "author_key_digest": b"\xa1" * 48}
SMT, MIGRATE, CXL, DEBUG = 1 << 16, 1 << 18, 1 << 21, 1 << 19
BASE = 0x2_0137

SNP_CASES: list[Any] = [
    ({}, {}, ()),
    ({"measurement": OTHER}, {}, (Reason.WRONG_MEASUREMENT,)),
    ({"id_key_digest": f'"{"1d" * 48}"'}, {"id_key_digest": b"\x1d" * 48}, ()),
    ({"id_key_digest": f'"{"1d" * 48}"'}, {}, (Reason.WRONG_SIGNER,)),
    ({"require_id_block": "true"}, {"id_key_digest": b"\x1d" * 48}, ()),
    ({"require_id_block": "true"}, {}, (Reason.WRONG_SIGNER,)),
    ({"require_author_key": "true"}, AUTHOR, ()),
    ({"require_author_key": "true"}, {"author_key_digest": b"\xa1" * 48}, (Reason.WRONG_SIGNER,)),
    (SIGNED, AUTHOR, ()),
    (SIGNED, {**AUTHOR, "flags": 0}, (Reason.WRONG_SIGNER,)),
    (SIGNED, {**AUTHOR, "author_key_digest": b"\xa2" * 48}, (Reason.WRONG_SIGNER,)),
    (SIGNED, {**AUTHOR, "family_id": bytes(16)}, (Reason.WRONG_PRODUCT,)),
    (SIGNED, {**AUTHOR, "image_id": bytes(16)}, (Reason.WRONG_PRODUCT,)),
    (SIGNED, {**AUTHOR, "guest_svn": 6}, (Reason.SVN_TOO_LOW,)),
    ({"vmpl": "1"}, {}, (Reason.WRONG_VMPL,)),
    ({"vmpl": "1"}, {"vmpl": 1}, ()),
    ({}, {"vmpl": 0xFFFFFFFF}, (Reason.WRONG_VMPL,)),
    ({"host_data": f'"{"0d" * 32}"'}, {}, ()),
    ({"host_data": f'"{"00" * 32}"'}, {}, (Reason.WRONG_CONFIGURATION,)),
    ({"report_id": f'"{"1d" * 32}"', "report_id_ma": f'"{"ff" * 32}"'}, {}, ()),
    ({"report_id": f'"{"00" * 32}"'}, {}, (Reason.WRONG_GUEST,)),
    ({"report_id_ma": f'"{"00" * 32}"'}, {}, (Reason.WRONG_GUEST,)),
    ({"guest_policy": "{ smt = false }"}, {}, (Reason.GUEST_POLICY,)),
    ({"guest_policy": "{ smt = false }"}, {"policy": GuestPolicy(BASE)}, ()),
    ({}, {"policy": GuestPolicy(BASE | CXL)}, (Reason.GUEST_POLICY,)),
    ({"guest_policy": '{ smt = "any", cxl_allow = "any" }'}, {"policy": GuestPolicy(BASE | CXL)}, ()),
    ({}, {"policy": GuestPolicy(BASE | MIGRATE)}, (Reason.MIGRATABLE_GUEST,)),
    ({"dangerous_allow_migration": "true"}, {"policy": GuestPolicy(BASE | MIGRATE)}, ()),
    ({"guest_policy": '{ smt = "any", min_abi = "1.55" }'}, {}, ()),
    ({"guest_policy": '{ smt = "any", min_abi = "1.56" }'}, {}, (Reason.GUEST_POLICY,)),
    *(
        ({"guest_policy": f'{{ smt = "any", {name} = true }}'}, {"policy": GuestPolicy(BASE | bit)}, expected)
        for name, number in (("single_socket", 20), ("mem_aes_256_xts", 22), ("rapl_dis", 23),
                             ("ciphertext_hiding_dram", 24), ("page_swap_disable", 25))
        for bit, expected in ((1 << number, ()), (0, (Reason.GUEST_POLICY,)))
    ),
    ({}, {"policy": GuestPolicy(BASE | DEBUG)}, (Reason.DEBUG_ENCLAVE,)),
    ({"debug": None, "dangerous_allow_debug": "true"}, {"policy": GuestPolicy(BASE | DEBUG)}, ()),
    *(({}, {"reported_tcb": _tcb(**{name: 0})}, (Reason.FIRMWARE_TOO_OLD,)) for name in
      ("bootloader", "snp", "microcode")),
    ({"min_tcb": "{ bl = 4, tee = 1, snp = 22, ucode = 213 }"}, {}, (Reason.FIRMWARE_TOO_OLD,)),
    ({"min_tcb": "{ bl = 4, tee = 0, snp = 22, ucode = 213, fmc = 1 }"}, {}, (Reason.FIRMWARE_TOO_OLD,)),
    ({"min_tcb": "{ bl = 4, tee = 0, snp = 22, ucode = 213, fmc = 1 }"}, {"reported_tcb": _tcb(fmc=1)}, ()),
    ({"min_launch_tcb": "{ bl = 4, tee = 0, snp = 22, ucode = 213 }"}, {}, ()),
    ({"min_launch_tcb": "{ bl = 4, tee = 0, snp = 22, ucode = 214 }"}, {}, (Reason.FIRMWARE_TOO_OLD,)),
    ({"min_committed_tcb": "{ bl = 4, tee = 0, snp = 22, ucode = 213 }"}, {}, ()),
    ({"min_committed_tcb": "{ bl = 5, tee = 0, snp = 22, ucode = 213 }"}, {}, (Reason.FIRMWARE_TOO_OLD,)),
    ({"min_version": '"1.55"', "min_build": "21"}, {}, ()),
    ({"min_version": '"1.56"'}, {}, (Reason.FIRMWARE_TOO_OLD,)),
    ({"min_build": "22"}, {}, (Reason.FIRMWARE_TOO_OLD,)),
    ({}, {"committed": FirmwareVersion(1, 55, 20)}, (Reason.FIRMWARE_PROVISIONAL,)),
    ({}, {"committed_tcb": _tcb(snp=21)}, (Reason.FIRMWARE_PROVISIONAL,)),
    ({"dangerous_allow_provisional_firmware": "true"}, {"committed": FirmwareVersion(1, 55, 20)}, ()),
    ({"signing_key": '"vcek"'}, {}, ()),
    ({"signing_key": '"any"'}, {"flags": 1 << 2}, ()),
    ({"signing_key": '"vcek"'}, {"flags": 1 << 2}, (Reason.SIGNING_KEY,)),
    ({"signing_key": '"vlek"'}, {}, (Reason.SIGNING_KEY,)),
    ({"products": '["Milan", "Genoa"]'}, {}, ()),
    ({"products": '["Turin"]'}, {}, (Reason.PLATFORM_NOT_ALLOWED,)),
    ({"require_crl": "true"}, {}, ()),
    *(
        ({"platform_info": f"{{ {name} = {wanted} }}"}, {"platform_info": PlatformInfo(bit)}, expected)
        for name, number in (("smt_en", 0), ("tsme_en", 1), ("ecc_en", 2), ("rapl_dis", 3),
                             ("ciphertext_hiding_dram_en", 4), ("alias_check_complete", 5), ("tio_en", 7))
        for wanted, bit, expected in (("true", 1 << number, ()), ("false", 0, ()),
                                      ("true", 0, (Reason.PLATFORM_CONFIGURATION,)),
                                      ("false", 1 << number, (Reason.PLATFORM_CONFIGURATION,)))
    ),
    ({"platforms": f'["{"c4" * 64}"]'}, {}, ()),
    ({"platforms": '["csp:cloud"]'}, {}, ()),
    ({"platforms": f'["{"c5" * 64}", "{"c4" * 8}", "csp:c4"]'}, {}, (Reason.PLATFORM_NOT_ALLOWED,)),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "body", "expected"), SNP_CASES)
def test_each_rule_of_an_snp_guest(keys: Keys, body: dict[str, Any], expected: tuple[Reason, ...]) -> None:
    assert reasons(SNP_SUBJECT, keys, body=body) == expected


@pytest.mark.parametrize("platform", [None, Platform(), Platform(product="Milan", revocation_checked=False)])
def test_a_revocation_list_that_nobody_consulted(platform: Platform | None) -> None:
    assert reasons(SNP_SUBJECT, {"require_crl": "true"}, platform=platform) == (Reason.REVOCATION_UNKNOWN,)
    assert reasons(SNP_SUBJECT, {}, platform=platform) == ()


def test_a_cloud_that_calls_itself_what_a_chip_is_called() -> None:
    cloud = Platform(product="Turin", csp_id="c4" * 8)
    assert reasons(SNP_SUBJECT, {"platforms": f'["{"c4" * 8}"]'}, platform=cloud) == (Reason.PLATFORM_NOT_ALLOWED,)
    assert reasons(SNP_SUBJECT, {"platforms": f'["csp:{"c4" * 8}"]'}, platform=cloud) == ()


def _pcr(**values: int) -> Keys:
    return {name: f'["{f"{value:02x}" * 48}"]' for name, value in values.items()}


NITRO_CASES: list[Any] = [
    ({}, {}, ()),
    (_pcr(pcr0=0xA1), {}, (Reason.WRONG_MEASUREMENT,)),
    ({"pcr0": None, **_pcr(pcr1=0xA1, pcr2=0xA2)}, {}, ()),
    ({"pcr0": None, **_pcr(pcr1=0xA0, pcr2=0xA2)}, {}, (Reason.WRONG_MEASUREMENT,)),
    ({"pcr0": None, **_pcr(pcr1=0xA1, pcr2=0xA0)}, {}, (Reason.WRONG_MEASUREMENT,)),
    ({"pcr0": None, **_pcr(pcr8=0xA8), "dangerous_unpinned": "true"}, {}, ()),
    ({"pcr0": None, **_pcr(pcr8=0xA0), "dangerous_unpinned": "true"}, {}, (Reason.WRONG_SIGNER,)),
    (_pcr(pcr3=0xA3, pcr4=0xA4), {}, ()),
    (_pcr(pcr3=0xA0), {}, (Reason.WRONG_CONFIGURATION,)),
    (_pcr(pcr4=0xA0), {}, (Reason.WRONG_CONFIGURATION,)),
    (_pcr(pcr15=0), {}, (Reason.WRONG_CONFIGURATION,)),
    ({}, {"pcrs": {0: bytes(48), 1: bytes(48), 2: bytes(48)}}, (Reason.WRONG_MEASUREMENT, Reason.DEBUG_ENCLAVE)),
    ({**_pcr(pcr0=0), "debug": None, "dangerous_allow_debug": "true"}, {"pcrs": {0: bytes(48)}}, ()),
    ({"platforms": '["i-0abc"]'}, {}, ()),
    ({"platforms": '["i-0abc-enc0def"]'}, {}, ()),
    ({"platforms": '["i-0ab"]'}, {}, (Reason.PLATFORM_NOT_ALLOWED,)),
    ({}, {"user_data": None}, (Reason.REPORT_DATA,)),
]


@pytest.mark.parametrize(("keys", "body", "expected"), NITRO_CASES)
def test_each_rule_of_a_nitro_enclave(keys: Keys, body: dict[str, Any], expected: tuple[Reason, ...]) -> None:
    assert reasons(NITRO_SUBJECT, keys, body=body) == expected


PADDED = PIN_HASH + bytes(16)


@pytest.mark.parametrize(
    ("subject", "pin", "body"),
    [
        (TDX_SUBJECT, "mrconfigid", {"mr_config_id": PADDED}), (TDX_SUBJECT, "mrowner", {"mr_owner": PADDED}),
        (TDX_SUBJECT, "mrownerconfig", {"mr_owner_config": PADDED}),
        (SNP_SUBJECT, "host_data", {"host_data": PIN_HASH}),
        (NITRO_SUBJECT, "pcr:16", {"pcrs": {**NITRO_SUBJECT.identity.pcrs,
                                            16: hashlib.sha384(bytes(48) + PIN_HASH).digest()}}),
    ],
)  # fmt: skip
def test_the_pin_in_a_field(subject: Subject, pin: str, body: dict[str, Any]) -> None:
    keys: Keys = {"pin": f'"{pin}"'}
    assert reasons(subject, keys, pin=PIN_HASH, body=body) == ()
    assert reasons(subject, keys, pin=bytes(32), body=body) == (Reason.WRONG_PIN,)
    assert reasons(subject, keys, pin=b"", body=body) == (Reason.WRONG_PIN,)
    assert reasons(subject, keys, pin=PIN_HASH) == (Reason.WRONG_PIN,)


@pytest.mark.parametrize(
    ("keys", "changes", "problem"),
    [
        (TDX, {"pin": '"config_id"'}, "pin: expected 'measured' or 'mrconfigid'"),
        (TDX, {"pin": '"mrowner"', "mr_owner": f'"{"00" * 48}"'}, "mr_owner: with pin"),
        (TDX, {**LOOSE, "dangerous_unpinned": None}, "pin: a table for anything that this firmware boots needs"),
        (TDX, {"rtmr1": None}, "rtmr1: missing (or dangerous_any_rtmr"),
        *((TDX, {**FREE, key: None}, "pin: a table for anything that this firmware boots needs")
          for key in ("rtmr1", "rtmr2")),
        (TDX, {"dangerous_any_rtmr": "true"}, "dangerous_any_rtmr: rtmr0, rtmr1 and rtmr2 are all named"),
        (TDX, {"mr_td": None}, "mr_td: missing"),
        *((TDX, {"mr_td": each}, "mr_td: ") for each in ("5", "[5]", f'["{"zz" * 48}"]', "[]")),
        (TDX, {"xfam": f'"01{"00" * 7}"', "xfam_mask": f'"02{"00" * 7}"'}, "xfam: has bits outside xfam_mask"),
        (TDX, {"xfam": f'"{"00" * 8}"', "xfam_mask": f'"{"00" * 8}"'}, "xfam: xfam_mask is zero"),
        (TDX, {"perfmon": "true"}, "perfmon: expected false or 'any'"),
        (SNP, {"pin": '"pcr:16"'}, "pin: expected 'measured' or 'host_data'"),
        (SNP, {**SIGNED, "dangerous_unpinned": None}, "pin: a table for any image of this signer needs"),
        (SNP, {"measurement": None}, "measurement: missing (or id_key_digest"),
        (SNP, {**SIGNED, "image_id": None}, "image_id: missing"),
        (SNP, {"id_key_digest": f'"{"00" * 48}"'}, "id_key_digest: all zero is what an image has that nobody signed"),
        (SNP, {"vmpl": None}, "vmpl: missing"), (SNP, {"vmpl": "4"}, "vmpl: expected a number"),
        (SNP, {"min_tcb": None}, "min_tcb: missing"), (SNP, {"guest_policy": None}, "guest_policy: missing"),
        (SNP, {"guest_policy": "{ }"}, "guest_policy.smt: missing"),
        (SNP, {"guest_policy": '"0x30000"'}, "guest_policy: expected a table"),
        (SNP, {"guest_policy": '{ smt = "any", debug = true }'}, "guest_policy.debug: unknown key: it is a key of"),
        (SNP, {"min_tcb": "{ bl = 4, snp = 22, ucode = 213 }"}, "min_tcb.tee: missing"),
        (SNP, {"min_tcb": "{ bl = 4, tee = 0, snp = 256, ucode = 213 }"}, "min_tcb.snp: expected a number"),
        (SNP, {"platform_info": "{ smt = true }"}, "platform_info.smt: unknown key"),
        (SNP, {"platform_info": "{ smt_en = 1 }"}, "platform_info.smt_en: expected true or false"),
        *((SNP, {"min_version": each}, "min_version: expected a version")
          for each in ('"1"', '"1.55.21"', '"1.256"', '"1.-1"', '"a.b"', '"1.\u0663"', '""', "1.55")),
        (SNP, {"signing_key": '"VCEK"'}, "signing_key: expected"),
        (SNP, {"products": '["Rome"]'}, "products: expected"),
        (SNP, {"require_crl": "false"}, "require_crl: expected true"),
        (SNP, {"tcb": '["UpToDate"]'}, "tcb: unknown key: only Intel's collateral has it"),
        (NITRO, {"advisories": "[]"}, "advisories: unknown key: only Intel's collateral has it"),
        (NITRO, {"pcr0": None}, "pcr0: missing (or pcr1 and pcr2"),
        (NITRO, {"pcr0": None, **_pcr(pcr1=1)}, "pcr0: missing (or pcr1 and pcr2"),
        (NITRO, {"pcr0": None, **_pcr(pcr8=1)}, "pin: a table for any image of this signer needs"),
        (NITRO, {"pcr0": None, **_pcr(pcr8=0)}, "pcr8: all zero is what an image has that nobody signed"),
        (NITRO, {"pcr32": OTHER}, "pcr32: unknown key"), (NITRO, {"pin": '"pcr:8"'}, "pin: expected"),
        (NITRO, {"pcr0": f'["{"00" * 32}"]'}, "pcr0: expected 48 bytes"),
        *((NITRO, {"platforms": f"[{each}]"}, "platforms: expected an instance id")
          for each in ('"0abc"', "5", '"i-0\\n"', f'"i-{"0" * 255}"')),
        (NITRO, {"platforms": "5"}, "platforms: expected 'any' or a list"),
        (SNP, {"platforms": "[]"}, "platforms: expected 'any' or a list"),
        *((SNP, {"platforms": f"[{each}]"}, "platforms: expected 64 bytes")
          for each in ('"cloud"', '"csp:"', '"csp:\\n"', "5", "{ }", f'"csp{"c4" * 7}"')),
        *((SNP, {"products": each}, "products: expected") for each in ("[]", '"Milan"', "5", "[[]]")),
        *((SNP, {"signing_key": each}, "signing_key: expected") for each in ("5", "[]")),
    ],
)  # fmt: skip
def test_what_a_table_must_not_say(keys: Keys, changes: Keys, problem: str) -> None:
    assert any(found.startswith(f"accept 'meter': {problem}") for found in problems(table(keys, **changes)))


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.tee.value)
def test_each_mandatory_key_is_missed(subject: Subject) -> None:
    for key in subject.keys:
        found = problems(table(subject.keys, **{key: None}))
        assert any(f"{key}: missing" in problem for problem in found), key


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.tee.value)
def test_a_table_is_for_its_own_kind_only(subject: Subject) -> None:
    others = [other for other in SUBJECTS if other is not subject]
    policy = Policy.parse("".join(table(other.keys, name=f'"{other.tee.value}"') for other in others))
    verdict = appraise(policy, genuine(subject))
    assert (verdict.decision, verdict.reasons) == (Decision.REJECTED, (Reason.NO_WORKLOAD,))
    own = Policy.parse("".join(table(each.keys, name=f'"{each.tee.value}"') for each in SUBJECTS))
    assert appraise(own, genuine(subject)).workload == subject.tee.value


def test_evidence_of_another_format_of_the_same_tee_has_no_table() -> None:
    verdict = genuine(TDX_SUBJECT._replace(identity=SNP_REPORT))
    assert appraise(Policy.parse(table(TDX)), verdict).reasons == (Reason.NO_WORKLOAD,)
    assert TD_REPORT.debug is False
