"""The CBOR of an EAR: numbers for the names that JSON has, tiers as numbers, nonces as bytes; the rest is the same.

Reading takes the deterministic encoding only, as everywhere here.
"""

import base64
from collections.abc import Mapping

from intaglio.errors import Malformed
from intaglio.wire import cbor
from intaglio.wire.cbor import Value
from intaglio.wire.ear import MAX_CLAIMS, Claim, Ear, Tier

__all__ = ["decode_ear", "encode_ear"]

_KEYS = {
    "iss": 1,
    "exp": 4,
    "iat": 6,
    "eat_nonce": 10,
    "eat_profile": 265,
    "submods": 266,
    "ear_status": 1000,
    "ear_trustworthiness_vector": 1001,
    "ear_appraisal_policy_ids": 1003,
    "ear_verifier_id": 1004,
    "ear_veraison_annotated_evidence": -70000,
    "ear_veraison_policy_claims": -70001,
}
_VERIFIER = {"developer": 0, "build": 1}
_VECTOR = {claim.label: int(claim) for claim in Claim}
_TIERS = {tier.label: int(tier) for tier in Tier}


def encode_ear(ear: Ear) -> bytes:
    """The claims-set of a CWT."""
    return cbor.encode(_to_cbor(ear.to_claims()))


def decode_ear(data: bytes) -> Ear:
    """Raises `Malformed`."""
    if len(data) > MAX_CLAIMS:
        raise Malformed("ear", f"more than {MAX_CLAIMS} bytes")
    return Ear.from_claims(_from_cbor(cbor.decode(data, "ear")))


def _to_cbor(claims: Mapping[str, object]) -> Value:
    made: dict[Value, Value] = {}
    for name, value in claims.items():
        match name, value:
            case "submods", dict():
                made[_KEYS[name]] = {label: _to_cbor(each) for label, each in value.items()}
            case "ear_trustworthiness_vector", dict():
                made[_KEYS[name]] = {_VECTOR[each]: number for each, number in value.items()}
            case "ear_verifier_id", dict():
                made[_KEYS[name]] = {_VERIFIER[each]: text for each, text in value.items()}
            case "ear_status", str():
                made[_KEYS[name]] = _TIERS[value]
            case "eat_nonce", str():
                made[_KEYS[name]] = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            case _:
                made[_KEYS[name]] = _plain(value)
    return made


def _plain(value: object) -> Value:
    """Facts as CBOR has them. Raises TypeError for what JSON does not have either."""
    match value:
        case None | bool() | int() | str():
            return value
        case list() | tuple():
            return [_plain(each) for each in value]
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
    raise TypeError(f"{type(value).__name__} is no fact")


def _from_cbor(value: object) -> object:
    """The claims by their names, those without one left out. What is not of the right shape stays as it is, and the
    reader of claims refuses it."""
    if not isinstance(value, dict):
        return value
    names = {number: name for name, number in _KEYS.items()}
    return {names[key]: _claim(names[key], each) for key, each in value.items() if _is_number(key) and key in names}


def _claim(name: str, value: object) -> object:
    match name, value:
        case "submods", dict():
            return {label: _from_cbor(each) for label, each in value.items()}
        case "ear_trustworthiness_vector", dict():
            return _named(value, _VECTOR)
        case "ear_verifier_id", dict():
            return _named(value, _VERIFIER)
        case "ear_status", int() if _is_number(value):
            return next((tier for tier, number in _TIERS.items() if number == value), value)
        case "eat_nonce", bytes():
            return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
        case (("ear_status" | "eat_nonce"), _):
            # Text here would be JSON's spelling.
            raise Malformed(name, "not of its type in CBOR")
    return value


def _named(value: Mapping[object, object], names: Mapping[str, int]) -> dict[str, object]:
    return {name: value[number] for name, number in names.items() if number in value}


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
