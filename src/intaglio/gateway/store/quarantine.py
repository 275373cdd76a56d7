"""Where everything that was refused is kept, with its reasons, within bounds that a flood can't move.

Three bounds. The same bytes refused again for the same reason are one row with a count. One transaction keeps at most
`KEPT_PER_GROUP` of a reason. And where the room is used up, the oldest rows of the reason that takes most of it
go: a flood displaces itself, not the one forged hello somebody should see. What is not kept is counted in `tallies`.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex

from intaglio.reasons import Reason
from intaglio.types import SessionId, UnixTime

__all__ = ["Quarantine", "Refusal"]

KEPT_PER_GROUP = 64
MAX_ROWS = 100_000
MAX_HELLO_BYTES = 128 * 1024
"""Hellos are kept whole: their evidence is what one wants to look at."""
MAX_FRAME_BYTES = 16 * 1024
"""Of frames and bodies, the beginning: they can't be opened, so more of them says no more."""
_ROW = 512
"""Bytes that a row takes beside what it holds, its index entries included."""
_EVICT = 64


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused. `what`: hello, frame or body. `detail` is JSON for the operator and holds no secret."""

    what: str
    reasons: tuple[Reason, ...]
    detail: Mapping[str, object]
    data: bytes
    session: SessionId | None
    remote: str | None


class Quarantine:
    """Used by the writer's thread only. A `Participant`."""

    def __init__(self, room: int) -> None:
        """`room`: bytes."""
        self._room = room
        self._sizes: dict[str, list[int]] | None = None
        self._taken: dict[str, int] = {}
        self._tallies: dict[tuple[str, bytes], list[int]] = {}

    def add(self, connection: sqlite3.Connection, refusal: Refusal, at: UnixTime) -> str | None:
        """Keeps it; returns the opaque name that a peer may be told, or None where it was only counted."""
        reason = refusal.reasons[0].name
        taken = self._taken[reason] = self._taken.get(reason, 0) + 1
        if taken > KEPT_PER_GROUP:
            self.tally(refusal.reasons[0], None, at)
            return None
        digest = hashlib.sha256(refusal.data).digest()
        known = connection.execute(
            "UPDATE quarantine SET count = count + 1, last_at = ? WHERE digest = ? AND reason = ? RETURNING name",
            (at, digest, reason),
        ).fetchall()
        return str(known[0][0]) if known else self._insert(connection, refusal, digest, at)

    def tally(self, reason: Reason, session: SessionId | None, at: UnixTime, count: int = 1) -> None:
        """Counts what need not be kept: a replay, for instance."""
        entry = self._tallies.setdefault((reason.name, session or b""), [0, at, at])
        entry[0] += count
        entry[2] = at

    def flush(self, connection: sqlite3.Connection) -> None:
        self._taken.clear()
        if self._tallies:
            connection.executemany(
                "INSERT INTO tallies (reason, session, count, first_at, last_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (reason, session)"
                " DO UPDATE SET count = count + excluded.count, last_at = excluded.last_at",
                [(*key, *entry) for key, entry in self._tallies.items()],
            )
            self._tallies.clear()

    def forget(self) -> None:
        self._taken.clear()
        self._tallies.clear()
        self._sizes = None

    def _insert(self, connection: sqlite3.Connection, refusal: Refusal, digest: bytes, at: UnixTime) -> str:
        reason, name = refusal.reasons[0].name, token_hex(12)
        kept = refusal.data[: MAX_HELLO_BYTES if refusal.what == "hello" else MAX_FRAME_BYTES]
        detail = json.dumps({"length": len(refusal.data), **refusal.detail})
        size = len(kept) + len(detail) + _ROW
        self._make_room(connection, size, at)
        connection.execute(
            "INSERT INTO quarantine (name, what, reason, reasons, detail, digest, bytes, size, session, remote, count,"
            " first_at, last_at) VALUES (?,?,?,?,?,?,?,?,?,?,1,?,?)",
            (name, refusal.what, reason, json.dumps([r.name for r in refusal.reasons]), detail, digest, kept, size,
             refusal.session, refusal.remote, at, at),
        )  # fmt: skip
        used = self._used(connection).setdefault(reason, [0, 0])
        used[0] += 1
        used[1] += size
        return name

    def _make_room(self, connection: sqlite3.Connection, size: int, at: UnixTime) -> None:
        sizes = self._used(connection)
        while sizes and (
            sum(used[1] for used in sizes.values()) + size > self._room
            or sum(used[0] for used in sizes.values()) >= MAX_ROWS
        ):
            # By what is short: a flood of tiny rows must not push out a few large ones.
            rows = sum(used[0] for used in sizes.values()) >= MAX_ROWS
            noisiest = max(sizes, key=lambda reason: sizes[reason][0 if rows else 1])
            gone = connection.execute(
                "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE reason = ? ORDER BY id LIMIT ?)"
                " RETURNING size, count",
                (noisiest, _EVICT),
            ).fetchall()
            self.tally(Reason[noisiest], None, at, sum(count for _, count in gone))
            sizes[noisiest][0] -= len(gone)
            sizes[noisiest][1] -= sum(freed for freed, _ in gone)
            if not gone or sizes[noisiest][0] <= 0:
                del sizes[noisiest]

    def _used(self, connection: sqlite3.Connection) -> dict[str, list[int]]:
        """Rows and bytes by reason."""
        if self._sizes is None:
            rows = connection.execute("SELECT reason, count(*), sum(size) FROM quarantine GROUP BY reason")
            self._sizes = {reason: [count, size] for reason, count, size in rows}
        return self._sizes
