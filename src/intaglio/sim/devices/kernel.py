"""A kernel of which only what attesters ask for exists: files, folders, devices, a vsock.

A device is a subtree: `Mount` opens what lies in it and makes or removes folders. Everything else does not exist, and
nothing of the machine that this runs on is visible. Errors are OSError with the number that Linux would give.
"""

import ctypes
import os
import socket
import threading
from collections.abc import Callable, Mapping
from errno import EACCES, EBADF, ECONNREFUSED, EFAULT, EISDIR, ENODEV, ENOENT, ENOTDIR, ENOTTY, EPERM
from typing import Protocol

__all__ = ["CharacterDevice", "Content", "Handle", "Mount", "Node", "SimulatedKernel", "fail"]


def fail(number: int, path: str = "") -> OSError:
    """The error that a system call would raise."""
    return OSError(number, os.strerror(number), path)


class Handle(Protocol):
    """An open file."""

    def read(self, size: int) -> bytes: ...

    def write(self, data: bytes) -> int: ...

    def ioctl(self, request: int, argument: ctypes.Structure) -> None: ...

    def close(self) -> None: ...


class Node:
    """An open file that can do nothing; the devices override what theirs can. `path` is for errors."""

    path = ""

    def read(self, size: int) -> bytes:  # noqa: ARG002
        raise fail(EBADF, self.path)

    def write(self, data: bytes) -> int:  # noqa: ARG002
        raise fail(EBADF, self.path)

    def ioctl(self, request: int, argument: ctypes.Structure) -> None:  # noqa: ARG002
        raise fail(ENOTTY, self.path)

    def close(self) -> None:
        return


class Content(Node):
    """A file that was loaded when it was opened, as Gramine's pseudo-files and any plain file are."""

    def __init__(self, path: str, content: bytes, chunk: int = 1 << 16) -> None:
        """`chunk`: at most so many bytes a read, whatever the caller asks for."""
        self.path = path
        self._left = content
        self._chunk = chunk

    def read(self, size: int) -> bytes:
        taken, self._left = self._left[: min(size, self._chunk)], self._left[min(size, self._chunk) :]
        return taken


class Mount(Protocol):
    """A subtree. `name` is the path below it, "" for itself."""

    def exists(self, name: str) -> bool: ...

    def open(self, name: str, flags: int) -> Handle: ...

    def mkdir(self, name: str) -> None: ...

    def rmdir(self, name: str) -> None: ...


class CharacterDevice:
    """A device node: a mount of nothing but itself."""

    path = ""

    def exists(self, name: str) -> bool:
        return not name

    def mkdir(self, name: str) -> None:
        raise fail(ENOTDIR, f"{self.path}/{name}")

    def rmdir(self, name: str) -> None:
        raise fail(ENOTDIR, f"{self.path}/{name}")

    def open(self, name: str, flags: int) -> Handle:
        if name or not flags & os.O_RDWR:
            raise fail(ENOTDIR if name else EACCES, self.path)
        return _OpenDevice(self)

    def ioctl(self, request: int, address: int) -> None:
        """What the driver does with the structure that lies at `address`."""
        raise fail(ENOTTY, f"{self.path} at {address:#x}: {request:#x}")


class _OpenDevice(Node):
    def __init__(self, device: CharacterDevice) -> None:
        self._device = device
        self.path = device.path

    def ioctl(self, request: int, argument: ctypes.Structure) -> None:
        # The number holds the structure's size (asm-generic/ioctl.h); another one would be read out of bounds.
        if request >> 16 & 0x3FFF != ctypes.sizeof(argument):
            raise fail(EFAULT, self.path)
        self._device.ioctl(request, ctypes.addressof(argument))


