"""AWS Nitro under a laboratory's root: every named attack is refused for its reason, and honest documents are not."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from intaglio.reasons import Reason
from intaglio.sim.faults import NITRO_FAULTS, NitroFault
from intaglio.sim.nitro import MODULE_ID, NitroAuthority, NitroDraft, NitroEvidence, indefinite
from intaglio.types import Tee, UnixTime
from intaglio.verify.evidence import Kind, Verifier, classify
from intaglio.verify.nitro import PROCEDURE, NitroVerifier
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision, Outcome, Verdict
from tests.feeding import feed_garbage
from tests.verify.conftest import NOON, REPORT_DATA

FAULTS = pytest.mark.parametrize("fault", NITRO_FAULTS.values(), ids=lambda fault: fault.name)

POLICY = f"""
[[accept]]
name = "meter"
tee = "nitro"
pcr0 = ["{"a0" * 48}"]
pcr3 = ["{"a3" * 48}"]
debug = false
platforms = ["{MODULE_ID.partition("-enc")[0]}"]
max_session_age = "24h"
max_offer_age = "1h"
heartbeat = "60s"
pin = "measured"
"""


@pytest.fixture(scope="session")
def aws() -> NitroAuthority:
    return NitroAuthority.create(NOON)


@pytest.fixture
def draft(aws: NitroAuthority) -> NitroDraft:
    """An honest draft that the test may change."""
    return NitroDraft.of(aws, NOON, report_data=REPORT_DATA)


def judge(evidence: NitroEvidence, at: int | None = None) -> Verdict:
    """With a verifier that has never seen anything."""
    verifier = NitroVerifier(Roots.lab(evidence.root))
    return verifier.verify(evidence.document, None, UnixTime(evidence.at if at is None else at))


@pytest.mark.parametrize("form", ["definite", "indefinite"])
@pytest.mark.parametrize("tag", [b"", b"\xd2"], ids=["untagged", "tag 18"])
def test_honest_documents_are_accepted(draft: NitroDraft, form: str, tag: bytes) -> None:
    if form == "indefinite":
        draft.encode = indefinite
    draft.edits.append(lambda document: tag + document)
    evidence = draft.build()
    assert classify(evidence.document) == (Tee.NITRO, Kind.NITRO_DOCUMENT)
    verdict = judge(evidence)
    assert (verdict.genuine, verdict.reasons, verdict.simulated) == (True, (), True)
    assert [check.outcome for check in verdict.checks] == [Outcome.OK] * len(PROCEDURE)
    assert verdict.identity is not None
    assert verdict.identity.report_data == REPORT_DATA
    decided = Policy.parse(POLICY).appraise(verdict, report_data=REPORT_DATA, pin_hash=None)
    assert (decided.decision, decided.reasons, decided.workload) == (Decision.ACCEPTED, (), "meter")


@FAULTS
def test_fault_is_refused_for_its_reason(draft: NitroDraft, fault: NitroFault) -> None:
    fault.apply(draft)
    verdict = judge(draft.build())
    if fault.by_policy:
        assert (verdict.genuine, verdict.reasons) == (True, ())
        verdict = Policy.parse(POLICY).appraise(verdict, report_data=REPORT_DATA, pin_hash=None)
        assert verdict.decision is Decision.REJECTED
        assert set(verdict.reasons) == {fault.reason, *fault.also}
    else:
        assert verdict.genuine is False
        assert verdict.reasons == (fault.reason, *fault.also)


@FAULTS
def test_a_policy_never_improves_a_verdict(draft: NitroDraft, fault: NitroFault) -> None:
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
def test_what_was_remembered_hides_no_fault(aws: NitroAuthority, fault: NitroFault) -> None:
    """A verifier that knows the honest signer judges a bad document as one that knows nothing; and the other way."""
    honest = NitroDraft.of(aws, NOON, report_data=REPORT_DATA)
    verifier = NitroVerifier(Roots.lab(honest.root))
    document = honest.build().document
    assert verifier.verify(document, None, NOON).genuine is True
    bad = NitroDraft.of(aws, NOON, report_data=REPORT_DATA)
    fault.apply(bad)
    evidence = bad.build()
    first, again = (verifier.verify(evidence.document, None, evidence.at) for _ in range(2))
    fresh = judge(evidence)
    assert first == again == fresh
    assert first.checks == again.checks == fresh.checks
    assert verifier.verify(document, None, NOON).genuine is True


def test_there_are_enough_faults_and_each_tells_its_story() -> None:
    assert len(NITRO_FAULTS) >= 60
    stories = [fault.story for fault in NITRO_FAULTS.values()]
    assert all(20 < len(story) < 200 and story == story.rstrip(".") for story in stories)
    assert len(set(stories)) == len(stories)


def test_the_allowance_for_clocks_is_a_minute(draft: NitroDraft) -> None:
    for ahead, genuine in ((60, True), (61, False)):
        draft.fields["timestamp"] = (NOON + ahead) * 1000 + 999
        verdict = judge(draft.build())
        assert (verdict.genuine, verdict.retryable) == (genuine, not genuine)


def test_the_ends_of_the_leafs_life_belong_to_it(draft: NitroDraft) -> None:
    leaf = draft.chain[-1].plan
    draft.fields["timestamp"] = leaf.not_before * 1000
    evidence = draft.build()
    for at, genuine in ((leaf.not_before - 1, False), (leaf.not_before, True), (leaf.not_after, True),
                        (leaf.not_after + 1, False)):  # fmt: skip
        verdict = judge(evidence, at)
        assert verdict.genuine is genuine, at
        assert verdict.valid_until == leaf.not_after
    draft.fields["timestamp"] = leaf.not_after * 1000 + 999
    assert judge(draft.build(), leaf.not_after).genuine is True
    draft.fields["timestamp"] = (leaf.not_after + 1) * 1000
    assert judge(draft.build(), leaf.not_after).reasons == (Reason.EVIDENCE_TIMESTAMP,)


def test_without_a_readable_certificate_nothing_says_until_when(draft: NitroDraft) -> None:
    draft.bundle = lambda ders: [*ders[:-1], b"none"]
    verdict = judge(draft.build())
    assert (verdict.genuine, verdict.reasons, verdict.valid_until) == (False, (Reason.CERTIFICATE_CHAIN,), None)


def test_strangers_leave_nothing_behind(draft: NitroDraft) -> None:
    evidence, stranger = draft.build(), NitroDraft.of(NitroAuthority.create(NOON), NOON).build()
    verifier = NitroVerifier(Roots.lab(evidence.root))
    for _ in range(3):
        assert verifier.verify(stranger.document, None, NOON).reasons == (Reason.ROOT_UNTRUSTED,)
    assert (len(verifier._signers._issuers), len(verifier._signers._leaves)) == (0, 0)
    assert verifier.verify(evidence.document, None, NOON).genuine is True
    assert (len(verifier._signers._issuers), len(verifier._signers._leaves)) == (1, 1)


def test_a_bundle_cut_in_other_places_is_another_bundle(draft: NitroDraft) -> None:
    """The same bytes, but the certificates end elsewhere: what is remembered of the honest ones does not apply."""
    evidence = draft.build()
    verifier = NitroVerifier(Roots.lab(evidence.root))
    assert verifier.verify(evidence.document, None, NOON).genuine is True
    ders = draft.certificates()
    draft.chain = [*draft.chain]
    draft.bundle = lambda _: [ders[0] + ders[1][:5], ders[1][5:], *ders[2:]]
    verdict = verifier.verify(draft.build().document, None, NOON)
    assert (verdict.genuine, verdict.reasons) == (False, (Reason.CERTIFICATE_CHAIN,))


def test_garbage_gets_a_verdict_and_no_exception(draft: NitroDraft) -> None:
    evidence = draft.build()
    verifier = Verifier(Roots.lab(evidence.root))
    for at in range(0, len(evidence.document), 41):
        flipped = bytes((evidence.document[at] ^ 0xFF,))
        for changed in (evidence.document[:at], evidence.document[:at] + flipped + evidence.document[at + 1 :]):
            feed_garbage(partial(verifier.verify, collateral=None, at=NOON), changed)
            if changed.startswith(b"\x84\x44\xa1\x01"):
                assert verifier.verify(changed, None, NOON).genuine is False


def test_threads_share_one_verifier(aws: NitroAuthority) -> None:
    evidences = [NitroDraft.of(aws, NOON, report_data=bytes([n]) * 64).build() for n in range(8)]
    verifier = NitroVerifier(Roots.lab(evidences[0].root))
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda each: verifier.verify(each.document, None, NOON).genuine, evidences * 8))
    assert verdicts == [True] * 64
