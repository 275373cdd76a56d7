"""The statement of time and collateral (docs/protocol.md §14): what a data centre tells an enclave that has neither a
clock nor a network, so that the enclave can judge the evidence of another by itself.
"""

from dataclasses import dataclass
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire import cbor
from intaglio.wire.identity import MAX_AUDIENCE, Suite, suite_of

__all__ = ["MAX_QUESTION", "MAX_STATEMENT", "NONCE", "Question", "Statement", "StatementBody"]

VERSION = 1
NONCE = 32
MAX_QUESTION = 64 * 1024
"""Bytes: the longest evidence we know has 32 kB."""
MAX_STATEMENT = 1024 * 1024
"""Bytes: collateral takes 20 to 100 kB, nearly all of it certificates and revocation lists."""

_LABEL = cbor.LABEL_PREFIX + "statement"


@dataclass(frozen=True, slots=True)
class Question:
    """What a host asks for: the enclave's nonce (32 bytes) and the raw evidence whose collateral is wanted, or None
    where only the time is."""

    nonce: bytes
    evidence: bytes | None

    def encode(self) -> bytes:
        return cbor.encode([self.nonce, self.evidence])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`."""
        if len(data) > MAX_QUESTION:
            raise Malformed("question", f"{len(data)} bytes, at most {MAX_QUESTION}")
        nonce, evidence = cbor.array(cbor.decode(data, "question"), "question", 2)
        return cls(
            cbor.bstr(nonce, "question.nonce", NONCE),
            None if evidence is None else cbor.bstr(evidence, "question.evidence"),
        )


@dataclass(frozen=True, slots=True)
class StatementBody:
    """The signed part of a statement.

    nonce: the 32 bytes that the enclave drew. `epoch`, `minimum_epoch`: as in offers, of the newest one. `at`: the data
    centre's time after it had the nonce. `collateral`: JSON as `intaglio verify` reads it, None where none was asked
    for or none is needed; its signatures are the vendor's, and the data centre vouches only for its being current.
    """

    suite: Suite
    audience: str
    nonce: bytes
    epoch: int
    minimum_epoch: int
    at: UnixTime
    collateral: bytes | None

    def encode(self) -> bytes:
        return cbor.encode([
            VERSION,
            int(self.suite),
            self.audience,
            self.nonce,
            self.epoch,
            self.minimum_epoch,
            self.at,
            self.collateral,
        ])  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` for another version or layout."""
        items = cbor.array(cbor.decode(data, "statement"), "statement", 8)
        version, suite, audience, nonce, epoch, minimum, at, collateral = items
        if cbor.uint(version, "statement.version") != VERSION:
            raise Malformed("statement.version", f"need {VERSION}, found {version}")
        return cls(
            suite=suite_of(suite, "statement.suite"),
            audience=cbor.tstr(audience, "statement.audience", limit=MAX_AUDIENCE),
            nonce=cbor.bstr(nonce, "statement.nonce", NONCE),
            epoch=cbor.uint(epoch, "statement.epoch"),
            minimum_epoch=cbor.uint(minimum, "statement.minimum_epoch"),
            at=UnixTime(cbor.uint(at, "statement.at")),
            collateral=None if collateral is None else cbor.bstr(collateral, "statement.collateral"),
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as it travels: the signed body (COSE) and, where an operational key signed it, that key's certificate
    (COSE, signed by an identity key)."""

    signed: bytes
    certificate: bytes | None

    def encode(self) -> bytes:
        return cbor.labelled("statement", self.signed, self.certificate)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`."""
        if len(data) > MAX_STATEMENT:
            raise Malformed("statement", f"{len(data)} bytes, at most {MAX_STATEMENT}")
        label, signed, certificate = cbor.array(cbor.decode(data, "statement"), "statement", 3)
        if label != _LABEL:
            raise Malformed("statement", "not a statement of protocol version 1")
        return cls(
            cbor.bstr(signed, "statement.signed"),
            None if certificate is None else cbor.bstr(certificate, "statement.certificate"),
        )
