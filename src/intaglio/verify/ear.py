"""A verdict as an attestation result for others: which claim each finding amounts to (docs/ear.md has the table).

The mapping errs on the side of saying less: only a verdict that a policy accepts can be affirming, whatever could not
be decided asserts nothing, and a simulated platform is contraindicated whoever asks.
"""

from collections.abc import Iterable, Mapping

from intaglio.reasons import Actor, Reason
from intaglio.types import UnixTime
from intaglio.verify.verdict import Decision, TcbStatus, Verdict
from intaglio.wire.ear import Appraisal, Claim, Ear, Facts, Tier, VerifierId, worst

__all__ = ["appraisal", "attestation_result", "trust_vector"]

_NOTHING, _UNKNOWN = 0, 1
"""None: the evidence does not suffice to conclude; it holds what this verifier can't evaluate."""
_RECOGNISED, _UNRECOGNISED_INSTANCE = 2, 97
_APPROVED_CONFIGURATION, _VULNERABLE_CONFIGURATION, _UNSUPPORTABLE_CONFIGURATION = 2, 32, 96
_APPROVED_AT_BOOT, _UNRECOGNISED_CODE, _CONTRAINDICATED_CODE = 3, 33, 96
"""3 and not 2: what a TEE measures is what was loaded at first."""
_GENUINE_HARDWARE, _VULNERABLE_HARDWARE, _CONTRAINDICATED_HARDWARE, _UNRECOGNISED_HARDWARE = 2, 32, 96, 97
_OPAQUE, _VISIBLE_TO_THE_OPERATOR, _VISIBLE = 2, 32, 96
_COMPROMISED_INSTANCE = 96
_CRYPTOGRAPHY_FAILED = 99

_Finding = tuple[Claim, int]


def _each(claim: Claim, value: int, *reasons: Reason) -> dict[Reason, _Finding]:
    return dict.fromkeys(reasons, (claim, value))


_REFUSED: Mapping[Reason, _Finding] = {
    **_each(
        Claim.INSTANCE_IDENTITY, _COMPROMISED_INSTANCE,
        Reason.CERTIFICATE_REVOKED, Reason.ATTESTATION_KEY_REVOKED,
    ),
    **_each(Claim.HARDWARE, _CONTRAINDICATED_HARDWARE, Reason.CERTIFICATE_EXPIRED),
    **_each(
        Claim.HARDWARE, _UNRECOGNISED_HARDWARE,
        Reason.ROOT_UNTRUSTED, Reason.QE_VENDOR, Reason.QE_IDENTITY_MISMATCH, Reason.TDX_MODULE_MISMATCH,
    ),
}  # fmt: skip
"""Evidence that is not genuine; for every other reason validation has failed."""
_REJECTED: Mapping[Reason, _Finding] = {
    **_each(
        Claim.CONFIGURATION, _UNSUPPORTABLE_CONFIGURATION,
        Reason.WRONG_CONFIGURATION, Reason.PRIVILEGED_ENCLAVE, Reason.PLATFORM_CONFIGURATION, Reason.WRONG_PIN,
        Reason.SEPT_VE_ENABLED, Reason.GUEST_POLICY, Reason.WRONG_VMPL, Reason.MIGRATABLE_GUEST,
    ),
    **_each(Claim.RUNTIME_OPAQUE, _VISIBLE, Reason.DEBUG_ENCLAVE),
    **_each(
        Claim.HARDWARE, _CONTRAINDICATED_HARDWARE,
        Reason.TCB_STATUS, Reason.ADVISORY, Reason.ADVISORY_OVER, Reason.TCB_LEVEL_TOO_OLD, Reason.TCB_GRACE_OVER,
        Reason.TCB_EVALUATION_TOO_OLD, Reason.WRONG_MODULE, Reason.TDX_MODULE_TOO_OLD, Reason.FIRMWARE_TOO_OLD,
        Reason.FIRMWARE_PROVISIONAL, Reason.SIGNING_KEY, Reason.REVOCATION_UNKNOWN,
    ),
    **_each(
        Claim.INSTANCE_IDENTITY, _UNRECOGNISED_INSTANCE,
        Reason.PLATFORM_NOT_ALLOWED, Reason.REPORT_DATA, Reason.WRONG_GUEST,
    ),
}  # fmt: skip
"""Genuine evidence that the policy rejects; every other reason is about the code."""
_NOT_FOR_US = frozenset({Reason.UNSUPPORTED_EVIDENCE, Reason.EPID_QUOTE})
"""Evidence of a kind that can't be judged."""
_CONFIGURATION_NEEDED = frozenset(
    {
        TcbStatus.CONFIGURATION_NEEDED,
        TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
        TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
        TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
    }
)
_NONCE = range(8, 65)


def attestation_result(
    verdict: Verdict, verifier: VerifierId, at: UnixTime, *, issuer: str | None = None, anonymous: bool = False
) -> Ear:
    """The result, issued at `at`; it expires when the verdict does. `anonymous`: without the facts of the evidence and
    its nonce, which can tell which machine and which session it was."""
    found = appraisal(verdict, anonymous=anonymous)
    return Ear(at, verifier, {verdict.tee.value: found}, expires=verdict.valid_until, issuer=issuer)


