"""From `get_size()` inside each kind of TEE to a record in the data centre: real attesters over simulated devices, real
host, gateway and verifier, as processes."""

import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest

from intaglio.collateral.source import DirectorySource
from intaglio.enclave.calls import CBOR
from intaglio.gateway.server import running
from intaglio.host import EnclaveDied, EnclaveProcess, HelloRejected, Relay, launch
from intaglio.host.relay import Fate
from intaglio.sim import vendors
from intaglio.sim.loader import image_of, measure
from intaglio.sim.td import td_report
from intaglio.sim.tee import image_digest
from intaglio.sim.world import Lab
from intaglio.types import Tee, UnixTime
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.collateral_request import CollateralRequest, DcapRequest
from tests.cli.conftest import run
from tests.conftest import ROOT
from tests.gateway.world import POLICY, World

TERMS = """
debug = false
platforms = "any"
max_session_age = "24h"
max_offer_age = "2h"
heartbeat = "none"
pin = "measured"
"""
PATHS = [
    (Tee.SGX, "gramine"),
    (Tee.TDX, "configfs-tsm"),
    (Tee.TDX, "tdx-guest"), (Tee.SNP, "configfs-tsm"), (Tee.SNP, "sev-guest"), (Tee.NITRO, "nsm"),
]  # fmt: skip


TD = td_report()
DAY = 86400


class LabPcs:
    """The lab's collateral for both of Intel's TEEs."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def get(self, request: CollateralRequest, at: UnixTime) -> DcapCollateral:
        assert isinstance(request, DcapRequest)
        return DcapCollateral.parse_json(self._lab.collateral("alpha", UnixTime(at - at % DAY), tee=request.tee))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    now = UnixTime(int(time.time()))
    Lab.create(folder, now)
    vendors.create_vendors(folder, now)
    return folder


@pytest.fixture
def world(tmp_path: Path, lab: Path) -> World:
    """A data centre that trusts the lab's three roots, and the example beside its pinned identity."""
    (tmp_path / "dc").mkdir()
    roots = tuple(lab / path for path in ("root.pem", "guests/amd-root.pem", "guests/aws-root.pem"))
    chip = DirectorySource(lab / "guests" / "collateral")
    world = World.make(tmp_path / "dc", Lab.open(lab), lab_roots=roots)
    world.settings = replace(world.settings, collateral=(chip, LabPcs(world.lab)))
    shutil.copy(ROOT / "examples" / "meter.py", tmp_path)
    (tmp_path / "dc.pub").write_text(world.pin.to_text())
    return world


def accept(world: World, tee: Tee, script: Path) -> None:
    digest = image_digest(image_of(script)).hex()
    tables = {
        Tee.SGX: POLICY.format(measurement=measure(script).hex()),
        Tee.SNP: f'[[accept]]\nname = "meter"\ntee = "snp"\nmeasurement = ["{digest}"]\nvmpl = 0\n'
        'guest_policy = { smt = "any" }\nmin_tcb = { bl = 4, tee = 0, snp = 24, ucode = 219 }' + TERMS,
        Tee.TDX: f'[[accept]]\nname = "meter"\ntee = "tdx"\nmr_td = ["{TD.mr_td.hex()}"]\n'
        f'rtmr0 = ["{TD.rtmr0.hex()}"]\n'
        f'rtmr1 = ["{TD.rtmr1.hex()}"]\nrtmr2 = ["{digest}"]\ntcb = ["UpToDate"]\nadvisories = []\n'
        "min_tcb_evaluation_number = 1" + TERMS,
        Tee.NITRO: f'[[accept]]\nname = "meter"\ntee = "nitro"\npcr0 = ["{digest}"]' + TERMS,
    }
    world.settings.policy.write_text(tables[tee])


def enclave(folder: Path, lab: Path, tee: Tee, *more: str) -> EnclaveProcess:
    command = [sys.executable, "-m", "intaglio.sim.tee", "--tee", tee.value, "--lab", str(lab), *more]
    return launch(folder / "meter.py", command=command)


