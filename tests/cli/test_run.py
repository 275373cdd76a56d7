"""`run` reaches an enclave that a kit has packed: where it listens, or by the command that starts it."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from intaglio.cli import run as running
from tests.cli.conftest import run

DC = ("-d", "http://127.0.0.1:9")


def simulator(workshop: Path, lab: Path, listen: str) -> list[str]:
    return [
        sys.executable,
        "-P",
        "-m",
        "intaglio.sim.run",
        str(workshop / "meter.py"),
        "--lab",
        str(lab),
        "--listen",
        listen,
    ]


def test_an_enclave_that_listens_is_connected_to(workshop: Path, lab_folder: Path) -> None:
    address = f"unix:{workshop / 'meter.sock'}"
    with subprocess.Popen(simulator(workshop, lab_folder, address)) as process:
        ran = run("run", "--connect", address, *DC)
        assert (ran.status, ran.out.split()) == (0, ["CALLS", "get_size"])
        assert process.wait(20.0) == 0


def test_an_enclave_behind_a_command_is_spoken_to_over_its_stdio(workshop: Path, lab_folder: Path) -> None:
    ran = run("run", "--stdio", shlex.join(simulator(workshop, lab_folder, "stdio")), *DC)
    assert (ran.status, ran.out.split()) == (0, ["CALLS", "get_size"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((), "need one of SCRIPT, --connect and --stdio"),
        (("meter.py", "--connect", "stdio"), "need one of"),
        (("--connect", "vsock:any:1"), "--connect: address"),
        (("--connect", "/run/meter.sock"), "--connect: address"),
        (("--connect", "unix:s", "--lab", "lab"), "--lab simulates"),
        (("--stdio", ""), "--stdio: need a command"),
        (("--stdio", "'"), "--stdio: No closing quotation"),
    ],
)
def test_what_leads_to_no_enclave(given: tuple[str, ...], says: str) -> None:
    ran = run("run", *given, *DC)
    assert (ran.status, ran.out) == (2, "")
    assert says in ran.err


def test_nobody_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_BOOT", 0.0)
    ran = run("run", "--connect", f"unix:{tmp_path / 'nobody'}", *DC)
    assert ran.status == 1
    assert ran.err == f"intaglio: unix:{tmp_path / 'nobody'}: no enclave there (no such file or directory)\n"
