"""Every fault against the project's own verifier: exactly its reason, and nothing for what is genuine but unwanted."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from intaglio.reasons import Reason
from intaglio.sim.draft import Draft, Evidence
from intaglio.sim.faults import FAULTS, IAS_FAULTS, LOCAL_FAULTS, NITRO_FAULTS, SNP_FAULTS, TDX_FAULTS, Fault
from intaglio.sim.signing import signer_of
from intaglio.sim.world import Lab
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision, Verdict
from intaglio.wire.collateral import DcapCollateral
from tests.sim.conftest import IMAGE, NOON

DATA = bytes(range(64))
"""The report data of an honest draft: what this session wants to see."""

ALL = [pytest.param(each, id=name) for name, each in FAULTS.items()]


def judge(evidence: Evidence) -> Verdict:
    return DcapVerifier(Roots.lab(evidence.root)).verify(evidence.quote, evidence.collateral, evidence.at)


def test_the_honest_draft_is_genuine(lab: Lab) -> None:
    verdict = judge(Draft.of(lab, IMAGE, NOON).build())
    assert verdict.genuine is True
    assert verdict.reasons == ()
    assert verdict.simulated


def version(number: int) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        draft.header = replace(draft.header, version=number)

    return change


def chain_in_another_order(draft: Draft) -> None:
    draft.chain = [draft.chain[0], draft.chain[2], draft.chain[1]]


def zero_padding(draft: Draft) -> None:
    draft.edits.append(lambda quote: quote + bytes(100))


def no_qe_auth_data(draft: Draft) -> None:
    draft.qe_auth_data = b""
    draft.recertify()


def tcb_info_of_version_2(draft: Draft) -> None:
    pcs, fmspc = draft.lab.pcs, draft.machine.record.fmspc
    draft.tcb_info.content = pcs.tcb_info(pcs.edition(), fmspc, draft.at, version=2)


@pytest.mark.parametrize(
    "change",
    [version(4), version(5), chain_in_another_order, zero_padding, no_qe_auth_data, tcb_info_of_version_2],
    ids=["v4", "v5", "order", "padding", "auth data", "tcb info v2"],
)
def test_what_real_platforms_do_is_no_fault(lab: Lab, change: Callable[[Draft], None]) -> None:
    draft = Draft.of(lab, IMAGE, NOON)
    honest = draft.build()
    change(draft)
    evidence = draft.build()
    assert (evidence.quote, evidence.collateral.tcb_info) != (honest.quote, honest.collateral.tcb_info)
    verdict = judge(evidence)
    assert verdict.genuine is True
    assert verdict.reasons == ()


@pytest.mark.parametrize("each", ALL)
def test_each_fault_has_exactly_its_reason(lab: Lab, each: Fault) -> None:
    draft = Draft.of(lab, IMAGE, NOON)
    each.apply(draft)
    verdict = judge(draft.build())
    if each.by_policy:
        assert verdict.genuine is True
        assert verdict.reasons == ()
    else:
        assert not verdict.genuine
        assert verdict.reasons == (each.reason, *each.also)


@pytest.mark.parametrize("each", ALL)
def test_each_fault_changes_something_and_leaves_the_lab_alone(lab: Lab, each: Fault) -> None:
    published, records = lab.published, dict(lab.records)
    draft = Draft.of(lab, IMAGE, NOON)
    honest = draft.build()
    each.apply(draft)
    broken = draft.build()
    parts = [part.name for part in fields(DcapCollateral) if part.name != "digest" and "signature" not in part.name]
    changed = [name for name in parts if getattr(honest.collateral, name) != getattr(broken.collateral, name)]
    assert changed or honest.quote != broken.quote
    assert broken.root == lab.root_der
    assert broken.at == NOON
    assert (lab.published, lab.records) == (published, records)
    assert judge(Draft.of(lab, IMAGE, NOON).build()).genuine


def policy(lab: Lab, *, by_signer: bool) -> Policy:
    """What a careful data centre writes: this program (or this product of this vendor), current, on this machine."""
    signer = signer_of(lab.vendor).hex()
    measured = (
        f'mr_signer = "{signer}"\nisv_prod_id = 1\nmin_isv_svn = 1\npin = "measured"\ndangerous_unpinned = true'
        if by_signer
        else f'mr_enclave = ["{IMAGE.mr_enclave().hex()}"]\npin = "measured"'
    )
    return Policy.parse(
        f"""
        [[accept]]
        name = "meter"
        tee = "sgx"
        {measured}
        tcb = ["UpToDate"]
        advisories = []
        min_tcb_evaluation_number = 17
        debug = false
        platforms = ["{lab.records["alpha"].facts.ppid.hex()}"]
        max_session_age = "24h"
        max_offer_age = "1h"
        heartbeat = "none"
        """
    )


@pytest.mark.parametrize("by_signer", [False, True])
def test_the_honest_draft_is_acceptable(lab: Lab, by_signer: bool) -> None:
    verdict = judge(Draft.of(lab, IMAGE, NOON).build())
    decided = policy(lab, by_signer=by_signer).appraise(verdict, report_data=DATA, pin_hash=None)
    assert decided.decision is Decision.ACCEPTED
    assert decided.reasons == ()


@pytest.mark.parametrize("each", [each for each in ALL if FAULTS[str(each.id)].by_policy])
def test_what_is_genuine_but_unwanted_is_refused_by_a_sound_policy(lab: Lab, each: Fault) -> None:
    draft = Draft.of(lab, IMAGE, NOON)
    each.apply(draft)
    by_signer = each.reason in (Reason.WRONG_SIGNER, Reason.WRONG_PRODUCT, Reason.SVN_TOO_LOW)
    decided = policy(lab, by_signer=by_signer).appraise(judge(draft.build()), report_data=DATA, pin_hash=None)
    assert decided.decision is Decision.REJECTED
    assert decided.reasons == (each.reason, *each.also)


def test_every_fault_tells_its_story() -> None:
    assert len(FAULTS) > 80
    for each in FAULTS.values():
        assert 20 < len(each.story) < 200, each.name
        assert each.story == each.story.rstrip("."), each.name
    assert len({each.story for each in FAULTS.values()}) == len(FAULTS)


def test_faults_reach_every_reason_for_evidence() -> None:
    """What no fault shows must be impossible to show with the simulator's evidence and its collateral."""
    names = list(Reason)
    evidence = names[names.index(Reason.MALFORMED_EVIDENCE) : names.index(Reason.NO_WORKLOAD)]
    shown = {reason for each in FAULTS.values() for reason in (each.reason, *each.also)}
    shown |= {each.reason for each in SNP_FAULTS.values()} | {each.reason for each in NITRO_FAULTS.values()}
    shown |= {each.reason for each in IAS_FAULTS.values()} | {each.reason for each in LOCAL_FAULTS.values()}
    shown |= {each.reason for each in TDX_FAULTS.values()}
    not_shown = {reason.name for reason in evidence if reason not in shown}
    elsewhere = {"COLLATERAL_BUNDLE_SIGNATURE", "COLLATERAL_BUNDLE_OLD"}
    certificates_of_peers = {"KEY_BINDING", "CLAIM_MISSING", "UNKNOWN_EXTENSION", "SELF_SIGNATURE"}  # tests/ratls
    without = {"COLLATERAL_MISSING", "CHIP_ID_MASKED"}
    assert not_shown - elsewhere - certificates_of_peers - without == {"EPID_QUOTE"}, "no simulator signs with EPID"
