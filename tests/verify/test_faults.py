"""Every named attack of the simulator, one change each and signed again: the verifier says why it refuses."""

import pytest

from intaglio.reasons import Reason
from intaglio.sim.draft import Draft
from intaglio.sim.faults import FAULTS, Fault
from intaglio.types import Measurement
from intaglio.verify.policy import Policy
from intaglio.verify.verdict import Decision
from tests.verify.conftest import REPORT_DATA, judge

POLICY = """
[[accept]]
name = "meter"
tee = "sgx"
{measured_by}
tcb = ["UpToDate"]
advisories = []
min_tcb_evaluation_number = 19
debug = false
platforms = ["{platform}"]
max_session_age = "24h"
max_offer_age = "1h"
heartbeat = "60s"
pin = "measured"
"""
BY_SIGNER = (Reason.WRONG_SIGNER, Reason.WRONG_PRODUCT, Reason.SVN_TOO_LOW)


def sound_policy(draft: Draft, reason: Reason) -> Policy:
    """What an honest data centre would write for the honest draft; by signer where the fault is about signers."""
    honest, platform = draft.body, draft.machine.record.facts.ppid.hex()
    measured_by = f'mr_enclave = ["{Measurement(honest.mr_enclave).hex()}"]'
    if reason in BY_SIGNER:
        measured_by = (
            f'mr_signer = "{honest.mr_signer.hex()}"\nisv_prod_id = {honest.isv_prod_id}\n'
            f"min_isv_svn = {honest.isv_svn}\ndangerous_unpinned = true"
        )
    return Policy.parse(POLICY.format(measured_by=measured_by, platform=platform))


def test_honest_evidence_is_accepted(draft: Draft) -> None:
    policy = sound_policy(draft, Reason.WRONG_MEASUREMENT)
    verdict = policy.appraise(judge(draft.build()), report_data=REPORT_DATA, pin_hash=None)
    assert verdict.reasons == ()
    assert verdict.decision is Decision.ACCEPTED
    assert verdict.workload == "meter"
    assert verdict.simulated


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_fault_is_refused_for_its_reason(draft: Draft, fault: Fault) -> None:
    policy = sound_policy(draft, fault.reason)
    fault.apply(draft)
    genuine = judge(draft.build())
    verdict = policy.appraise(genuine, report_data=REPORT_DATA, pin_hash=None)
    assert verdict.decision in (Decision.REJECTED, Decision.UNDECIDABLE)
    assert verdict.workload is None
    if fault.by_policy:
        assert genuine.genuine is True
        assert genuine.reasons == ()
        assert fault.reason in verdict.reasons
    else:
        assert genuine.genuine is not True
        assert genuine.reasons[0] is fault.reason
        assert set(genuine.reasons) <= {fault.reason, *fault.also}
        assert verdict.reasons == genuine.reasons


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_a_policy_never_improves_a_verdict(draft: Draft, fault: Fault) -> None:
    policy = sound_policy(draft, fault.reason)
    fault.apply(draft)
    before = judge(draft.build())
    for report_data in (None, REPORT_DATA, bytes(64)):
        after = policy.appraise(before, report_data=report_data, pin_hash=None)
        assert after.genuine == before.genuine
        assert set(before.reasons) <= set(after.reasons)
        assert after.checks[: len(before.checks)] == before.checks
        if before.genuine is not True:
            assert after.decision is not Decision.ACCEPTED
