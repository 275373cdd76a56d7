"""Recalls: which sessions a platform, an image, a TCB or an advisory touched, and marking them.

A session is found by its facts (`facts`) and marked as a whole; its records are marked through it, so that not one of
a million rows is written. Values are never read. A lifted recall marks nothing any more; what it ended stays ended.
"""

import json
import sqlite3
from dataclasses import dataclass, replace
from typing import NamedTuple

from intaglio.gateway.store.facts import TCB_DATE, TCB_NUMBER, UNSTATED
from intaglio.types import SessionId, UnixTime

__all__ = ["MARK", "Criterion", "NameInSession", "Reached", "ReachedName", "ReachedSession", "StoredRecall", "find",
           "lift", "listed", "recall"]  # fmt: skip

MARK = (
    "(SELECT max(c.recall) FROM recalled_sessions c JOIN recalls w ON w.id = c.recall"
    " WHERE c.session = s.id AND w.lifted_at IS NULL)"
)
"""The newest recall that marks session `s`; null where none does."""

_EVENT_SESSIONS = 100
"""Ended sessions that get an event of their own: events are bounded, and the recall itself knows all of them."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """`kind` is one of `facts`; the two of a TCB mean below `value`. Of sessions that lived at or after `since` and
    before `until`."""

    kind: str
    value: str
    since: UnixTime | None = None
    until: UnixTime | None = None


@dataclass(frozen=True, slots=True)
class NameInSession:
    """Records of one name in one session, and the sequence numbers of the first and last frame with one."""

    name: str
    records: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ReachedSession:
    """`live`: it can still send what is accepted."""

    session: SessionId
    workload: str
    tee: str
    accepted_at: UnixTime
    live: bool
    names: tuple[NameInSession, ...]


@dataclass(frozen=True, slots=True)
class ReachedName:
    """Records of one name in all sessions reached; the times are those of the first and last stored."""

    name: str
    records: int
    sessions: int
    first_at: UnixTime
    last_at: UnixTime


@dataclass(frozen=True, slots=True)
class Reached:
    """What a criterion touched. `unstated`: how many sessions of that time state nothing that could be compared; they
    are not among `sessions`."""

    sessions: tuple[ReachedSession, ...]
    names: tuple[ReachedName, ...]
    unstated: int

    @property
    def records(self) -> int:
        return sum(name.records for name in self.names)

    @property
    def live(self) -> int:
        return sum(session.live for session in self.sessions)


@dataclass(frozen=True, slots=True)
class StoredRecall:
    """One recall as it was made, and lifted."""

    id: int
    made_at: UnixTime
    made_by: str
    why: str
    kind: str
    value: str
    since: UnixTime | None
    until: UnixTime | None
    sessions: int
    records: int
    lifted_at: UnixTime | None
    lifted_by: str | None
    lifted_why: str | None


def find(connection: sqlite3.Connection, criterion: Criterion, at: UnixTime) -> Reached:
    """Only reads: every record of the sessions found, but no value."""
    chosen = _chosen(connection, criterion, at)
    unstated = _chosen(connection, replace(criterion, kind=UNSTATED, value=criterion.kind), at)
    names: dict[str, _Spread] = {}
    sessions = tuple(
        ReachedSession(
            each.session,
            each.workload,
            each.tee,
            each.accepted_at,
            bool(each.live),
            _names(connection, each.row, names),
        )
        for each in chosen
    )
    spread = tuple(
        ReachedName(
            name, each.records, each.sessions, _arrival(connection, each.first), _arrival(connection, each.last)
        )
        for name, each in sorted(names.items())
    )
    return Reached(sessions, spread, len(unstated))


class _Chosen(NamedTuple):
    """A session that a criterion fits. `records`: as many as its row says."""

    row: int
    session: SessionId
    workload: str
    tee: str
    accepted_at: UnixTime
    live: bool
    records: int


def _chosen(connection: sqlite3.Connection, criterion: Criterion, at: UnixTime) -> list[_Chosen]:
    comparison = "<" if criterion.kind in (TCB_DATE, TCB_NUMBER) else "="
    # A session is over when it has ended or expired and its last late frame came.
    rows = connection.execute(
        "SELECT s.id, s.session, s.workload, s.tee, s.accepted_at,"  # noqa: S608 - our own text only
        " s.expires_at > ? AND s.ended_at IS NULL AND s.wrap_key IS NOT NULL, s.records"
        " FROM session_facts f CROSS JOIN sessions s ON s.id = f.session"
        f" WHERE f.kind = ? AND f.value {comparison} ? AND s.accepted_at < coalesce(?, s.accepted_at + 1)"
        " AND max(coalesce(s.ended_at, s.expires_at), coalesce(s.last_at, 0)) >= coalesce(?, 0)"
        " GROUP BY s.id ORDER BY s.id",
        (at, criterion.kind, criterion.value, criterion.until, criterion.since),
    )
    return [_Chosen(*row) for row in rows.fetchall()]


@dataclass(slots=True)
class _Spread:
    """Of one name, over the sessions that were looked at so far; `first` and `last` are records' ids."""

    first: int
    last: int
    records: int = 0
    sessions: int = 0


