"""Local reports: who has the key can tell, and nobody else."""

import pytest

from intaglio.reasons import Reason
from intaglio.sim.cpu import Enclave, Processor
from intaglio.sim.faults import LOCAL_FAULTS, LocalFault
from intaglio.sim.local_report import LocalDraft
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.signing import EnclaveTerms, sign_enclave
from intaglio.sim.world import Lab
from intaglio.types import Tee, UnixTime
from intaglio.verify.evidence import Kind, Verifier, classify
from intaglio.verify.local_report import PROCEDURE, LocalReportVerifier
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Outcome, Verdict
from intaglio.wire.endorsement import parse_collateral
from intaglio.wire.report_key import ReportKey
from intaglio.wire.sgx import REPORT_BODY_SIZE
from tests.verify.conftest import IMAGE, NOON, REPORT_DATA

UNDECIDABLE = (Reason.REPORT_KEY_MISSING, Reason.UNSUPPORTED_EVIDENCE)
CPU = Processor(bytes(range(32)), bytes([5] * 16))


def launched(lab: Lab, image: Image) -> Enclave:
    return CPU.launch(image, sign_enclave(lab.vendor, image.mr_enclave(), EnclaveTerms(), now=NOON).encode())


@pytest.fixture
def draft(lab: Lab) -> LocalDraft:
    """An honest draft that the test may change."""
    target = launched(lab, Image((TrustedFile("checker.py", b"pass\n"),)))
    return LocalDraft.of(launched(lab, IMAGE), target, NOON, REPORT_DATA)


def judge(draft: LocalDraft) -> Verdict:
    return LocalReportVerifier().verify(draft.build(), draft.collateral, draft.at)


def test_an_honest_report_is_genuine_to_whoever_has_the_key(draft: LocalDraft) -> None:
    assert classify(draft.build()) == (Tee.SGX, Kind.SGX_REPORT)
    verdict = judge(draft)
    assert (verdict.genuine, verdict.reasons) == (True, ())
    assert [check.outcome for check in verdict.checks] == [Outcome.OK] * len(PROCEDURE)
    assert verdict.identity == draft.report.body
    assert (verdict.tcb_status, verdict.valid_until) == (None, None)


@pytest.mark.parametrize("fault", LOCAL_FAULTS.values(), ids=lambda fault: fault.name)
def test_fault_is_refused_for_its_reason(draft: LocalDraft, fault: LocalFault) -> None:
    fault.apply(draft)
    verdict = judge(draft)
    assert verdict.genuine is (None if fault.reason in UNDECIDABLE else False)
    assert verdict.reasons == (fault.reason,)


def test_a_body_without_a_mac_is_refused_where_no_cpu_could_have_made_it(draft: LocalDraft) -> None:
    LOCAL_FAULTS["uninitialised"].apply(draft)
    verdict = LocalReportVerifier().verify(draft.build()[:REPORT_BODY_SIZE], draft.collateral, draft.at)
    assert (verdict.genuine, verdict.reasons[0]) == (False, Reason.ENCLAVE_NOT_INITIALISED)


def test_there_are_enough_faults_and_each_tells_its_story() -> None:
    assert len(LOCAL_FAULTS) >= 8
    assert all(20 < len(fault.story) < 200 for fault in LOCAL_FAULTS.values())


def test_every_bit_counts(draft: LocalDraft) -> None:
    report = draft.build()
    verifier = Verifier(Roots.production())
    for at in range(len(report)):
        changed = report[:at] + bytes((report[at] ^ 0x10,)) + report[at + 1 :]
        verdict = verifier.verify(changed, draft.collateral, UnixTime(0))
        assert verdict.genuine is False, at


def test_the_key_is_collateral_like_any_other_and_stays_out_of_sight(draft: LocalDraft) -> None:
    assert isinstance(draft.collateral, ReportKey)
    assert parse_collateral(draft.collateral.encode_json()) == draft.collateral
    shown = str(judge(draft).to_json()) + repr(judge(draft)) + repr(draft.collateral)
    assert draft.collateral.report_key.hex() not in shown
