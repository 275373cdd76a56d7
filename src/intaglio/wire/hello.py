"""Hello and Accept (docs/protocol.md §4, §5): the two messages that open a session, as bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import SessionId, Tee, UnixTime
from intaglio.wire import cbor
from intaglio.wire.identity import Suite, suite_of
from intaglio.wire.offer import KEM_PUBLIC_KEY

__all__ = ["KEM_CIPHERTEXT", "Accept", "Hello", "Result", "Role", "SealedEvidence"]

KEM_CIPHERTEXT = 1168
"""HPKE: encapsulation 1120 bytes (1088 ML-KEM-768, 32 X25519), the 32-byte secret, a 16-byte tag."""
MAX_HELLO = 128 * 1024
"""Bytes: evidence with its certificates is 5 to 40 kB."""
MAX_ACCEPT = 64 * 1024


class Role(StrEnum):
    """Who the evidence's maker is in this handshake; in every hash, so that nothing can be reflected."""

    ENCLAVE = "enclave"
    """Towards a data centre."""
    PEER_INITIATOR = "peer-initiator"
    PEER_RESPONDER = "peer-responder"


@dataclass(frozen=True, slots=True)
class SealedEvidence:
    """What the hello hides from everyone beyond the enclave's own machine: TEE, role, evidence."""

    tee: Tee
    role: Role
    evidence: bytes

    def encode(self) -> bytes:
        return cbor.encode([self.tee.value, self.role.value, self.evidence])

    @classmethod
    def parse(cls, data: bytes, wanted: Role = Role.ENCLAVE) -> Self:
        """Raises `Malformed`, also for evidence of another role than the one that is wanted."""
        tee, role, evidence = cbor.array(cbor.decode(data, "hello.evidence"), "hello.evidence", 3)
        if cbor.tstr(role, "hello.role") != wanted.value:
            raise Malformed("hello.role", f"need {wanted.value!r}, found {role!r}")
        try:
            return cls(Tee(tee), wanted, cbor.bstr(evidence, "hello.evidence"))
        except ValueError as error:
            raise Malformed("hello.evidence", f"unknown TEE ({error})") from error


@dataclass(frozen=True, slots=True)
class Hello:
    """offer_hash: 32 bytes; session: 16; kem_ciphertext: 1168; reply_key: 1216 (KEM, one-time); signing_key: 32
    (Ed25519, one-time); sealed_claims and sealed_evidence: AES-256-GCM ciphertexts."""

    suite: Suite
    offer_hash: bytes
    session: SessionId
    kem_ciphertext: bytes
    reply_key: bytes
    signing_key: bytes
    sealed_claims: bytes
    sealed_evidence: bytes

    def encode(self) -> bytes:
        return cbor.labelled(
            "hello",
            int(self.suite),
            self.offer_hash,
            self.session,
            self.kem_ciphertext,
            self.reply_key,
            self.signing_key,
            self.sealed_claims,
            self.sealed_evidence,
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        if len(data) > MAX_HELLO:
            raise Malformed("hello", f"{len(data)} bytes, at most {MAX_HELLO}")
        items = cbor.array(cbor.decode(data, "hello"), "hello", 9)
        label, suite, offer_hash, session, ciphertext, reply_key, signing_key, claims, evidence = items
        if label != cbor.LABEL_PREFIX + "hello":
            raise Malformed("hello", "not a hello of protocol version 1")
        return cls(
            suite=suite_of(suite, "hello.suite"),
            offer_hash=cbor.bstr(offer_hash, "hello.offer_hash", 32),
            session=SessionId(cbor.bstr(session, "hello.session", 16)),
            kem_ciphertext=cbor.bstr(ciphertext, "hello.kem_ciphertext", KEM_CIPHERTEXT),
            reply_key=cbor.bstr(reply_key, "hello.reply_key", KEM_PUBLIC_KEY),
            signing_key=cbor.bstr(signing_key, "hello.signing_key", 32),
            sealed_claims=cbor.bstr(claims, "hello.sealed_claims"),
            sealed_evidence=cbor.bstr(evidence, "hello.sealed_evidence"),
        )


@dataclass(frozen=True, slots=True)
class Accept:
    """session: 16 bytes; kem_ciphertext: 1168; sealed_result: AES-256-GCM ciphertext; signature: COSE, detached
    payload; certificate: of the operational key that made it, if one did."""

    session: SessionId
    kem_ciphertext: bytes
    sealed_result: bytes
    signature: bytes
    certificate: bytes | None

    def encode(self) -> bytes:
        return cbor.labelled(
            "accept", self.session, self.kem_ciphertext, self.sealed_result, self.signature, self.certificate
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        if len(data) > MAX_ACCEPT:
            raise Malformed("accept", f"{len(data)} bytes, at most {MAX_ACCEPT}")
        items = cbor.array(cbor.decode(data, "accept"), "accept", 6)
        label, session, ciphertext, result, signature, certificate = items
        if label != cbor.LABEL_PREFIX + "accept":
            raise Malformed("accept", "not an Accept of protocol version 1")
        return cls(
            session=SessionId(cbor.bstr(session, "accept.session", 16)),
            kem_ciphertext=cbor.bstr(ciphertext, "accept.kem_ciphertext", KEM_CIPHERTEXT),
            sealed_result=cbor.bstr(result, "accept.sealed_result"),
            signature=cbor.bstr(signature, "accept.signature"),
            certificate=None if certificate is None else cbor.bstr(certificate, "accept.certificate"),
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What the data centre told the enclave in its Accept: when the session ends and the data centre's time (both its
    clock's), the policy workload that matched, and the Attestation Result (a map)."""

    expires: UnixTime
    time: UnixTime
    workload: str
    attestation: Mapping[cbor.Value, cbor.Value]

    def encode(self) -> bytes:
        return cbor.encode([self.expires, self.time, self.workload, dict(self.attestation)])

    @classmethod
    def parse(cls, data: bytes) -> "Result":
        expires, time, workload, attestation = cbor.array(cbor.decode(data, "result"), "result", 4)
        if not isinstance(attestation, dict):
            raise Malformed("result.attestation", "need a map")
        return cls(
            UnixTime(cbor.uint(expires, "result.expires")),
            UnixTime(cbor.uint(time, "result.time")),
            cbor.tstr(workload, "result.workload"),
            attestation,
        )
