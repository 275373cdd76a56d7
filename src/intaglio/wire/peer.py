"""What two enclaves say to open a session with each other (docs/protocol.md §15), as bytes.

An offer is proven by the evidence beside it and not by a signature. Nothing here says whether that evidence is any
good, or that it is this offer's.
"""

from dataclasses import dataclass
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import SessionId, Tee, UnixTime
from intaglio.wire import cbor
from intaglio.wire.hello import KEM_CIPHERTEXT
from intaglio.wire.identity import MAX_AUDIENCE, PublicKeys, Suite, suite_of
from intaglio.wire.offer import KEM_PUBLIC_KEY

__all__ = ["VERSION", "PeerAccept", "PeerHello", "PeerOffer", "PeerOfferBody", "PeerResult"]

VERSION = 1
MAX_PEER_OFFER = 128 * 1024
"""Bytes: evidence with its certificates is 5 to 40 kB."""
MAX_PEER_HELLO = 128 * 1024
MAX_PEER_ACCEPT = 16 * 1024
"""Bytes: in suite 2 it takes about 5 kB."""


@dataclass(frozen=True, slots=True)
class PeerOfferBody:
    """What the responder's evidence covers. kem_key: X, 1216 bytes; nonce: 32; accept_keys: A, which sign the Accept,
    as many as the suite needs; pin_hash: 32 bytes, of the data centre that the responder pins. X, nonce and A are
    fresh in every offer."""

    suite: Suite
    kem_key: bytes
    nonce: bytes
    accept_keys: PublicKeys
    pin_hash: bytes
    audience: str

    def encode(self) -> bytes:
        return cbor.encode([
            VERSION,
            int(self.suite),
            self.kem_key,
            self.nonce,
            self.accept_keys.to_cbor(),
            self.pin_hash,
            self.audience,
        ])  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> Self:
        version, suite, kem_key, nonce, keys, pin_hash, audience = cbor.array(
            cbor.decode(data, "peer_offer"), "peer_offer", 7
        )
        if cbor.uint(version, "peer_offer.version") != VERSION:
            raise Malformed("peer_offer.version", f"need {VERSION}, found {version}")
        body = cls(
            suite=suite_of(suite, "peer_offer.suite"),
            kem_key=cbor.bstr(kem_key, "peer_offer.kem_key", KEM_PUBLIC_KEY),
            nonce=cbor.bstr(nonce, "peer_offer.nonce", 32),
            accept_keys=PublicKeys.from_cbor(keys, "peer_offer.accept_keys"),
            pin_hash=cbor.bstr(pin_hash, "peer_offer.pin_hash", 32),
            audience=cbor.tstr(audience, "peer_offer.audience", limit=MAX_AUDIENCE),
        )
        if (body.accept_keys.ml_dsa_65 is None) is not (body.suite is Suite.ED25519):
            raise Malformed("peer_offer.accept_keys", f"not the keys of suite {body.suite}")
        return body


@dataclass(frozen=True, slots=True)
class PeerOffer:
    """An offer as it travels: the encoded body, and the evidence that is to prove it."""

    body: bytes
    tee: Tee
    evidence: bytes

    def encode(self) -> bytes:
        return cbor.labelled("peer-offer", self.body, self.tee.value, self.evidence)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        if len(data) > MAX_PEER_OFFER:
            raise Malformed("peer_offer", f"{len(data)} bytes, at most {MAX_PEER_OFFER}")
        label, body, tee, evidence = cbor.array(cbor.decode(data, "peer_offer"), "peer_offer", 4)
        if label != cbor.LABEL_PREFIX + "peer-offer":
            raise Malformed("peer_offer", "not a peer's offer of protocol version 1")
        try:
            kind = Tee(cbor.tstr(tee, "peer_offer.tee"))
        except ValueError as error:
            raise Malformed("peer_offer.tee", f"unknown TEE ({error})") from error
        return cls(cbor.bstr(body, "peer_offer.body"), kind, cbor.bstr(evidence, "peer_offer.evidence"))

    @staticmethod
    def hash(data: bytes) -> bytes:
        """H(peer offer), 32 bytes, of the encoded offer, its evidence included: what a hello names."""
        return cbor.digest("peer-offer-hash", data)