class Plain:
    """Files that are what they are: a measured file system, a configuration."""

    def __init__(self, path: str, files: Mapping[str, bytes], absent: int = ENOENT) -> None:
        """`absent`: what a file that is not there is answered with; Gramine says EACCES of one it does not trust."""
        self._path = path
        self._files = files
        self._absent = absent

    def exists(self, name: str) -> bool:
        return not name or name in self._files

    def open(self, name: str, flags: int) -> Handle:
        path = f"{self._path}/{name}"
        if not name:
            raise fail(EISDIR, path)
        if name not in self._files:
            raise fail(self._absent, path)
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise fail(EACCES, path)
        return Content(path, self._files[name])

    def mkdir(self, name: str) -> None:
        raise fail(EPERM, name)

    def rmdir(self, name: str) -> None:
        raise fail(EPERM, name)


class SimulatedKernel:
    """Implements `intaglio.attest.system.System`. `slept` counts the seconds that nobody waited for."""

    def __init__(self) -> None:
        self.denied: dict[str, int] = {}
        """Paths at which every open, mkdir and rmdir fails, with the error's number."""
        self.services: dict[tuple[int, int], Callable[[socket.socket], None]] = {}
        """What listens on a vsock, by CID and port."""
        self.slept = 0.0
        self._mounts: dict[str, Mount] = {}
        self._handles: dict[int, Handle] = {}
        self._next = 1000
        self._lock = threading.Lock()

    def mount(self, path: str, mount: Mount) -> None:
        self._mounts[path] = mount

    def mount_files(self, path: str, files: Mapping[str, bytes], absent: int = ENOENT) -> None:
        self.mount(path, Plain(path, files, absent))

    @property
    def open_files(self) -> int:
        """How many descriptors nobody has closed."""
        return len(self._handles)

    def exists(self, path: str) -> bool:
        found = self._find(path)
        return found is not None and found[0].exists(found[1])

    def open(self, path: str, flags: int) -> int:
        mount, name = self._at(path)
        handle = mount.open(name, flags)
        with self._lock:
            fd = self._next
            self._next += 1
            self._handles[fd] = handle
        return fd

    def read(self, fd: int, size: int) -> bytes:
        return self._handle(fd).read(size)

    def write(self, fd: int, data: bytes) -> int:
        return self._handle(fd).write(data)

    def close(self, fd: int) -> None:
        handle = self._handle(fd)
        del self._handles[fd]
        handle.close()

    def mkdir(self, path: str) -> None:
        mount, name = self._at(path)
        mount.mkdir(name)

    def rmdir(self, path: str) -> None:
        mount, name = self._at(path)
        mount.rmdir(name)

    def ioctl(self, fd: int, request: int, argument: ctypes.Structure) -> None:
        self._handle(fd).ioctl(request, argument)

    def vsock(self, cid: int, port: int, timeout: float) -> socket.socket:
        service = self.services.get((cid, port))
        if service is None:
            raise fail(ENODEV if not self.services else ECONNREFUSED)
        ours, theirs = socket.socketpair()
        ours.settimeout(timeout)
        threading.Thread(target=_serve, args=(service, theirs), daemon=True).start()
        return ours

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def _at(self, path: str) -> tuple[Mount, str]:
        for denied, number in self.denied.items():
            if path == denied or path.startswith(f"{denied}/"):
                raise fail(number, path)
        found = self._find(path)
        if found is None:
            raise fail(ENOENT, path)
        return found

    def _find(self, path: str) -> tuple[Mount, str] | None:
        """The mount whose path is the longest that leads there, and the rest of the path."""
        fitting = [at for at in self._mounts if path == at or path.startswith(f"{at.rstrip('/')}/")]
        if not fitting:
            return None
        at = max(fitting, key=len)
        return self._mounts[at], path[len(at) :].strip("/")

    def _handle(self, fd: int) -> Handle:
        try:
            return self._handles[fd]
        except KeyError:
            raise fail(EBADF) from None


def _serve(service: Callable[[socket.socket], None], stream: socket.socket) -> None:
    """Runs a service on its end of a connection; a peer that hangs up is no news."""
    with stream:
        try:
            service(stream)
        except OSError:
            return
