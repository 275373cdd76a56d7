"""One enclave as the host has it: a stream on which it is asked things, one after another.

What comes back are messages that the host can carry and not read. Where the enclave runs is no matter here: `connect`
reaches one that listens, `intaglio.host.process` starts one of its own.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from intaglio.errors import Malformed
from intaglio.files import replace_private
from intaglio.host import pipe
from intaglio.host.errors import EnclaveDied, EnclaveRefused, EnclaveTimeout
from intaglio.wire.address import ANY_CID, Stdio, Unix, Vsock, parse_address

__all__ = ["DEFAULT_TIMEOUT", "EnclaveConnection", "MakeSocket", "connect", "kernel_socket"]

DEFAULT_TIMEOUT = 60.0
"""Seconds for one request. Making evidence on real hardware takes up to some seconds; a call takes what it takes."""
_PAUSE = 0.1
"""Seconds between two attempts to reach an enclave that does not listen yet."""

MakeSocket = Callable[[int], socket.socket]
"""An unconnected stream socket of a family: the boundary at which tests stand in for a kernel without vsock."""


def kernel_socket(family: int) -> socket.socket:
    return socket.socket(family, socket.SOCK_STREAM)


def connect(
    address: str,
    *,
    timeout: float = DEFAULT_TIMEOUT,
    wait: float = 0.0,
    state: str | os.PathLike[str] | None = None,
    make: MakeSocket = kernel_socket,
) -> "EnclaveConnection":
    """The enclave that listens at `address`: ``unix:PATH`` or ``vsock:CID:PORT``.

    `timeout` (seconds) holds for each request. `wait` (seconds): how long to try again where nobody listens yet, as
    while an enclave boots. `state`: see `EnclaveConnection.restore`.

    Raises `Malformed` for what is no such address, OSError where nobody can be reached; with `state` as `restore`.
    """
    enclave = _reached(address, timeout, time.monotonic() + wait, make)
    return enclave if state is None else enclave.restored(state)


def _reached(address: str, timeout: float, deadline: float, make: MakeSocket) -> "EnclaveConnection":
    family, where = _reachable(address)
    while True:
        try:
            return EnclaveConnection(address, _connected(make(family), where, timeout), timeout)
        except OSError:
            if time.monotonic() + _PAUSE >= deadline:
                raise
        time.sleep(_PAUSE)


def _reachable(address: str) -> tuple[int, str | tuple[int, int]]:
    """Socket family and socket address. Raises `Malformed`."""
    match parse_address(address):
        case Unix(path):
            return socket.AF_UNIX, path
        case Vsock(cid, port) if cid != ANY_CID:
            return socket.AF_VSOCK, (cid, port)
        case Vsock():
            raise Malformed("address", "cid any is for listening: name the enclave's")
        case Stdio():
            raise Malformed("address", "stdio belongs to a process that one starts: launch(..., stdio=True)")


def _connected(stream: socket.socket, where: str | tuple[int, int], timeout: float) -> socket.socket:
    try:
        stream.settimeout(timeout)
        stream.connect(where)
    except BaseException:
        stream.close()
        raise
    return stream


class EnclaveConnection:
    """One running enclave. Its methods may be called from several threads; the enclave answers one after another.

    Every method raises `EnclaveRefused` where the enclave says no, and `EnclaveDied` where there is no enclave to say
    anything (any more); after that only `close` is left.
    """

    def __init__(self, name: str, stream: socket.socket, timeout: float) -> None:
        self._name = name
        self._stream = stream
        self._timeout = timeout
        self._state: Path | None = None
        self._lock = threading.Lock()
        self._dead: EnclaveDied | None = None

    def restore(self, state: str | os.PathLike[str]) -> None:
        """Hands in the sealed state of an enclave that keeps one, and keeps it in the file `state` from now on; where
        there is no such file yet, the enclave's state begins. Once, before the first hello. One enclave a file.

        Raises `EnclaveRefused` (a blob that this enclave can't open, an enclave without a state), `EnclaveDied`,
        OSError where the file can't be read.
        """
        self._state = Path(state)
        try:
            blob = self._state.read_bytes()
        except FileNotFoundError:  # and for no other reason: an enclave that begins anew replaces what is there
            blob = None
        self._keep(cast(bytes | None, self._ask("restored", ["restore", blob])))

    def restored(self, state: str | os.PathLike[str]) -> Self:
        """This, after `restore`; closed where that fails."""
        try:
            self.restore(state)
        except BaseException:
            self.close()
            raise
        return self

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

    def heartbeat(self) -> bytes:
        """Asks the enclave for a checkpoint of what it has sent, even of nothing new: a message to send. What was
        sent after the last one is proven to the data centre alone."""
        return b"".join(self._frames("frames", ["heartbeat"]))

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
        """Closes the pipe, which ends the enclave."""
        with self._lock:
            self._dead = self._dead or EnclaveDied(f"{self._name}: closed", None)
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _frames(self, expected: str, request: list[object]) -> list[bytes]:
        return cast(list[bytes], self._ask(expected, request))

    def _keep(self, blob: bytes | None) -> None:
        """On disk before anything that rests on it leaves this object. Where that fails nothing of it does, and the
        enclave, which is a step ahead of its file now, is hung up on: another begins where the file stands."""
        try:
            if blob is not None and self._state is not None:
                replace_private(self._state, blob)
        except OSError as error:
            raise self._fail(EnclaveDied(f"{self._name}: its state can't be kept: {error}", None)) from error

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
                case ["sealed", value, bytes(blob)] if expected == "frames" and _shaped("frames", value):
                    self._keep(blob)
                    return value
                case [str(kind), value] if kind == expected and _shaped(kind, value):
                    return value
            raise self._fail(EnclaveDied(f"{self._name}: answered {request[0]} with something else", None))

    def _fail(self, error: EnclaveDied) -> EnclaveDied:
        """Remembers the error and hangs up: what the enclave sends from here on means nothing."""
        self._dead = error
        self._stream.close()
        self._kill()
        return error

    def _reap(self) -> int | None:
        """The exit status of an enclave that has closed its pipe, where it is ours to wait for."""
        return None

    def _kill(self) -> None:
        """Ends an enclave that broke the rules. One that we did not start ends when we hang up, or is not ours."""


def _shaped(kind: str, value: object) -> bool:
    """Whether the value is of the type that this kind of answer has."""
    match kind:
        case "hello":
            return isinstance(value, bytes)
        case "restored":
            return value is None or isinstance(value, bytes)
        case "status":
            return isinstance(value, dict) and all(isinstance(key, str) for key in value)
        case "calls":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, list) and all(isinstance(item, bytes) for item in value)
