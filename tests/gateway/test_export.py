"""An export holds every record that was asked for, once, as it is stored; it is whole or not there."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from intaglio.gateway import parquet
from intaglio.gateway.parquet import Wanted, export_records
from intaglio.types import UnixTime
from intaglio.wire.content import Record
from tests.cli.conftest import run
from tests.gateway.world import DAY, HUNDRED, NOON, World, told

RAW = Record("photo", "image/png", bytes(range(256)))


@pytest.fixture
def filled(world: World) -> World:
    """Three records of one day, one that is late."""
    with world.gateway() as dc:
        _, channel = dc.session()
        assert dc.frames(channel.farewell, channel.up.protect([HUNDRED, RAW])).json == told(stored=2)
        world.clock.now += DAY // 2
        assert dc.frames(channel.up.protect([HUNDRED])).json == told(stored=1)
        world.clock.now += DAY
        assert dc.frames(channel.up.protect([HUNDRED])).json == told(stored=1)
    return world


def test_every_record_is_in_it_as_it_is_stored(filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP", 3)
    target = tmp_path / "all.parquet"
    ran = run("export", target, "--store", filled.settings.folder)
    assert (ran.status, ran.out.strip().endswith("all.parquet: 4 records")) == (0, True), ran.err
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    table = pq.read_table(target)
    assert pq.ParquetFile(target).num_row_groups == 2
    with filled.reader() as reader:
        stored = reader.records(limit=10)
    rows = table.to_pylist()
    assert [row["value"] for row in rows] == [record.value for record in stored]
    assert [row["session"] for row in rows] == [record.session for record in stored]
    assert [row["arrived_at"] for row in rows] == [datetime.fromtimestamp(r.arrived_at, UTC) for r in stored]
    assert [row["value_json"] for row in rows] == ["100", None, "100", "100"]
    assert [row["status"] for row in rows] == ["ACCEPTED", "ACCEPTED", "ACCEPTED", "LATE"]
    assert pc.all(table["simulated"]).as_py() is True


def test_periods_share_no_record(filled: World, tmp_path: Path) -> None:
    half = UnixTime(NOON + DAY // 2)
    with filled.reader() as reader:
        counts = [
            export_records(reader, tmp_path / f"{number}.parquet", wanted, NOON)
            for number, wanted in enumerate(
                (
                    Wanted(until=half),
                    Wanted(since=half),
                    Wanted(name="photo"),
                    Wanted(since=half, until=half),
                )
            )
        ]
    assert counts == [2, 2, 1, 0]
    assert pq.read_table(tmp_path / "3.parquet").num_rows == 0


def test_what_exists_is_not_overwritten_and_a_failure_leaves_nothing(
    filled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "all.parquet"
    target.write_text("mine")
    ran = run("export", target, "--store", filled.settings.folder)
    assert (ran.status, "exists already" in ran.err, target.read_text()) == (2, True, "mine")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fails)
    ran = run("export", tmp_path / "other.parquet", "--store", filled.settings.folder)
    assert (ran.status, "no space left" in ran.err) == (1, True), ran.err
    assert [path.name for path in tmp_path.iterdir() if "parquet" in path.name] == ["all.parquet"]


def test_a_time_that_is_none_is_named(filled: World, tmp_path: Path) -> None:
    ran = run("export", tmp_path / "x", "--since", "yesterday", "--store", filled.settings.folder)
    assert (ran.status, "'yesterday' is no time" in ran.err) == (2, True)