def appraisal(verdict: Verdict, *, anonymous: bool = False) -> Appraisal:
    """One attester's part of it. The status is the tier of the worst claim."""
    vector = trust_vector(verdict)
    identity = verdict.identity if verdict.genuine and not anonymous else None
    nonce = b"" if identity is None else identity.report_data
    return Appraisal(
        status=worst(vector),
        vector=vector,
        policy_ids=() if verdict.policy_hash is None else (f"urn:intaglio:policy:{verdict.policy_hash.hex()}",),
        # Zeros are what a report holds that nobody asked anything.
        nonce=nonce if len(nonce) in _NONCE and any(nonce) else None,
        annotated_evidence={} if identity is None else _facts(verdict, identity.to_json()),
        policy_claims=_policy_claims(verdict, anonymous=anonymous),
    )


def trust_vector(verdict: Verdict) -> dict[Claim, int]:
    """Never empty, and its worst claim is never better than the verdict."""
    if verdict.genuine is False:
        return _refusal(verdict.reasons)
    if verdict.genuine is None or verdict.decision is Decision.UNDECIDABLE:
        return {Claim.HARDWARE: _NOTHING if _NOT_FOR_US.isdisjoint(verdict.reasons) else _UNKNOWN}
    vector = _platform(verdict)
    if verdict.decision is Decision.ACCEPTED:
        vector.setdefault(Claim.CONFIGURATION, _APPROVED_CONFIGURATION)
        vector[Claim.EXECUTABLES] = _APPROVED_AT_BOOT
    elif verdict.decision is None:
        vector[Claim.EXECUTABLES] = _UNRECOGNISED_CODE
    else:
        found = [_REJECTED.get(reason, (Claim.EXECUTABLES, _CONTRAINDICATED_CODE)) for reason in verdict.reasons]
        _worsen(vector, found or [(Claim.EXECUTABLES, _CONTRAINDICATED_CODE)])
    return vector


def _platform(verdict: Verdict) -> dict[Claim, int]:
    """What is known of genuine evidence without any policy, and what acceptance changes in it."""
    accepted = verdict.decision is Decision.ACCEPTED
    vector = {Claim.HARDWARE: _hardware(verdict), Claim.RUNTIME_OPAQUE: _OPAQUE}
    if verdict.identity is None or verdict.identity.debug:
        vector[Claim.RUNTIME_OPAQUE] = _VISIBLE_TO_THE_OPERATOR if accepted else _VISIBLE
    if verdict.platform is not None and verdict.platform.ids:
        vector[Claim.INSTANCE_IDENTITY] = _RECOGNISED
    if verdict.tcb_status in _CONFIGURATION_NEEDED:
        vector[Claim.CONFIGURATION] = _VULNERABLE_CONFIGURATION
    return vector


def _hardware(verdict: Verdict) -> int:
    if verdict.simulated or verdict.tcb_status in (TcbStatus.REVOKED, TcbStatus.NOT_SUPPORTED):
        return _CONTRAINDICATED_HARDWARE
    # A policy may live with an old TCB; the hardware is no less vulnerable for that.
    current = verdict.tcb_status in (None, TcbStatus.UP_TO_DATE) and not verdict.advisory_ids
    return _GENUINE_HARDWARE if current else _VULNERABLE_HARDWARE


def _refusal(reasons: tuple[Reason, ...]) -> dict[Claim, int]:
    """What the data centre lacks says nothing of the evidence: alone, it makes no claim."""
    against = [reason for reason in reasons if reason.explanation.actor is not Actor.DATA_CENTRE]
    if reasons and not against:
        return {Claim.HARDWARE: _NOTHING}
    vector: dict[Claim, int] = {}
    found = [_REFUSED.get(reason, (Claim.HARDWARE, _CRYPTOGRAPHY_FAILED)) for reason in against]
    _worsen(vector, found or [(Claim.HARDWARE, _CRYPTOGRAPHY_FAILED)])
    return vector


def _worsen(vector: dict[Claim, int], found: Iterable[_Finding]) -> None:
    """Of several findings about one claim, the worst; of those of one tier, the one with the higher number."""
    for claim, value in found:
        held = vector.get(claim, value)
        vector[claim] = min(held, value, key=lambda each: (Tier.of(each).trust, -each))


def _facts(verdict: Verdict, identity: Facts) -> Facts:
    platform = verdict.platform.to_json() if verdict.platform is not None else {}
    known = {name: value for name, value in platform.items() if value is not None}
    return {"tee": verdict.tee.value, "identity": identity} | ({"platform": known} if known else {})


def _policy_claims(verdict: Verdict, *, anonymous: bool) -> Facts:
    claims = {
        "genuine": verdict.genuine,
        "decision": verdict.decision.value if verdict.decision is not None else None,
        "workload": verdict.workload,
        "reasons": [reason.name for reason in verdict.reasons] or None,
        "tcb_status": verdict.tcb_status.value if verdict.tcb_status is not None else None,
        "advisory_ids": list(verdict.advisory_ids) or None,
        "tcb_evaluation_number": verdict.tcb_evaluation_number,
        "simulated": True if verdict.simulated else None,
        "judged_as_of": int(verdict.at),
        "evidence_hash": None if anonymous else verdict.evidence_hash.hex(),
    }
    return {name: value for name, value in claims.items() if value is not None}
