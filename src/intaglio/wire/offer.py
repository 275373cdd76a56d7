"""The Offer (docs/protocol.md §3): what a data centre publishes so that enclaves can begin sessions with it."""

from dataclasses import dataclass
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire import cbor
from intaglio.wire.identity import MAX_AUDIENCE, Suite, suite_of

__all__ = ["KEM_PUBLIC_KEY", "VERSION", "Offer", "OfferBody"]

VERSION = 1
KEM_PUBLIC_KEY = 1216
"""ML-KEM-768 encapsulation key (1184 bytes) and X25519 public key (32 bytes), in this order."""
MAX_OFFER = 16 * 1024
"""Bytes: a suite-2 offer with its key certificate takes about 11 kB."""


@dataclass(frozen=True, slots=True)
class OfferBody:
    """The signed part of an offer.

    kem_key: 1216 bytes; nonce, policy_hash: 32 bytes. not_before, not_after (last use) and delete_after (when the
    private key is destroyed) are the data centre's times. `epoch` never falls; key certificates whose range begins
    before `minimum_epoch` are revoked (counts only in offers signed by an identity key). `epoch0_limit` is how many
    frames an enclave may send before it hears an Accept: 0 for none, None for unlimited.
    """

    suite: Suite
    kem_key: bytes
    nonce: bytes
    not_before: UnixTime
    not_after: UnixTime
    delete_after: UnixTime
    epoch: int
    minimum_epoch: int
    policy_hash: bytes
    audience: str
    epoch0_limit: int | None

    def encode(self) -> bytes:
        return cbor.encode([
            VERSION,
            int(self.suite),
            self.kem_key,
            self.nonce,
            self.not_before,
            self.not_after,
            self.delete_after,
            self.epoch,
            self.minimum_epoch,
            self.policy_hash,
            self.audience,
            self.epoch0_limit,
        ])  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` for another version or layout, or times out of order."""
        items = cbor.array(cbor.decode(data, "offer"), "offer", 12)
        version, suite, kem_key, nonce, before, after, delete, epoch, minimum, policy, audience, limit = items
        if cbor.uint(version, "offer.version") != VERSION:
            raise Malformed("offer.version", f"need {VERSION}, found {version}")
        body = cls(
            suite=suite_of(suite, "offer.suite"),
            kem_key=cbor.bstr(kem_key, "offer.kem_key", KEM_PUBLIC_KEY),
            nonce=cbor.bstr(nonce, "offer.nonce", 32),
            not_before=UnixTime(cbor.uint(before, "offer.not_before")),
            not_after=UnixTime(cbor.uint(after, "offer.not_after")),
            delete_after=UnixTime(cbor.uint(delete, "offer.delete_after")),
            epoch=cbor.uint(epoch, "offer.epoch"),
            minimum_epoch=cbor.uint(minimum, "offer.minimum_epoch"),
            policy_hash=cbor.bstr(policy, "offer.policy_hash", 32),
            audience=cbor.tstr(audience, "offer.audience", limit=MAX_AUDIENCE),
            epoch0_limit=None if limit is None else cbor.uint(limit, "offer.epoch0_limit"),
        )
        if not body.not_before <= body.not_after <= body.delete_after:
            raise Malformed("offer", "not-before, not-after and delete-after are out of order")
        return body


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer as it travels: the signed body (COSE) and, where an operational key signed it, that key's certificate
    (COSE, signed by an identity key)."""

    signed: bytes
    certificate: bytes | None

    def encode(self) -> bytes:
        return cbor.labelled("offer", self.signed, self.certificate)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        if len(data) > MAX_OFFER:
            raise Malformed("offer", f"{len(data)} bytes, at most {MAX_OFFER}")
        label, signed, certificate = cbor.array(cbor.decode(data, "offer"), "offer", 3)
        if label != cbor.LABEL_PREFIX + "offer":
            raise Malformed("offer", "not an offer of protocol version 1")
        return cls(
            cbor.bstr(signed, "offer.signed"),
            None if certificate is None else cbor.bstr(certificate, "offer.certificate"),
        )

    @staticmethod
    def hash(data: bytes) -> bytes:
        """H(offer), 32 bytes, of the encoded offer: what a hello names and its transcript covers."""
        return cbor.digest("offer-hash", data)
