"""TDX under a laboratory's root: every named attack is refused for its reason, and honest evidence is not."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import dcap_qvl
import pytest

from intaglio.reasons import Reason
from intaglio.sim.draft import Draft, Evidence
from intaglio.sim.faults import FAULTS, TDX_FAULTS, TdxFault
from intaglio.sim.quoting import sign_raw
from intaglio.sim.td import TdDraft
from intaglio.sim.world import Lab
from intaglio.types import Tee
from intaglio.verify import dcap
from intaglio.verify import procedure as steps
from intaglio.verify.dcap import TDX_PROCEDURE, DcapVerifier
from intaglio.verify.ledger import Ledger, Step
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision, Outcome, TcbStatus, Verdict
from intaglio.wire.dcap import Quote, signed_part
from intaglio.wire.tdx import TdBody, TdReport
from tests.verify.conftest import IMAGE, NOON, REPORT_DATA, judge
from tests.verify.policies import TDX, table

ALL = pytest.mark.parametrize("fault", TDX_FAULTS.values(), ids=lambda fault: fault.name)
VARIANTS = [(4, TdBody.TDX_1_0), *((5, body_type) for body_type in TdBody)]
POLICY_THERE = (
    "Debug mode is enabled", "TD profiling is enabled", "SEPT_VE_DISABLE is not enabled", "Invalid MR service TD",
    "TD migration is enabled",
)  # fmt: skip
"""What dcap-qvl refuses in every TD, and here is the policy's business."""

STATUS_THERE = ("No matching TCB level found", "TDX module TCB level check", "TCB status is invalid: Revoked")
"""Where dcap-qvl has an error, Intaglio has the statuses Revoked and NotSupported, which no policy can allow."""


@pytest.fixture
def draft(lab: Lab) -> TdDraft:
    """An honest draft that the test may change."""
    return TdDraft.of(lab, NOON, report_data=REPORT_DATA)


def theirs(evidence: Evidence) -> tuple[str, tuple[str, ...]]:
    """Status and advisories of dcap-qvl. Raises ValueError where it refuses."""
    fields = dcap_qvl.QuoteCollateralV3.from_json(evidence.collateral.encode_json().decode())
    report = dcap_qvl.verify_with_root_ca(evidence.quote, fields, evidence.root, evidence.at)
    return report.status, tuple(report.advisory_ids)


