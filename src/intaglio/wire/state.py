"""Sealed state that is numbered (docs/protocol.md §12): what an enclave claims of it, and each of its steps.

A lineage is one history of one enclave's state. Each sealed blob in it has a number, and the hash of the blob before
it. The data centre never sees a blob, only these.
"""

from dataclasses import dataclass
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire import cbor

__all__ = ["LINEAGE_SIZE", "MAX_COUNTER", "STATE_NAME", "STATE_TYPE", "StateStep"]

STATE_NAME = "intaglio.state"
STATE_TYPE = "application/vnd.intaglio.state+cbor"
"""Name and content type of the record that takes a step: the last of the frame whose other records rest on it."""

LINEAGE_SIZE = 16
MAX_COUNTER = 2**63 - 1
"""SQLite's largest integer; nobody gets there."""


@dataclass(frozen=True, slots=True)
class StateStep:
    """`hash` is H("state-blob", sealed blob) of number `counter`, `previous` that of the one before: None at 0."""

    lineage: bytes
    counter: int
    hash: bytes
    previous: bytes | None

    def to_value(self) -> list[cbor.Value]:
        """For a claim, a result, or `encode`."""
        return [self.lineage, self.counter, self.hash, self.previous]

    def encode(self) -> bytes:
        return cbor.encode(self.to_value())

    @classmethod
    def parse(cls, data: bytes) -> Self:
        return cls.of(cbor.decode(data, "state"))

    @classmethod
    def of(cls, value: object) -> Self:
        """From decoded CBOR. Raises `Malformed`."""
        lineage, counter, digest, previous = cbor.array(value, "state", 4)
        number = cbor.uint(counter, "state.counter")
        if number > MAX_COUNTER:
            raise Malformed("state.counter", f"at most {MAX_COUNTER}, found {number}")
        if (number == 0) != (previous is None):
            raise Malformed("state.previous", "number 0 has none, and every other has one")
        return cls(
            cbor.bstr(lineage, "state.lineage", LINEAGE_SIZE),
            number,
            cbor.bstr(digest, "state.hash", 32),
            None if previous is None else cbor.bstr(previous, "state.previous", 32),
        )
