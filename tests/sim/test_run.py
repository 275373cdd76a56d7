"""`python -m intaglio.sim.run` as a host starts it: a process that serves its pipe, and refusals that say why."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from intaglio.enclave import values
from intaglio.enclave.values import Plain
from intaglio.session.signing import SigningKeys
from intaglio.sim.loader import measure
from intaglio.sim.run import load
from intaglio.sim.signing import EnclaveTerms
from intaglio.sim.structures import SgxFault
from intaglio.sim.world import Lab
from intaglio.types import ReportData
from intaglio.wire.dcap import Quote
from intaglio.wire.identity import Pin, Suite
from intaglio.wire.sgx import ReportBody
from tests.sim.conftest import NOON

SCRIPT = """\
from intaglio.enclave import Enclave
enclave = Enclave(data_centre="dc.pub")

@enclave.call
def get_size() -> int:
    return 100
"""


@pytest.fixture
def folder(tmp_path: Path, drawn_lab: Lab) -> Path:
    Lab.create(tmp_path / "lab", NOON, vendor=drawn_lab.vendor, quoting_signer=drawn_lab.authority.quoting_signer)
    (tmp_path / "meter.py").write_text(SCRIPT)
    pin = Pin(Suite.ED25519, "https://dc.example", (SigningKeys.generate(os.urandom).public,))
    (tmp_path / "dc.pub").write_text(pin.to_text())
    return tmp_path


def command(folder: Path, *more: str) -> list[str]:
    script = str(folder / "meter.py")
    return [sys.executable, "-m", "intaglio.sim.run", script, "--lab", str(folder / "lab"), *more]


def ask(stream: socket.socket, request: list[Plain]) -> Plain:
    data = values.encode(request, "request")
    stream.sendall(len(data).to_bytes(4, "big") + data)
    file = stream.makefile("rb")
    return values.decode(file.read(int.from_bytes(file.read(4), "big")), "answer")


def test_an_inherited_socket(folder: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = subprocess.Popen(command(folder, "--fd", str(theirs.fileno())), pass_fds=[theirs.fileno()])
        theirs.close()
        assert ask(ours, ["calls"]) == ["calls", ["get_size"]]
    assert child.wait(timeout=20) == 0


def test_a_socket_in_the_file_system(folder: Path) -> None:
    path = folder / "enclave.sock"
    child = subprocess.Popen(command(folder, "--socket", str(path)))
    with socket.socket(socket.AF_UNIX) as ours:
        ours.settimeout(20)
        deadline = time.monotonic() + 20
        while True:
            try:
                ours.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                assert child.poll() is None
                assert time.monotonic() < deadline
                os.sched_yield()
        assert ask(ours, ["calls"]) == ["calls", ["get_size"]]
    assert child.wait(timeout=20) == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--platform", "omega"], "omega.json"),
        (["--signer", "nothing.key"], "nothing.key"),
        (["--trust", "gone"], "gone"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, more: list[str], says: str) -> None:
    done = subprocess.run(command(folder, "--fd", "0", *more), capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_measure_is_what_the_cpu_reports(folder: Path) -> None:
    attester = load(folder / "meter.py", lab=folder / "lab", platform="alpha", now=NOON)
    body = Quote.parse(attester.evidence(ReportData(bytes(64)))).body
    assert isinstance(body, ReportBody)
    assert body.mr_enclave == measure(folder / "meter.py")
    assert not body.debug


def test_the_image_is_read_once(folder: Path) -> None:
    before = (folder / "dc.pub").read_bytes()
    attester = load(folder / "meter.py", lab=folder / "lab", platform="alpha", now=NOON)
    (folder / "dc.pub").write_bytes(b"the host's own data centre")
    assert attester.trusted_file("dc.pub") == before


def test_debug_is_visible_or_refused(folder: Path) -> None:
    where = {"lab": folder / "lab", "platform": "alpha"}
    attester = load(folder / "meter.py", **where, now=NOON, debug=True)  # type: ignore[arg-type]
    assert attester.enclave.identity.debug
    with pytest.raises(SgxFault):
        load(folder / "meter.py", **where, now=NOON, debug=True, terms=EnclaveTerms(debuggable=False))  # type: ignore[arg-type]


@pytest.mark.parametrize("gone", [True, False])
def test_a_host_that_went_away_is_not_complained_to(folder: Path, gone: bool) -> None:
    """An interrupted host removes what it has just asked us to load."""
    ours, theirs = socket.socketpair()
    (folder / "meter.py").unlink()
    if gone:
        ours.close()
    with ours, theirs:
        fd = theirs.fileno()
        ran = subprocess.run(
            command(folder, "--fd", str(fd)), pass_fds=(fd,), capture_output=True, text=True, check=False
        )
    assert ran.returncode == 1
    assert ("No such file" in ran.stderr) is not gone
