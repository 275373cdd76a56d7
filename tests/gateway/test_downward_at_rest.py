"""Secrets and commands in the store: somebody writes to it, puts an older copy back, or its disk fails."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from intaglio.gateway.store import copies
from intaglio.gateway.store import downward as store
from intaglio.sim.world import Lab
from intaglio.wire.frame import parse_frame
from tests.conftest import ROOT
from tests.gateway.downward import Vault, expect_vaults, put, send, shown
from tests.gateway.world import DAY, NOON, Dc, World


@pytest.fixture
def dc(tmp_path: Path, drawn_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dc]:
    world = World.make(tmp_path, drawn_lab.copy())
    expect_vaults(world)
    for module in ("secret", "command", "downward"):
        monkeypatch.setattr(f"intaglio.cli.{module}.time", SimpleNamespace(time=world.clock))
    with world.gateway() as running:
        yield running


def test_secrets_are_wrapped_anew_when_the_key_changes(dc: Dc) -> None:
    put(dc.world, "key", b"one")
    dc.world.clock.now += DAY
    dc.gateway.turn()
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        assert connection.execute("SELECT wrap_key FROM down_items").fetchall() == [(2,)]
    vault = Vault(dc).begin()
    vault.fetch()
    assert vault.enclave.secrets["key"] == b"one"


@pytest.mark.parametrize("change", ["workload = 'meter'", "version = 7", "name = 'other'", "blob = zeroblob(60)"])
def test_who_can_write_the_database_can_readdress_no_secret(dc: Dc, change: str) -> None:
    put(dc.world, "key", b"one", "--workload", "vault")
    put(dc.world, "fine", b"two")
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        connection.execute(f"UPDATE down_items SET workload = 'meter', {change} WHERE name = 'key'")  # noqa: S608
        connection.commit()
    vault = Vault(dc).begin()
    assert vault.fetch() == 1
    assert list(vault.enclave.secrets) == ["fine"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sessions SET workload = 'vault'",
        """UPDATE handshakes SET verdict = json_set(verdict, '$.identity.mr_enclave', printf('%064d', 0))""",
        """INSERT INTO states SELECT x'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd', 'meter', '', 1, zeroblob(32), id, 0, 0, 0, 0,
        NULL, NULL FROM sessions""",
    ],
)
def test_who_can_write_the_database_can_pass_no_session_off_as_another(dc: Dc, change: str) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "theirs", b"1", "--workload", "vault")
    put(dc.world, "measured", b"2", "--measurement", "00" * 32)
    put(dc.world, "stateful", b"3", "--lineage", "cd" * 16)
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        assert connection.execute(change).rowcount == 1
        connection.commit()
    assert vault.polled() == []
    put(dc.world, "ours", b"4")
    assert vault.fetch() == 1
    assert list(vault.enclave.secrets) == ["ours"]


def test_who_can_write_the_database_can_have_no_number_used_again(dc: Dc, caplog: pytest.LogCaptureFixture) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "key", b"one")
    (frame,) = vault.polled()
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        connection.execute("DELETE FROM down_frames")
        connection.commit()
    put(dc.world, "key", b"two")
    assert vault.polled() == []
    assert "can't be sent to" in caplog.text
    vault.hand(frame)
    assert vault.polled() == []
    vault.begin()
    assert vault.fetch() == 1
    assert vault.enclave.secrets["key"] == b"two"


def downward(world: World) -> tuple[list[object], list[object]]:
    """The session's keys, upward and downward; its frames."""
    with closing(sqlite3.connect(world.settings.database)) as connection:
        keys = connection.execute("SELECT up_state IS NOT NULL, down_state IS NOT NULL FROM sessions").fetchall()
        return keys, connection.execute("SELECT sequence, frame IS NOT NULL FROM down_frames").fetchall()


@pytest.mark.parametrize("how", ["it expires", "it says so"])
def test_downward_keys_and_frames_end_with_their_session(dc: Dc, how: str) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "key", b"one")
    (frame,) = vault.polled()
    _, answers = vault.hand(frame)
    assert isinstance(answers, list)
    dc.gateway.turn()
    assert downward(dc.world) == ([(1, 1)], [(0, 1)])
    if how == "it expires":
        dc.world.clock.now += 2 * DAY
    else:
        _, last = vault.ask("end")
        assert isinstance(last, list)
        assert dc.frames(*last).status == 200
    dc.gateway.turn()
    assert downward(dc.world) == ([(1, 0)], [(0, 0)])
    assert vault.poll(0).status == 404
    assert dc.frames(*answers).status == 200


def test_frames_of_a_session_that_ended_long_ago_are_destroyed_and_their_numbers_stay(dc: Dc) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "key", b"one")
    assert len(vault.polled()) == 1
    dc.world.clock.now += 9 * DAY
    dc.gateway.turn()
    assert downward(dc.world) == ([(0, 0)], [(0, 0)])


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_command_that_was_sent_after_a_copy_was_made_is_not_sent_again_from_it(
    world: World, tmp_path: Path, *, by_hand: bool
) -> None:
    expect_vaults(world)
    copy, database = tmp_path / "copy.db", world.settings.database
    with world.gateway() as dc:
        first = Vault(dc).begin()
        send(world, "add", b'{"left": 1}')
        copies.back_up(database, copy)
        assert first.fetch() == 1
    if by_hand:
        (statement,) = re.findall(
            r'sqlite3 intaglio-store/gateway.db "([^"]*)"', (ROOT / "docs/secrets.md").read_text()
        )
        with closing(sqlite3.connect(copy)) as connection:
            connection.executescript(statement)
        for file in world.settings.folder.glob("gateway.db*"):
            file.unlink()
        copy.replace(database)
    else:
        database.rename(tmp_path / "lost.db")
        copies.restore(copy, database, NOON)
    with world.gateway() as dc:
        first.dc = dc
        assert first.poll().status == 404
        assert Vault(dc).begin().polled() == []
        put(world, "key", b"one")
        assert Vault(dc).begin().fetch() == 1
    (found,) = shown(world, "command", "list").json
    assert found["state"] == "expired"


def test_a_store_that_fails_sends_nothing_and_uses_no_number(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "key", b"one")

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(store, "use_number", fails)
        reply = vault.poll()
    assert reply.status == 503
    assert "frames" not in reply.json
    put(dc.world, "key", b"two")
    (frame,) = vault.polled()
    assert parse_frame(frame).sequence == 0
    vault.hand(frame)
    assert vault.enclave.secrets["key"] == b"two"
