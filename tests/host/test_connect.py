"""Every way between enclave and host: the same messages pass, and a hostile host gets no further by any of them."""

import errno
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cbor2
import pytest

from intaglio.enclave import runtime
from intaglio.enclave.pipe import MAX_MESSAGE
from intaglio.enclave.transport import accept
from intaglio.errors import Malformed
from intaglio.host import EnclaveConnection, EnclaveDied, EnclaveProcess, EnclaveRefused, connect, launch
from intaglio.wire.address import ANY_CID, parse_address
from tests.enclave.world import DataCentreSide, FakeAttester
from tests.host.test_launch import ROOT, gone

LOCAL_CID = 1
"""VMADDR_CID_LOCAL, which Python does not name."""

SECRET = "the enclave's own secret"
SCRIPT = f"""
import sys
from intaglio.enclave import Enclave
enclave = Enclave()
SECRET = {SECRET!r}

@enclave.call
def get_size() -> int:
    print("what a script prints")
    assert sys.stdin.read() == ""
    return 100
"""

RUNNER = """
import argparse, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from intaglio.enclave import runtime
from intaglio.enclave.runner import add_pipe_options, connect
from tests.enclave.world import FakeAttester
parser = argparse.ArgumentParser()
parser.add_argument("script", type=Path)
add_pipe_options(parser)
options = parser.parse_args()
files = {{path.name: path.read_bytes() for path in options.script.parent.iterdir() if path.is_file()}}
with connect(options) as stream:
    sys.exit(runtime.run(options.script, FakeAttester(files), stream))
"""


class VsockOverUnix:
    """Sockets of a family that this kernel may not have: each vsock address is a Unix socket in `folder`.

    A listening CID must be the machine's own or `ANY_CID`; whoever connects must name the machine's.
    """

    def __init__(self, folder: Path, cid: int) -> None:
        self.folder = folder
        self.cid = cid
        self.families: list[int] = []

    def path(self, where: tuple[int, int], *allowed: int) -> str:
        assert where[0] in allowed, where
        return str(self.folder / f"vsock-{where[1]}")

    def __call__(self, family: int) -> socket.socket:
        self.families.append(family)
        stream = _Rerouted(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.kernel = self
        return stream


class _Rerouted(socket.socket):
    kernel: VsockOverUnix

    def bind(self, where: object, /) -> None:
        assert isinstance(where, tuple)
        super().bind(self.kernel.path(where, self.kernel.cid, ANY_CID))

    def connect(self, where: object, /) -> None:
        assert isinstance(where, tuple)
        super().connect(self.kernel.path(where, self.kernel.cid))


@pytest.fixture
def dc() -> DataCentreSide:
    return DataCentreSide()


@pytest.fixture
def folder(tmp_path: Path, dc: DataCentreSide) -> Path:
    (tmp_path / "meter.py").write_text(SCRIPT)
    (tmp_path / "dc.pub").write_text(dc.pin.to_text())
    (tmp_path / "runner.py").write_text(RUNNER.format(root=str(ROOT)))
    return tmp_path


@contextmanager
def on_vsock(folder: Path, listen: str) -> Iterator[tuple[VsockOverUnix, list[int], FakeAttester]]:
    """An enclave that listens at a vsock address, its exit status once it has ended, and what makes its evidence."""
    kernel, status = VsockOverUnix(folder, 16), list[int]()
    attester = FakeAttester({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})

    def run() -> None:
        stream = accept(parse_address(listen), kernel)
        status.append(runtime.run(folder / "meter.py", attester, stream))

    thread = threading.Thread(target=run)
    thread.start()
    yield kernel, status, attester
    thread.join(20.0)
    assert status


@contextmanager
def on_unix(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    path = folder / "meter.sock"
    command = [sys.executable, "runner.py", str(folder / "meter.py"), "--listen", f"unix:{path}"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE) as process:
        try:
            yield process, path
        finally:
            process.kill()


def stdio(folder: Path) -> EnclaveProcess:
    command = [sys.executable, str(folder / "runner.py"), str(folder / "meter.py"), "--listen", "stdio"]
    return launch("meter.py", command=command, stdio=True)


def carries_a_hundred(meter: EnclaveConnection, dc: DataCentreSide) -> None:
    frames = meter.accept(dc.accept(meter.hello(dc.offer())))
    message = meter.call("get_size")
    assert [record.value for record in dc.records(b"".join(frames) + message)] == [b"\x18\x64"]


@pytest.mark.parametrize("listen", ["vsock:16:5005", "vsock:any:5005"])
def test_a_call_over_vsock(folder: Path, dc: DataCentreSide, listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = (folder / "meter.py").read_text().replace('    assert sys.stdin.read() == ""\n', "")
    (folder / "meter.py").write_text(script)
    with on_vsock(folder, listen) as (kernel, status, _):
        with connect("vsock:16:5005", wait=20.0, make=kernel) as meter:
            carries_a_hundred(meter, dc)
        assert set(kernel.families) == {socket.AF_VSOCK}
    assert status == [runtime.EXIT_OK]


def has_loopback() -> bool:
    """Whether this kernel carries a vsock from a process to another one of the same machine."""
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as listener:
            listener.bind((LOCAL_CID, 5006))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_loopback(), reason="no vsock loopback in this kernel (modprobe vsock_loopback)")
def test_a_call_over_the_kernels_own_vsock(folder: Path) -> None:
    command = [sys.executable, "runner.py", str(folder / "meter.py"), "--listen", "vsock:any:5007"]
    with subprocess.Popen(command, cwd=folder) as process:
        with connect(f"vsock:{LOCAL_CID}:5007", wait=20.0) as meter:
            assert meter.calls() == ["get_size"]
        assert process.wait(20.0) == runtime.EXIT_OK


def test_a_call_over_a_unix_socket(folder: Path, dc: DataCentreSide) -> None:
    with on_unix(folder) as (process, path):
        with connect(f"unix:{path}", wait=20.0) as meter:
            assert meter.calls() == ["get_size"]
            assert not path.exists(), "one host, and no second"
            with pytest.raises(EnclaveRefused, match="no-session"):
                meter.call("get_size")
        assert process.wait(20.0) == runtime.EXIT_OK


def test_a_call_over_stdio_and_a_script_that_prints(
    folder: Path, dc: DataCentreSide, capfd: pytest.CaptureFixture[str]
) -> None:
    with stdio(folder) as meter:
        carries_a_hundred(meter, dc)
    assert gone(meter)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "what a script prints\n")


def test_the_default_command_speaks_stdio_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "meter.py").write_text(SCRIPT)
    with launch(tmp_path / "meter.py", stdio=True) as meter, pytest.raises(EnclaveDied) as died:
        meter.calls()
    assert died.value.status == 69
    assert "no evidence can be made" in capfd.readouterr().err


