"""A verdict as an attestation result: the table of docs/ear.md, and what holds for every verdict."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.reasons import Actor, Area, Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.ear import appraisal, attestation_result, trust_vector
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Checks, Decision, Platform, TcbStatus, Verdict, issue
from intaglio.wire.ear import Claim, Ear, Tier, VerifierId
from intaglio.wire.ear_cbor import decode_ear, encode_ear
from tests.conftest import ROOT

AT = UnixTime(1_780_315_200)
HASH = bytes(range(32))
PLATFORM = Platform(ppid="00" * 16, fmspc="00606a000000")


class Someone:
    """An identity of no TEE in particular."""

    def __init__(self, *, debug: bool = False, report_data: bytes = bytes(range(64))) -> None:
        self.debug = debug
        self.report_data = report_data

    def to_json(self) -> dict[str, object]:
        return {"debug": self.debug, "report_data": self.report_data.hex(), "nested": {"a": [1, {"b": None}]}}


def verdict(**facts: Any) -> Verdict:
    base: dict[str, Any] = {
        "tee": Tee.SGX, "genuine": True, "reasons": (), "checks": Checks(tuple), "evidence_hash": HASH, "at": AT,
        "tcb_status": TcbStatus.UP_TO_DATE, "platform": PLATFORM, "identity": Someone(),
    }  # fmt: skip
    return issue(**{**base, **facts})


def accepted(**facts: Any) -> Verdict:
    return verdict(decision=Decision.ACCEPTED, workload="meter", policy_hash=HASH, **facts)


def rejected(*reasons: Reason, **facts: Any) -> Verdict:
    return verdict(decision=Decision.REJECTED, policy_hash=HASH, reasons=reasons, **facts)


def refused(*reasons: Reason) -> Verdict:
    return verdict(genuine=False, reasons=reasons, tcb_status=None)


I, C, E, H, R = (  # noqa: E741
    Claim.INSTANCE_IDENTITY, Claim.CONFIGURATION, Claim.EXECUTABLES, Claim.HARDWARE, Claim.RUNTIME_OPAQUE,
)  # fmt: skip
GOOD = {I: 2, C: 2, E: 3, H: 2, R: 2}


@pytest.mark.parametrize(
    ("made", "vector", "status"),
    [
        (accepted(), GOOD, Tier.AFFIRMING),
        (accepted(tcb_status=None, platform=None), {C: 2, E: 3, H: 2, R: 2}, Tier.AFFIRMING),
        (accepted(tcb_status=TcbStatus.OUT_OF_DATE), {**GOOD, H: 32}, Tier.WARNING),
        (accepted(tcb_status=TcbStatus.SW_HARDENING_NEEDED), {**GOOD, H: 32}, Tier.WARNING),
        (accepted(tcb_status=TcbStatus.CONFIGURATION_NEEDED), {**GOOD, H: 32, C: 32}, Tier.WARNING),
        (accepted(advisory_ids=("INTEL-SA-00615",)), {**GOOD, H: 32}, Tier.WARNING),
        (accepted(tcb_status=TcbStatus.REVOKED), {**GOOD, H: 96}, Tier.CONTRAINDICATED),
        (accepted(simulated=True), {**GOOD, H: 96}, Tier.CONTRAINDICATED),
        (accepted(identity=Someone(debug=True)), {**GOOD, R: 32}, Tier.WARNING),
        (verdict(), {I: 2, E: 33, H: 2, R: 2}, Tier.WARNING),
        (verdict(identity=Someone(debug=True)), {I: 2, E: 33, H: 2, R: 96}, Tier.CONTRAINDICATED),
        (rejected(Reason.WRONG_MEASUREMENT), {I: 2, E: 96, H: 2, R: 2}, Tier.CONTRAINDICATED),
        (rejected(Reason.NO_WORKLOAD), {I: 2, E: 96, H: 2, R: 2}, Tier.CONTRAINDICATED),
        (rejected(), {I: 2, E: 96, H: 2, R: 2}, Tier.CONTRAINDICATED),
        (rejected(Reason.TCB_STATUS), {I: 2, H: 96, R: 2}, Tier.CONTRAINDICATED),
        (rejected(Reason.PLATFORM_NOT_ALLOWED), {I: 97, H: 2, R: 2}, Tier.CONTRAINDICATED),
        (rejected(Reason.REPORT_DATA, Reason.DEBUG_ENCLAVE), {I: 97, H: 2, R: 96}, Tier.CONTRAINDICATED),
        (rejected(Reason.FIRMWARE_TOO_OLD, Reason.GUEST_POLICY), {I: 2, C: 96, H: 96, R: 2}, Tier.CONTRAINDICATED),
        (refused(Reason.ATTESTATION_KEY_REVOKED, Reason.TDX_MODULE_MISMATCH), {I: 96, H: 97}, Tier.CONTRAINDICATED),
        (verdict(genuine=None, reasons=(Reason.EPID_QUOTE,)), {H: 1}, Tier.NONE),
        (rejected(Reason.WRONG_PIN), {I: 2, C: 96, H: 2, R: 2}, Tier.CONTRAINDICATED),
        (refused(Reason.QUOTE_SIGNATURE), {H: 99}, Tier.CONTRAINDICATED),
        (refused(Reason.ROOT_UNTRUSTED), {H: 97}, Tier.CONTRAINDICATED),
        (refused(Reason.CERTIFICATE_REVOKED), {I: 96}, Tier.CONTRAINDICATED),
        (refused(Reason.CERTIFICATE_REVOKED, Reason.QUOTE_SIGNATURE), {I: 96, H: 99}, Tier.CONTRAINDICATED),
        (refused(Reason.ROOT_UNTRUSTED, Reason.COLLATERAL_EXPIRED), {H: 97}, Tier.CONTRAINDICATED),
        (refused(), {H: 99}, Tier.CONTRAINDICATED),
        (refused(Reason.COLLATERAL_EXPIRED), {H: 0}, Tier.NONE),
        (verdict(genuine=None, reasons=(Reason.COLLATERAL_MISSING,)), {H: 0}, Tier.NONE),
        (verdict(genuine=None, reasons=(Reason.UNSUPPORTED_EVIDENCE,)), {H: 1}, Tier.NONE),
        (verdict(decision=Decision.UNDECIDABLE), {H: 0}, Tier.NONE),
    ],
)
def test_the_table(made: Verdict, vector: dict[Claim, int], status: Tier) -> None:
    assert trust_vector(made) == vector
    assert appraisal(made).status is status


VERDICTS = st.builds(
    verdict,
    tee=st.sampled_from(Tee),
    genuine=st.sampled_from([True, False, None]),
    decision=st.sampled_from([None, *Decision]),
    reasons=st.lists(st.sampled_from(Reason), max_size=4, unique=True).map(tuple),
    tcb_status=st.sampled_from([None, *TcbStatus]),
    advisory_ids=st.sampled_from([(), ("INTEL-SA-00615",)]),
    simulated=st.booleans(),
    platform=st.sampled_from([None, PLATFORM, Platform()]),
    identity=st.sampled_from(
        [None, Someone(), Someone(debug=True), Someone(report_data=b""), Someone(report_data=bytes(64))]
    ),
    valid_until=st.sampled_from([None, AT]),
    policy_hash=st.sampled_from([None, HASH]),
)


@given(VERDICTS, st.booleans())
def test_no_result_is_better_than_its_worst_claim_or_than_its_verdict(made: Verdict, anonymous: bool) -> None:
    found = appraisal(made, anonymous=anonymous)
    tiers = [Tier.of(value) for value in found.vector.values()]
    assert all(found.status.trust <= tier.trust for tier in tiers)
    # In the order of AR4SI's numbers too, by which other implementations compare.
    assert found.status == max(tiers)
    if found.status is Tier.AFFIRMING:
        assert (made.genuine, made.decision, made.simulated) == (True, Decision.ACCEPTED, False)
    if made.genuine is not True or made.decision in (Decision.REJECTED, Decision.UNDECIDABLE):
        assert found.status in (Tier.NONE, Tier.CONTRAINDICATED)
    if made.simulated and made.genuine and made.decision is not Decision.UNDECIDABLE:
        assert found.status is Tier.CONTRAINDICATED


@given(VERDICTS)
def test_every_result_survives_both_serialisations(made: Verdict) -> None:
    ear = attestation_result(made, VerifierId("d", "b"), AT, issuer="dc")
    assert decode_ear(encode_ear(ear)) == ear
    assert Ear.from_json(ear.to_json()) == ear


def test_what_a_result_says_besides() -> None:
    ear = attestation_result(accepted(valid_until=UnixTime(AT + 1)), VerifierId("d", "b"), AT, issuer="dc")
    (label, found), *_ = ear.appraisals.items()
    assert (label, ear.expires, ear.issuer) == ("sgx", AT + 1, "dc")
    assert found.policy_ids == (f"urn:intaglio:policy:{HASH.hex()}",)
    assert found.nonce == bytes(range(64))
    assert found.annotated_evidence["platform"] == {"ppid": "00" * 16, "fmspc": "00606a000000"}
    assert found.policy_claims == {
        "genuine": True, "decision": "accepted", "workload": "meter", "tcb_status": "UpToDate",
        "judged_as_of": AT, "evidence_hash": HASH.hex(),
    }  # fmt: skip


def test_an_anonymous_result_tells_nothing_of_machine_and_session() -> None:
    found = appraisal(accepted(), anonymous=True)
    assert (found.annotated_evidence, found.nonce) == ({}, None)
    assert "evidence_hash" not in found.policy_claims
    assert found.vector == appraisal(accepted()).vector


def test_what_is_not_proven_is_not_passed_on() -> None:
    for made in (refused(Reason.QUOTE_SIGNATURE), verdict(genuine=None, reasons=(Reason.COLLATERAL_MISSING,))):
        assert appraisal(made).annotated_evidence == {}
        assert appraisal(made).nonce is None
    assert appraisal(accepted(identity=Someone(report_data=bytes(64)))).nonce is None


def test_bytes_that_are_no_evidence_are_contraindicated() -> None:
    assert appraisal(DcapVerifier(Roots.production()).verify(b"nothing", None, AT)).status is Tier.CONTRAINDICATED


def _policy_reasons() -> Iterator[Reason]:
    yield from (reason for reason in Reason if reason.area is Area.POLICY)


@pytest.mark.parametrize("reason", list(_policy_reasons()))
def test_every_reason_of_a_policy_contraindicates_something(reason: Reason) -> None:
    assert appraisal(rejected(reason)).status is Tier.CONTRAINDICATED


@pytest.mark.parametrize("reason", [each for each in Reason if each.area is Area.EVIDENCE])
def test_every_reason_against_evidence_but_our_own_contraindicates_it(reason: Reason) -> None:
    expected = Tier.NONE if reason.explanation.actor is Actor.DATA_CENTRE else Tier.CONTRAINDICATED
    assert appraisal(refused(reason)).status is expected


def test_the_page_has_the_table() -> None:
    page = (ROOT / "docs" / "ear.md").read_text(encoding="utf-8")
    for claim in Claim:
        assert f"`{claim.label}`" in page
