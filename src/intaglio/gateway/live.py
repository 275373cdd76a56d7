"""The sessions whose receivers are in memory: read from the store when a frame comes, written back when keys moved.

The database has a session's keys as of the last change (wrapped) and every frame's number; together they give back the
receiver exactly. So the set of seen numbers needs no write of its own with each frame.
"""

import logging
import sqlite3
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from intaglio.errors import Malformed
from intaglio.gateway.vault import Vault
from intaglio.session.channel import EPOCH_GRACE, Opened, UpReceiver
from intaglio.session.replay import MAX_INTERVALS, SeenSet
from intaglio.sigma.frames import SigmaReceiver
from intaglio.types import Direction, SessionId, UnixTime
from intaglio.wire.content import Kind

__all__ = ["INTAGLIO", "SIGMA", "LiveSession", "LiveSessions", "Receiver"]

INTAGLIO, SIGMA = "intaglio", "sigma"
"""The protocols of sessions, as the store names them."""

MAX_LIVE = 4096
"""Sessions in memory, 2 to 20 kB each; the others are read back when they send."""
PERSIST_EVERY = 10_000
"""Frames after which state is written although no key moved: reading a session back looks at no more than these."""

GIVE_UP_ROWS = 1000
"""Sessions of one turn of housekeeping, so that frames do not wait for a long one."""

_log = logging.getLogger("intaglio.gateway.live")


class Receiver(Protocol):
    """What opens the upward frames of one session, whatever its protocol: see `UpReceiver`."""

    session: SessionId
    seen: SeenSet
    changed: bool

    @property
    def epochs(self) -> tuple[int, ...]: ...

    @property
    def closing_since(self) -> UnixTime | None: ...

    def open(self, data: bytes) -> Opened: ...

    def commit(self, opened: Opened, at: UnixTime) -> None: ...

    def give_up(self, at: UnixTime) -> tuple[tuple[int, int], ...]: ...

    def encode(self) -> bytes: ...


PROTOCOLS: Mapping[str, Callable[[bytes], Receiver]] = {INTAGLIO: UpReceiver.parse, SIGMA: SigmaReceiver.parse}
"""What reads the state of a session back."""


@dataclass(slots=True)
class LiveSession:
    """One session's receiver (None once its keys are destroyed) and what its row does not know yet."""

    row: int
    session: SessionId
    receiver: Receiver | None
    expires_at: UnixTime
    closing_since: UnixTime | None
    ended_at: UnixTime | None
    frames: int = 0
    records: int = 0
    late: int = 0
    replays: int = 0
    last_at: UnixTime | None = None
    unsaved: int = 0
    """Frames since the state was written."""

    def stored(self, opened: Opened, *, late: bool, at: UnixTime) -> None:
        """Takes note of a frame whose rows are on their way into the open transaction."""
        if self.receiver is None:
            return
        self.receiver.commit(opened, at)
        self.frames += 1
        self.unsaved += 1
        self.records += len(opened.records)
        self.late += late
        self.last_at = at
        if opened.kind is Kind.END:
            self.ended_at = at
        if self.receiver.changed:
            self.closing_since = self.receiver.closing_since

    @property
    def must_save(self) -> bool:
        return self.receiver is not None and (self.receiver.changed or self.unsaved >= PERSIST_EVERY)


