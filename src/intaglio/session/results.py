"""Attestation results as tokens: signed by a data centre's identity key, checked by whoever holds its pin.

A JWT (EdDSA, RFC 8037) or a CWT (COSE_Sign1 with EdDSA, no external data, as any COSE library expects). The Ed25519 key
also signs offers and Accepts, whose messages hold a label of ours where these hold none, so neither can pass for the
other. Suite 2's ML-DSA-65 key takes no part: neither form has room for two signatures that both must hold.
"""

from enum import Enum
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session.signing import SigningKeys, key_id
from intaglio.wire import cose, jws
from intaglio.wire.ear import Ear
from intaglio.wire.ear_cbor import decode_ear, encode_ear
from intaglio.wire.identity import Pin, PublicKeys

__all__ = ["Form", "Token", "check_token", "read_token", "sign_token"]

_ALG = "EdDSA"
_ED25519 = ("EdDSA", "Ed25519")
"""One algorithm, two names: RFC 8037's, and RFC 9864's for the same with Ed25519."""
_TYPE = "eat+jwt"


class Form(Enum):
    """The two serialisations."""

    JWT = "jwt"
    CWT = "cwt"


class Token(NamedTuple):
    """A token taken apart, its signature not checked. `key`: the key id that it names, as hexadecimal; empty: none."""

    form: Form
    ear: Ear
    algorithm: str
    key: str
    signed: bytes
    signature: bytes


def sign_token(keys: SigningKeys, ear: Ear, form: Form) -> bytes:
    kid = key_id(keys.public.ed25519)
    if form is Form.JWT:
        signed = jws.signing_input({"alg": _ALG, "typ": _TYPE, "kid": kid.hex()}, ear.to_json())
        return jws.encode(signed, keys.sign_unlabelled(signed))
    payload, protected = encode_ear(ear), cose.Signature(cose.ALG_EDDSA, kid, b"").protected
    signature = keys.sign_unlabelled(cose.plain_to_be_signed(protected, payload))
    return cose.Signed(payload, (cose.Signature(cose.ALG_EDDSA, kid, signature),)).encode()


def read_token(token: bytes) -> Token:
    """Raises `Malformed`. Nothing is checked but the form."""
    if token[:1] == b"\xd2":
        signed = cose.Signed.parse(token, "cwt")
        (only,) = signed.signatures
        payload = signed.payload or b""
        message = cose.plain_to_be_signed(only.protected, payload)
        algorithm = _ALG if only.alg == cose.ALG_EDDSA else str(only.alg)
        return Token(Form.CWT, decode_ear(payload), algorithm, only.kid.hex(), message, only.value)
    parsed = jws.Jws.parse(token.strip())
    match parsed.header.get("alg"), parsed.header.get("kid", ""):
        case str(alg), str(key):
            return Token(Form.JWT, Ear.from_json(parsed.payload), alg, key, parsed.signed, parsed.signature)
    raise Malformed("jws.header", "need alg, and kid as text")


def check_token(token: Token, pin: Pin) -> PublicKeys:
    """The pinned identity that signed it. Raises `Rejected(RESULT_SIGNATURE)`. Its expiry is for the caller, who has a
    clock."""
    if token.algorithm not in _ED25519:
        raise Rejected(Reason.RESULT_SIGNATURE, expected=_ALG, found=token.algorithm[:100])
    for identity in pin.identities:
        if token.key and token.key != key_id(identity.ed25519).hex():
            continue
        try:
            Ed25519PublicKey.from_public_bytes(identity.ed25519).verify(token.signature, token.signed)
        except InvalidSignature:
            continue
        return identity
    raise Rejected(Reason.RESULT_SIGNATURE, expected="a signature of a pinned identity", found=f"key {token.key[:100]}")
