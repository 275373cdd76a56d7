"""One gateway a folder and a keystore: a lock that ends with the process that holds it."""

import fcntl
import os
from pathlib import Path

from intaglio.gateway.config import Misconfigured

__all__ = ["exclusive_lock"]


def exclusive_lock(path: Path, what: str) -> int:
    """The descriptor that holds it; closing it lets go. Two gateways on one folder would each miss what the other
    stored, and on one keystore each would write back without the other's keys. Raises `Misconfigured`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise Misconfigured(f"{path}: another gateway runs on this {what}") from error
    return descriptor
