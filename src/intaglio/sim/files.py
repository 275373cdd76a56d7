"""Writing a lab's files: private keys readable by their owner only, state replaced whole or not at all."""

import os
import tempfile
from pathlib import Path

__all__ = ["replace_file", "write_private"]


def write_private(path: Path, content: bytes) -> None:
    """Makes `path` with mode 0600 from the first byte. Raises FileExistsError: a key is never overwritten."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def replace_file(path: Path, content: bytes) -> None:
    """Puts `content` at `path` atomically (mode 0600): a reader sees the old file or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
