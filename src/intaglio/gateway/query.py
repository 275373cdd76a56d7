"""Reading what a gateway stored: for its API, and for commands in other processes, on the same SQLite file.

A `Reader` can't write. Lists are paged by key: pass the last `id` (or `number`) of one page as `after` for the next.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from intaglio.errors import Unavailable
from intaglio.gateway.items import ITEM, StoredDelivery, StoredItem
from intaglio.gateway.lineages import LINEAGE, StoredState
from intaglio.gateway.store import recalls
from intaglio.types import SessionId, UnixTime

__all__ = [
    "MAX_PAGE",
    "QuarantineEntry",
    "Reader",
    "Status",
    "StoredDelivery",
    "StoredEvidence",
    "StoredItem",
    "StoredRecord",
    "StoredSession",
    "StoredState",
    "Tally",
]

MAX_PAGE = 1000

SCHEMA = "0008"
"""The newest migration: what is read here. Migrations themselves are not imported for reading."""

Row = tuple[Any, ...]
"""As SQLite gives it; the functions at the end know the columns."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One value with its provenance. `late`: its session had ended when it arrived, so it is not accepted.
    `recalled`: the newest open recall of its session, by number."""

    id: int
    session: SessionId
    workload: str
    tee: str
    simulated: bool
    epoch: int
    sequence: int
    position: int
    name: str
    content_type: str
    value: bytes = field(repr=False)
    arrived_at: UnixTime
    late: bool
    recalled: int | None

    @property
    def status(self) -> str:
        if self.recalled is not None:
            return "RECALLED"
        return "LATE" if self.late else "ACCEPTED"


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session and its counts. `missing` is how many numbers below the highest have not arrived."""

    number: int
    session: SessionId
    workload: str
    tee: str
    simulated: bool
    accepted_at: UnixTime
    expires_at: UnixTime
    ended_at: UnixTime | None
    keys_destroyed: bool
    frames: int
    records: int
    late: int
    replays: int
    highest: int
    last_at: UnixTime | None
    protocol: str
    offer: bytes | None
    """None where the protocol has no offers."""
    evidence: bytes
    policy: bytes
    recalled: int | None
    """The newest open recall that marks it, by number."""
    verdict: Mapping[str, object]

    @property
    def missing(self) -> int:
        return self.highest + 1 - self.frames


@dataclass(frozen=True, slots=True)
class StoredEvidence:
    """What a session was accepted for: its evidence, and the JSON of the collateral that judged it then."""

    number: int
    session: SessionId
    workload: str
    tee: str
    simulated: bool
    accepted_at: UnixTime
    expires_at: UnixTime
    live: bool
    evidence: bytes = field(repr=False)
    collateral: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """Something that was refused: `reasons` are names of `Reason`; `data` is the beginning of what came."""

    number: int
    name: str
    what: str
    reasons: tuple[str, ...]
    detail: Mapping[str, object]
    data: bytes = field(repr=False)
    session: SessionId | None
    remote: str | None
    count: int
    first_at: UnixTime
    last_at: UnixTime


@dataclass(frozen=True, slots=True)
class Tally:
    """What was only counted: replays of a session, or what did not fit into quarantine (`session` None)."""

    reason: str
    session: SessionId | None
    count: int
    first_at: UnixTime
    last_at: UnixTime


@dataclass(frozen=True, slots=True)
class Status:
    """Totals."""

    sessions: int
    live_sessions: int
    records: int
    late: int
    frames: int
    replays: int
    missing: int
    """Numbers below the highest of live sessions that have not arrived."""
    oldest: UnixTime | None
    """When the oldest live session was accepted."""
    last_at: UnixTime | None
    quarantined: Mapping[str, int]
    """By reason, what is only counted included."""
    simulated: bool
    """Whether any session rests on simulated evidence."""


_RECORD = f"""
SELECT r.id, s.session, s.workload, s.tee, s.simulated, r.epoch, r.sequence, r.position, r.name, r.content_type,
       r.value, r.arrived_at, r.late, {recalls.MARK}
FROM records r JOIN sessions s ON s.id = r.session
"""  # noqa: S608 - our own text only
_SESSION = f"""
SELECT s.id, s.session, s.workload, s.tee, s.simulated, s.accepted_at, s.expires_at, s.ended_at, s.up_state IS NULL,
       s.frames, s.records, s.late, s.replays, s.highest, s.last_at, s.protocol, s.offer, s.evidence, s.policy,
       {recalls.MARK}, h.verdict
FROM sessions s JOIN handshakes h ON h.session = s.id
"""  # noqa: S608 - our own text only
_LIVE = "s.expires_at > ? AND s.ended_at IS NULL AND s.wrap_key IS NOT NULL"
_EVIDENCE = f"""
SELECT s.id, s.session, s.workload, s.tee, s.simulated, s.accepted_at, s.expires_at, {_LIVE}, e.bytes, c.bytes
FROM sessions s JOIN evidence e ON e.hash = s.evidence LEFT JOIN collateral c ON c.digest = s.collateral
"""  # noqa: S608 - our own text only
_DELIVERY = f"""
SELECT f.item, s.session, f.sequence, f.made_at, f.answered_at, f.outcome, {_LIVE}
FROM down_frames f JOIN sessions s ON s.id = f.session
"""  # noqa: S608 - our own text only
_QUARANTINE = "SELECT id, name, what, reasons, detail, bytes, session, remote, count, first_at, last_at FROM quarantine"


