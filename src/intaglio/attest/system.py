"""What attesters ask of the operating system, and nothing more: the boundary at which the simulator's devices stand in
for a kernel's.

Paths are absolute. Every method raises OSError as the system call does.
"""

import ctypes
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EFBIG, EIO
from typing import Final, Protocol

__all__ = ["KERNEL", "System", "opened", "read_all", "write_once"]

_CHUNK = 65536


class System(Protocol):
    """The system calls that attesters make."""

    def exists(self, path: str) -> bool: ...

    def open(self, path: str, flags: int) -> int: ...

    def read(self, fd: int, size: int) -> bytes: ...

    def write(self, fd: int, data: bytes) -> int: ...

    def close(self, fd: int) -> None: ...

    def mkdir(self, path: str) -> None: ...

    def rmdir(self, path: str) -> None: ...

    def ioctl(self, fd: int, request: int, argument: ctypes.Structure) -> None:
        """The structure is changed in place; the addresses in it are this process's."""
        ...

    def vsock(self, cid: int, port: int, timeout: float) -> socket.socket:
        """A connected stream socket on which every operation takes at most `timeout` seconds."""
        ...

    def sleep(self, seconds: float) -> None: ...


class _Kernel:
    """The real one."""

    def exists(self, path: str) -> bool:
        return os.path.exists(path)  # noqa: PTH110 - the boundary speaks the system's language: strings

    def open(self, path: str, flags: int) -> int:
        return os.open(path, flags)

    def read(self, fd: int, size: int) -> bytes:
        return os.read(fd, size)

    def write(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def close(self, fd: int) -> None:
        os.close(fd)

    def mkdir(self, path: str) -> None:
        os.mkdir(path, 0o700)  # noqa: PTH102

    def rmdir(self, path: str) -> None:
        os.rmdir(path)  # noqa: PTH106

    def ioctl(self, fd: int, request: int, argument: ctypes.Structure) -> None:
        fcntl.ioctl(fd, request, argument, True)

    def vsock(self, cid: int, port: int, timeout: float) -> socket.socket:
        stream = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        try:
            stream.settimeout(timeout)
            stream.connect((cid, port))
        except BaseException:
            stream.close()
            raise
        return stream

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


KERNEL: Final[System] = _Kernel()


@contextmanager
def opened(system: System, path: str, flags: int) -> Iterator[int]:
    """The descriptor of `path`, closed at the end of the block."""
    fd = system.open(path, flags)
    try:
        yield fd
    finally:
        system.close(fd)


def read_all(system: System, path: str, limit: int) -> bytes:
    """The file's content, read to its end. Raises OSError, with EFBIG for more than `limit` bytes."""
    content = bytearray()
    with opened(system, path, os.O_RDONLY) as fd:
        while chunk := system.read(fd, _CHUNK):
            content += chunk
            if len(content) > limit:
                raise OSError(EFBIG, os.strerror(EFBIG), path)
    return bytes(content)


def write_once(system: System, path: str, data: bytes) -> None:
    """`data` in one write: pseudo-files take a second one for another value. Raises OSError, with EIO where the system
    took only a part."""
    with opened(system, path, os.O_WRONLY) as fd:
        if system.write(fd, data) != len(data):
            raise OSError(EIO, "took only a part of the data", path)
