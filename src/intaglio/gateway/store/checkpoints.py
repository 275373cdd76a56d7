"""Checkpoints against what is stored: their leaves, and each beside the one before it (docs/protocol.md §8).

They arrive in any order. One whose predecessor is here is judged at once and refused where it does not fit; one that
came too early is kept, and judged when its turn comes: nothing can be unstored then, so that is an event. A frame that
a checkpoint covers is judged by whichever of the two comes later. For the writer's thread.
"""

import json
import sqlite3
from dataclasses import dataclass

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.session.channel import Opened
from intaglio.session.merkle import Frontier
from intaglio.types import Direction, SessionId, UnixTime
from intaglio.wire.checkpoint import Checkpoint, content_hash, leaf_of

__all__ = ["check_frame", "take"]

STEPS = 64
"""Waiting checkpoints judged with one that arrived, half a millisecond each: a host that held the first one back must
not stop the writer. The next one to arrive goes on."""

WAITING, PROVEN, WRONG = range(3)
"""What a checkpoint is, in its row."""


@dataclass(slots=True)
class _Chain:
    """What the next checkpoint of a session must continue."""

    frontier: Frontier
    previous: bytes | None

    def check(self, checkpoint: Checkpoint) -> None:
        """Takes the next one. Raises `Rejected(CHECKPOINT_MISMATCH)`, and has changed nothing then."""
        if checkpoint.previous != self.previous:
            raise _mismatch(f"previous {_hex(self.previous)}", _hex(checkpoint.previous))
        frontier = self.frontier.copy()
        for leaf in checkpoint.leaves:
            frontier.append(leaf)
        if frontier.root != checkpoint.root:
            raise _mismatch(f"root {frontier.root.hex()}", checkpoint.root.hex())
        self.frontier, self.previous = frontier, checkpoint.hash


def take(connection: sqlite3.Connection, row: int, session: SessionId, opened: Opened, at: UnixTime) -> None:
    """A checkpoint, signed by G, whose own frame is not stored yet; the frames before it are in the tables. Raises
    `Rejected(CHECKPOINT_MISMATCH)`, and has written nothing then."""
    if not isinstance(opened.body, bytes):
        return
    checkpoint = Checkpoint.parse(opened.body)
    _check_place(connection, row, checkpoint)
    _check_leaves(connection, row, checkpoint)
    chain = _chain_of(connection, row)
    turn = checkpoint.first == chain.frontier.size
    if turn:
        chain.check(checkpoint)
    place = (row, checkpoint.first, checkpoint.last, opened.sequence, PROVEN if turn else WAITING)
    connection.execute("INSERT INTO checkpoints VALUES (?,?,?,?,?)", place)
    if _go_on(connection, row, session, chain, at) or turn:
        state = (row, chain.frontier.encode(), chain.previous)
        connection.execute("INSERT OR REPLACE INTO chains VALUES (?,?,?)", state)


def check_frame(connection: sqlite3.Connection, row: int, opened: Opened) -> None:
    """A frame that came after others with higher numbers: a checkpoint may cover it already. Raises
    `Rejected(CHECKPOINT_MISMATCH)`."""
    covering = connection.execute(
        "SELECT last, sequence FROM checkpoints WHERE session = ? AND first <= ? ORDER BY first DESC LIMIT 1",
        (row, opened.sequence),
    ).fetchone()
    if covering is None or covering[0] < opened.sequence or opened.salt is None:
        return
    checkpoint = _stored(connection, row, covering[1])
    leaf = leaf_of(Direction.UP, opened.epoch, opened.sequence, opened.salt, content_hash(opened.content))
    _check_leaf(checkpoint, opened.sequence, leaf)


def _check_place(connection: sqlite3.Connection, row: int, checkpoint: Checkpoint) -> None:
    """No frame has two checkpoints."""
    before = connection.execute(
        "SELECT first, last FROM checkpoints WHERE session = ? AND first <= ? ORDER BY first DESC LIMIT 1",
        (row, checkpoint.last),
    ).fetchone()
    if before is not None and before[1] >= checkpoint.first:
        expected = f"no second checkpoint of {before[0]} to {before[1]}"
        raise _mismatch(expected, f"{checkpoint.first} to {checkpoint.last}")


def _check_leaves(connection: sqlite3.Connection, row: int, checkpoint: Checkpoint) -> None:
    stored = connection.execute(
        "SELECT epoch, sequence, salt, content_hash FROM frames WHERE session = ? AND direction = 0"
        " AND sequence BETWEEN ? AND ? AND salt IS NOT NULL",
        (row, checkpoint.first, checkpoint.last),
    )
    for epoch, sequence, salt, hashed in stored.fetchall():
        _check_leaf(checkpoint, sequence, leaf_of(Direction.UP, epoch, sequence, salt, hashed))


def _check_leaf(checkpoint: Checkpoint, sequence: int, leaf: bytes) -> None:
    claimed = checkpoint.leaves[sequence - checkpoint.first]
    if claimed != leaf:
        raise _mismatch(f"leaf {leaf.hex()} of sequence {sequence}", claimed.hex())


def _go_on(connection: sqlite3.Connection, row: int, session: SessionId, chain: _Chain, at: UnixTime) -> bool:
    """Judges those that waited for the chain to reach them; returns whether it got any further."""
    moved = False
    for _ in range(STEPS):
        waiting = connection.execute(
            "SELECT first, sequence FROM checkpoints WHERE session = ? AND first = ? AND state = ?",
            (row, chain.frontier.size, WAITING),
        ).fetchone()
        if waiting is None:
            break
        first, sequence = waiting
        state = PROVEN
        try:
            chain.check(_stored(connection, row, sequence))
            moved = True
        except Rejected as error:
            state = WRONG
            detail = json.dumps({"reason": error.reason.name, "sequence": sequence, "problem": str(error)})
            connection.execute(
                "INSERT INTO events (at, kind, session, detail) VALUES (?, 'checkpoint wrong', ?, ?)",
                (at, session, detail),
            )
        connection.execute("UPDATE checkpoints SET state = ? WHERE session = ? AND first = ?", (state, row, first))
    return moved


def _chain_of(connection: sqlite3.Connection, row: int) -> _Chain:
    found = connection.execute("SELECT frontier, previous FROM chains WHERE session = ?", (row,)).fetchone()
    return _Chain(Frontier(), None) if found is None else _Chain(Frontier.parse(found[0]), found[1])


def _stored(connection: sqlite3.Connection, row: int, sequence: int) -> Checkpoint:
    ((body,),) = connection.execute(
        "SELECT body FROM frames WHERE session = ? AND direction = 0 AND sequence = ?", (row, sequence)
    ).fetchall()
    return Checkpoint.parse(body)


def _hex(data: bytes | None) -> str:
    return "none" if data is None else data.hex()


def _mismatch(expected: str, found: str) -> Rejected:
    return Rejected(Reason.CHECKPOINT_MISMATCH, expected=expected, found=found)
