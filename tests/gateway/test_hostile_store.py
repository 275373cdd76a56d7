"""The store when the disk says no at the worst moment."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from intaglio.errors import Unavailable
from intaglio.gateway.store import writer as writing
from intaglio.gateway.store.migrate import migrate
from intaglio.gateway.store.writer import Writer
from tests.gateway.test_frames import reasons
from tests.gateway.world import HUNDRED, World, told


class FailingDisk(sqlite3.Connection):
    """Says that the disk is full when it is asked to COMMIT, as SQLite does, while `full` is set."""

    full = False
    broken = False

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if FailingDisk.full and sql == "COMMIT":
            raise sqlite3.OperationalError("database or disk is full")
        if FailingDisk.broken and sql == "ROLLBACK":
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *arguments)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> type[FailingDisk]:
    connect = sqlite3.connect
    monkeypatch.setattr(FailingDisk, "full", False)
    monkeypatch.setattr(
        "intaglio.gateway.store.writer.sqlite3.connect", lambda *a, **k: connect(*a, factory=FailingDisk, **k)
    )
    return FailingDisk


def test_a_disk_that_is_full_at_commit_loses_nothing(world: World, disk: type[FailingDisk]) -> None:
    with world.gateway() as dc:
        _, channel = dc.session()
        assert dc.frames(channel.farewell).json == told(stored=1)
        frames = [channel.up.protect([HUNDRED]), channel.up.rekey(), channel.up.protect([HUNDRED])]
        disk.full = True
        for _ in range(2):
            assert dc.frames(*frames).status == 503
        disk.full = False
        assert dc.frames(*frames).json == told(stored=3)
        assert dc.frames(*frames).json == told(duplicate=3)
        assert reasons(dc) == {}
    with world.reader() as reader:
        (session,) = reader.sessions()
        assert (session.frames, session.records, session.missing) == (4, 2, 0)


def test_a_disk_that_is_full_while_sessions_are_let_go_loses_nothing(
    world: World, disk: type[FailingDisk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intaglio.gateway.live.LiveSessions.__init__.__defaults__", (1,))
    with world.gateway() as dc:
        channels = [dc.session()[1] for _ in range(3)]
        frames = [channel.farewell for channel in channels]
        disk.full = True
        assert dc.frames(*frames).status == 503
        disk.full = False
        assert dc.frames(*frames).json == told(stored=3)


def test_a_database_that_can_not_be_opened_leaves_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk has no room for the files that WAL needs: starting must fail, and not hang."""

    def full(_: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    migrate(tmp_path / "gateway.db")
    monkeypatch.setattr(writing, "connect", full)
    writer = Writer(tmp_path / "gateway.db")
    waiting = writer.submit(lambda _: None)
    writer.start()
    with pytest.raises(Unavailable):
        waiting.result(5)
    with pytest.raises(Unavailable):
        writer.submit(lambda _: None)
    writer.close()


def test_a_roll_back_that_fails_leaves_nobody_waiting(
    world: World, disk: type[FailingDisk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that writes ends then; whoever waits for it must hear of that, and so must whoever comes later."""
    with world.gateway() as dc:
        _, channel = dc.session()
        disk.full = True
        monkeypatch.setattr(FailingDisk, "broken", True)
        for _ in range(2):
            assert dc.frames(channel.farewell).status == 503
        assert dc.ask("GET", "/v1/health/ready").status == 503
    disk.full = False
    monkeypatch.setattr(FailingDisk, "broken", False)
    with world.gateway() as dc:
        assert dc.frames(channel.farewell).json == told(stored=1)
