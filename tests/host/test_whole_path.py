"""From `get_size()` in an enclave to a record in the data centre: the examples, on a simulated platform, as processes.

Nothing is replaced here: simulator, SDK, host, gateway and verifier are the ones that a user gets.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest

from intaglio.enclave.calls import CBOR, ERROR
from intaglio.gateway.server import running
from intaglio.host import EnclaveProcess, HelloRejected, Relay, launch
from intaglio.host.relay import Fate
from intaglio.sim.loader import measure
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from tests.conftest import ROOT
from tests.gateway.world import POLICY, World


@pytest.fixture(scope="module")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    Lab.create(folder, UnixTime(int(time.time())))
    return folder


@pytest.fixture
def world(tmp_path: Path, lab_folder: Path) -> World:
    """A data centre that accepts the example's measurement, and the example beside its pinned identity."""
    (tmp_path / "dc").mkdir()
    world = World.make(tmp_path / "dc", Lab.open(lab_folder))
    for name in ("meter.py", "app.py"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    (tmp_path / "dc.pub").write_text(world.pin.to_text())
    accept(world, tmp_path / "meter.py")
    return world


def accept(world: World, script: Path) -> None:
    world.settings.policy.write_text(POLICY.format(measurement=measure(script).hex()))


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with running(world.settings) as url:
        yield url


def runner(lab: Path) -> list[str]:
    return [sys.executable, "-m", "intaglio.sim.run", "--lab", str(lab), "--platform", "alpha"]


def start(folder: Path, lab: Path) -> EnclaveProcess:
    return launch(folder / "meter.py", command=runner(lab))


def records(world: World) -> list[tuple[str, str, object]]:
    with world.reader() as reader:
        return [(r.name, r.content_type, cbor2.loads(r.value)) for r in reader.records()]


def test_the_examples_run_and_only_the_data_centre_knows_the_values(
    world: World, url: str, tmp_path: Path, lab_folder: Path
) -> None:
    app = [sys.executable, str(tmp_path / "app.py"), url, "A-1001", "A-9999", "--", *runner(lab_folder)]
    said = subprocess.run(app, check=True, capture_output=True, text=True).stdout
    assert said.count("stored") == 3
    assert "100" not in said.replace("A-1001", "")
    assert records(world) == [
        ("get_size", CBOR, 100),
        ("read_meter", CBOR, {"serial": "A-1001", "kwh": 48_213.5}),
        ("read_meter", ERROR, {"type": "CallError", "message": "no meter A-9999"}),
    ]


def test_a_changed_script_is_rejected_by_name(world: World, url: str, tmp_path: Path, lab_folder: Path) -> None:
    script = tmp_path / "meter.py"
    script.write_text(script.read_text().replace("return 100", "return 200"))
    with start(tmp_path, lab_folder) as meter, pytest.raises(HelloRejected) as told, Relay(meter, url):
        pass
    assert "WRONG_MEASUREMENT" in told.value.reasons
    assert told.value.id
    assert told.value.report
    assert records(world) == []


def test_messages_made_while_the_data_centre_is_away_arrive_later(
    world: World, tmp_path: Path, lab_folder: Path
) -> None:
    spool = tmp_path / "spool"
    with running(world.settings) as url, start(tmp_path, lab_folder) as meter, Relay(meter, url, spool=spool) as relay:
        assert relay.call("get_size").fate is Fate.STORED
    with start(tmp_path, lab_folder) as meter, Relay(meter, url, spool=spool) as relay:
        assert relay.call("read_meter", "A-1001").fate is Fate.SPOOLED
        assert relay.pending == 1
    settings = replace(world.settings, port=int(url.rpartition(":")[2]))
    with running(settings) as url, start(tmp_path, lab_folder) as meter, Relay(meter, url, spool=spool) as relay:
        assert relay.call("read_meter", "A-1002").fate is Fate.STORED
    assert [name for name, _, _ in records(world)] == ["get_size", "read_meter", "read_meter"]


def test_an_edited_message_is_refused_and_the_true_one_is_not(
    world: World, url: str, tmp_path: Path, lab_folder: Path
) -> None:
    with start(tmp_path, lab_folder) as meter, Relay(meter, url, spool=tmp_path / "spool") as relay:
        relay.flush(20.0)
        message = meter.call("get_size")
        edited = message[:-1] + bytes([message[-1] ^ 1])
        assert relay.send(edited).fate is Fate.REFUSED
        assert relay.send(message).fate is Fate.STORED
        assert len(relay.refused_files) == 1
    assert [value for _, _, value in records(world)] == [100]


def test_nothing_is_left_running(url: str, tmp_path: Path, lab_folder: Path) -> None:
    with start(tmp_path, lab_folder) as meter, Relay(meter, url):
        pid = meter.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
