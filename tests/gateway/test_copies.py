"""A copy of the store is whole or not there, holds no destroyed page, and comes back without reusing a number."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from intaglio.errors import Malformed
from intaglio.gateway.store import copies
from tests.cli.conftest import run
from tests.gateway.test_frames import reasons
from tests.gateway.world import HUNDRED, NOON, Dc, World, told


def test_a_copy_made_under_a_running_gateway_goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with world.gateway() as dc:
        _, channel = dc.session()
        assert dc.frames(channel.farewell, channel.up.protect([HUNDRED])).json == told(stored=2)
        made = run("backup", target, "--store", world.settings.folder, "--json")
        assert made.status == 0, made.err
        assert (made.json["sessions"], made.json["records"], made.json["newest_at"]) == (1, 1, NOON)
        later = channel.up.protect([HUNDRED])
        assert dc.frames(later).json == told(stored=1)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    world.settings.database.rename(tmp_path / "lost.db")
    assert run("restore", target, "--store", world.settings.folder).status == 0
    with world.gateway() as dc:
        # What came after the copy is new to it; what is in the copy is not.
        assert dc.frames(later, channel.up.protect([HUNDRED])).json == told(stored=2)
        assert dc.frames(channel.farewell).json == told(duplicate=1)
        assert reasons(dc) == {}
        assert dc.ask("GET", f"/v1/down?session={channel.up.session.hex()}&next=0").status == 404
    with sqlite3.connect(world.settings.database) as connection:
        assert connection.execute("SELECT count(*) FROM events WHERE kind = 'store restored'").fetchone() == (1,)


def test_a_damaged_page_is_reported_and_nothing_is_left(dc: Dc, tmp_path: Path) -> None:
    dc.session()
    sound = tmp_path / "sound.db"
    copies.back_up(dc.world.settings.database, sound)
    damaged = tmp_path / "damaged.db"
    data = bytearray(sound.read_bytes())
    for page in range(2 * 4096, len(data), 4096):
        data[page : page + 64] = os.urandom(64)
    damaged.write_bytes(data)
    with pytest.raises(Malformed, match="damaged"):
        copies.examine(damaged)
    with pytest.raises(Malformed, match="damaged"):
        copies.back_up(damaged, tmp_path / "again.db")
    with pytest.raises(Malformed, match="damaged"):
        copies.restore(damaged, tmp_path / "gateway.db", NOON)
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["damaged.db", "sound.db"]
    assert not list(tmp_path.glob(".*.db*"))


def test_nothing_is_overwritten(dc: Dc, tmp_path: Path) -> None:
    dc.session()
    database = dc.world.settings.database
    target = tmp_path / "copy.db"
    copies.back_up(database, target)
    before = target.read_bytes()
    with pytest.raises(FileExistsError, match="exists already"):
        copies.back_up(database, target)
    for sidecar in ("copy.db-wal", "copy.db-shm"):  # as a gateway leaves them
        (tmp_path / sidecar).touch()
    with pytest.raises(FileExistsError, match="exists already"):
        copies.restore(target, target, NOON)
    assert target.read_bytes() == before


def test_the_log_of_an_earlier_database_is_not_played_into_a_copy(dc: Dc, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    copies.back_up(dc.world.settings.database, target)
    (tmp_path / "gateway.db-wal").write_bytes(b"pages of another time")
    with pytest.raises(FileExistsError, match="left of an earlier database"):
        copies.restore(target, tmp_path / "gateway.db", NOON)
    assert not (tmp_path / "gateway.db").exists()


def test_what_is_no_gateways_database_is_named(tmp_path: Path) -> None:
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("not a database, but long enough to be looked at as one" * 100)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    for path, problem in ((text, "damaged: file is not a database"), (other, "not a gateway's database")):
        ran = run("restore", path, "--store", tmp_path / "store")
        assert (ran.status, problem in ran.err) == (1, True), ran.err
    ran = run("restore", tmp_path / "missing.db", "--store", tmp_path / "store")
    assert (ran.status, "missing.db: no such file" in ran.err) == (2, True), ran.err
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["gateway.lock"]


def test_a_running_gateways_folder_is_left_alone(dc: Dc, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    copies.back_up(dc.world.settings.database, target)
    ran = run("restore", target, "--store", dc.world.settings.folder)
    assert (ran.status, "another gateway runs on this folder" in ran.err) == (2, True), ran.err


def test_a_destroyed_key_is_not_in_the_freed_pages_of_a_copy(dc: Dc, tmp_path: Path) -> None:
    dc.session()
    with sqlite3.connect(dc.world.settings.database) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        secret = os.urandom(20_000)
        connection.execute("CREATE TABLE gone (blob BLOB)")
        connection.execute("INSERT INTO gone VALUES (?)", (secret,))
        connection.commit()
        connection.execute("DROP TABLE gone")
        connection.commit()
    part = secret[8000:8064]
    assert any(part in path.read_bytes() for path in dc.world.settings.folder.glob("gateway.db*"))
    target = tmp_path / "copy.db"
    copies.back_up(dc.world.settings.database, target)
    assert part not in target.read_bytes()
