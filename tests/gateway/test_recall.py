"""Recalls: what was touched, what is marked and ended, what is not, and that a large store is asked by its indices."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from intaglio.gateway.query import StoredRecord
from intaglio.gateway.store import facts, recalls
from intaglio.gateway.store.facts import facts_of, padded
from intaglio.gateway.store.migrate import migrate
from intaglio.gateway.store.recalls import Criterion
from intaglio.gateway.store.writer import connect
from intaglio.types import UnixTime
from intaglio.verify.verdict import Platform
from tests.cli.conftest import run
from tests.gateway.world import DAY, HOUR, HUNDRED, IMAGE, NOON, Dc, World, told

MEASUREMENT = Criterion(facts.MEASUREMENT, IMAGE.mr_enclave().hex())
LATER = UnixTime(NOON + HOUR)


@pytest.fixture
def dc(world: World) -> Iterator[Dc]:
    with world.gateway() as running:
        yield running


def records(dc: Dc) -> list[StoredRecord]:
    with dc.world.reader() as reader:
        return reader.records()


def verdict(dc: Dc) -> dict[str, object]:
    with dc.world.reader() as reader:
        return dict(reader.sessions()[-1].verdict)


def recalled(dc: Dc, criterion: Criterion = MEASUREMENT) -> int | None:
    """As the command does it: by another connection than the gateway's."""
    with closing(connect(dc.world.settings.database)) as connection:
        return recalls.recall(connection, criterion, "ann", "ticket 4711", LATER)


def events(dc: Dc) -> list[tuple[str, bytes | None, dict[str, object]]]:
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        rows = connection.execute("SELECT kind, session, detail FROM events ORDER BY id").fetchall()
    return [(kind, session, json.loads(detail)) for kind, session, detail in rows]


def test_what_was_touched_is_counted_and_left_alone(dc: Dc) -> None:
    guest, channel = dc.session()
    dc.frames(channel.farewell, channel.up.protect([HUNDRED, HUNDRED]), channel.up.protect([HUNDRED]))
    with dc.world.reader() as reader:
        reached = reader.reached(MEASUREMENT, LATER)
    (name,), (session,) = reached.names, reached.sessions
    assert (name.name, name.records, name.sessions, name.first_at, name.last_at) == (HUNDRED.name, 3, 1, NOON, NOON)
    assert (session.session, session.live, reached.unstated) == (guest.handshake.session, True, 0)
    assert session.names == (recalls.NameInSession(HUNDRED.name, 3, 1, 2),)
    assert dc.hello(guest.hello).status == 200
    assert {record.status for record in records(dc)} == {"ACCEPTED"}
    assert events(dc) == []


def test_a_recall_ends_what_lives_and_marks_what_came(dc: Dc) -> None:
    guest, channel = dc.session()
    assert dc.frames(channel.farewell, channel.up.protect([HUNDRED])).json == told(stored=2)
    dc.world.clock.now = LATER
    assert recalled(dc) == 1
    # The gateway had this session in memory.
    assert dc.frames(channel.up.protect([HUNDRED])).json == told(stored=1)
    assert dc.hello(guest.hello).json["reasons"] == ["SESSION_ENDED"]
    session = guest.handshake.session
    assert dc.ask("GET", f"/v1/down?session={session.hex()}&next=0").status == 404
    assert [(record.late, record.status, record.recalled) for record in records(dc)] == [
        (False, "RECALLED", 1),
        (True, "RECALLED", 1),
    ]
    assert [each["status"] for each in dc.api("records").json["records"]] == ["RECALLED", "RECALLED"]
    assert [each["recalled"] for each in dc.api("sessions").json["sessions"]] == [1]
    (made, made_of, detail), ended = events(dc)
    assert (made, made_of, detail["by"], detail["why"], detail["sessions"]) == ("recall", None, "ann", "ticket 4711", 1)
    assert ended == ("session ended by recall", session, {"recall": 1})
    # The policy still accepts it, so a new session may begin, and is none of that recall's.
    _, again = dc.session()
    assert dc.frames(again.farewell, again.up.protect([HUNDRED])).json == told(stored=2)
    assert [record.status for record in records(dc)] == ["RECALLED", "RECALLED", "ACCEPTED"]


def test_a_lifted_recall_marks_nothing_and_revives_nothing(dc: Dc) -> None:
    guest, channel = dc.session()
    dc.frames(channel.farewell, channel.up.protect([HUNDRED]))
    dc.world.clock.now = LATER
    assert (recalled(dc), recalled(dc)) == (1, 2)
    with closing(connect(dc.world.settings.database)) as connection:
        assert recalls.lift(connection, 2, "bob", "wrong machine", LATER)
        assert not recalls.lift(connection, 2, "bob", "again", LATER)
        assert [record.recalled for record in records(dc)] == [1]
        assert recalls.lift(connection, 1, "bob", "wrong machine", LATER)
        first, second = recalls.listed(connection)
    assert (first.lifted_by, second.lifted_why, second.made_by) == ("bob", "wrong machine", "ann")
    assert [record.status for record in records(dc)] == ["ACCEPTED"]
    assert dc.frames(channel.up.protect([HUNDRED])).json == told(stored=1)
    assert [record.status for record in records(dc)] == ["ACCEPTED", "LATE"]
    assert dc.hello(guest.hello).json["reasons"] == ["SESSION_ENDED"]


