"""IAS reports under a laboratory's root: every named attack is refused for its reason, and honest reports are not."""

from functools import partial

import pytest

from intaglio.reasons import Reason
from intaglio.sim.faults import IAS_FAULTS, IasFault
from intaglio.sim.ias import REPORT, Form, IasAuthority, IasDraft, IasEvidence
from intaglio.types import ReportData, Tee, UnixTime
from intaglio.verify import epid, ias, local_report
from intaglio.verify.evidence import Kind, Verifier, classify
from intaglio.verify.ias import PROCEDURE, SERVICE_END, IasVerifier
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision, Outcome, TcbStatus, Verdict
from intaglio.wire.ias import QuoteStatus
from tests.conftest import ROOT
from tests.feeding import feed_garbage
from tests.verify.conftest import REPORT_DATA

SPRING = UnixTime(1_740_830_400)
"""2025-03-01T12:00:00Z, when the service still was."""

FAULTS = pytest.mark.parametrize("fault", IAS_FAULTS.values(), ids=lambda fault: fault.name)

POLICY = f"""
[[accept]]
name = "meter"
tee = "sgx"
mr_enclave = ["{REPORT.mr_enclave.hex()}"]
tcb = ["UpToDate"]
advisories = []
min_tcb_evaluation_number = 17
debug = false
platforms = "any"
max_session_age = "24h"
max_offer_age = "1h"
heartbeat = "60s"
pin = "measured"
"""


@pytest.fixture(scope="session")
def service() -> IasAuthority:
    """With a shorter root key than Intel's, which takes a second to make."""
    return IasAuthority.create(SPRING, bits=2048)


@pytest.fixture
def draft(service: IasAuthority) -> IasDraft:
    """An honest draft that the test may change."""
    return IasDraft.of(service, SPRING, report_data=REPORT_DATA)


def judge(evidence: IasEvidence, at: int | None = None) -> Verdict:
    """With a verifier that has never seen anything."""
    verifier = IasVerifier(Roots.lab(evidence.root))
    return verifier.verify(evidence.report, None, UnixTime(evidence.at if at is None else at))


@pytest.mark.parametrize("form", ["json", "http"])
def test_honest_reports_are_accepted(draft: IasDraft, form: Form) -> None:
    draft.form = form
    evidence = draft.build()
    assert classify(evidence.report) == (Tee.SGX, Kind.IAS_REPORT)
    verdict = judge(evidence)
    assert (verdict.genuine, verdict.reasons, verdict.simulated) == (True, (), True)
    assert [check.outcome for check in verdict.checks] == [Outcome.OK] * len(PROCEDURE)
    assert (verdict.tcb_status, verdict.tcb_evaluation_number) == (TcbStatus.UP_TO_DATE, 17)
    decided = Policy.parse(POLICY).appraise(verdict, report_data=REPORT_DATA, pin_hash=None)
    assert (decided.decision, decided.reasons) == (Decision.ACCEPTED, ())


@FAULTS
def test_fault_is_refused_for_its_reason(draft: IasDraft, fault: IasFault) -> None:
    fault.apply(draft)
    verdict = judge(draft.build())
    if fault.by_policy:
        assert (verdict.genuine, verdict.reasons) == (True, ())
        verdict = Policy.parse(POLICY).appraise(verdict, report_data=REPORT_DATA, pin_hash=None)
        assert verdict.decision is Decision.REJECTED
        assert set(verdict.reasons) == {fault.reason, *fault.also}
    else:
        undecidable = fault.reason in (Reason.DOCUMENT_UNSIGNED, Reason.REVOCATION_UNDECIDED)
        assert verdict.genuine is (None if undecidable else False)
        assert verdict.reasons == (fault.reason, *fault.also)
        assert verdict.tcb_status is None


@FAULTS
def test_a_policy_never_improves_a_verdict(draft: IasDraft, fault: IasFault) -> None:
    fault.apply(draft)
    before = judge(draft.build())
    for report_data in (None, REPORT_DATA, bytes(64)):
        after = Policy.parse(POLICY).appraise(before, report_data=report_data, pin_hash=None)
        assert after.genuine == before.genuine
        assert set(before.reasons) <= set(after.reasons)
        assert after.checks[: len(before.checks)] == before.checks
        if before.genuine is not True:
            assert after.decision is not Decision.ACCEPTED


