"""The host's grip on an enclave's process: typed errors for all it can do wrong, and nothing left over."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from intaglio.errors import Malformed
from intaglio.host import EnclaveDied, EnclaveProcess, EnclaveRefused, EnclaveTimeout, launch
from intaglio.host.process import EnclaveProcess as Direct
from intaglio.wire.frame import split_frames
from tests.enclave.world import DataCentreSide

ROOT = Path(__file__).resolve().parents[2]

RUNNER = """
import socket, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from intaglio.enclave import runtime
from tests.enclave.world import FakeAttester
script = Path(sys.argv[1])
files = {{path.name: path.read_bytes() for path in script.parent.iterdir() if path.is_file()}}
sys.exit(runtime.run(script, FakeAttester(files), socket.socket(fileno=int(sys.argv[3]))))
"""

SCRIPT = """
import os, signal
from intaglio.enclave import Enclave
enclave = Enclave()

@enclave.call
def get_size() -> int:
    return 100

@enclave.call
def add(a: int, *, b: int = 0) -> int:
    return a + b

@enclave.call
def die():
    os._exit(7)

@enclave.call
def hang():
    signal.pause()
"""


@pytest.fixture
def dc() -> DataCentreSide:
    return DataCentreSide()


@pytest.fixture
def start(tmp_path: Path, dc: DataCentreSide) -> Callable[..., EnclaveProcess]:
    (tmp_path / "meter.py").write_text(SCRIPT)
    (tmp_path / "dc.pub").write_text(dc.pin.to_text())
    runner = tmp_path / "runner.py"
    runner.write_text(RUNNER.format(root=str(ROOT)))

    def start(timeout: float = 60.0) -> EnclaveProcess:
        return launch(tmp_path / "meter.py", command=[sys.executable, str(runner)], timeout=timeout)

    return start


def scripted(tmp_path: Path, body: str, timeout: float = 60.0) -> EnclaveProcess:
    """A process that is no enclave: `body` runs with `pipe`, the socket to us."""
    source = tmp_path / "fake.py"
    source.write_text("import socket, sys\npipe = socket.socket(fileno=int(sys.argv[3]))\n" + textwrap.dedent(body))
    return launch("meter.py", command=[sys.executable, str(source)], timeout=timeout)


def gone(process: EnclaveProcess) -> bool:
    """Whether the child was waited for: no process, and no zombie, of that id."""
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_call_through_a_process(start: Callable[..., EnclaveProcess], dc: DataCentreSide) -> None:
    with start() as meter:
        assert meter.calls() == ["add", "die", "get_size", "hang"]
        frames = meter.accept(dc.accept(meter.hello(dc.offer())))
        message = meter.call("get_size")
        assert len(split_frames(message)) == 1
        assert meter.status()["state"] == "established"
        assert [r.value for r in dc.records(b"".join(frames) + message)] == [b"\x18\x64"]
        assert [r.value for r in dc.records(meter.call("add", 1, b=2))] == [b"\x03"]
        assert dc.records(meter.rekey() + meter.call("get_size") + meter.end())[0].value == b"\x18\x64"
    assert gone(meter)


def test_a_refusal_leaves_the_enclave_alive(start: Callable[..., EnclaveProcess]) -> None:
    with start() as meter:
        with pytest.raises(EnclaveRefused) as refused:
            meter.call("get_size")
        assert refused.value.code == "no-session"
        with pytest.raises(EnclaveRefused, match="unknown-call"):
            meter.call("password")
        with pytest.raises(EnclaveRefused, match="rejected:OFFER_SIGNATURE"):
            meter.hello(DataCentreSide().offer())
        with pytest.raises(Malformed, match="request"):
            meter.call("get_size", object())
        assert meter.status() == {"state": "none", "sessions": 0}


def test_a_dying_enclave_is_named_with_its_exit_status(
    start: Callable[..., EnclaveProcess], dc: DataCentreSide
) -> None:
    with start() as meter:
        meter.hello(dc.offer())
        with pytest.raises(EnclaveDied) as died:
            meter.call("die")
        assert died.value.status == 7
        assert gone(meter)
        with pytest.raises(EnclaveDied):
            meter.status()


def test_a_hanging_call_ends_its_enclave_in_time(start: Callable[..., EnclaveProcess], dc: DataCentreSide) -> None:
    with start(timeout=3.0) as meter:
        meter.hello(dc.offer())
        meter._timeout = 0.2
        with pytest.raises(EnclaveTimeout, match=r"no answer to call in 0\.2 s"):
            meter.call("hang")
        assert gone(meter)


@pytest.mark.parametrize(
    "body",
    [
        "pipe.send(b'\\0\\0\\0\\0')",
        "pipe.send(b'\\xff\\xff\\xff\\xff')",
        "pipe.send(b'\\0\\0\\0\\1\\xff')",
        "pipe.send(b'\\0\\0\\0\\1\\x80')",
        "pipe.send(b'\\0\\0\\0\\1\\x01')",
        "pipe.send(b'\\0\\0\\0\\x0a\\x82\\x66status\\x80\\x01')",
        "pipe.send(b'\\0\\0\\0\\x0b\\x82\\x66status\\xa1\\x01\\x02')",
        "pipe.send(b'\\0\\0\\0\\x08\\x82\\x65calls\\x80')",
        "pipe.send(b'\\0\\0\\0\\x40')",
        "pipe.send(b'\\0\\0')",
        "",
    ],
)
def test_garbage_from_the_process_ends_it(tmp_path: Path, body: str) -> None:
    with scripted(tmp_path, body) as meter:
        with pytest.raises(EnclaveDied):
            meter.status()
        assert gone(meter)


def test_without_a_tee_the_default_command_refuses(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with launch(tmp_path / "meter.py") as meter, pytest.raises(EnclaveDied) as died:
        meter.hello(b"")
    assert died.value.status == 69
    said = capfd.readouterr().err
    assert all(place in said for place in ("/dev/attestation", "/sys/kernel/config/tsm/report", "/dev/nsm"))


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    before = open_files()
    with pytest.raises(FileNotFoundError):
        launch("meter.py", command=[str(tmp_path / "nothing")])
    assert open_files() == before


def test_nothing_is_left_open(start: Callable[..., EnclaveProcess]) -> None:
    before = open_files()
    for _ in range(3):
        with start() as meter:
            meter.calls()
    assert open_files() == before


def test_the_host_loads_nothing_that_could_open_a_message() -> None:
    program = """
import sys
import intaglio.host
from intaglio.host import AsyncRelay, Relay, launch
rooms = ("session", "verify", "attest", "collateral", "enclave", "gateway", "sim")
rooms = ("cryptography", *(f"intaglio.{room}" for room in rooms))
bad = [module for module in sys.modules if module.startswith(rooms)]
assert not bad, bad
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_relay_needs_the_standard_library_only() -> None:
    program = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("cryptography", "cbor2"):
            raise ImportError(f"blocked: {name}")
sys.meta_path.insert(0, Blocked())
from intaglio.host import AsyncRelay, HelloRejected, Relay
Relay(None, "http://127.0.0.1:1/")
try:
    from intaglio.host import launch
except ImportError as error:
    assert "cbor2" in str(error)
else:
    raise AssertionError("launch needs cbor2 and should have said so")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_public_names_are_the_real_ones() -> None:
    assert EnclaveProcess is Direct
    with pytest.raises(AttributeError):
        import intaglio.host

        _ = intaglio.host.open_message
