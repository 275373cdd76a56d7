"""COSE structures (RFC 9052) as Intaglio uses them: Sign1, Sign with two signatures, and Encrypt0. No keys here.

Every signature covers a label through `external_aad`, so one made for an offer never fits an Accept.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import cbor2

from intaglio.errors import Malformed
from intaglio.wire import cbor

__all__ = [
    "ALG_EDDSA",
    "ALG_ML_DSA_65",
    "Signature",
    "Signed",
    "encrypt0_aad",
    "plain_to_be_signed",
    "to_be_signed",
]

ALG_EDDSA = -8
"""Ed25519 (RFC 9053 §2.2)."""
ALG_ML_DSA_65 = -49
"""ML-DSA-65 (IANA COSE registry)."""

_SIGN1_TAG = b"\xd2"  # tag 18
_SIGN_TAG = b"\xd8\x62"  # tag 98
_HEADER_ALG = 1
_HEADER_KID = 4
_SIGNATURE_LIMIT = 3309
"""An ML-DSA-65 signature (FIPS 204); nothing longer is one of ours."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature: its algorithm, the first 8 bytes of the key's digest, and the bytes."""

    alg: int
    kid: bytes
    value: bytes

    @property
    def protected(self) -> bytes:
        return _protected(self.alg, self.kid)


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed message: COSE_Sign1 for one signature, COSE_Sign for two. `payload` None means detached."""

    payload: bytes | None
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        if len(self.signatures) == 1:
            (only,) = self.signatures
            return _SIGN1_TAG + cbor.encode([only.protected, {}, self.payload, only.value])
        rows: list[cbor.Value] = [[s.protected, {}, s.value] for s in self.signatures]
        return _SIGN_TAG + cbor.encode([b"", {}, self.payload, rows])

    @classmethod
    def parse(cls, data: bytes, name: str) -> Self:
        """Raises `Malformed`, naming `name`, for anything but what `encode` makes."""
        if data.startswith(_SIGN1_TAG):
            match cbor.decode(data[len(_SIGN1_TAG) :], name):
                case [bytes(protected), dict(unprotected), bytes() | None as payload, bytes(value)] if not unprotected:
                    return cls(payload, (_signature(protected, value, name),))
        elif data.startswith(_SIGN_TAG):
            match cbor.decode(data[len(_SIGN_TAG) :], name):
                case [b"", dict(unprotected), bytes() | None as payload, [_, _] as rows] if not unprotected:
                    return cls(payload, tuple(_row(row, name) for row in rows))
        else:
            raise Malformed(name, "neither COSE_Sign1 nor COSE_Sign")
        raise Malformed(name, "not a COSE signature of ours")


@lru_cache(maxsize=256)
def _protected(alg: int, kid: bytes) -> bytes:
    return cbor.encode({_HEADER_ALG: alg, _HEADER_KID: kid})


def _row(row: object, name: str) -> Signature:
    match row:
        case [bytes(protected), dict(unprotected), bytes(value)] if not unprotected:
            return _signature(protected, value, name)
    raise Malformed(name, "a COSE_Signature has three parts")


def _signature(protected: bytes, value: bytes, name: str) -> Signature:
    if len(value) > _SIGNATURE_LIMIT:
        raise Malformed(name, f"signature of {len(value)} bytes")
    match cbor.decode(protected, f"{name}.protected"):
        case {1: int(alg), 4: bytes(kid), **rest} if not rest and len(kid) == 8 and not isinstance(alg, bool):
            return Signature(alg, kid, value)
    raise Malformed(name, "protected header must hold alg and an 8-byte kid, nothing else")


def to_be_signed(signature_protected: bytes, *, single: bool, label: str, payload: bytes) -> bytes:
    """Sig_structure (RFC 9052 §4.4) of a COSE_Sign1 (`single`) or of one signature of a COSE_Sign, with the label
    (``"intaglio/1 " + label``) as external_aad."""
    aad = (cbor.LABEL_PREFIX + label).encode()
    if single:
        return cbor2.dumps(["Signature1", signature_protected, aad, payload])
    return cbor2.dumps(["Signature", b"", signature_protected, aad, payload])


def plain_to_be_signed(signature_protected: bytes, payload: bytes) -> bytes:
    """Sig_structure of a COSE_Sign1 that others shall check: without a label, as RFC 8392 has it for a CWT."""
    return cbor2.dumps(["Signature1", signature_protected, b"", payload])


def encrypt0_aad(protected: bytes) -> bytes:
    """Enc_structure (RFC 9052 §5.3) of a COSE_Encrypt0 with empty external_aad."""
    return cbor2.dumps(["Encrypt0", protected, b""])
