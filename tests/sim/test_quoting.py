"""Quotes of the simulator, judged by an independent verifier under the lab's root, and what the QE and PCE refuse."""

import json
from dataclasses import replace

import dcap_qvl
import pytest
from cryptography.x509 import load_pem_x509_certificates

from intaglio.errors import Malformed
from intaglio.sim.draft import launch
from intaglio.sim.pki import DAY
from intaglio.sim.publication import Level, QeLevel
from intaglio.sim.quoting import raw_point
from intaglio.sim.structures import SgxCode, SgxFault
from intaglio.sim.world import DEFAULT_LEVEL, Lab, PlatformPlan, TcbState
from intaglio.types import ReportData, UnixTime
from intaglio.wire.dcap import Quote
from intaglio.wire.pck import PckExtension
from intaglio.wire.sgx import ReportBody
from intaglio.wire.x509 import Certificate, read_pem_chain
from tests.sim.conftest import IMAGE, NOON

DATA = ReportData(bytes(range(64)))
OLD = tuple(max(0, svn - 1) for svn in DEFAULT_LEVEL.components)


def quote_of(lab: Lab, platform: str = "alpha") -> bytes:
    machine = lab.machine(platform)
    return machine.quote(launch(lab, machine, IMAGE, NOON), DATA)


def independent(lab: Lab, quote: bytes, platform: str = "alpha", at: UnixTime = NOON) -> dict[str, object]:
    """The verdict of a verifier that shares no code with this project. Raises ValueError where it refuses."""
    collateral = dcap_qvl.QuoteCollateralV3.from_json(lab.collateral(platform, at).decode())
    report: dict[str, object] = json.loads(dcap_qvl.verify_with_root_ca(quote, collateral, lab.root_der, at).to_json())
    return report


@pytest.mark.parametrize("ca", ["platform", "processor"])
def test_an_independent_verifier_accepts(lab: Lab, ca: str) -> None:
    lab.add_platform(PlatformPlan("beta", ca="processor" if ca == "processor" else "platform"), NOON)
    quote = quote_of(lab, "beta")
    report = independent(lab, quote, "beta")
    assert report["status"] == "UpToDate"
    assert report["advisory_ids"] == []
    assert Quote.parse(quote).encode() == quote


def test_quote_says_what_the_enclave_is(lab: Lab) -> None:
    machine = lab.machine()
    enclave = launch(lab, machine, IMAGE, NOON)
    quote = Quote.parse(machine.quote(enclave, DATA))
    assert quote.body == replace(enclave.identity, report_data=DATA)
    assert quote.attestation_key == raw_point(machine.quoting.attestation_key().public_key())


@pytest.mark.parametrize(
    ("levels", "qe_levels", "status", "advisories"),
    [
        ((replace(DEFAULT_LEVEL, status="SWHardeningNeeded", advisories=("INTEL-SA-00615",)),), None,
         "SWHardeningNeeded", ["INTEL-SA-00615"]),
        ((replace(DEFAULT_LEVEL, components=(13, *DEFAULT_LEVEL.components[1:])),
          replace(DEFAULT_LEVEL, status="OutOfDate", advisories=("INTEL-SA-00001",))), None,
         "OutOfDate", ["INTEL-SA-00001"]),
        (None, (QeLevel(9), QeLevel(8, "OutOfDate", ("INTEL-SA-00202",))), "OutOfDate", ["INTEL-SA-00202"]),
        ((replace(DEFAULT_LEVEL, status="ConfigurationNeeded"),), None, "ConfigurationNeeded", []),
    ],
)  # fmt: skip
def test_published_levels_decide_the_status(
    lab: Lab,
    levels: tuple[Level, ...] | None,
    qe_levels: tuple[QeLevel, ...] | None,
    status: str,
    advisories: list[str],
) -> None:
    if levels:
        lab.publish_levels(lab.records["alpha"].fmspc, *levels)
    if qe_levels:
        lab.publish_qe_levels(*qe_levels)
    report = independent(lab, quote_of(lab))
    assert (report["status"], report["advisory_ids"]) == (status, advisories)


def test_microcode_decides_the_status_and_the_pck_key(lab: Lab) -> None:
    before = lab.machine().quoting.pce.pck_key().private_numbers()
    assert independent(lab, quote_of(lab))["status"] == "UpToDate"
    old = lab.set_tcb("alpha", TcbState(OLD, DEFAULT_LEVEL.pce_svn), NOON)
    assert independent(lab, quote_of(lab))["status"] == "OutOfDate"
    assert old.quoting.pce.pck_key().private_numbers() != before
    lab.set_tcb("alpha", TcbState(), NOON)
    assert lab.machine().quoting.pce.pck_key().private_numbers() == before


