"""Quarantine: everything refused is kept or counted, and no flood takes more than its room."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from intaglio.gateway.store.migrate import migrate
from intaglio.gateway.store.quarantine import KEPT_PER_GROUP, MAX_FRAME_BYTES, Quarantine, Refusal
from intaglio.gateway.store.writer import connect
from intaglio.reasons import Reason
from intaglio.types import SessionId, UnixTime
from tests.gateway.world import NOON

SESSION = SessionId(bytes(range(16)))
ROOM = 1 << 20


def refusal(data: bytes, reason: Reason = Reason.FRAME_AUTHENTICATION, what: str = "frame") -> Refusal:
    return Refusal(what, (reason, Reason.MALFORMED_MESSAGE), {"problem": "p"}, data, SESSION, "10.0.0.1")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    migrate(tmp_path / "gateway.db")
    opened = connect(tmp_path / "gateway.db")
    yield opened
    opened.close()


@pytest.fixture
def quarantine() -> Quarantine:
    return Quarantine(ROOM)


def counted(connection: sqlite3.Connection, reason: Reason) -> int:
    kept = connection.execute("SELECT coalesce(sum(count), 0) FROM quarantine WHERE reason = ?", (reason.name,))
    tallied = connection.execute("SELECT coalesce(sum(count), 0) FROM tallies WHERE reason = ?", (reason.name,))
    return int(kept.fetchone()[0] + tallied.fetchone()[0])


def test_the_same_bytes_are_one_row_with_a_count(connection: sqlite3.Connection, quarantine: Quarantine) -> None:
    names = {quarantine.add(connection, refusal(b"edited"), UnixTime(NOON + n)) for n in range(5)}
    assert len(names) == 1
    row = connection.execute("SELECT count, first_at, last_at, bytes, session, remote FROM quarantine").fetchall()
    assert row == [(5, NOON, NOON + 4, b"edited", SESSION, "10.0.0.1")]


def test_the_same_bytes_for_another_reason_are_another_row(
    connection: sqlite3.Connection, quarantine: Quarantine
) -> None:
    quarantine.add(connection, refusal(b"x"), NOON)
    quarantine.add(connection, refusal(b"x", Reason.SESSION_UNKNOWN), NOON)
    assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (2,)


def test_one_group_keeps_so_many_and_counts_the_rest(connection: sqlite3.Connection, quarantine: Quarantine) -> None:
    names = [quarantine.add(connection, refusal(bytes((n % 256, n // 256))), NOON) for n in range(KEPT_PER_GROUP + 10)]
    quarantine.flush(connection)
    assert names.count(None) == 10
    assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (KEPT_PER_GROUP,)
    assert counted(connection, Reason.FRAME_AUTHENTICATION) == KEPT_PER_GROUP + 10


def test_a_flood_displaces_itself_and_nothing_else(connection: sqlite3.Connection, quarantine: Quarantine) -> None:
    forged = quarantine.add(connection, refusal(os.urandom(5000), Reason.WRONG_MEASUREMENT, "hello"), NOON)
    quarantine.flush(connection)
    for _ in range(300):
        quarantine.add(connection, refusal(os.urandom(MAX_FRAME_BYTES * 2)), NOON)
        quarantine.flush(connection)
    used = connection.execute("SELECT sum(size), max(length(bytes)) FROM quarantine").fetchone()
    assert used[0] <= ROOM
    assert used[1] == MAX_FRAME_BYTES
    assert connection.execute("SELECT count(*) FROM quarantine WHERE name = ?", (forged,)).fetchone() == (1,)
    assert counted(connection, Reason.FRAME_AUTHENTICATION) == 300


def test_the_bound_holds_across_restarts(connection: sqlite3.Connection) -> None:
    for _ in range(10):
        fresh = Quarantine(ROOM)
        for _ in range(20):
            fresh.add(connection, refusal(os.urandom(MAX_FRAME_BYTES)), NOON)
            fresh.flush(connection)
    assert connection.execute("SELECT sum(size) FROM quarantine").fetchone()[0] <= ROOM
    assert counted(connection, Reason.FRAME_AUTHENTICATION) == 200


def test_a_rolled_back_group_leaves_no_trace(connection: sqlite3.Connection, quarantine: Quarantine) -> None:
    connection.execute("BEGIN")
    quarantine.add(connection, refusal(b"x"), NOON)
    quarantine.tally(Reason.REPLAY, SESSION, NOON)
    connection.execute("ROLLBACK")
    quarantine.forget()
    quarantine.flush(connection)
    assert counted(connection, Reason.FRAME_AUTHENTICATION) == counted(connection, Reason.REPLAY) == 0
    assert quarantine.add(connection, refusal(b"x"), NOON) is not None


def test_replays_take_one_row_a_session(connection: sqlite3.Connection, quarantine: Quarantine) -> None:
    for n in range(1000):
        quarantine.tally(Reason.REPLAY, SESSION, UnixTime(NOON + n))
    quarantine.flush(connection)
    quarantine.tally(Reason.REPLAY, SESSION, UnixTime(NOON + 5000), count=7)
    quarantine.flush(connection)
    rows = connection.execute("SELECT session, count, first_at, last_at FROM tallies").fetchall()
    assert rows == [(SESSION, 1007, NOON, NOON + 5000)]
