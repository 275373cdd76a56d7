"""The data centre's public identity, as it is pinned in an enclave and measured with it, and its key certificates.

`Pin` is what a `dc.pub` file holds: the identity keys, the weakest suite the enclave may use, and the audience. Its
digest is what a policy with ``pin = "config_id"`` compares.
"""

import base64
import binascii
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire import cbor

__all__ = ["KeyCertificate", "KeyUse", "Pin", "PublicKeys", "Suite"]

_ED25519 = 32
_ML_DSA_65 = 1952
MAX_AUDIENCE = 256
"""Bytes of UTF-8: a name, not a document."""
MAX_IDENTITIES = 4
"""Old and new keys overlap during a rollover; four leaves room for two at once."""

_LABEL = cbor.LABEL_PREFIX + "identity"
_BEGIN = "-----BEGIN INTAGLIO DATA CENTRE-----"
_END = "-----END INTAGLIO DATA CENTRE-----"


class Suite(IntEnum):
    """What signs. Both suites use the X25519+ML-KEM-768 hybrid KEM and AES-256-GCM."""

    ED25519 = 1
    """COSE_Sign1 with Ed25519."""
    ED25519_ML_DSA_65 = 2
    """COSE_Sign with exactly two signatures, Ed25519 and ML-DSA-65, both required."""


class KeyUse(IntFlag):
    """What an operational key may sign."""

    OFFER = 1
    ACCEPT = 2
    COLLATERAL = 4
    """Bundles of collateral for sites without a network (docs/protocol.md §11)."""


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """One signer's public keys: Ed25519 (32 bytes) and, for suite 2, ML-DSA-65 (1952 bytes)."""

    ed25519: bytes
    ml_dsa_65: bytes | None = None

    def to_cbor(self) -> cbor.Value:
        return [self.ed25519, self.ml_dsa_65]

    @classmethod
    def from_cbor(cls, value: object, name: str) -> Self:
        ed, ml = cbor.array(value, name, 2)
        return cls(
            cbor.bstr(ed, f"{name}.ed25519", _ED25519),
            None if ml is None else cbor.bstr(ml, f"{name}.ml_dsa_65", _ML_DSA_65),
        )


@dataclass(frozen=True, slots=True)
class Pin:
    """The measured trust anchor of an enclave: identity keys (1 to 4), minimum suite, audience."""

    minimum_suite: Suite
    audience: str
    identities: tuple[PublicKeys, ...]

    def encode(self) -> bytes:
        keys: list[cbor.Value] = [keys.to_cbor() for keys in self.identities]
        return cbor.labelled("identity", int(self.minimum_suite), self.audience, keys)

    @property
    def hash(self) -> bytes:
        """32 bytes: what CONFIGID (and other measured configuration) holds where it does not hold the pin itself."""
        return cbor.digest("pin", self.encode())

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads `encode`'s bytes. Raises `Malformed`."""
        label, suite, audience, rows = cbor.array(cbor.decode(data, "pin"), "pin", 4)
        if label != _LABEL:
            raise Malformed("pin", f"does not begin with {_LABEL!r}")
        if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_IDENTITIES:
            raise Malformed("pin.identities", f"need an array of 1 to {MAX_IDENTITIES}")
        pin = cls(
            suite_of(suite, "pin.minimum_suite"),
            cbor.tstr(audience, "pin.audience", limit=MAX_AUDIENCE),
            tuple(PublicKeys.from_cbor(row, "pin.identities") for row in rows),
        )
        if pin.minimum_suite is Suite.ED25519_ML_DSA_65 and any(k.ml_dsa_65 is None for k in pin.identities):
            raise Malformed("pin.identities", "minimum suite 2 needs an ML-DSA-65 key in every identity")
        return pin

    def to_text(self) -> str:
        """The `dc.pub` file: base64 between two marker lines."""
        body = base64.b64encode(self.encode()).decode()
        lines = [body[i : i + 64] for i in range(0, len(body), 64)]
        return "\n".join([_BEGIN, *lines, _END, ""])

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Reads a `dc.pub` file. Raises `Malformed`."""
        lines = text.split("\n")
        if lines[:1] != [_BEGIN] or lines[-2:] != [_END, ""]:
            raise Malformed("dc.pub", "no data-centre identity between its two marker lines")
        try:
            data = base64.b64decode("".join(lines[1:-2]), validate=True)
        except (binascii.Error, ValueError) as error:
            raise Malformed("dc.pub", f"not base64 ({error})") from error
        pin = cls.parse(data)
        if pin.to_text() != text:
            raise Malformed("dc.pub", "not in its one form (64 characters a line)")
        return pin


@dataclass(frozen=True, slots=True)
class KeyCertificate:
    """An operational key that an identity key vouches for: what it may sign, for whom, in which offer epochs."""

    keys: PublicKeys
    uses: KeyUse
    audience: str
    epoch_from: int
    epoch_to: int

    def encode(self) -> bytes:
        return cbor.encode([self.keys.to_cbor(), int(self.uses), self.audience, self.epoch_from, self.epoch_to])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        keys, uses, audience, low, high = cbor.array(cbor.decode(data, "certificate"), "certificate", 5)
        use_bits = cbor.uint(uses, "certificate.uses", limit=7)
        certificate = cls(
            PublicKeys.from_cbor(keys, "certificate.keys"),
            KeyUse(use_bits),
            cbor.tstr(audience, "certificate.audience", limit=MAX_AUDIENCE),
            cbor.uint(low, "certificate.epoch_from"),
            cbor.uint(high, "certificate.epoch_to"),
        )
        if certificate.epoch_to < certificate.epoch_from or not use_bits:
            raise Malformed("certificate", "certifies nothing: no use, or an empty range of epochs")
        return certificate


def suite_of(number: object, field: str) -> Suite:
    """The suite of this number. Raises `Malformed` for one this version does not know."""
    try:
        return Suite(cbor.uint(number, field))
    except ValueError as error:
        raise Malformed(field, f"unknown suite {number}") from error