@FAULTS
def test_what_was_remembered_hides_no_fault(service: IasAuthority, fault: IasFault) -> None:
    honest = IasDraft.of(service, SPRING).build()
    verifier = IasVerifier(Roots.lab(honest.root))
    assert verifier.verify(honest.report, None, SPRING).genuine is True
    bad = IasDraft.of(service, SPRING)
    fault.apply(bad)
    evidence = bad.build()
    first, again = (verifier.verify(evidence.report, None, evidence.at) for _ in range(2))
    fresh = judge(evidence)
    assert first == again == fresh
    assert first.checks == again.checks == fresh.checks


@pytest.mark.parametrize("status", list(QuoteStatus))
def test_every_status_has_its_meaning(draft: IasDraft, status: QuoteStatus) -> None:
    draft.body["isvEnclaveQuoteStatus"] = status.value
    verdict = judge(draft.build())
    meaning = {
        QuoteStatus.OK: TcbStatus.UP_TO_DATE,
        QuoteStatus.GROUP_REVOKED: TcbStatus.REVOKED,
        QuoteStatus.GROUP_OUT_OF_DATE: TcbStatus.OUT_OF_DATE,
        QuoteStatus.CONFIGURATION_NEEDED: TcbStatus.CONFIGURATION_NEEDED,
        QuoteStatus.SW_HARDENING_NEEDED: TcbStatus.SW_HARDENING_NEEDED,
        QuoteStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    }
    assert verdict.tcb_status is meaning.get(status)
    assert (verdict.genuine is True) == (status in meaning)


def test_the_service_ended_when_2_april_had_ended_everywhere(draft: IasDraft) -> None:
    draft.body["timestamp"] = "2025-04-03T12:00:00.9"
    assert judge(draft.build(), SERVICE_END + 3600).genuine is True
    draft.body["timestamp"] = "2025-04-03T12:00:01"
    assert judge(draft.build(), SERVICE_END + 3600).reasons == (Reason.SERVICE_ENDED,)


def test_there_are_enough_faults_and_each_tells_its_story() -> None:
    assert len(IAS_FAULTS) >= 45
    stories = [fault.story for fault in IAS_FAULTS.values()]
    assert all(15 < len(story) < 200 and story == story.rstrip(".") for story in stories)
    assert len(set(stories)) == len(stories)


def test_an_epid_quote_alone_is_undecidable_and_says_why(draft: IasDraft) -> None:
    quote = draft.quote.encode() + (680).to_bytes(4, "little") + bytes(680)
    assert classify(quote) == (Tee.SGX, Kind.EPID_QUOTE)
    verifier = Verifier(Roots.production())
    verdict = verifier.verify(quote, None, SPRING)
    assert (verdict.genuine, verdict.reasons, verdict.retryable) == (None, (Reason.EPID_QUOTE,), False)
    assert verdict.identity == draft.quote.report
    for wrong in (quote[:-1], quote + b"\0", quote[:432] + b"\xff" * 4):
        assert verifier.verify(wrong, None, SPRING).reasons == (Reason.MALFORMED_EVIDENCE,)


def test_garbage_gets_a_verdict_and_no_exception(draft: IasDraft) -> None:
    for form in ("json", "http"):
        draft.form = form
        evidence = draft.build()
        verifier = Verifier(Roots.lab(evidence.root))
        for at in range(0, len(evidence.report), 23):
            for changed in (evidence.report[:at], evidence.report[:at] + b"\xff" + evidence.report[at + 1 :]):
                feed_garbage(partial(verifier.verify, collateral=None, at=SPRING), changed)


def test_it_is_bound_to_what_the_quote_was_made_for(service: IasAuthority) -> None:
    made = IasDraft.of(service, SPRING, report_data=ReportData(b"\7" * 64)).build()
    identity = judge(made).identity
    assert identity is not None
    assert identity.report_data == b"\7" * 64


def test_the_documentation_lists_every_check_with_its_expectation() -> None:
    text = (ROOT / "docs" / "verification.md").read_text()
    for step in (*ias.PROCEDURE, *local_report.PROCEDURE, *epid.PROCEDURE):
        assert f"| {step.number} | {step.name} | {step.expected} |" in text
