"""EAR, the EAT Attestation Result (draft-ietf-rats-ear-03): a verifier's result in a form that other parties read.

One appraisal for each attester, and in it an AR4SI trustworthiness vector (draft-ietf-rats-ar4si). A status that is
better than its worst claim can't be made, and is refused when it is read. Claims that are not known here are skipped,
as the draft demands. Here are the values and their JSON; `ear_cbor` has the numbers that CBOR uses instead of names.
Nothing is signed here.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire import strict_json

__all__ = ["MAX_CLAIMS", "PROFILE", "Appraisal", "Claim", "Ear", "Facts", "Tier", "VerifierId", "worst"]

PROFILE = "tag:ietf.org,2026:rats/ear#03"

MAX_CLAIMS = 1 << 20
"""Bytes of a claims-set; a report's facts take a few thousand."""
MAX_APPRAISALS = 64
_LONGEST_TEXT = 1024
_NONCE = range(8, 65)
"""Bytes that a nonce may have (EAT §4.1)."""
_MAX_TIME = 2**53


class Tier(IntEnum):
    """What a value of a trustworthiness claim amounts to (AR4SI §3.2)."""

    NONE = 0
    """Nothing is asserted."""
    AFFIRMING = 2
    WARNING = 32
    CONTRAINDICATED = 96

    @classmethod
    def of(cls, value: int) -> "Tier":
        """The tier of a claim's value, -128 to 127."""
        if value in (-1, 0, 1):
            return cls.NONE
        if -32 <= value <= 31:
            return cls.AFFIRMING
        return cls.WARNING if -96 <= value <= 95 else cls.CONTRAINDICATED

    @property
    def label(self) -> str:
        """Its name in JSON."""
        return self.name.lower()

    @property
    def trust(self) -> int:
        """More is better. What nothing is asserted of ranks below a warning: whoever can live with a known weakness
        has not agreed to an unknown one."""
        return _TRUST.index(self)


_TRUST = (Tier.CONTRAINDICATED, Tier.NONE, Tier.WARNING, Tier.AFFIRMING)


class Claim(IntEnum):
    """The trustworthiness claims, by their number in CBOR."""

    INSTANCE_IDENTITY = 0
    CONFIGURATION = 1
    EXECUTABLES = 2
    FILE_SYSTEM = 3
    HARDWARE = 4
    RUNTIME_OPAQUE = 5
    STORAGE_OPAQUE = 6
    SOURCED_DATA = 7

    @property
    def label(self) -> str:
        """Its name in JSON."""
        return self.name.lower().replace("_", "-")


_CLAIMS = {claim.label: claim for claim in Claim}
_TIERS = {tier.label: tier for tier in Tier}

Facts = Mapping[str, object]
"""Names and values that JSON and CBOR both have; byte strings as hexadecimal."""


def worst(vector: Mapping[Claim, int]) -> Tier:
    """The best tier that a status may have. AR4SI makes no difference between a claim of the tier "none" and no claim,
    so such a claim counts only where there is nothing else."""
    tiers = [tier for tier in map(Tier.of, vector.values()) if tier is not Tier.NONE]
    return min(tiers, key=lambda tier: tier.trust, default=Tier.NONE)