@pytest.mark.parametrize(("tee", "attester"), PATHS, ids=lambda part: getattr(part, "value", part))
def test_a_hundred_arrives(world: World, tmp_path: Path, lab: Path, tee: Tee, attester: str) -> None:
    accept(world, tee, tmp_path / "meter.py")
    with (
        running(world.settings) as url,
        enclave(tmp_path, lab, tee, "--attester", attester) as meter,
        Relay(meter, url) as relay,
    ):
        assert relay.call("get_size").fate is Fate.STORED
    with world.reader() as reader:
        (record,) = reader.records()
        assert (record.name, record.content_type, cbor2.loads(record.value)) == ("get_size", CBOR, 100)
        session = reader.session(record.session)
    assert session is not None
    assert record.simulated


@pytest.mark.parametrize("tee", [Tee.TDX, Tee.SNP, Tee.NITRO], ids=lambda tee: tee.value)
def test_a_changed_script_is_rejected_by_name(world: World, tmp_path: Path, lab: Path, tee: Tee) -> None:
    script = tmp_path / "meter.py"
    accept(world, tee, script)
    script.write_text(script.read_text().replace("return 100", "return 200"))
    with (
        running(world.settings) as url,
        enclave(tmp_path, lab, tee) as meter,
        pytest.raises(HelloRejected) as told,
        Relay(meter, url),
    ):
        pass
    assert "WRONG_MEASUREMENT" in told.value.reasons


def test_what_does_not_work_is_said_to_the_host(tmp_path: Path, lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copy(ROOT / "examples" / "meter.py", tmp_path)
    with enclave(tmp_path, lab, Tee.NITRO, "--attester", "sev-guest") as meter, pytest.raises(EnclaveDied) as died:
        meter.calls()
    assert died.value.status == 69
    assert "modprobe sev-guest" in capfd.readouterr().err


def test_a_lab_without_guests_is_named(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "meter.py", tmp_path)
    command = [sys.executable, "-m", "intaglio.sim.tee", str(tmp_path / "meter.py"), "--tee", "snp"]
    ran = subprocess.run([*command, "--lab", str(tmp_path), "--fd", "0"], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "amd.pem" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(("kit", "tee"), [("gramine", Tee.SGX), ("vm", Tee.SNP), ("nitro", Tee.NITRO)])
def test_what_a_kit_has_packed_carries_a_hundred(world: World, tmp_path: Path, lab: Path, kit: str, tee: Tee) -> None:
    """With the script and the arguments that the kit's image holds; a Unix socket stands in for its vsock."""
    folder = tmp_path / kit
    assert run(kit, "init", tmp_path / "meter.py", "--out", folder).status == 0
    accept(world, tee, folder / "app" / "meter.py")
    address = f"unix:{tmp_path / 'meter.sock'}"
    options = [address if option.startswith("vsock:") else option for option in packed_options(folder)]
    command = [sys.executable, "-m", "intaglio.sim.tee", str(folder / "app" / "meter.py"), *options]
    command += ["--tee", tee.value, "--lab", str(lab)]
    host = [sys.executable, str(ROOT / "examples" / "packed.py")]
    with running(world.settings) as url, ExitStack() as stack:
        if kit == "gramine":
            host += [url, "--", *command]
        else:
            stack.enter_context(subprocess.Popen(command))
            host += [url, address]
        ran = subprocess.run(host, capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, "get_size: stored\n"), ran.stderr
    with world.reader() as reader:
        (record,) = reader.records()
    assert (record.name, cbor2.loads(record.value)) == ("get_size", 100)


def packed_options(folder: Path) -> list[str]:
    """What follows the script on the command line that the kit's image runs."""
    (file,) = [path for path in folder.iterdir() if path.name.endswith((".template", ".service", "Dockerfile"))]
    (line,) = [line for line in file.read_text().splitlines() if "intaglio.enclave" in line]
    return re.findall(r"[\w:.-]+", line.partition("meter.py")[2])


@pytest.mark.parametrize(("runner", "status"), [(["tee", "--tee", "snp"], 71), (["run"], 1)])
def test_an_address_at_which_nobody_can_connect(tmp_path: Path, lab: Path, runner: list[str], status: int) -> None:
    shutil.copy(ROOT / "examples" / "meter.py", tmp_path)
    command = [sys.executable, "-m", f"intaglio.sim.{runner[0]}", str(tmp_path / "meter.py"), *runner[1:]]
    command += ["--lab", str(lab), "--listen", f"unix:{tmp_path / 'nowhere' / 'sock'}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == status
    assert "No such file or directory" in ran.stderr
    assert "Traceback" not in ran.stderr