class Reader:
    """A read-only view of a gateway's database. Not for several threads at once. A context manager."""

    def __init__(self, path: Path) -> None:
        """Raises `Unavailable` where there is no database."""
        try:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA busy_timeout = 5000")
            self._connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise Unavailable(f"{path}: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def records(
        self, *, after: int = 0, limit: int = 100, session: SessionId | None = None, name: str | None = None
    ) -> list[StoredRecord]:
        """Ascending from the first one stored after the record `after`."""
        where = ["r.id > ?"]
        arguments: list[object] = [after]
        if session is not None:
            where.append("r.session = (SELECT id FROM sessions WHERE session = ?)")
            arguments.append(session)
        if name is not None:
            where.append("r.name = ?")
            arguments.append(name)
        query = f"{_RECORD} WHERE {' AND '.join(where)} ORDER BY r.id LIMIT ?"
        return [_record(row) for row in self._rows(query, (*arguments, _page(limit)))]

    def last_record(self) -> int:
        """The highest record id, 0 if there is none: where `records --follow` begins."""
        ((highest,),) = self._rows("SELECT coalesce(max(id), 0) FROM records", ())
        return int(highest)

    def sessions(self, *, after: int = 0, limit: int = 100) -> list[StoredSession]:
        """Ascending in the order of their Accepts."""
        return [
            _session(row)
            for row in self._rows(f"{_SESSION} WHERE s.id > ? ORDER BY s.id LIMIT ?", (after, _page(limit)))
        ]

    def session(self, session: SessionId) -> StoredSession | None:
        return next((_session(row) for row in self._rows(f"{_SESSION} WHERE s.session = ?", (session,))), None)

    def evidence(self, at: UnixTime, *, after: int = 0, limit: int = 100, ended: bool = False) -> list[StoredEvidence]:
        """What sessions that are live at `at` rest on, in the order of their Accepts; `ended`: of all sessions."""
        query = f"{_EVIDENCE} WHERE s.id > ?{'' if ended else f' AND {_LIVE}'} ORDER BY s.id LIMIT ?"
        values = (at, after, *(() if ended else (at,)), _page(limit))
        return [_evidence(row) for row in self._rows(query, values)]

    def reached(self, criterion: recalls.Criterion, at: UnixTime) -> recalls.Reached:
        """What a recall by `criterion` would mark, and end, now."""
        with self._translated():
            return recalls.find(self._connection, criterion, at)

    def recalls(self) -> list[recalls.StoredRecall]:
        with self._translated():
            return recalls.listed(self._connection)

    def gaps(self, session: SessionId) -> list[tuple[int, int]]:
        """The sequence numbers below the highest that have not arrived, as (first, last), at most `MAX_PAGE` gaps."""
        rows = self._rows(
            "SELECT before + 1, sequence - 1 FROM"
            " (SELECT sequence, lag(sequence, 1, -1) OVER (ORDER BY sequence) AS before FROM frames"
            " WHERE session = (SELECT id FROM sessions WHERE session = ?) AND direction = 0)"
            " WHERE sequence > before + 1 ORDER BY sequence LIMIT ?",
            (session, MAX_PAGE),
        )
        return [(int(str(first)), int(str(last))) for first, last in rows]

    def quarantine(
        self, *, after: int = 0, limit: int = 100, reason: str | None = None, session: SessionId | None = None
    ) -> list[QuarantineEntry]:
        """Ascending in the order of their first arrival; `reason` is the first of an entry's reasons."""
        query = f"{_QUARANTINE} WHERE id > ?"
        values: list[object] = [after]
        if reason is not None:
            query += " AND reason = ?"
            values.append(reason)
        if session is not None:
            query += " AND session = ?"
            values.append(session)
        return [_entry(row) for row in self._rows(query + " ORDER BY id LIMIT ?", (*values, _page(limit)))]

    def quarantine_entry(self, name: str) -> QuarantineEntry | None:
        return next((_entry(row) for row in self._rows(f"{_QUARANTINE} WHERE name = ?", (name,))), None)

    def states(self, *, after: bytes = b"", limit: int = 100) -> list[StoredState]:
        """Ascending by lineage."""
        rows = self._rows(f"{LINEAGE} WHERE t.lineage > ? ORDER BY t.lineage LIMIT ?", (after, _page(limit)))
        return [StoredState(*row) for row in rows]

    def items(self, *, after: int = 0, limit: int = 100, commands: bool = False) -> list[StoredItem]:
        """Secrets, every version of them, or commands; in the order in which they were given."""
        which = "=" if commands else "<>"
        query = f"{ITEM} WHERE i.id > ? AND i.kind {which} 'command' ORDER BY i.id LIMIT ?"
        return [StoredItem(*row) for row in self._rows(query, (after, _page(limit)))]

    def deliveries(self, item: int, at: UnixTime, *, limit: int = 100) -> list[StoredDelivery]:
        """The newest first."""
        query = f"{_DELIVERY} WHERE f.item = ? ORDER BY f.made_at DESC, s.id DESC LIMIT ?"
        rows = self._rows(query, (at, item, _page(limit)))
        return [StoredDelivery(*row) for row in rows]

    def tallies(self) -> list[Tally]:
        rows = self._rows("SELECT reason, session, count, first_at, last_at FROM tallies ORDER BY reason, session", ())
        return [Tally(reason, session or None, count, first, last) for reason, session, count, first, last in rows]

    def token_role(self, digest: bytes, at: UnixTime) -> str | None:
        """The role of the token with this hash, if it is in force; the one of the first start is the operator's."""
        rows = self._rows(
            "SELECT 'operator' FROM tokens WHERE hash = ?1 UNION ALL SELECT role FROM named_tokens WHERE hash = ?1"
            " AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)",
            (digest, at),
        )
        return str(rows[0][0]) if rows else None

    def status(self, at: UnixTime) -> Status:
        ((sessions, live, records, late, frames, replays, missing, oldest, last_at, simulated),) = self._rows(
            "SELECT count(*), coalesce(sum(live), 0), coalesce(sum(records), 0), coalesce(sum(late), 0),"
            " coalesce(sum(frames), 0), coalesce(sum(replays), 0), coalesce(sum(live * (highest + 1 - frames)), 0),"
            " min(CASE WHEN live THEN accepted_at END), max(last_at), coalesce(max(simulated), 0)"
            " FROM (SELECT *, expires_at > ? AND ended_at IS NULL AS live FROM sessions)",
            (at,),
        )
        counts = self._rows(
            "SELECT reason, sum(count) FROM (SELECT reason, count FROM quarantine UNION ALL"
            " SELECT reason, count FROM tallies WHERE reason <> 'REPLAY') GROUP BY reason ORDER BY reason",
            (),
        )
        by_reason: dict[str, int] = dict(counts)
        totals = (sessions, live, records, late, frames, replays, missing, oldest, last_at)
        return Status(*totals, by_reason, bool(simulated))

    @contextmanager
    def _cursor(self) -> Iterator[sqlite3.Cursor]:
        with closing(self._connection.cursor()) as cursor:
            yield cursor

    def _rows(self, query: str, arguments: tuple[object, ...]) -> list[Row]:
        with self._translated(), self._cursor() as cursor:
            return cursor.execute(query, arguments).fetchall()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise Unavailable(f"the store can't be read: {self._other_schema() or error}", retry_after=1) from error

    def _other_schema(self) -> str | None:
        """What to do where the store is another version's, which a missing column or table alone does not say."""
        try:
            with self._cursor() as cursor:
                found = str(cursor.execute("SELECT version_num FROM alembic_version").fetchall()[0][0])
        except (sqlite3.Error, IndexError):
            return None
        if found == SCHEMA:
            return None
        if found < SCHEMA:
            return f"an older version of intaglio made it (schema {found}); intaglio serve upgrades it when it starts"
        return f"a newer version of intaglio made it (schema {found}); use that one"


def _page(limit: int) -> int:
    return max(1, min(limit, MAX_PAGE))


def _record(row: Row) -> StoredRecord:
    values = list(row)
    values[4], values[-2] = bool(values[4]), bool(values[-2])
    return StoredRecord(*values)


def _session(row: Row) -> StoredSession:
    values = list(row)
    values[4], values[8], values[-1] = bool(values[4]), bool(values[8]), json.loads(values[-1])
    return StoredSession(*values)


def _evidence(row: Row) -> StoredEvidence:
    values = list(row)
    values[4], values[7] = bool(values[4]), bool(values[7])
    return StoredEvidence(*values)


def _entry(row: Row) -> QuarantineEntry:
    values = list(row)
    values[3], values[4] = tuple(json.loads(values[3])), json.loads(values[4])
    return QuarantineEntry(*values)