@dataclass(frozen=True, slots=True)
class VerifierId:
    """Who judged: the organisation, and the software with its version."""

    developer: str
    build: str


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What was found of one attester: its status, and the claims that it rests on.

    `nonce` is what the evidence carried. `annotated_evidence` holds facts of the evidence and `policy_claims` what else
    the verifier says; empty, the claim is absent. Raises `Malformed` for a status that is better than its worst claim.
    """

    status: Tier
    vector: Mapping[Claim, int]
    policy_ids: tuple[str, ...] = ()
    nonce: bytes | None = None
    annotated_evidence: Facts = field(default_factory=dict)
    policy_claims: Facts = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.vector or not all(-128 <= value <= 127 for value in self.vector.values()):
            raise Malformed("ear_trustworthiness_vector", "need at least one claim, each from -128 to 127")
        best = worst(self.vector)
        if self.status.trust > best.trust:
            raise Malformed("ear_status", f"{self.status.label} is better than the worst claim, {best.label}")
        if self.nonce is not None and len(self.nonce) not in _NONCE:
            raise Malformed("eat_nonce", "need 8 to 64 bytes")

    def to_claims(self) -> dict[str, object]:
        """The claims by their names in JSON."""
        claims: dict[str, object] = {
            "ear_status": self.status.label,
            "ear_trustworthiness_vector": {claim.label: value for claim, value in sorted(self.vector.items())},
        }
        optional = {
            "ear_appraisal_policy_ids": list(self.policy_ids),
            "eat_nonce": None if self.nonce is None else base64.urlsafe_b64encode(self.nonce).rstrip(b"=").decode(),
            "ear_veraison_annotated_evidence": dict(self.annotated_evidence),
            "ear_veraison_policy_claims": dict(self.policy_claims),
        }
        return claims | {name: value for name, value in optional.items() if value}

    @classmethod
    def from_claims(cls, value: object) -> Self:
        """Reads what `to_claims` gives. Raises `Malformed`."""
        claims = _map(value, "submods")
        vector = _map(claims.get("ear_trustworthiness_vector"), "ear_trustworthiness_vector")
        ids, nonce = claims.get("ear_appraisal_policy_ids", []), claims.get("eat_nonce")
        if not isinstance(ids, list):
            raise Malformed("ear_appraisal_policy_ids", "need an array")
        return cls(
            status=_tier(claims.get("ear_status")),
            # A claim that AR4SI may get later is unknown, and skipped.
            vector={_CLAIMS[name]: _trust_value(each) for name, each in vector.items() if name in _CLAIMS},
            policy_ids=tuple(_text(each, "ear_appraisal_policy_ids") for each in ids),
            nonce=None if nonce is None else _nonce(nonce),
            annotated_evidence=_map(
                claims.get("ear_veraison_annotated_evidence", {}), "ear_veraison_annotated_evidence"
            ),
            policy_claims=_map(claims.get("ear_veraison_policy_claims", {}), "ear_veraison_policy_claims"),
        )


@dataclass(frozen=True, slots=True)
class Ear:
    """An attestation result. `appraisals` by the label of their attester, at least one; `issuer` names who signs."""

    issued_at: UnixTime
    verifier: VerifierId
    appraisals: Mapping[str, Appraisal]
    expires: UnixTime | None = None
    issuer: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.appraisals) <= MAX_APPRAISALS:
            raise Malformed("submods", f"need 1 to {MAX_APPRAISALS} appraisals")

    @property
    def status(self) -> Tier:
        """That of the worst appraisal."""
        return min((each.status for each in self.appraisals.values()), key=lambda tier: tier.trust)

    def to_claims(self) -> dict[str, object]:
        """The claims by their names in JSON."""
        claims: dict[str, object] = {
            "eat_profile": PROFILE,
            "ear_status": self.status.label,
            "iat": int(self.issued_at),
            "ear_verifier_id": {"developer": self.verifier.developer, "build": self.verifier.build},
            "submods": {label: each.to_claims() for label, each in self.appraisals.items()},
        }
        optional = {"exp": None if self.expires is None else int(self.expires), "iss": self.issuer}
        return claims | {name: value for name, value in optional.items() if value is not None}

    @classmethod
    def from_claims(cls, value: object) -> Self:
        """Reads what `to_claims` gives. Raises `Malformed`."""
        claims = _map(value, "ear")
        if claims.get("eat_profile") != PROFILE:
            raise Malformed("eat_profile", f"need {PROFILE}, found {str(claims.get('eat_profile'))[:100]}")
        verifier = _map(claims.get("ear_verifier_id"), "ear_verifier_id")
        submods, expires, issuer = _map(claims.get("submods"), "submods"), claims.get("exp"), claims.get("iss")
        ear = cls(
            issued_at=_time(claims.get("iat"), "iat"),
            verifier=VerifierId(
                _text(verifier.get("developer"), "ear_verifier_id.developer"),
                _text(verifier.get("build"), "ear_verifier_id.build"),
            ),
            appraisals={_text(label, "submods"): Appraisal.from_claims(each) for label, each in submods.items()},
            expires=None if expires is None else _time(expires, "exp"),
            issuer=None if issuer is None else _text(issuer, "iss"),
        )
        stated = claims.get("ear_status")
        if stated is not None and _tier(stated).trust > ear.status.trust:
            raise Malformed("ear_status", "better than the worst appraisal")
        return ear

    def to_json(self) -> bytes:
        """The claims-set of a JWT."""
        return json.dumps(self.to_claims(), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Reads a JWT's claims-set. Raises `Malformed`."""
        if len(data) > MAX_CLAIMS:
            raise Malformed("ear", f"more than {MAX_CLAIMS} bytes")
        return cls.from_claims(strict_json.loads(data, "ear"))


def _map(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise Malformed(name, "need a map with names")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        raise Malformed(name, f"need text of 1 to {_LONGEST_TEXT} characters")
    return value


def _time(value: object, name: str) -> UnixTime:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MAX_TIME:
        raise Malformed(name, "need whole seconds since 1970")
    return UnixTime(value)


def _trust_value(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed("ear_trustworthiness_vector", "need integers")
    return value


def _tier(value: object) -> Tier:
    if not isinstance(value, str) or value not in _TIERS:
        raise Malformed("ear_status", f"need one of {', '.join(_TIERS)}")
    return _TIERS[value]


def _nonce(value: object) -> bytes:
    try:
        text = _text(value, "eat_nonce").encode("ascii")
        return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Malformed("eat_nonce", "not base64url") from error