def test_revocation_and_expiry(lab: Lab) -> None:
    quote = quote_of(lab)
    independent(lab, quote, at=UnixTime(NOON + 300 * DAY))
    with pytest.raises(ValueError, match=r"[Ee]xpire"):
        independent(lab, quote, at=UnixTime(NOON + 8 * 365 * DAY))
    lab.publish(replace(lab.published, frozen_at=NOON))
    independent(lab, quote, at=UnixTime(NOON + 29 * DAY))
    with pytest.raises(ValueError, match="expired"):
        independent(lab, quote, at=UnixTime(NOON + 31 * DAY))
    lab.revoke_pck("alpha")
    with pytest.raises(ValueError, match="Failed to verify certificate chain"):
        independent(lab, quote)


def test_two_machines_share_nothing_and_one_machine_stays_itself(lab: Lab) -> None:
    lab.add_platform(PlatformPlan("beta"), NOON)
    one, again, other = (
        lab.machine(name).quoting.attestation_key().private_numbers().private_value
        for name in ("alpha", "alpha", "beta")
    )
    assert one == again != other
    ppids = {record.facts.ppid for record in lab.records.values()}
    instances = {record.facts.platform_instance for record in lab.records.values()}
    assert len(ppids) == len(instances) == 2


def test_pck_certificate_says_what_the_record_says(lab: Lab) -> None:
    plan = PlatformPlan("beta", fmspc="00b0dedede00", pce_id=b"\x01\x00", dynamic_platform=True, smt_enabled=False)
    facts = lab.add_platform(plan, NOON).record.facts
    leaf = Certificate.parse(read_pem_chain(lab.records["beta"].pck_chain.encode())[0])
    assert leaf.sgx_extension is not None
    parsed = PckExtension.parse(leaf.sgx_extension)
    assert parsed == PckExtension(
        ppid=facts.ppid, components=bytes(facts.components), pce_svn=facts.pce_svn, cpu_svn=facts.cpu_svn,
        pce_id=b"\x01\x00", fmspc=bytes.fromhex("00b0dedede00"), sgx_type=1,
        platform_instance_id=facts.platform_instance, dynamic=True, cached_keys=False, smt=False,
    )  # fmt: skip
    assert independent(lab, quote_of(lab, "beta"), "beta")["status"] == "UpToDate"


def test_names_and_serials(lab: Lab) -> None:
    chain = load_pem_x509_certificates(lab.records["alpha"].pck_chain.encode())
    authority = lab.authority
    names = [Certificate.parse(holder.der).common_name for holder in (authority.root, authority.tcb_signer)]
    assert names == ["Intaglio Lab SGX Root CA", "Intaglio Lab SGX TCB Signing"]
    assert all("Intaglio Lab (simulated)" in certificate.subject.rfc4514_string() for certificate in chain)
    assert len({certificate.serial_number for certificate in chain}) == 3
    assert all(certificate.serial_number.bit_length() == 159 for certificate in chain)


def test_qe_refuses_reports_that_are_not_for_it(lab: Lab) -> None:
    lab.add_platform(PlatformPlan("beta"), NOON)
    machine, other = lab.machine("alpha"), lab.machine("beta")
    enclave = launch(lab, machine, IMAGE, NOON)
    good = enclave.report(machine.quoting.target_info, DATA)
    assert machine.quoting.quote(good)
    edited = (
        enclave.report(enclave.target_info, DATA),
        good[:64] + bytes(32) + good[96:],
        good[:320] + bytes(64) + good[384:],
        good[:-1] + bytes((good[-1] ^ 1,)),
    )
    for bad in edited:
        with pytest.raises(SgxFault) as caught:
            machine.quoting.quote(bad)
        assert caught.value.code is SgxCode.INVALID_SIGNATURE
    with pytest.raises(SgxFault):
        other.quoting.quote(good)


@pytest.mark.parametrize("size", [0, 1, 383, 384, 431, 433])
def test_qe_refuses_what_is_no_report(lab: Lab, size: int) -> None:
    with pytest.raises(Malformed):
        lab.machine().quoting.quote(bytes(size))


def test_pce_certifies_no_ordinary_enclave(lab: Lab) -> None:
    machine = lab.machine()
    enclave = launch(lab, machine, IMAGE, NOON)
    with pytest.raises(SgxFault) as caught:
        machine.quoting.pce.certify(enclave.report(machine.quoting.pce.target_info, DATA))
    assert caught.value.code is SgxCode.INVALID_ATTRIBUTE


def test_a_qe_report_binds_the_key(lab: Lab) -> None:
    quoting = lab.machine().quoting
    report, _ = quoting.certification
    assert isinstance(report, ReportBody)
    assert report.report_data[32:] == bytes(32)
    assert not report.debug


def test_the_platforms_part_of_its_quotes_is_always_the_same(lab: Lab) -> None:
    quoting = lab.machine().quoting
    body = quoting.certification[0]
    first, second = (quoting.quote_body(body) for _ in range(2))
    assert first.qe_report_signature == second.qe_report_signature
    assert first.qe_report == second.qe_report
    assert first.signature != second.signature