def test_every_fact_of_the_verdict_finds_its_session(dc: Dc) -> None:
    dc.session()
    found = verdict(dc)
    number, date = found["tcb_evaluation_number"], found["tcb_date"]
    assert isinstance(number, int)
    assert isinstance(date, int)
    identity = found["identity"]
    assert isinstance(identity, dict)
    asked = {
        Criterion(facts.SIGNER, identity["mr_signer"]): 1,
        Criterion(facts.SIGNER, "ab" * 32): 0,
        Criterion(facts.TCB_NUMBER, padded(number + 1)): 1,
        Criterion(facts.TCB_NUMBER, padded(number)): 0,
        Criterion(facts.TCB_DATE, padded(date + 1)): 1,
        Criterion(facts.TCB_DATE, padded(date)): 0,
        Criterion(facts.ADVISORY, "INTEL-SA-99999"): 0,
        Criterion(facts.MEASUREMENT, MEASUREMENT.value, since=UnixTime(NOON + 2 * DAY)): 0,
        Criterion(facts.MEASUREMENT, MEASUREMENT.value, since=LATER): 1,
        Criterion(facts.MEASUREMENT, MEASUREMENT.value, until=UnixTime(NOON)): 0,
        Criterion(facts.MEASUREMENT, MEASUREMENT.value, until=LATER): 1,
    }
    platform = found["platform"]
    assert isinstance(platform, dict)
    asked |= {Criterion(facts.PLATFORM, each): 1 for each in Platform(**platform).ids}
    with dc.world.reader() as reader:
        assert {criterion: len(reader.reached(criterion, LATER).sessions) for criterion in asked} == asked


def test_nothing_found_is_no_recall(dc: Dc) -> None:
    dc.session()
    assert recalled(dc, Criterion(facts.SIGNER, "ab" * 32)) is None
    with dc.world.reader() as reader:
        assert reader.recalls() == []
    assert events(dc) == []


def test_what_a_verdict_does_not_state_is_said(dc: Dc) -> None:
    platform = Platform(chip_id="AB" * 64, csp_id="cloud-1", module_id="i-0-enc1")
    stated = facts_of({
        "platform": platform.to_json(),
        "identity": {"pcrs": {"0": "aa" * 48, "3": "00" * 48, "8": "bb" * 48}, "id_key_digest": "00" * 48},
        "advisory_ids": [], "advisories_stated": False, "tcb_date": None, "tcb_evaluation_number": None,
    })  # fmt: skip
    assert {value for kind, value in stated if kind == facts.PLATFORM} == {each.lower() for each in platform.ids}
    assert {value for kind, value in stated if kind == facts.MEASUREMENT} == {"aa" * 48, "bb" * 48}
    assert {value for kind, value in stated if kind == facts.SIGNER} == {"bb" * 48}
    unstated = {value for kind, value in stated if kind == facts.UNSTATED}
    assert unstated == {facts.ADVISORY, facts.TCB_DATE, facts.TCB_NUMBER}
    dc.session()
    with closing(connect(dc.world.settings.database)) as connection:
        connection.execute("UPDATE session_facts SET kind = 'unstated', value = kind WHERE kind = 'tcb_date'")
        reached = recalls.find(connection, Criterion(facts.TCB_DATE, padded(2**40)), LATER)
    assert (reached.sessions, reached.unstated) == ((), 1)


