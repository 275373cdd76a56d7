"""Starting an enclave as a process of its own, and asking it things.

The command decides what the enclave runs in (a real TEE's runner, the simulator's); the host only holds one end of a
socket. What comes back are messages that the host can carry and not read.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from intaglio.errors import Malformed
from intaglio.host import pipe
from intaglio.host.errors import EnclaveDied, EnclaveRefused, EnclaveTimeout

__all__ = ["EnclaveProcess", "launch"]

DEFAULT_TIMEOUT = 60.0
"""Seconds for one request. Making evidence on real hardware takes up to some seconds; a call takes what it takes."""
_GRACE = 5.0
"""Seconds that an enclave gets to end after its pipe is closed, before it is killed."""


def launch(
    script: str | os.PathLike[str], *, command: Sequence[str] | None = None, timeout: float = DEFAULT_TIMEOUT
) -> "EnclaveProcess":
    """Starts `script` as an enclave.

    `command` is the runner's, without script and socket: ``[*command, script, "--fd", N]`` is what runs. By default it
    is the SDK's own, which demands a real TEE. `timeout` (seconds) holds for each request.

    Raises OSError where the command can't be started.
    """
    runner = [sys.executable, "-P", "-m", "intaglio.enclave"] if command is None else list(command)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with theirs:
            child = subprocess.Popen(  # noqa: S603 - the caller's own command, no shell
                [*runner, os.fspath(script), "--fd", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,  # Ctrl-C is for the application, which then ends the enclave in good order
            )
    except OSError:
        ours.close()
        raise
    return EnclaveProcess(Path(script).name, child, ours, timeout)


class EnclaveProcess:
    """One running enclave. Its methods may be called from several threads; the enclave answers one after another.

    Every method raises `EnclaveRefused` where the enclave says no, and `EnclaveDied` where there is no enclave to say
    anything (any more); after that only `close` is left.
    """

    def __init__(self, name: str, child: subprocess.Popen[bytes], stream: socket.socket, timeout: float) -> None:
        self._name = name
        self._child = child
        self._stream = stream
        self._timeout = timeout
        self._lock = threading.Lock()
        self._dead: EnclaveDied | None = None

    @property
    def pid(self) -> int:
        return self._child.pid

    def hello(self, offer: bytes) -> bytes:
        """Begins a session with the data centre that made the offer: the hello to deliver to it."""
        return cast(bytes, self._ask("hello", ["hello", offer]))

    def accept(self, accept: bytes) -> list[bytes]:
        """Gives the enclave the data centre's Accept: the frames to deliver now."""
        return self._frames("accepted", ["accept", accept])

    def call(self, name: str, /, *args: object, **kwargs: object) -> bytes:
        """Calls a function inside: a message that holds what it returned or raised, for the data centre only.

        Raises `Malformed` for arguments that are not plain values (None, bool, int, float, str, bytes, list, dict).
        """
        return b"".join(self._frames("frames", ["call", name, list(args), kwargs]))

    def down(self, frame: bytes) -> bytes:
        """Gives the enclave a frame from the data centre: a message to send back, empty where there is none."""
        return b"".join(self._frames("frames", ["down", frame]))

    def rekey(self) -> bytes:
        """Makes the enclave change its keys: a message to send."""
        return b"".join(self._frames("frames", ["rekey"]))

    def end(self) -> bytes:
        """Ends the session: the last message of it, to send."""
        return b"".join(self._frames("frames", ["end"]))

    def status(self) -> dict[str, object]:
        """Where the session stands: state, sessions, and where there is one, session (16 bytes), epoch, sequence,
        left; once accepted expires and time, both by the data centre's clock."""
        return cast(dict[str, object], self._ask("status", ["status"]))

    def calls(self) -> list[str]:
        """The names that can be called."""
        return cast(list[str], self._ask("calls", ["calls"]))

    def close(self) -> None:
        """Closes the pipe, which ends the enclave, and waits for its process; kills it where it does not end."""
        with self._lock:
            self._dead = self._dead or EnclaveDied(f"{self._name}: closed", None)
            self._stream.close()
        try:
            self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _frames(self, expected: str, request: list[object]) -> list[bytes]:
        return cast(list[bytes], self._ask(expected, request))

    def _ask(self, expected: str, request: list[object]) -> object:
        """The one value of an answer whose name is `expected`, of the type that `_shaped` found it to have."""
        data = pipe.encode(request)
        with self._lock:
            if self._dead is not None:
                raise self._dead
            try:
                deadline = time.monotonic() + self._timeout
                pipe.send(self._stream, data, deadline)
                answer = pipe.decode(pipe.receive(self._stream, deadline))
            except TimeoutError as error:
                what = f"{self._name}: no answer to {request[0]} in {self._timeout:g} s"
                raise self._fail(EnclaveTimeout(what, None)) from error
            except (EOFError, OSError) as error:
                raise self._fail(
                    EnclaveDied(f"{self._name}: gone while asked to {request[0]}", self._reap())
                ) from error
            except Malformed as error:
                raise self._fail(EnclaveDied(f"{self._name}: {error}", None)) from error
            except KeyboardInterrupt:
                self._fail(EnclaveDied(f"{self._name}: interrupted while asked to {request[0]}", None))
                raise
            match answer:
                case ["error", str(code), str(text)]:
                    raise EnclaveRefused(code, text)
                case [str(kind), value] if kind == expected and _shaped(kind, value):
                    return value
            raise self._fail(EnclaveDied(f"{self._name}: answered {request[0]} with something else", None))

    def _fail(self, error: EnclaveDied) -> EnclaveDied:
        """Remembers the error and ends the process: what it sends from here on means nothing."""
        self._dead = error
        self._stream.close()
        self._kill()
        return error

    def _reap(self) -> int | None:
        """The exit status of a process that has closed its pipe, and so is about to end."""
        try:
            return self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            return None

    def _kill(self) -> None:
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGKILL)
            self._child.wait()


def _shaped(kind: str, value: object) -> bool:
    """Whether the value is of the type that this kind of answer has."""
    match kind:
        case "hello":
            return isinstance(value, bytes)
        case "status":
            return isinstance(value, dict) and all(isinstance(key, str) for key in value)
        case "calls":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, list) and all(isinstance(item, bytes) for item in value)
