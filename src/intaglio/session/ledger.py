"""What an enclave has sent and not yet put into a checkpoint (docs/protocol.md §8), and the tree of what it has.

A leaf is 32 bytes and waits until the next checkpoint; of everything before, the ledger keeps the tree's frontier and
one hash.
"""

from collections.abc import Callable

from intaglio.errors import LocalProtocolError
from intaglio.session.merkle import Frontier
from intaglio.types import Direction
from intaglio.wire.checkpoint import CHECKPOINT_EVERY, Checkpoint, content_hash, leaf_of

__all__ = ["Ledger"]

DUE = CHECKPOINT_EVERY - 1
"""Leaves that make a checkpoint due: one less than it holds, because an epoch that is full must be rekeyed first."""

_UP = Direction.UP


class Ledger:
    """Of the upward direction of one session."""

    def __init__(self, th: bytes, sign: Callable[[bytes], bytes]) -> None:
        """`sign`: by G, the 64 bytes of an Ed25519 signature."""
        self._th = th
        self._sign = sign
        self._leaves: list[bytes] = []
        self._frontier = Frontier()
        self._previous: bytes | None = None
        self.unproven = False
        """Whether anything but a checkpoint was sent since the last one."""

    @property
    def due(self) -> bool:
        return len(self._leaves) >= DUE

    def add(self, epoch: int, sequence: int, salt: bytes, content: bytes, *, checkpoint: bool) -> None:
        """Takes note of a frame; `content` is the encoding of [kind, body]."""
        self._leaves.append(leaf_of(_UP, epoch, sequence, salt, content_hash(content)))
        self.unproven = self.unproven or not checkpoint

    def close(self) -> bytes:
        """The bytes of the next checkpoint. Its leaves, the oldest ones, are forgotten. Raises `LocalProtocolError`
        before the first frame: there is nothing to speak of."""
        if not self._leaves:
            raise LocalProtocolError("checkpoint: no frame was sent")
        leaves, self._leaves = tuple(self._leaves[:CHECKPOINT_EVERY]), self._leaves[CHECKPOINT_EVERY:]
        first = self._frontier.size
        for leaf in leaves:
            self._frontier.append(leaf)
        bare = Checkpoint(first, first + len(leaves) - 1, leaves, self._frontier.root, self._previous, b"")
        made = bare.signed(self._sign(bare.to_be_signed(self._th)))
        self._previous = made.hash
        self.unproven = bool(self._leaves)
        return made.encode()
