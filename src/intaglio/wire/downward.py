"""What the data centre sends down to an enclave, and how that is acknowledged (docs/protocol.md §13).

Each is the value of one record: a secret or a command alone in a downward frame, an acknowledgement in the upward
frame that answers it. No value shows in a `repr`.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire import cbor

__all__ = [
    "ACK_NAME",
    "ACK_TYPE",
    "COMMAND_NAME",
    "COMMAND_TYPE",
    "MAX_ITEM",
    "MAX_ITEM_NAME",
    "MAX_VERSION",
    "REFERENCE_SIZE",
    "SECRET_NAME",
    "SECRET_TYPE",
    "Acknowledgement",
    "Command",
    "ItemOutcome",
    "Secret",
    "SecretKind",
]

SECRET_NAME, SECRET_TYPE = "intaglio.secret", "application/vnd.intaglio.secret+cbor"
COMMAND_NAME, COMMAND_TYPE = "intaglio.command", "application/vnd.intaglio.command+cbor"
ACK_NAME, ACK_TYPE = "intaglio.ack", "application/vnd.intaglio.ack+cbor"

REFERENCE_SIZE = 16
MAX_ITEM = 65_536
"""Bytes of a secret's value or a command's arguments: keys, tokens and small files, sixteen to an answer."""
MAX_ITEM_NAME = 255
MAX_VERSION = 2**63 - 1


class SecretKind(IntEnum):
    """How a secret's value is read."""

    BYTES = 0
    TEXT = 1
    """UTF-8."""
    JSON = 2
    """UTF-8."""
    REVOKED = 3
    """No value: the enclave forgets the one that it has."""


class ItemOutcome(IntEnum):
    """What an enclave did with what it was sent."""

    TAKEN = 0
    """The secret is held (or forgotten); the command has run."""
    OLDER = 1
    """A newer version of the secret was there already."""
    REFUSED = 2
    """Not of the type that the script declared; no such command; arguments that do not fit."""
    FAILED = 3
    """The command ran and raised."""


@dataclass(frozen=True, slots=True)
class Secret:
    """`reference`: random, names this item in its acknowledgement."""

    reference: bytes
    name: str
    version: int
    kind: SecretKind
    value: bytes = field(repr=False)

    def encode(self) -> bytes:
        return cbor.encode([self.reference, self.name, self.version, int(self.kind), self.value])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        reference, name, version, kind, value = cbor.array(cbor.decode(data, "secret"), "secret", 5)
        secret = cls(
            cbor.bstr(reference, "secret.reference", REFERENCE_SIZE),
            cbor.tstr(name, "secret.name", limit=MAX_ITEM_NAME),
            cbor.uint(version, "secret.version", limit=MAX_VERSION),
            SecretKind(cbor.uint(kind, "secret.kind", limit=max(SecretKind))),
            _bounded(value, "secret.value"),
        )
        if secret.version == 0:
            raise Malformed("secret.version", "versions begin at 1")
        if secret.kind is SecretKind.REVOKED and secret.value:
            raise Malformed("secret.value", "a revoked secret has none")
        return secret


@dataclass(frozen=True, slots=True)
class Command:
    """`arguments`: a JSON object. `reference` is the command's id: whatever bears it runs once."""

    reference: bytes
    name: str
    arguments: bytes = field(repr=False)

    def encode(self) -> bytes:
        return cbor.encode([self.reference, self.name, self.arguments])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        reference, name, arguments = cbor.array(cbor.decode(data, "command"), "command", 3)
        return cls(
            cbor.bstr(reference, "command.reference", REFERENCE_SIZE),
            cbor.tstr(name, "command.name", limit=MAX_ITEM_NAME),
            _bounded(arguments, "command.arguments"),
        )


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """That the item with this reference arrived, and what became of it."""

    reference: bytes
    outcome: ItemOutcome

    def encode(self) -> bytes:
        return cbor.encode([self.reference, int(self.outcome)])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        reference, outcome = cbor.array(cbor.decode(data, "ack"), "ack", 2)
        return cls(
            cbor.bstr(reference, "ack.reference", REFERENCE_SIZE),
            ItemOutcome(cbor.uint(outcome, "ack.outcome", limit=max(ItemOutcome))),
        )


def _bounded(value: object, name: str) -> bytes:
    data = cbor.bstr(value, name)
    if len(data) > MAX_ITEM:
        raise Malformed(name, f"at most {MAX_ITEM} bytes, found {len(data)}")
    return data
