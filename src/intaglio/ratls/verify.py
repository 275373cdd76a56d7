"""Verifying a certificate that carries evidence.

    R1 the certificate is one, and carries evidence in a known form     R4 no critical extension that is unknown
    R2 it is signed by its own key                                      R5 the evidence's claims bind that key
    R3 it is valid at the time given                                    R6 the report data are those of the claims

The verdict on the evidence itself is `verify`'s, as for any other. Both have to hold. Neither shows that whoever
presents the certificate holds its key (the TLS handshake does), nor that the key is in that enclave, or only there.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from intaglio.errors import Malformed, Rejected
from intaglio.ratls.certificate import EvidenceCertificate
from intaglio.ratls.evidence import DICE, GRAMINE, GRAMINE_ON_THE_WIRE, OPEN_ENCLAVE, CarriedEvidence, find_evidence
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.verify.ledger import Group, Ledger, Step, Window
from intaglio.verify.policy import Policy
from intaglio.verify.verdict import Check, Decision, Verdict
from intaglio.wire.endorsement import Collateral
from intaglio.wire.x509 import read_pem_chain

__all__ = ["Attested", "RatlsVerifier", "carried_evidence", "carries_evidence"]

FORMAT = Step("R1", "certificate", "an X.509 certificate with evidence in it", Group.CERTIFICATES)
SIGNATURE = Step("R2", "signature of the certificate", "a signature by its own key", Group.CERTIFICATES)
VALIDITY = Step("R3", "validity of the certificate", "a certificate that is valid now", Group.CERTIFICATES)
CRITICAL = Step("R4", "critical extensions", "none that is unknown", Group.CERTIFICATES)
KEY = Step("R5", "key in the claims", "the hash of the certificate's key", Group.CERTIFICATES)
REPORT = Step("R6", "report data", "the hash of the claims, or of the key", Group.CERTIFICATES)
_PROCEDURE = (FORMAT, SIGNATURE, VALIDITY, CRITICAL, KEY, REPORT)

_UNDERSTOOD = frozenset((
    DICE, GRAMINE, GRAMINE_ON_THE_WIRE, OPEN_ENCLAVE,
    bytes.fromhex("551d0e"), bytes.fromhex("551d0f"), bytes.fromhex("551d11"), bytes.fromhex("551d13"),
    bytes.fromhex("551d23"), bytes.fromhex("551d25"),
))  # fmt: skip
"""Evidence; subject key id, key usage, alternative names, basic constraints, authority key id, extended key usage."""


class EvidenceVerifier(Protocol):
    """`intaglio.verify.evidence.Verifier`, or what stands for it."""

    def verify(self, evidence: bytes, collateral: Collateral | None, at: UnixTime) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class Attested:
    """A certificate that was looked at. `verdict` is about the evidence alone; `checks` and `reasons` are about what
    ties it to the certificate's key, and `bound` says whether all of those passed."""

    verdict: Verdict
    form: str
    key_info: bytes
    claims: dict[str, bytes]
    checks: tuple[Check, ...]
    reasons: tuple[Reason, ...]

    @property
    def bound(self) -> bool:
        return not self.reasons

    @property
    def genuine(self) -> bool | None:
        """True: genuine evidence, bound to this key. None: undecidable, which an unbound key never is."""
        return self.verdict.genuine if self.bound else False

    @property
    def accepted(self) -> bool:
        """By the policy that `appraise` was given."""
        return self.bound and self.verdict.genuine is True and self.verdict.decision is Decision.ACCEPTED

    def appraise(self, policy: Policy, *, pin_hash: bytes | None) -> "Attested":
        """With a policy's decision. The report data are those that bind the key, where they do."""
        identity = self.verdict.identity
        report_data = identity.report_data if self.bound and identity is not None else b""
        return replace(self, verdict=policy.appraise(self.verdict, report_data=report_data, pin_hash=pin_hash))

    def to_json(self) -> dict[str, object]:
        return {
            "form": self.form,
            "bound": self.bound,
            "reasons": [reason.name for reason in self.reasons],
            "key_info": self.key_info.hex(),
            "claims": {name: value.hex() for name, value in self.claims.items()},
            "checks": [check.to_json() for check in self.checks],
        }


