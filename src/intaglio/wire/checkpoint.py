"""Checkpoints (docs/protocol.md §8): what an enclave says it has sent, one leaf per frame, signed by its attested key.

A leaf hides its frame behind a salt, so that the leaves beside one in somebody's proof do not let a value like 100 be
guessed. Signatures are made and checked by `session`; here is what they cover.
"""

import hashlib
from dataclasses import dataclass

from intaglio.errors import Malformed
from intaglio.types import Direction
from intaglio.wire import cbor
from intaglio.wire.content import SIGNATURE

__all__ = ["CHECKPOINT_EVERY", "Checkpoint", "leaf_of"]

CHECKPOINT_EVERY = 256
"""Leaves of one checkpoint, and frames from one to the next: 9 kB, and what a thief of the last ones can deny."""

_LEAF = cbor.labelled("leaf", 0, 0, 0, b"", b"")[:-5]
_HASH_HEAD = cbor.bytes_head(32)


def leaf_of(direction: Direction, epoch: int, sequence: int, salt: bytes, content_hash: bytes) -> bytes:
    """H("leaf", direction, epoch, sequence, salt, content_hash), where both are 32 bytes and `content_hash` is
    H("content", [kind, body] as encoded). Runs for every frame: this is `cbor.digest` without its generality."""
    numbers = _uint(direction) + _uint(epoch) + _uint(sequence)
    return hashlib.sha256(b"".join((_LEAF, numbers, _HASH_HEAD, salt, _HASH_HEAD, content_hash))).digest()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The leaves of the frames `first` to `last`, the root over all leaves of the session up to `last`, and the hash of
    the checkpoint before it (None for the first)."""

    first: int
    last: int
    leaves: tuple[bytes, ...]
    root: bytes
    previous: bytes | None
    signature: bytes

    @property
    def body(self) -> bytes:
        """The encoding of [first, last, leaves, root, previous]."""
        return cbor.encode([self.first, self.last, list(self.leaves), self.root, self.previous])

    def encode(self) -> bytes:
        """The same array with the signature as its sixth item."""
        return b"".join((b"\x86", self.body[1:], cbor.bytes_head(SIGNATURE), self.signature))

    @property
    def hash(self) -> bytes:
        """What the next checkpoint names as its `previous`."""
        return cbor.digest("previous-checkpoint", self.encode())

    def to_be_signed(self, th: bytes) -> bytes:
        """L("checkpoint", th, H("checkpoint-body", body)): th (32 bytes) ties it to one session."""
        return cbor.labelled("checkpoint", th, cbor.digest("checkpoint-body", self.body))

    @classmethod
    def parse(cls, data: bytes) -> "Checkpoint":
        """Reads `encode`'s bytes. Raises `Malformed`."""
        first, last, leaves, root, previous, signature = cbor.array(cbor.decode(data, "checkpoint"), "checkpoint", 6)
        low, high = cbor.uint(first, "checkpoint.first"), cbor.uint(last, "checkpoint.last")
        if not 0 < high - low + 1 <= CHECKPOINT_EVERY:
            raise Malformed("checkpoint.last", f"need 1 to {CHECKPOINT_EVERY} frames, found {low} to {high}")
        if (previous is None) != (low == 0):
            raise Malformed("checkpoint.previous", "need null in the first checkpoint and in no other")
        rows = cbor.array(leaves, "checkpoint.leaves", high - low + 1)
        return cls(
            low,
            high,
            tuple(cbor.bstr(leaf, "checkpoint.leaf", 32) for leaf in rows),
            cbor.bstr(root, "checkpoint.root", 32),
            None if previous is None else cbor.bstr(previous, "checkpoint.previous", 32),
            cbor.bstr(signature, "checkpoint.signature", SIGNATURE),
        )


def _uint(number: int) -> bytes:
    return cbor.head(0, number) if number < 2**32 else b"\x1b" + number.to_bytes(8, "big")