def _names(connection: sqlite3.Connection, row: int, names: dict[str, _Spread]) -> tuple[NameInSession, ...]:
    """Of one session; adds them to `names`. Columns that stand before the value, so that no large value is read."""
    found = []
    for name, count, first_id, last_id, first, last in connection.execute(
        "SELECT name, count(*), min(id), max(id), min(sequence), max(sequence)"
        " FROM records INDEXED BY records_by_session WHERE session = ? GROUP BY name",
        (row,),
    ):
        spread = names.setdefault(name, _Spread(first_id, last_id))
        spread.first, spread.last = min(spread.first, first_id), max(spread.last, last_id)
        spread.records += count
        spread.sessions += 1
        found.append(NameInSession(name, count, first, last))
    return tuple(found)


def _arrival(connection: sqlite3.Connection, record: int) -> UnixTime:
    ((at,),) = connection.execute("SELECT arrived_at FROM records WHERE id = ?", (record,)).fetchall()
    return UnixTime(at)


def recall(connection: sqlite3.Connection, criterion: Criterion, who: str, why: str, at: UnixTime) -> int | None:
    """Marks the sessions that fit now and ends those that live; what they still send is LATE. Returns the recall's
    number, None where there was none and so nothing was done. Records are not looked at, so that a gateway that waits
    for this transaction does not wait long."""
    chosen = _chosen(connection, criterion, at)
    if not chosen:
        return None
    records, ended = sum(each.records for each in chosen), [each.session for each in chosen if each.live]
    number = connection.execute(
        "INSERT INTO recalls (made_at, made_by, why, kind, value, since, until, sessions, records)"
        " VALUES (?,?,?,?,?,?,?,?,?)",
        (at, who, why, criterion.kind, criterion.value, criterion.since, criterion.until, len(chosen), records),
    ).lastrowid  # fmt: skip
    rows = [(number, each.row) for each in chosen]
    connection.executemany("INSERT INTO recalled_sessions (recall, session) VALUES (?,?)", rows)
    # One that said END may have frames on their way, which must not be accepted either.
    connection.executemany(
        "UPDATE sessions SET expires_at = ? WHERE id = ? AND expires_at > ? AND wrap_key IS NOT NULL",
        [(at, each.row, at) for each in chosen],
    )
    detail: dict[str, object] = {"recall": number, "by": who, "why": why, criterion.kind: criterion.value}
    counts = {"sessions": len(chosen), "records": records, "ended": len(ended)}
    _event(connection, "recall", None, at, detail | counts)
    for session in ended[:_EVENT_SESSIONS]:
        _event(connection, "session ended by recall", session, at, {"recall": number})
    return number


def lift(connection: sqlite3.Connection, number: int, who: str, why: str, at: UnixTime) -> bool:
    """Takes the mark away; sessions that were ended stay so. Returns whether this recall was open."""
    changed = connection.execute(
        "UPDATE recalls SET lifted_at = ?, lifted_by = ?, lifted_why = ? WHERE id = ? AND lifted_at IS NULL",
        (at, who, why, number),
    ).rowcount
    if changed:
        _event(connection, "recall lifted", None, at, {"recall": number, "by": who, "why": why})
    return bool(changed)


def listed(connection: sqlite3.Connection) -> list[StoredRecall]:
    """In the order in which they were made."""
    rows = connection.execute(
        "SELECT id, made_at, made_by, why, kind, value, since, until, sessions, records, lifted_at, lifted_by,"
        " lifted_why FROM recalls ORDER BY id"
    )
    return [StoredRecall(*row) for row in rows.fetchall()]


def _event(
    connection: sqlite3.Connection, kind: str, session: SessionId | None, at: UnixTime, detail: dict[str, object]
) -> None:
    connection.execute(
        "INSERT INTO events (at, kind, session, detail) VALUES (?,?,?,?)", (at, kind, session, json.dumps(detail))
    )