def test_nobody_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connect(f"unix:{tmp_path / 'nobody'}", wait=0.15)

    def no_vsock(family: int) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    with pytest.raises(OSError, match=os.strerror(errno.EAFNOSUPPORT)):
        connect("vsock:16:5005", make=no_vsock)


@pytest.mark.parametrize("address", ["vsock:any:5005", "stdio", "meter.sock", "vsock:16"])
def test_what_cannot_be_connected_to(address: str) -> None:
    with pytest.raises(Malformed, match=r"^address"):
        connect(address)


def test_an_enclave_that_goes_is_named_by_its_address(tmp_path: Path) -> None:
    path = tmp_path / "short.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        with connect(f"unix:{path}") as meter:
            listener.accept()[0].close()
            with pytest.raises(EnclaveDied, match=re.escape(f"unix:{path}: gone")) as died:
                meter.status()
    assert died.value.status is None


def framed(request: object) -> bytes:
    data = cbor2.dumps(request)
    return len(data).to_bytes(4, "big") + data


HOSTILE = {
    "garbage": (b"GET / HTTP/1.1\r\nHost: meter\r\n\r\n", True),
    "a huge length": (b"\xff\xff\xff\xff" + bytes(64), True),
    "a length of zero": (bytes(4), True),
    "one more than allowed": ((MAX_MESSAGE + 1).to_bytes(4, "big"), True),
    "a cut length": (b"\0\0", True),
    "a cut message": (b"\0\0\0\x40\x81", True),
    "no message at all": (b"", False),
    "framed garbage": (b"\0\0\0\x08" + b"\xff" * 8, False),
    "deep nesting": ((1_000_000).to_bytes(4, "big") + b"\x81" * 1_000_000, False),
    "a request for report data": (framed(["evidence", bytes(64)]), False),
    "a name of the script": (framed(["call", "SECRET", [], {}]), False),
    "messages out of order": (framed(["accept", b""]) + framed(["down", b""]) + framed(["end"]), False),
}
"""What a hostile host sends, and whether it breaks the framing."""


