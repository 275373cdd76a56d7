"""The store: migrations, the writer's groups, and what happens to them when the database says no."""

import sqlite3
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from intaglio.cli import store
from intaglio.errors import Malformed, Unavailable
from intaglio.gateway.config import Misconfigured
from intaglio.gateway.query import SCHEMA, Reader
from intaglio.gateway.store import writer as writing
from intaglio.gateway.store.migrate import migrate
from intaglio.gateway.store.schema import metadata
from intaglio.gateway.store.writer import Writer, connect


@pytest.fixture
def database(tmp_path: Path) -> Path:
    migrate(tmp_path / "gateway.db")
    return tmp_path / "gateway.db"


def test_migrations_arrive_at_the_schema(database: Path) -> None:
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_migrating_again_changes_nothing(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("INSERT INTO tokens VALUES (x'00', 1)")
    connection.commit()
    migrate(database)
    assert connection.execute("SELECT * FROM tokens").fetchall() == [(b"\0", 1)]
    connection.close()


def test_a_newer_schema_is_refused_and_left_alone(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    with pytest.raises(Misconfigured, match="schema 9999 is newer than this version"):
        migrate(database)
    assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("9999",)]
    connection.close()


def test_a_store_of_another_version_is_called_that(database: Path) -> None:
    """After an update, before the new gateway has started: the commands are the new ones already."""
    connection = sqlite3.connect(database)
    connection.execute("DROP TABLE states")
    for version, told in (("0001", "older version .* intaglio serve upgrades it"), ("9999", "newer version")):
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
        connection.commit()
        with Reader(database) as reader, pytest.raises(Unavailable, match=told):
            reader.states()
    connection.execute("UPDATE alembic_version SET version_num = ?", (SCHEMA,))
    connection.commit()
    with Reader(database) as reader, pytest.raises(Unavailable, match="no such table"):
        reader.states()
    connection.close()


def test_who_writes_to_a_store_of_another_version_is_told_so_first(database: Path) -> None:
    """Whatever a command would write, and before it has written anything."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.execute("DROP TABLE down_items")
        connection.commit()
    with (
        pytest.raises(Unavailable, match=r"older version .* intaglio serve upgrades it"),
        store.writing(database.parent),
    ):
        pytest.fail("there is nothing to write to")


def test_the_newest_schema_is_what_readers_expect(database: Path) -> None:
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]
    connection.close()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(Misconfigured, match="not a database"):
        migrate(tmp_path / "gateway.db")


def test_the_database_is_private(database: Path) -> None:
    assert database.stat().st_mode & 0o777 == 0o600


class Held:
    """A writer whose first piece of work waits, so that what is submitted meanwhile becomes one group."""

    def __init__(self, database: Path) -> None:
        self.writer = Writer(database)
        self.go = Event()
        self.waits = Event()

    def start(self) -> "Held":
        self.writer.start()
        self.writer.submit(self._wait)
        assert self.waits.wait(10)
        return self

    def _wait(self, _: sqlite3.Connection) -> None:
        self.waits.set()
        self.go.wait(10)

    def insert(self, number: int, size: int = 0) -> Future[None]:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO tokens VALUES (?, 0)", (number.to_bytes(4, "big"),))

        return self.writer.submit(work, size)

    def rows(self) -> int:
        def count(connection: sqlite3.Connection) -> int:
            return int(connection.execute("SELECT count(*) FROM tokens").fetchone()[0])

        return self.writer.submit(count).result()


@pytest.fixture
def held(database: Path) -> Held:
    return Held(database).start()


def test_a_group_is_one_transaction(database: Path) -> None:
    held = Held(database)
    transactions: list[int] = []

    class Watching:
        def flush(self, connection: sqlite3.Connection) -> None:
            transactions.append(connection.execute("SELECT count(*) FROM tokens").fetchone()[0])

        def forget(self) -> None:
            raise AssertionError

    held.writer.attach(Watching())
    held.start()
    inserts = [held.insert(n) for n in range(100)]
    held.go.set()
    for each in inserts:
        each.result()
    assert transactions == [0, 100]
    held.writer.close()


def test_an_error_of_the_database_costs_only_the_request_that_met_it(
    held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad, after = held.insert(1), held.insert(1), held.insert(2)
    held.go.set()
    good.result()
    with pytest.raises(Unavailable):
        bad.result()
    after.result()
    assert held.rows() == 2
    assert "transaction of 3 requests failed" in caplog.text
    held.writer.close()


def test_a_full_disk_is_one_line_in_the_log(held: Held, caplog: pytest.LogCaptureFixture) -> None:
    def limit(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # as many as there are

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO tokens VALUES (zeroblob(1000000), 0)")

    held.go.set()
    held.writer.submit(limit).result()
    with pytest.raises(Unavailable):
        held.writer.submit(fill).result()
    (record,) = caplog.records
    assert record.getMessage() == "transaction of 1 requests failed: database or disk is full"
    assert record.exc_info is None
    held.writer.close()


def test_a_bug_costs_only_the_request_that_met_it(held: Held) -> None:
    def buggy(_: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    bug, good = held.writer.submit(buggy), held.insert(1)
    held.go.set()
    with pytest.raises(Unavailable):
        bug.result()
    good.result()
    assert held.rows() == 1
    held.writer.close()


def test_our_own_errors_reach_whoever_asked(held: Held) -> None:
    def refuses(_: sqlite3.Connection) -> None:
        raise Malformed("frame", "is no frame")

    refused, good = held.writer.submit(refuses), held.insert(1)
    held.go.set()
    with pytest.raises(Malformed):
        refused.result()
    good.result()
    held.writer.close()


def test_closing_commits_what_waits_and_refuses_the_rest(held: Held, database: Path) -> None:
    inserts = [held.insert(n) for n in range(10)]
    held.go.set()
    held.writer.close()
    assert all(each.done() and each.exception() is None for each in inserts)
    with pytest.raises(Unavailable, match="stopping"):
        held.insert(11)
    connection = connect(database)
    assert connection.execute("SELECT count(*) FROM tokens").fetchone() == (10,)
    connection.close()


def test_more_than_may_wait_is_sent_away(held: Held) -> None:
    waiting = held.insert(1, writing.QUEUE_BYTES)
    with pytest.raises(Unavailable, match="busy"):
        held.insert(2, 1)
    held.go.set()
    waiting.result()
    held.rows()
    held.insert(2, 1).result()
    held.writer.close()


def test_every_commit_is_on_disk(database: Path) -> None:
    connection = connect(database)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()
