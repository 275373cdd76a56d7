"""Checkpoints (docs/protocol.md §8): what an enclave says it has sent, one leaf per frame, signed by its attested key.

A leaf hides its frame behind a salt, so that the leaves beside one in somebody's proof do not let a value like 100 be
guessed. Signatures are made and checked by `session`; here is what they cover.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache

from intaglio.errors import Malformed
from intaglio.types import Direction
from intaglio.wire import cbor
from intaglio.wire.content import SIGNATURE

__all__ = ["CHECKPOINT_EVERY", "Checkpoint", "content_hash", "leaf_of"]

CHECKPOINT_EVERY = 256
"""Leaves of one checkpoint, and frames from one to the next: 9 kB, and what a thief of the last ones can deny."""

_LEAF = cbor.labelled("leaf", 0, 0, 0, b"", b"")[:-5]
_CONTENT = cbor.labelled("content", b"")[:-1]
_HASH_HEAD = cbor.bytes_head(32)
_sha256 = hashlib.sha256


def leaf_of(direction: Direction, epoch: int, sequence: int, salt: bytes, content_hash: bytes) -> bytes:
    """H("leaf", direction, epoch, sequence, salt, content_hash), where both are 32 bytes and `content_hash` is
    H("content", [kind, body] as encoded). Runs for every frame: this is `cbor.digest` without its generality."""
    number = b"\x19" + sequence.to_bytes(2, "big") if 255 < sequence < 65536 else _uint(sequence)
    return _sha256(b"".join((_before(direction, epoch), number, _HASH_HEAD, salt, _HASH_HEAD, content_hash))).digest()


def content_hash(content: bytes) -> bytes:
    """H("content", content), where `content` is the encoding of [kind, body]; the same for the same reason."""
    return _sha256(_CONTENT + cbor.bytes_head(len(content)) + content).digest()


@lru_cache(maxsize=256)
def _before(direction: Direction, epoch: int) -> bytes:
    """What a leaf hashes before the sequence number."""
    return _LEAF + _uint(direction) + _uint(epoch)


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
        leaves = [part for leaf in self.leaves for part in (cbor.bytes_head(len(leaf)), leaf)]
        start = (b"\x85", _uint(self.first), _uint(self.last), cbor.head(4, len(self.leaves)))
        return b"".join((*start, *leaves, cbor.encode(self.root), cbor.encode(self.previous)))

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

    def signed(self, signature: bytes) -> "Checkpoint":
        """The same with this signature."""
        return replace(self, signature=signature)

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
