"""Files that are there whole or not at all, on disk when a function returns, readable by their owner alone.

Never loaded in an enclave, which has no disk that it could trust.
"""

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["create_private", "drafted", "exclusive", "remove_leftovers", "replace_private", "sync_folder"]

_LOCK = ".lock"
_RANDOM = 8
"""Characters that `tempfile.mkstemp` puts at the end of a name."""


def create_private(path: Path, content: bytes) -> None:
    """A new file, mode 0600 from its first byte. Raises FileExistsError: a key is never overwritten. Where writing
    fails, the name is free again."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _fill(descriptor, content)
        sync_folder(path.parent)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def drafted(target: Path) -> Iterator[Path]:
    """An empty file, mode 0600, for whoever writes more than memory holds; it becomes `target` when the block is left
    without an error, and only if nobody has that name. Raises FileExistsError and OSError, which name `target`."""
    if target.exists():
        raise FileExistsError(errno.EEXIST, "exists already", str(target))
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    draft = Path(name)
    try:
        yield draft
        os.fsync(descriptor)
        # A link, where a rename would replace what another process has just put there.
        target.hardlink_to(draft)
    finally:
        os.close(descriptor)
        draft.unlink(missing_ok=True)
    sync_folder(target.parent)


def replace_private(path: Path, content: bytes) -> None:
    """Puts `content` at `path`, mode 0600: a reader, or a crash, finds the old file or the new one, never a mixture.

    Several processes may do it at once. What a crash leaves behind has a name of its own (`.NAME.` and a random end),
    and is in nobody's way; `remove_leftovers` is for whoever knows that nobody else is writing. Errors name `path`, not
    the file of a moment that nobody asked for.
    """
    try:
        _replace(path, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    sync_folder(path.parent)


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        _fill(descriptor, content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Removes what crashes of `replace_private` have left in `folder` for files called `name` (a pattern). Only under
    a lock that keeps every other writer away: what is being written looks the same."""
    for leftover in folder.glob(f".{name}.{'?' * _RANDOM}"):
        leftover.unlink(missing_ok=True)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keeps every other process and thread that asks for the same out, for as long as it takes to look at what lies in
    `folder` and to replace it; makes the folder. Whoever dies lets go of it. Not to be nested. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Makes names that were created or replaced in `folder` survive a power loss: that a file's bytes are on disk says
    nothing of its name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fill(descriptor: int, content: bytes) -> None:
    """Writes and closes."""
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
