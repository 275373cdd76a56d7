"""Policies for tests, one table at a time, and genuine verdicts of any identity without any evidence behind them."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from intaglio.reasons import Reason
from intaglio.types import Measurement, ReportData, Tee, UnixTime
from intaglio.verify.policy import Policy, PolicyError
from intaglio.verify.verdict import Checks, Decision, Identity, Platform, TcbStatus, Verdict, issue
from intaglio.wire.nitro import NitroDocument
from intaglio.wire.sgx import AttributeFlag, Attributes, ReportBody
from intaglio.wire.snp import SnpReport
from intaglio.wire.snp_fields import FirmwareVersion, GuestPolicy, PlatformInfo, TcbVersion
from intaglio.wire.tdx import TdAttribute, TdReport

NOON = UnixTime(1_780_315_200)
"""2026-06-01T12:00:00Z."""
DAY = 86400
REPORT_DATA = ReportData(bytes(range(64)))
PIN_HASH = bytes(range(32))
Keys = dict[str, str | None]

TERMS: Keys = {
    "name": '"meter"', "debug": "false", "platforms": '"any"', "max_session_age": '"24h"', "max_offer_age": '"1h"',
    "heartbeat": '"none"', "pin": '"measured"',
}  # fmt: skip
INTEL: Keys = {"tcb": '["UpToDate"]', "advisories": "[]", "min_tcb_evaluation_number": "17"}

SGX_BODY = ReportBody(
    cpu_svn=bytes(16), misc_select=0, cet_attributes=0, isv_ext_prod_id=b"\x0e" * 16,
    attributes=Attributes(AttributeFlag.INIT | AttributeFlag.MODE64, 3), mr_enclave=Measurement(b"\xaa" * 32),
    mr_signer=Measurement(b"\xbb" * 32), config_id=b"\xcc" * 64, isv_prod_id=1, isv_svn=2, config_svn=3,
    isv_family_id=b"\x0f" * 16, report_data=REPORT_DATA,
)  # fmt: skip
SGX: Keys = {"tee": '"sgx"', "mr_enclave": f'["{"aa" * 32}"]', **TERMS, **INTEL}


class Subject(NamedTuple):
    """An honest identity of one kind of TEE with a table that accepts it, and what its verdict says besides."""

    tee: Tee
    keys: Keys
    identity: Any
    facts: dict[str, Any]


INTEL_FACTS: dict[str, Any] = {
    "tcb_status": TcbStatus.UP_TO_DATE, "tcb_date": UnixTime(NOON - 100 * DAY), "advisories_stated": True,
    "tcb_evaluation_number": 17,
    "platform": Platform(ppid="01" * 16, platform_instance_id="02" * 16, fmspc="03" * 6, pce_id="0000",
                         dynamic=False, cached_keys=False, smt=True),
}  # fmt: skip
SGX_SUBJECT = Subject(Tee.SGX, SGX, SGX_BODY, INTEL_FACTS)

TD_REPORT = TdReport(
    tee_tcb_svn=bytes((5, 1, 8)) + bytes(13), mr_seam=Measurement(b"\x5e" * 48), mr_signer_seam=Measurement(bytes(48)),
    seam_attributes=0, td_attributes=TdAttribute.SEPT_VE_DISABLE, xfam=0xE7, mr_td=Measurement(b"\xda" * 48),
    mr_config_id=Measurement(b"\xc1" * 48), mr_owner=Measurement(b"\xc2" * 48),
    mr_owner_config=Measurement(b"\xc3" * 48), rtmr0=Measurement(b"\xe0" * 48), rtmr1=Measurement(b"\xe1" * 48),
    rtmr2=Measurement(b"\xe2" * 48), rtmr3=Measurement(b"\xe3" * 48), report_data=REPORT_DATA,
    tee_tcb_svn2=bytes((6, 1, 8)) + bytes(13), mr_service_td=Measurement(bytes(48)),
)  # fmt: skip
TDX: Keys = {
    "tee": '"tdx"', "mr_td": f'["{"da" * 48}"]', **{f"rtmr{n}": f'["{f"e{n}" * 48}"]' for n in range(3)}, **TERMS,
    **INTEL,
}  # fmt: skip
TDX_SUBJECT = Subject(Tee.TDX, TDX, TD_REPORT, INTEL_FACTS)

_TCB = TcbVersion(bootloader=4, tee=0, snp=22, microcode=213)
SNP_REPORT = SnpReport(
    version=3, guest_svn=7, policy=GuestPolicy(0x3_0137), family_id=b"\xfa" * 16, image_id=b"\x1a" * 16, vmpl=0,
    signature_algo=1, current_tcb=_TCB, platform_info=PlatformInfo(0x25), flags=0, report_data=REPORT_DATA,
    measurement=Measurement(b"\xea" * 48), host_data=b"\x0d" * 32, id_key_digest=bytes(48),
    author_key_digest=bytes(48), report_id=b"\x1d" * 32, report_id_ma=b"\xff" * 32, reported_tcb=_TCB,
    cpuid=(0x19, 0x01, 1), chip_id=b"\xc4" * 64, committed_tcb=_TCB, current=FirmwareVersion(1, 55, 21),
    committed=FirmwareVersion(1, 55, 21), launch_tcb=_TCB, launch_mit_vector=None, current_mit_vector=None,
    signature=bytes(96),
)  # fmt: skip
SNP: Keys = {
    "tee": '"snp"', "measurement": f'["{"ea" * 48}"]', "vmpl": "0", "guest_policy": '{ smt = "any" }',
    "min_tcb": "{ bl = 4, tee = 0, snp = 22, ucode = 213 }", **TERMS,
}  # fmt: skip
SNP_SUBJECT = Subject(
    Tee.SNP, SNP, SNP_REPORT,
    {"platform": Platform(product="Milan", chip_id="c4" * 64, csp_id="cloud", revocation_checked=True)},
)  # fmt: skip

NITRO_DOCUMENT = NitroDocument(
    module_id="i-0abc-enc0def", digest="SHA384", timestamp=NOON * 1000,
    pcrs={n: Measurement(bytes([0xA0 + n] * 48)) for n in (0, 1, 2, 3, 4, 8)} | {16: Measurement(bytes(48))},
    certificate=b"c", ca_bundle=(b"r",), public_key=None, user_data=REPORT_DATA, nonce=None, payload=b"p",
    signature=bytes(96),
)  # fmt: skip
NITRO: Keys = {"tee": '"nitro"', "pcr0": f'["{"a0" * 48}"]', **TERMS}
NITRO_SUBJECT = Subject(Tee.NITRO, NITRO, NITRO_DOCUMENT, {"platform": Platform(module_id="i-0abc-enc0def")})

SUBJECTS = (SGX_SUBJECT, TDX_SUBJECT, SNP_SUBJECT, NITRO_SUBJECT)


def table(keys: Keys, **changes: str | None) -> str:
    """One [[accept]] table of `keys`, with these changed, added, or (None) left out."""
    rules = {**keys, **changes}
    return "[[accept]]\n" + "".join(f"{key} = {value}\n" for key, value in rules.items() if value is not None)


def problems(toml: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        Policy.parse(toml)
    return caught.value.problems


def genuine(subject: Subject, at: int = NOON, **facts: Any) -> Verdict:
    """A genuine verdict about `subject`. `identity` among the facts replaces it."""
    identity: Identity = facts.pop("identity", subject.identity)
    return issue(
        tee=subject.tee, genuine=True, reasons=(), checks=Checks(tuple), evidence_hash=bytes(32), at=UnixTime(at),
        identity=identity, **{**subject.facts, **facts},
    )  # fmt: skip


def appraise(policy: Policy, verdict: Verdict, pin: bytes | None = None) -> Verdict:
    return policy.appraise(verdict, report_data=REPORT_DATA, pin_hash=pin)


def reasons(subject: Subject, keys: Keys, at: int = NOON, pin: bytes | None = None, **facts: Any) -> tuple[Reason, ...]:
    """Why the subject's table with these keys refuses it; nothing if it accepts. `body` among the facts changes fields
    of the identity."""
    if "body" in facts:
        facts["identity"] = replace(subject.identity, **facts.pop("body"))
    verdict = appraise(Policy.parse(table(subject.keys, **keys)), genuine(subject, at, **facts), pin)
    assert (verdict.decision is Decision.ACCEPTED) == (not verdict.reasons)
    return verdict.reasons