def sound_policy(draft: TdDraft) -> Policy:
    """What an honest data centre would write for the honest draft."""
    body = draft.body
    measured = {name: f'["{getattr(body, name).hex()}"]' for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2")}
    platform = draft.machine.record.facts.ppid.hex()
    return Policy.parse(table(TDX, **measured, min_tcb_evaluation_number="19", platforms=f'["{platform}"]'))


def appraise(policy: Policy, verdict: Verdict) -> Verdict:
    return policy.appraise(verdict, report_data=REPORT_DATA, pin_hash=None)


@pytest.mark.parametrize(("version", "body_type"), VARIANTS)
def test_honest_evidence_is_genuine_here_and_for_an_independent_verifier(
    lab: Lab, version: int, body_type: TdBody
) -> None:
    draft = TdDraft.of(lab, NOON, version=version, body_type=body_type)
    evidence = draft.build()
    quote = Quote.parse(evidence.quote)
    assert (quote.header.version, quote.body) == (version, draft.body)
    assert quote.encode() == evidence.quote
    verdict = judge(evidence)
    assert verdict.reasons == ()
    assert verdict.genuine is True
    assert verdict.simulated
    assert verdict.tee is Tee.TDX
    assert {check.outcome for check in verdict.checks} == {Outcome.OK}
    assert theirs(evidence) == ("UpToDate", ())
    assert appraise(sound_policy(draft), verdict).decision is Decision.ACCEPTED


@ALL
def test_fault_is_refused_for_its_reason(draft: TdDraft, fault: TdxFault) -> None:
    policy = sound_policy(draft)
    fault.apply(draft)
    genuine = judge(draft.build())
    verdict = appraise(policy, genuine)
    assert verdict.decision in (Decision.REJECTED, Decision.UNDECIDABLE)
    assert verdict.workload is None
    if fault.by_policy:
        assert genuine.genuine is True
        assert genuine.reasons == ()
        assert verdict.reasons == (fault.reason, *fault.also)
    else:
        assert genuine.genuine is not True
        assert genuine.reasons == (fault.reason, *fault.also)
        assert verdict.reasons == genuine.reasons


@ALL
def test_a_policy_never_improves_a_verdict(draft: TdDraft, fault: TdxFault) -> None:
    policy = sound_policy(draft)
    fault.apply(draft)
    before = judge(draft.build())
    for report_data in (None, REPORT_DATA, bytes(64)):
        after = policy.appraise(before, report_data=report_data, pin_hash=None)
        assert after.genuine == before.genuine
        assert set(before.reasons) <= set(after.reasons)
        assert after.checks[: len(before.checks)] == before.checks
        assert after.tcb_evaluations == before.tcb_evaluations
        if before.genuine is not True:
            assert after.decision is not Decision.ACCEPTED


@ALL
def test_what_they_refuse_we_do_not_accept(draft: TdDraft, fault: TdxFault) -> None:
    """Genuine here means accepted by dcap-qvl with the same status, except for the named differences."""
    fault.apply(draft)
    evidence = draft.build()
    verdict = judge(evidence)
    if verdict.genuine is not True:
        return
    status = verdict.tcb_status
    assert status is not None
    try:
        found = theirs(evidence)
    except ValueError as error:
        never = status in (TcbStatus.NOT_SUPPORTED, TcbStatus.REVOKED)
        assert any(text in str(error) for text in (STATUS_THERE if never else POLICY_THERE)), error
        return
    assert found == (status.value, verdict.advisory_ids)


@ALL
def test_each_fault_changes_something_and_leaves_the_lab_alone(lab: Lab, fault: TdxFault) -> None:
    published, records = lab.published, dict(lab.records)
    draft = TdDraft.of(lab, NOON)
    honest = draft.build()
    fault.apply(draft)
    broken = draft.build()
    assert honest.quote != broken.quote or honest.collateral.digest != broken.collateral.digest
    assert (lab.published, lab.records) == (published, records)
    assert 20 < len(fault.story) < 200
    assert fault.story == fault.story.rstrip(".")


def test_there_are_faults_of_tdx_alone() -> None:
    own = TDX_FAULTS.keys() - FAULTS.keys()
    assert len(own) >= 60
    assert len({TDX_FAULTS[name].story for name in own}) == len(own)
    assert Reason.TDX_MODULE_MISMATCH in {TDX_FAULTS[name].reason for name in own}


@pytest.mark.parametrize("removed", TDX_PROCEDURE, ids=lambda step: f"{step.number} {step.name}")
def test_every_check_is_needed(draft: TdDraft, removed: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever check did not run, the verdict is not genuine."""
    record = Ledger.ok

    def forgetful(self: Ledger, step: Step, found: object = None) -> None:
        if step is not removed:
            record(self, step, found)

    monkeypatch.setattr(Ledger, "ok", forgetful)
    holds = Ledger()
    for step in (steps.HEADER, steps.VERSION, steps.BODY, steps.AUTHENTICATION, steps.LAYOUT, steps.LENGTHS):
        holds.ok(step)
    monkeypatch.setattr(dcap, "_FORMAT_HOLDS", holds)
    assert judge(draft.build()).genuine is not True


def test_a_module_that_was_updated_under_a_td(draft: TdDraft) -> None:
    """Launch and current state are evaluated apart, and both are in the verdict."""
    svn = draft.body.tee_tcb_svn
    draft.change(tee_tcb_svn=bytes((3,)) + svn[1:])
    verdict = judge(draft.build())
    launch, current = verdict.tcb_evaluations
    assert (launch.of, launch.status, launch.module) == ("launch", TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE)
    assert (current.of, current.status, current.module) == ("current", TcbStatus.UP_TO_DATE, TcbStatus.UP_TO_DATE)
    assert verdict.tcb_status is TcbStatus.TD_RELAUNCH_ADVISED
    assert verdict.advisory_ids == ("INTEL-SA-00002",)
    assert verdict.tcb_date == launch.date
    found = verdict.to_json()["tcb_evaluations"]
    assert isinstance(found, list)
    assert [each["of"] for each in found] == ["launch", "current"]


def test_no_verdict_depends_on_what_was_remembered(lab: Lab) -> None:
    """SGX and TDX quotes of one platform, in any order, under collateral of either kind."""
    td, enclave = TdDraft.of(lab, NOON).build(), Draft.of(lab, IMAGE, NOON).build()
    newer = TdDraft.of(lab, NOON)
    newer.change(tee_tcb_svn=bytes((3,)) + newer.body.tee_tcb_svn[1:])
    relaunch = newer.build()
    cases = [
        (quote, collateral)
        for quote in (td.quote, enclave.quote, relaunch.quote)
        for collateral in (td.collateral, enclave.collateral, None)
    ]
    shared = DcapVerifier(Roots.lab(td.root))
    for quote, collateral in [*cases, *reversed(cases)]:
        fresh = DcapVerifier(Roots.lab(td.root)).verify(quote, collateral, NOON)
        found = shared.verify(quote, collateral, NOON)
        assert found == fresh
        assert found.checks == fresh.checks


def test_the_header_of_another_tee_finds_nothing_remembered(lab: Lab) -> None:
    """The part that the platform vouches for does not say for which TEE."""
    enclave = Draft.of(lab, IMAGE, NOON)
    evidence = enclave.build()
    verifier = DcapVerifier(Roots.lab(evidence.root))
    assert verifier.verify(evidence.quote, evidence.collateral, NOON).genuine is True
    disguised = TdDraft.of(lab, NOON)
    disguised.attestation_key, disguised.qe_report = enclave.attestation_key, enclave.qe_report
    quote = disguised.build().quote
    found = verifier.verify(quote, evidence.collateral, NOON)
    assert found == DcapVerifier(Roots.lab(evidence.root)).verify(quote, evidence.collateral, NOON)
    assert found.reasons == (Reason.COLLATERAL_MISMATCH,)


def test_strangers_fill_no_memory(draft: TdDraft) -> None:
    """States of a module in quotes that nobody signed are not remembered."""
    evidence = draft.build()
    verifier = DcapVerifier(Roots.lab(evidence.root))
    assert verifier.verify(evidence.quote, evidence.collateral, NOON).genuine is True
    (attester,) = verifier._attesters._values.values()
    assert attester.modules is not None
    assert len(attester.modules) == 1
    for svn in range(50):
        forged = bytearray(evidence.quote)
        forged[54 + 584] = svn
        verifier.verify(bytes(forged), evidence.collateral, NOON)
    assert len(attester.modules) == 1
    for svn in range(4, 40):
        body = replace(draft.body, tee_tcb_svn2=bytes((svn, *draft.body.tee_tcb_svn[1:])))
        signed = signed_part(draft.header, body)
        signature = sign_raw(draft.attestation_key, signed)
        quote = replace(Quote.parse(evidence.quote), body=body, signed=signed, signature=signature)
        assert verifier.verify(quote.encode(), evidence.collateral, NOON).genuine is True
    assert len(attester.modules) == dcap.MAX_MODULE_STATES


def test_two_threads_share_a_verifier(lab: Lab) -> None:
    good, other = TdDraft.of(lab, NOON).build(), TdDraft.of(lab, NOON)
    other.change(tee_tcb_svn=bytes((3,)) + other.body.tee_tcb_svn[1:])
    relaunch = other.build()
    verifier = DcapVerifier(Roots.lab(good.root))

    def work(number: int) -> TcbStatus | None:
        if number % 7 == 0:
            verifier.forget_platforms()
        return verifier.verify((good, relaunch)[number % 2].quote, good.collateral, NOON).tcb_status

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(300)))
    assert found == [TcbStatus.UP_TO_DATE, TcbStatus.TD_RELAUNCH_ADVISED] * 150


@pytest.mark.parametrize("version", [4, 5])
def test_a_quote_cut_short_is_malformed_and_still_of_tdx(lab: Lab, version: int) -> None:
    body_type = TdBody.TDX_1_0 if version == 4 else TdBody.TDX_1_5_EXTENDED
    evidence = TdDraft.of(lab, NOON, version=version, body_type=body_type).build()
    for length in (48, 53, 54, 300, 631, 700, 939, len(evidence.quote) - 1):
        verdict = judge(replace(evidence, quote=evidence.quote[:length]))
        assert (verdict.tee, verdict.genuine) == (Tee.TDX, False)
        assert verdict.reasons == (Reason.MALFORMED_EVIDENCE,)


def test_bytes_that_are_no_certificates_are_open_only_without_collateral(draft: TdDraft) -> None:
    """Check 10: a chain that can't be read may still come from elsewhere; nothing more comes beside collateral."""
    evidence = draft.build()
    quote = Quote.parse(evidence.quote)
    for data in (quote.certification.data.replace(b"M", b"", 1), draft.chain[0].tbs_certificate_bytes, b"", b"\0"):
        broken = replace(quote, certification=replace(quote.certification, data=data)).encode()
        verifier = DcapVerifier(Roots.lab(evidence.root))
        alone = verifier.verify(broken, None, NOON)
        assert (alone.genuine, alone.retryable) == (None, False)
        assert alone.reasons == (Reason.CERTIFICATE_CHAIN, Reason.COLLATERAL_MISSING)
        beside = verifier.verify(broken, evidence.collateral, NOON)
        assert (beside.genuine, beside.reasons) == (False, (Reason.CERTIFICATE_CHAIN,))


def test_a_foreign_root_is_open_only_without_collateral(draft: TdDraft) -> None:
    evidence = draft.build()
    verifier = DcapVerifier(Roots.production())
    assert verifier.verify(evidence.quote, None, NOON).genuine is None
    assert verifier.verify(evidence.quote, evidence.collateral, NOON).genuine is False
    forged = bytearray(evidence.quote)
    forged[54 + 136] ^= 1
    assert verifier.verify(bytes(forged), None, NOON).genuine is False


def test_a_report_says_what_it_is_in_the_verdict(draft: TdDraft) -> None:
    verdict = judge(draft.build())
    assert verdict.identity == draft.body
    assert isinstance(verdict.identity, TdReport)
    identity = verdict.to_json()["identity"]
    assert identity == draft.body.to_json()