class LiveSessions:
    """Used by the writer's thread only."""

    def __init__(self, vault: Vault, limit: int = MAX_LIVE) -> None:
        self._vault = vault
        self._limit = limit
        self._sessions: OrderedDict[SessionId, LiveSession] = OrderedDict()
        self._touched: dict[SessionId, LiveSession] = {}
        self._flushed: dict[SessionId, LiveSession] = {}
        """Of the group that was written last: until its COMMIT it may still be rolled back."""
        self._recall: int | None = None
        """The newest recall that memory knows of, None before the first look."""
        self._looked = False
        """Whether this group has looked: nobody else can make one before it commits."""

    def get(self, connection: sqlite3.Connection, session: SessionId) -> LiveSession | None:
        """From memory or the store; None for a session that is not known."""
        if not self._looked:
            self._heed_recalls(connection)
        live = self._sessions.get(session)
        if live is None:
            live = self._load(connection, session)
            if live is None:
                return None
            self._sessions[session] = live
        self._sessions.move_to_end(session)
        return live

    def touch(self, live: LiveSession) -> None:
        """This session changed in the open transaction."""
        self._touched[live.session] = live

    def drop(self, session: SessionId) -> None:
        """Its keys were destroyed: nothing of them may be written back."""
        live = self._sessions.pop(session, None)
        if live is not None:
            live.receiver = None

    def flush(self, connection: sqlite3.Connection) -> None:
        """Writes what the group changed; then lets the sessions go that were silent longest."""
        for live in self._touched.values():
            self._write_counts(connection, live)
            if live.must_save:
                self._save(connection, live)
        self._flushed, self._touched = self._touched, {}
        self._looked = False
        while len(self._sessions) > self._limit:
            _, oldest = self._sessions.popitem(last=False)
            if oldest.unsaved:
                self._save(connection, oldest)

    def forget(self) -> None:
        """Drops every session that the rolled-back group touched, whether or not it was written before that failed:
        what a receiver learnt and the store did not keep would make the next delivery look like a replay."""
        for session in (*self._touched, *self._flushed):
            self._sessions.pop(session, None)
        self._touched.clear()
        self._flushed.clear()
        self._looked = False

    def save_all(self, connection: sqlite3.Connection) -> None:
        """Before a stop: so that the next start reads keys and not frame numbers."""
        for live in self._sessions.values():
            if live.unsaved:
                self._save(connection, live)

    def give_up(
        self, connection: sqlite3.Connection, at: UnixTime
    ) -> list[tuple[SessionId, tuple[tuple[int, int], ...]]]:
        """Destroys the keys of epochs that ended `EPOCH_GRACE` ago and still miss frames; returns what is lost with
        them: (session, runs of numbers)."""
        due = connection.execute(
            "SELECT session FROM sessions WHERE closing_since <= ? AND up_state IS NOT NULL LIMIT ?",
            (at - EPOCH_GRACE, GIVE_UP_ROWS),
        ).fetchall()
        lost: list[tuple[SessionId, tuple[tuple[int, int], ...]]] = []
        for (session,) in due:
            try:
                live = self.get(connection, SessionId(session))
            except Malformed as error:
                _log.error("session can't be read back session=%s: %s", session.hex(), error)
                # Looked at again tomorrow: it must not take the place of those whose keys can be destroyed.
                connection.execute("UPDATE sessions SET closing_since = ? WHERE session = ?", (at, session))
                continue
            if live is None or live.receiver is None:
                continue
            runs = live.receiver.give_up(at)
            live.closing_since = live.receiver.closing_since
            live.receiver.changed = True
            self.touch(live)
            if runs:
                lost.append((live.session, runs))
        return lost

    def _heed_recalls(self, connection: sqlite3.Connection) -> None:
        """A recall is made by a command, in another process: what it ended in the store ends in memory."""
        self._looked = True
        ((newest,),) = connection.execute("SELECT coalesce(max(id), 0) FROM recalls").fetchall()
        if self._recall is not None and newest > self._recall:
            ended = connection.execute(
                "SELECT s.session, s.expires_at FROM recalled_sessions c JOIN sessions s ON s.id = c.session"
                " WHERE c.recall > ?",
                (self._recall,),
            )
            for session, expires_at in ended:
                live = self._sessions.get(SessionId(session))
                if live is not None:
                    live.expires_at = UnixTime(expires_at)
        self._recall = newest

    def _write_counts(self, connection: sqlite3.Connection, live: LiveSession) -> None:
        highest = live.receiver.seen.highest if live.receiver else -1
        connection.execute(
            "UPDATE sessions SET frames = frames + ?, records = records + ?, late = late + ?, replays = replays + ?,"
            " last_at = coalesce(?, last_at), highest = max(highest, ?), ended_at = ?, closing_since = ? WHERE id = ?",
            (live.frames, live.records, live.late, live.replays, live.last_at, highest, live.ended_at,
             live.closing_since, live.row),
        )  # fmt: skip
        live.frames = live.records = live.late = live.replays = 0

    def _save(self, connection: sqlite3.Connection, live: LiveSession) -> None:
        receiver = live.receiver
        if receiver is None:
            return
        epoch = receiver.epochs[-1] if receiver.epochs else 0
        blob = self._vault.wrap(live.session, Direction.UP, epoch, receiver.encode())
        connection.execute("UPDATE sessions SET up_state = ?, up_epoch = ? WHERE id = ?", (blob, epoch, live.row))
        receiver.changed = False
        live.unsaved = 0

    def _load(self, connection: sqlite3.Connection, session: SessionId) -> LiveSession | None:
        row = connection.execute(
            "SELECT id, up_epoch, up_state, expires_at, closing_since, ended_at, protocol FROM sessions"
            " WHERE session = ?",
            (session,),
        ).fetchone()
        if row is None:
            return None
        number, epoch, blob, expires_at, closing_since, ended_at, protocol = row
        receiver = None
        if blob is not None:
            receiver = PROTOCOLS[protocol](self._vault.unwrap(session, Direction.UP, epoch, blob))
            if receiver.session != session:
                raise Malformed("session.state", f"of session {session.hex()} is another session's")
            _catch_up(connection, number, receiver)
        return LiveSession(number, session, receiver, UnixTime(expires_at), closing_since, ended_at)


def _catch_up(connection: sqlite3.Connection, row: int, receiver: Receiver) -> None:
    """Adds the numbers stored since the state was written: they lie in its gaps or beyond its end."""
    # On the way there may be more intervals than there ever were: numbers come back in order, not as they arrived.
    receiver.seen.limit = sys.maxsize
    for low, high in (*receiver.seen.gaps, (receiver.seen.highest + 1, 2**63 - 1)):
        stored = connection.execute(
            "SELECT sequence FROM frames WHERE session = ? AND direction = 0 AND sequence BETWEEN ? AND ?"
            " ORDER BY sequence",
            (row, low, high),
        )
        for (sequence,) in stored.fetchall():
            receiver.seen.add(sequence)
    receiver.seen.limit = MAX_INTERVALS
