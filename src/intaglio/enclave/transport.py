"""The enclave's end of the way to its host: one stream, from whoever connects first.

Nothing here authenticates the host, because nothing could make it trustworthy: it may send what it likes, as slowly as
it likes, and hang up. What it gets is what `Pipe` and `Service` give anybody.
"""

import os
import socket
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from intaglio.wire.address import Address, Stdio, Unix, Vsock

__all__ = ["MakeSocket", "StdioStream", "Stream", "accept", "kernel_socket"]

MakeSocket = Callable[[int], socket.socket]
"""An unconnected stream socket of a family: the boundary at which tests stand in for a kernel without vsock."""


class Stream(Protocol):
    """Bytes both ways. A connected stream socket is one."""

    def recv(self, count: int, /) -> bytes:
        """At most `count` bytes, none at the end. Raises OSError."""
        ...

    def sendall(self, data: bytes, /) -> None:
        """Raises OSError where the host is gone."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...


def kernel_socket(family: int) -> socket.socket:
    return socket.socket(family, socket.SOCK_STREAM)


def accept(address: Address, make: MakeSocket = kernel_socket) -> Stream:
    """The first connection to `address`; later ones find nobody. Raises OSError where one can't listen there."""
    match address:
        case Unix(path):
            return _first_at_path(path, make)
        case Vsock(cid, port):
            with make(socket.AF_VSOCK) as listener:
                listener.bind((cid, port))
                return _first(listener)
        case Stdio():
            return StdioStream.taken_over()


class StdioStream:
    """Standard input and output as one stream; what the script prints goes to standard error instead."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._open: tuple[int, ...] = (source, sink)

    @classmethod
    def taken_over(cls) -> Self:
        """Keeps the process's descriptors 0 and 1 for the pipe. In their place come an empty input and standard error,
        so that no `print` of the script ends up between two messages."""
        sys.stdout.flush()
        source, sink = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return cls(source, sink)

    def recv(self, count: int, /) -> bytes:
        return os.read(self._source, count)

    def sendall(self, data: bytes, /) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._sink, left) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        for fd in self._open:
            os.close(fd)
        self._open = ()


def _first_at_path(path: str, make: MakeSocket) -> socket.socket:
    with make(socket.AF_UNIX) as listener:
        listener.bind(path)
        try:
            os.chmod(path, 0o600)  # noqa: PTH101 - an address's path is text
            return _first(listener)
        finally:
            os.unlink(path)  # noqa: PTH108


def _first(listener: socket.socket) -> socket.socket:
    listener.listen(1)
    connection, _ = listener.accept()
    return connection
