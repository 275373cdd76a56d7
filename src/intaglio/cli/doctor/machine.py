"""What probes may know of a machine: files, device nodes, free space, the clock. Nothing can be changed through it.

`LocalMachine` is this machine, or the tree of another one below a folder (a mounted image, a container's root, a
support archive). Below another root a plain file stands for a device node, which such trees can't hold.
"""

import ctypes
import os
import stat
import time
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol

__all__ = ["Kind", "LocalMachine", "Machine", "Node", "User"]

MAX_READ = 1 << 20
"""Bytes of a file that are read: /proc/cpuinfo of a large server is half of it."""
_TIMEX_SIZE = 208
"""Bytes of Linux's struct timex."""
_TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised."""


class Kind(Enum):
    """What lies at a path."""

    DEVICE = "device"
    FILE = "file"
    FOLDER = "folder"
    SOCKET = "socket"


class Node(NamedTuple):
    """What lies at a path, and who may use it: permission bits, owner, group."""

    kind: Kind
    mode: int
    uid: int
    gid: int


class User(NamedTuple):
    """Who asks: the user's number, and the numbers of all its groups."""

    uid: int
    groups: frozenset[int]

    def may_use(self, node: Node) -> bool:
        """Whether it may read and write, as the kernel decides by the first class that fits."""
        if self.uid == 0:
            return True
        if self.uid == node.uid:
            return node.mode & 0o600 == 0o600
        if node.gid in self.groups:
            return node.mode & 0o060 == 0o060
        return node.mode & 0o006 == 0o006


class Machine(Protocol):
    """Paths are absolute. What is missing and what may not be looked at is None, or empty."""

    def look(self, path: str) -> Node | None: ...

    def read(self, path: str) -> str | None: ...

    def names(self, path: str) -> tuple[str, ...]: ...

    def synchronised(self) -> bool | None:
        """What the kernel says of its clock."""
        ...

    def now(self) -> float: ...


class LocalMachine:
    """The machine whose file system begins at `root`."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root.resolve()
        self._own = self._root == Path("/")

    def look(self, path: str) -> Node | None:
        found = self._at(path)
        if found is None:
            return None
        try:
            status = found.stat()
        except OSError:
            return None
        return Node(self._kind(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

    def read(self, path: str) -> str | None:
        found = self._at(path)
        try:
            # A pipe or a device in a file's place is not waited for.
            if found is None or not stat.S_ISREG(found.stat().st_mode):
                return None
            with found.open("rb") as file:
                return file.read(MAX_READ).decode("utf-8", "replace")
        except OSError:
            return None

    def names(self, path: str) -> tuple[str, ...]:
        found = self._at(path)
        try:
            return () if found is None else tuple(sorted(entry.name for entry in found.iterdir()))
        except OSError:
            return ()

    def synchronised(self) -> bool | None:
        if not self._own:
            return None
        timex = ctypes.create_string_buffer(_TIMEX_SIZE)  # all zero: asks, sets nothing
        try:
            state = int(ctypes.CDLL(None).adjtimex(timex))
        except (OSError, AttributeError):
            return None
        return None if state < 0 else state != _TIME_ERROR

    def now(self) -> float:
        return time.time()

    def _at(self, path: str) -> Path | None:
        """The place below the root; None where a link leads out of it, to files of another machine."""
        try:
            found = Path(os.path.realpath(self._root / path.lstrip("/")))
        except (OSError, ValueError):
            return None
        return found if found.is_relative_to(self._root) else None

    def _kind(self, mode: int) -> Kind:
        if stat.S_ISDIR(mode):
            return Kind.FOLDER
        if stat.S_ISSOCK(mode):
            return Kind.SOCKET
        if stat.S_ISCHR(mode) or not self._own:
            return Kind.DEVICE
        return Kind.FILE
