"""SHA-256 without giving up the interpreter's lock.

hashlib lets other threads run while it hashes 2,048 bytes or more. That takes three microseconds for a quote, and then
this thread waits until another one pauses: in a pool of threads that verify, hashing would be most of the time.
"""

import hashlib
from collections.abc import Iterable
from typing import Protocol

__all__ = ["feed", "sha256", "sha256_of_parts"]

_KEPT = 2047
"""One byte less than what makes hashlib release the lock (HASHLIB_GIL_MINSIZE in CPython's Modules/hashlib.h)."""
_LONG = 64 * 1024
"""From here on others may run meanwhile: it is more than any evidence has."""


class Hash(Protocol):
    """What hashlib makes."""

    def update(self, data: bytes, /) -> object:
        """Takes more of what is hashed."""
        ...


def sha256(data: bytes) -> bytes:
    """The SHA-256 of `data`, 32 bytes."""
    hashed = hashlib.sha256()
    feed(hashed, data)
    return hashed.digest()


def sha256_of_parts(parts: Iterable[bytes]) -> bytes:
    """The SHA-256 of all of them, each behind its length: no two lists of parts look alike."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big") + part)
    return hashed.digest()


def feed(hashed: Hash, data: bytes) -> None:
    """`hashed.update(data)`."""
    if _KEPT < len(data) <= _LONG:
        for at in range(0, len(data), _KEPT):
            hashed.update(data[at : at + _KEPT])
    else:
        hashed.update(data)