@dataclass(frozen=True, slots=True)
class PeerHello:
    """offer_hash: 32 bytes; session: 16; kem_ciphertext: 1168, to X; reply_key: E, 1216 (one-time); sealed_evidence:
    AES-256-GCM ciphertext of a `SealedEvidence`."""

    suite: Suite
    offer_hash: bytes
    session: SessionId
    kem_ciphertext: bytes
    reply_key: bytes
    sealed_evidence: bytes

    def encode(self) -> bytes:
        return cbor.labelled(
            "peer-hello",
            int(self.suite),
            self.offer_hash,
            self.session,
            self.kem_ciphertext,
            self.reply_key,
            self.sealed_evidence,
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        if len(data) > MAX_PEER_HELLO:
            raise Malformed("peer_hello", f"{len(data)} bytes, at most {MAX_PEER_HELLO}")
        items = cbor.array(cbor.decode(data, "peer_hello"), "peer_hello", 7)
        label, suite, offer_hash, session, ciphertext, reply_key, evidence = items
        if label != cbor.LABEL_PREFIX + "peer-hello":
            raise Malformed("peer_hello", "not a peer's hello of protocol version 1")
        return cls(
            suite=suite_of(suite, "peer_hello.suite"),
            offer_hash=cbor.bstr(offer_hash, "peer_hello.offer_hash", 32),
            session=SessionId(cbor.bstr(session, "peer_hello.session", 16)),
            kem_ciphertext=cbor.bstr(ciphertext, "peer_hello.kem_ciphertext", KEM_CIPHERTEXT),
            reply_key=cbor.bstr(reply_key, "peer_hello.reply_key", KEM_PUBLIC_KEY),
            sealed_evidence=cbor.bstr(evidence, "peer_hello.sealed_evidence"),
        )


@dataclass(frozen=True, slots=True)
class PeerAccept:
    """session: 16 bytes; kem_ciphertext: 1168, to E; sealed_result: AES-256-GCM ciphertext of a `PeerResult`;
    signature: COSE by A, detached payload."""

    session: SessionId
    kem_ciphertext: bytes
    sealed_result: bytes
    signature: bytes

    def encode(self) -> bytes:
        return cbor.labelled("peer-accept", self.session, self.kem_ciphertext, self.sealed_result, self.signature)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        if len(data) > MAX_PEER_ACCEPT:
            raise Malformed("peer_accept", f"{len(data)} bytes, at most {MAX_PEER_ACCEPT}")
        items = cbor.array(cbor.decode(data, "peer_accept"), "peer_accept", 5)
        label, session, ciphertext, result, signature = items
        if label != cbor.LABEL_PREFIX + "peer-accept":
            raise Malformed("peer_accept", "not a peer's Accept of protocol version 1")
        return cls(
            session=SessionId(cbor.bstr(session, "peer_accept.session", 16)),
            kem_ciphertext=cbor.bstr(ciphertext, "peer_accept.kem_ciphertext", KEM_CIPHERTEXT),
            sealed_result=cbor.bstr(result, "peer_accept.sealed_result"),
            signature=cbor.bstr(signature, "peer_accept.signature"),
        )


@dataclass(frozen=True, slots=True)
class PeerResult:
    """What the responder tells the initiator of its verdict: the moment at which it judged (a data centre's time), and
    the workload of its policy that fitted."""

    at: UnixTime
    workload: str | None

    def encode(self) -> bytes:
        return cbor.encode([self.at, self.workload])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        at, workload = cbor.array(cbor.decode(data, "peer_result"), "peer_result", 2)
        return cls(
            UnixTime(cbor.uint(at, "peer_result.at")),
            None if workload is None else cbor.tstr(workload, "peer_result.workload"),
        )
