"""Running a script: from measured bytes only, one enclave, one host; refusals say why and give nothing away."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cbor2
import pytest

from intaglio.attest.probe import INTERFACES
from intaglio.enclave import Enclave, __main__, runtime
from intaglio.enclave.loading import SCRIPT_MODULE, ScriptFailed, loaded
from intaglio.enclave.pipe import MAX_MESSAGE
from intaglio.enclave.serving import Service
from intaglio.enclave.values import Plain
from intaglio.errors import LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.sim.devices.configfs import ConfigfsTsmDevice
from intaglio.sim.devices.kernel import SimulatedKernel
from intaglio.wire.identity import Pin
from tests.enclave.world import DataCentreSide, FakeAttester

GOOD = b"""
from intaglio.enclave import Enclave
enclave = Enclave()

@enclave.call
def get_size() -> int:
    return 100
"""
SCRIPT = Path("somewhere/meter.py")


def attester(script: bytes = GOOD, **files: bytes) -> FakeAttester:
    return FakeAttester({"meter.py": script, "dc.pub": DataCentreSide().pin.to_text().encode(), **files})


@contextmanager
def served(script: bytes = GOOD) -> Iterator[tuple[socket.socket, Callable[[], int]]]:
    """The host's end of the pipe, and a function that waits for the exit status."""
    ours, theirs = socket.socketpair()
    status: list[int] = []
    thread = threading.Thread(target=lambda: status.append(runtime.run(SCRIPT, attester(script), theirs)))
    thread.start()

    def ended() -> int:
        thread.join(20.0)
        return status[0]

    with ours:
        ours.settimeout(20.0)
        yield ours, ended
    thread.join(20.0)


def ask(stream: socket.socket, *request: object) -> object:
    data = cbor2.dumps(list(request))
    stream.sendall(len(data).to_bytes(4, "big") + data)
    with stream.makefile("rb") as file:
        return cbor2.loads(file.read(int.from_bytes(file.read(4), "big")))


def test_a_host_is_served_until_it_closes() -> None:
    with served() as (stream, ended):
        assert ask(stream, "calls") == ["calls", ["get_size"]]
        assert ask(stream, "status") == ["status", {"state": "none", "sessions": 0}]
        stream.close()
        assert ended() == runtime.EXIT_OK


def test_byte_by_byte_is_a_message_too() -> None:
    with served() as (stream, _):
        for byte in b"\0\0\0\x07\x81\x65calls":
            stream.send(bytes([byte]))
        with stream.makefile("rb") as file:
            assert file.read(4) == (17).to_bytes(4, "big")