def test_sessions_of_before_get_their_facts_from_their_verdicts(world: World) -> None:
    with world.gateway() as dc:
        dc.session()
        dc.session()
    query = "SELECT kind, value, session FROM session_facts ORDER BY 1, 2, 3"
    with closing(sqlite3.connect(world.settings.database)) as connection:
        before = connection.execute(query).fetchall()
        for table in ("session_facts", "recalled_sessions", "recalls", "checkpoints", "chains", "named_tokens"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE frames DROP COLUMN salt")
        connection.execute("ALTER TABLE handshakes DROP COLUMN confirm_hash")
        connection.execute("UPDATE alembic_version SET version_num = '0004'")
        connection.commit()
    migrate(world.settings.database)
    with closing(sqlite3.connect(world.settings.database)) as connection:
        assert connection.execute(query).fetchall() == before != []


def test_the_command_recalls_lists_and_lifts(dc: Dc) -> None:
    _, channel = dc.session()
    dc.frames(channel.farewell, channel.up.protect([HUNDRED]))
    store, chosen = dc.world.settings.folder, ("--measurement", MEASUREMENT.value.upper())
    looked = run("recall", "--store", store, *chosen, "--dry-run", "--json")
    assert (looked.status, looked.json["records"], looked.json["recall"]) == (0, 1, None), looked.err
    refused = run("recall", "--store", store, *chosen)
    assert (refused.status, "say why" in refused.err) == (2, True)
    assert [record.status for record in records(dc)] == ["ACCEPTED"]
    made = run("recall", "--store", store, *chosen, "--why", "ticket 4711")
    assert (made.status, "recall 1: 1 sessions" in made.out) == (0, True), made.err
    assert "no [[accept]] table that names" in made.out
    assert "RECALLED 1" in run("records", "--store", store).out
    assert run("recall", "list", "--store", store, "--json").json[0]["why"] == "ticket 4711"
    assert "ticket 4711" in run("recall", "list", "--store", store).out
    assert run("recall", "lift", "1", "--store", store, "--why", "wrong").status == 0
    again = run("recall", "lift", "1", "--store", store, "--why", "wrong")
    assert (again.status, "no open recall" in again.err) == (2, True)
    assert [record.status for record in records(dc)] == ["ACCEPTED"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give one of"),
        (("--platform", "ab", "--signer", "cd"), "give one of"),
        (("--signer", " "), "give one of"),
        (("--tcb-below", "20260601"), "a date is written"),
        (("--tcb-below", "soon"), "is no time"),
        (("--signer", "ab", "--since", "2026-06-02", "--until", "2026-06-01"), "--until must be later"),
        (("--signer", "ab", "list"), "options come after"),
    ],
)
def test_what_is_asked_wrongly_is_refused(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    ran = run("recall", "--store", tmp_path, *arguments, *(() if "list" in arguments else ("--dry-run",)))
    assert (ran.status, told in ran.err) == (2, True), ran.err


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("2025-08-13", "min_tcb_level_date = 2025-08-13T00:00:00Z"),
        ("17", "min_tcb_evaluation_number = 17"),
    ],
)
def test_the_policy_that_refuses_it_is_printed(dc: Dc, asked: str, line: str) -> None:
    ran = run("recall", "--store", dc.world.settings.folder, "--tcb-below", asked, "--dry-run")
    assert (ran.status, line in ran.out) == (0, True), ran.err


def test_a_large_store_is_asked_by_its_indices(world: World) -> None:
    """200,000 records in a hundred sessions; ten of them are touched."""
    with world.gateway() as dc:
        dc.session()
    with closing(connect(world.settings.database)) as connection:
        _fill(connection, 100, 2000)
        plans: list[str] = []
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        reached = recalls.find(connection, Criterion(facts.PLATFORM, "ten"), LATER)
        connection.set_trace_callback(None)
        for statement in set(asked):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            plans += [row[3] for row in plan]
    assert (len(reached.sessions), reached.records) == (10, 20_000)
    assert any("records USING INDEX records_by_session" in plan for plan in plans)
    assert any("f USING PRIMARY KEY (kind=? AND value=?)" in plan for plan in plans)
    assert [plan for plan in plans if plan.startswith("SCAN")] == []


def test_marking_keeps_the_gateway_from_writing_for_a_moment_only(dc: Dc) -> None:
    """Its transaction reads and writes no record, however many there are."""
    _, channel = dc.session()
    dc.frames(channel.farewell, channel.up.protect([HUNDRED]))
    asked: list[str] = []
    with closing(connect(dc.world.settings.database)) as connection:
        connection.set_trace_callback(asked.append)
        assert recalls.recall(connection, MEASUREMENT, "ann", "ticket 4711", LATER) == 1
        (made,) = recalls.listed(connection)
    assert (made.sessions, made.records) == (1, 1)
    assert [each for each in asked if "FROM records" in each or "UPDATE records" in each] == []


def _fill(connection: sqlite3.Connection, sessions: int, records_each: int) -> None:
    columns = [
        row[1] for row in connection.execute("PRAGMA table_info(sessions)") if row[1] not in ("id", "session", "th")
    ]
    connection.execute("BEGIN")
    for number in range(2, 2 + sessions):
        connection.execute(
            f"INSERT INTO sessions (id, session, th, {', '.join(columns)})"  # noqa: S608
            f" SELECT ?, randomblob(16), randomblob(32), {', '.join(columns)} FROM sessions WHERE id = 1",
            (number,),
        )
        platform = "ten" if number % 10 == 0 else "others"
        connection.execute("INSERT INTO session_facts VALUES ('platform', ?, ?)", (platform, number))
        connection.executemany(
            "INSERT INTO records (session, sequence, position, epoch, name, content_type, value, arrived_at, late)"
            " VALUES (?, ?, 0, 1, 'size', 'application/cbor', x'1864', ?, 0)",
            ((number, sequence, NOON) for sequence in range(records_each)),
        )
    connection.execute("COMMIT")