def _over_stdio(folder: Path) -> tuple[Callable[[bytes], None], Callable[[], tuple[bytes, bytes, int]]]:
    command = [sys.executable, str(folder / "runner.py"), str(folder / "meter.py"), "--listen", "stdio"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    sink = process.stdin
    assert sink is not None

    def send(data: bytes) -> None:
        sink.write(data)
        sink.flush()

    def end() -> tuple[bytes, bytes, int]:
        out, err = process.communicate(timeout=30.0)
        return out, err, process.returncode

    return send, end


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_host_on_stdio_learns_nothing(folder: Path, attack: str) -> None:
    data, breaks = HOSTILE[attack]
    send, end = _over_stdio(folder)
    send(data)
    out, err, status = end()
    assert status == (runtime.EXIT_HOST if breaks else runtime.EXIT_OK)
    assert SECRET.encode() not in out + err
    assert b"Traceback" not in err
    assert err.count(b"\n") == int(breaks)


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_host_on_vsock_learns_nothing(folder: Path, attack: str, capsys: pytest.CaptureFixture[str]) -> None:
    data, breaks = HOSTILE[attack]
    with on_vsock(folder, "vsock:any:5005") as (kernel, status, attester), _raw(kernel) as host:
        host.sendall(data)
        host.shutdown(socket.SHUT_WR)
        out = _everything(host)
    assert status == [runtime.EXIT_HOST if breaks else runtime.EXIT_OK]
    assert attester.quoted == [], "nothing that the host chose was attested"
    said = capsys.readouterr()
    assert SECRET not in out.decode("latin-1") + said.out + said.err
    assert "Traceback" not in said.err


def test_a_slow_drip_is_a_message_in_the_end_and_costs_no_memory(folder: Path) -> None:
    with on_unix(folder) as (process, path), _knock(path) as host:
        for byte in framed(["status"]):
            host.sendall(bytes([byte]))
        head = host.recv(4, socket.MSG_WAITALL)
        assert b"status" in host.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
        before = _resident(process.pid)
        host.sendall((16 * 1024 * 1024).to_bytes(4, "big") + b"\x81")
        assert _resident(process.pid) - before < 4 << 20, "room is made for what came, not for what was announced"
        host.close()
        assert process.wait(20.0) == runtime.EXIT_HOST


def test_a_second_host_finds_nobody(folder: Path) -> None:
    with on_unix(folder) as (process, path), _knock(path) as host:
        host.sendall(framed(["status"]))
        host.recv(1)
        with pytest.raises(FileNotFoundError):
            connect(f"unix:{path}")
        assert process.poll() is None
        host.close()
        assert process.wait(20.0) == runtime.EXIT_OK


def test_a_socket_is_for_its_user_only(tmp_path: Path) -> None:
    path = tmp_path / "s"
    thread = threading.Thread(target=lambda: accept(parse_address(f"unix:{path}")).__exit__(None, None, None))
    thread.start()
    with connect(f"unix:{path}", wait=20.0):
        thread.join(20.0)
    assert not path.exists()


@pytest.mark.parametrize("address", ["tcp:1.2.3.4:5", "vsock:any", "unix:"])
def test_the_runner_refuses_what_is_no_address(folder: Path, address: str) -> None:
    command = [sys.executable, "runner.py", "meter.py", "--listen", address]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "argument --listen: address" in ran.stderr


@contextmanager
def _raw(kernel: VsockOverUnix) -> Iterator[socket.socket]:
    with connect("vsock:16:5005", wait=20.0, make=kernel) as meter:
        meter._stream.settimeout(20.0)
        yield meter._stream


@contextmanager
def _knock(path: Path) -> Iterator[socket.socket]:
    with connect(f"unix:{path}", wait=20.0) as meter:
        meter._stream.settimeout(20.0)
        yield meter._stream


def _everything(stream: socket.socket) -> bytes:
    with stream.makefile("rb") as file:
        try:
            return file.read()
        except ConnectionError:
            return b""


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