@pytest.mark.parametrize(
    "sent", [b"\0\0\0\0", (MAX_MESSAGE + 1).to_bytes(4, "big"), b"\xff\xff\xff\xff", b"\0\0", b"\0\0\0\x07\x81\x65cal"]
)
def test_a_host_that_breaks_the_framing_ends_the_enclave(sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with served() as (stream, ended):
        stream.sendall(sent)
        stream.shutdown(socket.SHUT_WR)
        assert ended() == runtime.EXIT_HOST
        assert stream.recv(1) == b""
    assert capfd.readouterr().err.startswith("intaglio enclave: pipe: ")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (b"import sys\n\nraise RuntimeError('hunter2')", "meter.py, line 3: RuntimeError"),
        (b"import sys\nsys.exit('hunter2')", "meter.py, line 2: SystemExit"),
        (b"def broken(:", "meter.py: not a Python script (SyntaxError)"),
        (b"\0", "meter.py: not a Python script"),
        (b"", "meter.py: need exactly one Enclave(...), found 0"),
        (GOOD + b"second = Enclave()", "meter.py: need exactly one Enclave(...), found 2"),
        (b"from intaglio.enclave import Enclave\nEnclave('other.pub')", "meter.py, line 2: FileNotFoundError"),
        (b"from intaglio.enclave import Enclave\nEnclave('meter.py')", "meter.py, line 2: Malformed"),
        (GOOD + b"@enclave.call\ndef f(x: set): ...", "meter.py, line 8: TypeError"),
        (GOOD + b"enclave.call(get_size)", "meter.py, line 8: ValueError"),
    ],
)
def test_a_script_that_does_not_load(script: bytes, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    with served(script) as (stream, ended):
        assert ended() == runtime.EXIT_SCRIPT
        assert stream.recv(1) == b""
    err = capfd.readouterr().err
    assert err.startswith(f"intaglio enclave: {said}")
    assert "hunter2" not in err
    assert len(err.splitlines()) == 1


def test_an_error_that_nobody_foresaw_ends_the_enclave_without_a_word_too_many(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Service, request: bytes) -> list[Plain]:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(Service, "answer", broken)
    with served() as (stream, ended):
        stream.sendall(b"\0\0\0\1\x80")
        assert ended() == runtime.EXIT_FAULT
    assert capfd.readouterr().err == "intaglio enclave: RuntimeError\n"


LOUD = b"""
import asyncio, sys, threading
from intaglio.enclave import Enclave
enclave = Enclave()

class Final:
    def __del__(self):
        raise ValueError("hunter2")

def fail():
    raise LookupError("hunter2")

@enclave.call
def leave():
    sys.exit("hunter2")

@enclave.call
def cancel():
    raise asyncio.CancelledError("hunter2")

@enclave.call
def interrupt():
    raise KeyboardInterrupt("hunter2")

@enclave.call
def thread():
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

@enclave.call
def final():
    Final()
"""


@pytest.mark.parametrize("name", ["leave", "cancel", "interrupt", "thread", "final"])
def test_no_text_of_an_error_reaches_the_host_by_another_way(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    data_centre = DataCentreSide()
    script = attester(LOUD)
    script.files["dc.pub"] = data_centre.pin.to_text().encode()
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=runtime.run, args=(SCRIPT, script, theirs))
    thread.start()
    with ours:
        ours.settimeout(20.0)
        assert ask(ours, "hello", data_centre.offer())
        answer = ask(ours, "call", name, [], {})
        assert isinstance(answer, list)
        assert answer[0] == "frames"
    thread.join(20.0)
    assert "hunter2" not in "".join(capfd.readouterr())


def test_the_script_on_disk_is_not_looked_at(tmp_path: Path) -> None:
    script = tmp_path / "meter.py"
    script.write_text("raise SystemExit('the host changed it')")
    with loaded(script, attester()) as enclave:
        assert enclave.calls == ("get_size",)
    with pytest.raises(ScriptFailed, match="not part of the measured image"), loaded(script, FakeAttester({})):
        pass


def test_imports_come_from_the_image_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tariff.py").write_text("PRICE = 'of the host'")
    (tmp_path / "unmeasured.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    script = b"import tariff\nassert tariff.PRICE == 'measured'" + GOOD
    with loaded(tmp_path / "meter.py", attester(script, **{"tariff.py": b"PRICE = 'measured'"})):
        assert sys.modules["tariff"].__spec__ is not None
        assert sys.path[:2] != ["", str(tmp_path)]
    assert "tariff" not in sys.modules
    assert sys.path[:2] == ["", str(tmp_path)]
    measured = attester(b"import unmeasured" + GOOD)
    with pytest.raises(ScriptFailed, match="line 1: ModuleNotFoundError"), loaded(tmp_path / "meter.py", measured):
        pass


def test_an_image_can_not_stand_in_for_the_standard_library() -> None:
    measured = attester(b"import json\nassert json.loads" + GOOD, **{"json.py": b"", "intaglio.py": b""})
    with loaded(SCRIPT, measured) as enclave:
        assert enclave.calls == ("get_size",)


def test_the_script_is_a_module_like_any_other() -> None:
    script = (
        b"""
from __future__ import annotations
from dataclasses import dataclass
assert __name__ == "__enclave__"

@dataclass
class Reading:
    kwh: float
"""
        + GOOD
    )
    with loaded(SCRIPT, attester(script)):
        assert SCRIPT_MODULE in sys.modules
    assert SCRIPT_MODULE not in sys.modules


def test_outside_an_enclave_a_script_can_be_tested() -> None:
    enclave = Enclave("nothing.pub")

    @enclave.call(name="size")
    def get_size(unit: str) -> int:
        return len(unit)

    assert get_size("cm") == 2
    assert enclave.calls == ("size",)
    with pytest.raises(LocalProtocolError, match="pin: not inside"):
        _ = enclave.pin
    with pytest.raises(LocalProtocolError, match="only during a call"):
        enclave.emit("a", 1)


def test_an_enclave_does_not_run_under_the_pin_of_another_data_centre() -> None:
    """A policy with pin = "config_id" believes CONFIGID, which the host chooses at launch."""
    ours, measured = DataCentreSide().pin.hash, attester()
    own = Pin.from_text(measured.files["dc.pub"].decode()).hash
    for harmless in (bytes(64), own + bytes(32), ours + ours, bytes(32) + ours):
        measured.config_id = harmless
        with loaded(SCRIPT, measured) as enclave:
            assert enclave.pin.hash == own
    measured.config_id = ours + bytes(32)
    with pytest.raises(ScriptFailed, match="Rejected") as failed, loaded(SCRIPT, measured):
        pass
    assert isinstance(failed.value.__cause__, Rejected)
    assert failed.value.__cause__.reason is Reason.WRONG_PIN


def test_names_receivers_and_content_types_are_checked() -> None:
    enclave = Enclave()
    with pytest.raises(ValueError, match="1 to 255"):
        enclave.call(name="x" * 256)(lambda: None)
    enclave.receive(lambda *record: record)
    with pytest.raises(ValueError, match="one receiver already"):
        enclave.receive(lambda *record: record)


def test_what_was_emitted_wrongly_is_a_protected_error() -> None:
    enclave = Enclave()
    enclave.call(name="text")(lambda: enclave.emit("a", "text", "text/plain"))
    enclave.call(name="nameless")(lambda: enclave.emit("", 1))
    for name in enclave.calls:
        (record,) = enclave.perform(name, [], {})
        assert cbor2.loads(record.value)["type"] == Malformed.__name__


def test_an_interface_that_does_not_work_says_why(capfd: pytest.CaptureFixture[str]) -> None:
    kernel = SimulatedKernel()
    kernel.mount("/sys/kernel/config/tsm/report", ConfigfsTsmDevice(None))
    for more in ([], ["--attester", "configfs-tsm"]):
        assert __main__.main(["meter.py", "--fd", "3", *more], kernel) == __main__.EXIT_NO_ATTESTER
        said = capfd.readouterr().err
        assert "meter.py: no evidence can be made, so nothing is run" in said
        assert "modprobe tdx_guest" in said


def test_without_a_tee_all_that_was_looked_for_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["meter.py", "--fd", "3"], SimulatedKernel()) == __main__.EXIT_NO_ATTESTER
    said = capfd.readouterr().err
    assert all(interface.path in said for interface in INTERFACES.values())
    assert "not inside a TEE" in said


@pytest.mark.parametrize(
    ("arguments", "says"), [(["meter.py"], "--fd"), (["meter.py", "--fd", "3", "--attester", "magic"], "gramine")]
)
def test_wrong_usage_is_told_apart(arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        __main__.main(arguments, SimulatedKernel())
    assert ended.value.code == 2
    assert says in capfd.readouterr().err


def test_the_host_gets_no_command_as_a_call() -> None:
    def purge() -> None: ...

    enclave = Enclave()
    enclave.command(purge)
    with pytest.raises(ValueError, match="purge is a command"):
        enclave.call(purge)
    with pytest.raises(ValueError, match="registered already"):
        enclave.command(purge)
    assert enclave.calls == ()