class RatlsVerifier:
    """Judges certificates by the verifier of their evidence. Safe for use from several threads, if that is."""

    def __init__(self, evidence: EvidenceVerifier) -> None:
        self._evidence = evidence

    def verify(self, certificate: bytes, collateral: Collateral | None, at: UnixTime) -> Attested:
        """`certificate`: DER, or PEM of one. Raises `Malformed` for what is no certificate or carries no evidence, and
        `Rejected` (CLAIM_MISSING, KEY_BINDING) where nothing says that the evidence is of this key."""
        read, carried = _read(certificate)
        ledger = Ledger()
        ledger.ok(FORMAT, carried.form)
        ledger.run(SIGNATURE, read.check_signature)
        ledger.run(VALIDITY, lambda: _check_validity(read, at))
        ledger.run(CRITICAL, lambda: _check_critical(read))
        ledger.ok(KEY, "pubkey-hash" if carried.claims else "the key itself is hashed")
        verdict = self._evidence.verify(carried.evidence, collateral, at)
        ledger.run(REPORT, lambda: _check_report_data(carried, verdict))
        return Attested(
            verdict=verdict,
            form=carried.form,
            key_info=read.key_info,
            claims=dict(carried.claims),
            checks=ledger.render(_PROCEDURE),
            reasons=ledger.reasons(_PROCEDURE),
        )


def carried_evidence(certificate: bytes) -> bytes:
    """The evidence alone, to find collateral for. Raises as `RatlsVerifier.verify`."""
    return _read(certificate)[1].evidence


def carries_evidence(data: bytes) -> bool:
    """Whether this is a certificate, DER or PEM, with evidence in it, well formed or not."""
    try:
        found = EvidenceCertificate.parse(_der(data)).extensions
    except Malformed:
        return False
    return any(oid in found for oid in (DICE, GRAMINE, GRAMINE_ON_THE_WIRE, OPEN_ENCLAVE))


def _read(certificate: bytes) -> tuple[EvidenceCertificate, CarriedEvidence]:
    read = EvidenceCertificate.parse(_der(certificate))
    carried = find_evidence(read)
    if carried is None:
        raise Malformed("certificate.extensions", "carries no evidence in a form that is known here")
    return read, carried


def _der(data: bytes) -> bytes:
    if not data.lstrip().startswith(b"-----BEGIN"):
        return data
    first, *others = read_pem_chain(data)
    if others:
        raise Malformed("pem", "more than one certificate; such a certificate is signed by itself")
    return first


def _check_validity(certificate: EvidenceCertificate, at: UnixTime) -> Window:
    window = Window("certificate", *certificate.validity)
    if at > window.end:
        raise Rejected(Reason.CERTIFICATE_EXPIRED, expected=window, found=at)
    if at < window.begin:
        raise Rejected(Reason.CERTIFICATE_NOT_YET_VALID, expected=window, found=at)
    return window


def _check_critical(certificate: EvidenceCertificate) -> None:
    unknown = [oid.hex() for oid, each in certificate.extensions.items() if each.critical and oid not in _UNDERSTOOD]
    if unknown:
        raise Rejected(Reason.UNKNOWN_EXTENSION, found=unknown)


def _check_report_data(carried: CarriedEvidence, verdict: Verdict) -> bytes:
    found = verdict.identity.report_data if verdict.identity is not None else b""
    if not carried.matches(found):
        expected = [each.hex() for each in carried.hashes]
        raise Rejected(Reason.KEY_BINDING, expected=expected, found=found.hex() or "no report data")
    return found
