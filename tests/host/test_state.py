"""The example that keeps a state, as processes: enclave, host, data centre. And a host whose disk fails."""

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest

from intaglio.gateway.server import running
from intaglio.host import EnclaveDied, EnclaveRefused, Relay, launch
from intaglio.host.relay import Fate
from intaglio.sim.loader import measure
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from tests.cli.conftest import run
from tests.conftest import ROOT
from tests.gateway.world import POLICY, World


@pytest.fixture(scope="module")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    Lab.create(folder, UnixTime(int(time.time())))
    return folder


@pytest.fixture
def world(tmp_path: Path, lab_folder: Path) -> World:
    (tmp_path / "dc").mkdir()
    world = World.make(tmp_path / "dc", Lab.open(lab_folder))
    for name in ("counter.py", "count.py", "meter.py"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    (tmp_path / "dc.pub").write_text(world.pin.to_text())
    world.settings.policy.write_text(POLICY.format(measurement=measure(tmp_path / "counter.py").hex()))
    return world


def runner(lab: Path) -> list[str]:
    return [sys.executable, "-m", "intaglio.sim.run", "--lab", str(lab), "--platform", "alpha"]


def counted(world: World) -> list[object]:
    with world.reader() as reader:
        return [cbor2.loads(record.value) for record in reader.records(name="count")]


def test_the_example(world: World, tmp_path: Path, lab_folder: Path) -> None:
    with running(world.settings) as url:
        command = [sys.executable, str(tmp_path / "count.py"), url, "--", *runner(lab_folder)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.splitlines() == [
        "count: stored",
        "count: stored",
        "an older state: STATE_ROLLED_BACK",
        "count: stored",
    ]
    assert counted(world) == [1, 2, 3]


def test_a_disk_that_fails_loses_the_call_and_not_the_state(world: World, tmp_path: Path, lab_folder: Path) -> None:
    kept = tmp_path / "kept" / "counter.sealed"
    kept.parent.mkdir()
    script, command = tmp_path / "counter.py", runner(lab_folder)
    with running(world.settings) as url:
        with launch(script, command=command, state=kept) as counter, Relay(counter, url) as relay:
            relay.call("count")
            kept.parent.rename(tmp_path / "away")
            with pytest.raises(EnclaveDied, match="its state can't be kept"):
                relay.call("count")
        (tmp_path / "away").rename(kept.parent)
        with launch(script, command=command, state=kept) as counter, Relay(counter, url) as relay:
            relay.call("count")
    assert counted(world) == [1, 2]


def test_a_blob_that_does_not_open_is_said_at_launch(world: World, tmp_path: Path, lab_folder: Path) -> None:
    kept = tmp_path / "counter.sealed"
    with launch(tmp_path / "counter.py", command=runner(lab_folder), state=kept):
        pass
    blob = kept.read_bytes()
    kept.write_bytes(blob[:-1] + bytes((blob[-1] ^ 1,)))
    with pytest.raises(EnclaveRefused) as told:
        launch(tmp_path / "counter.py", command=runner(lab_folder), state=kept)
    assert told.value.code == "rejected:SEAL_AUTHENTICATION"


def test_a_state_that_can_not_be_read_does_not_begin_anew(
    world: World, tmp_path: Path, lab_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Python says of a file that it can't look at that there is none."""
    kept = tmp_path / "counter.sealed"
    kept.mkdir()
    monkeypatch.setattr(Path, "exists", lambda _: False)
    with pytest.raises(IsADirectoryError):
        launch(tmp_path / "counter.py", command=runner(lab_folder), state=kept)


def test_an_enclave_without_a_state_takes_none(world: World, tmp_path: Path, lab_folder: Path) -> None:
    with pytest.raises(EnclaveRefused) as told:
        launch(tmp_path / "meter.py", command=runner(lab_folder), state=tmp_path / "meter.sealed")
    assert told.value.code == "no-state"
    assert not (tmp_path / "meter.sealed").exists()


def test_an_enclave_with_a_state_wants_it_first(world: World, tmp_path: Path, lab_folder: Path) -> None:
    with (
        running(world.settings) as url,
        launch(tmp_path / "counter.py", command=runner(lab_folder)) as counter,
        pytest.raises(EnclaveRefused) as told,
        Relay(counter, url),
    ):
        pass
    assert told.value.code == "no-state"


def test_frames_of_a_crash_arrive_before_the_session_that_follows_them(
    world: World, tmp_path: Path, lab_folder: Path
) -> None:
    """Enclave and host died with three changes in the spool, while the data centre was away."""
    kept, spool, script = tmp_path / "counter.sealed", tmp_path / "spool", tmp_path / "counter.py"
    command = runner(lab_folder)
    with launch(script, command=command, state=kept) as counter:
        with running(world.settings) as url, Relay(counter, url, spool=spool) as relay:
            assert relay.call("count").fate is Fate.STORED
        with Relay(counter, url, spool=spool) as relay:
            assert [relay.call("count").fate for _ in range(3)] == [Fate.SPOOLED] * 3
    settings = replace(world.settings, port=int(url.rpartition(":")[2]))
    with running(settings) as url, launch(script, command=command, state=kept) as counter:
        with Relay(counter, url, spool=spool):
            pass  # leaving waits until the session is decided
        with Relay(counter, url, spool=spool) as relay:
            assert relay.call("count").fate is Fate.STORED
    assert counted(world) == [1, 2, 3, 4, 5]
    with world.reader() as reader:
        (state,) = reader.states()
    assert (state.counter, state.forks) == (5, 0)


def test_the_command_keeps_a_state(world: World, tmp_path: Path, lab_folder: Path) -> None:
    kept = tmp_path / "counter.sealed"
    arguments = ("run", tmp_path / "counter.py", "--call", "count", "--lab", lab_folder, "--state", kept)
    with running(world.settings) as url:
        for _ in range(2):
            assert run(*arguments, "-d", url).status == 0
        assert (tmp_path / "counter.sealed.spool").is_dir()
        kept.write_bytes(b"something else")
        refused = run(*arguments, "-d", url)
    assert refused.status == 1
    assert "the enclave refuses" in refused.err
    assert counted(world) == [1, 2]
