"""The Merkle tree of RFC 9162 §2.1 over a session's leaves: roots, and proofs that an entry or an older tree is in it.

`Frontier` grows by one entry at a time and keeps one hash for each set bit of its size, 64 at most, however long a
session lives. Proofs are made from all entries by whoever stored them, and checked with nothing but a root.
"""

import hashlib
from collections.abc import Iterable, Sequence

from intaglio.errors import Malformed
from intaglio.wire import cbor

__all__ = ["Frontier", "consistency_proof", "inclusion_proof", "root_by_consistency", "root_by_inclusion"]

EMPTY_ROOT = hashlib.sha256().digest()
_sha256 = hashlib.sha256


class Frontier:
    """A tree that only grows: its size, and the roots of its complete subtrees from the largest to the smallest."""

    __slots__ = ("_peaks", "size")

    def __init__(self, entries: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._peaks: list[bytes] = []
        for entry in entries:
            self.append(entry)

    @property
    def root(self) -> bytes:
        """MTH of all entries so far."""
        if not self._peaks:
            return EMPTY_ROOT
        *larger, root = self._peaks
        for peak in reversed(larger):
            root = _node(peak, root)
        return root

    def append(self, entry: bytes) -> None:
        peak, size = _leaf(entry), self.size
        while size & 1:
            peak = _node(self._peaks.pop(), peak)
            size >>= 1
        self._peaks.append(peak)
        self.size += 1

    def copy(self) -> "Frontier":
        """To try entries out on."""
        other = Frontier()
        other.size, other._peaks = self.size, self._peaks.copy()
        return other

    def encode(self) -> bytes:
        """For the store."""
        return cbor.encode([self.size, list(self._peaks)])

    @classmethod
    def parse(cls, data: bytes) -> "Frontier":
        """Reads `encode`'s bytes. Raises `Malformed`."""
        size, peaks = cbor.array(cbor.decode(data, "frontier"), "frontier", 2)
        frontier = cls()
        frontier.size = cbor.uint(size, "frontier.size")
        rows = cbor.array(peaks, "frontier.peaks", frontier.size.bit_count())
        frontier._peaks = [cbor.bstr(peak, "frontier.peak", 32) for peak in rows]
        return frontier


def inclusion_proof(entries: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """PATH(index, entries) of §2.1.3.1, from the leaf upwards."""
    if not 0 <= index < len(entries):
        raise IndexError(f"index {index} of {len(entries)} entries")
    path: list[bytes] = []
    low, high = 0, len(entries)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(Frontier(entries[middle:high]).root)
            high = middle
        else:
            path.append(Frontier(entries[low:middle]).root)
            low = middle
    return tuple(reversed(path))


def root_by_inclusion(entry: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root of a tree of `size` entries that `path` leads to from this entry (§2.1.3.2): compare it with a root that
    is signed. Raises `Malformed` for a path that no such tree has."""
    if not 0 <= index < size:
        raise Malformed("inclusion.index", f"{index} of {size} entries")
    number, last, root = index, size - 1, _leaf(entry)
    for each in path:
        if last == 0:
            raise Malformed("inclusion.path", "longer than the tree is high")
        if number & 1 or number == last:
            root = _node(each, root)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            root = _node(root, each)
        number, last = number >> 1, last >> 1
    if last:
        raise Malformed("inclusion.path", "ends below the root")
    return root


def consistency_proof(entries: Sequence[bytes], older: int) -> tuple[bytes, ...]:
    """PROOF(older, entries) of §2.1.4.1: that the first `older` entries have stayed what they were."""
    if not 0 < older <= len(entries):
        raise IndexError(f"size {older} of {len(entries)} entries")
    path: list[bytes] = []
    low, high, whole = 0, len(entries), True
    while older != high:
        middle = low + _split(high - low)
        if older <= middle:
            path.append(Frontier(entries[middle:high]).root)
            high = middle
        else:
            path.append(Frontier(entries[low:middle]).root)
            low, whole = middle, False
    if not whole:
        path.append(Frontier(entries[low:high]).root)
    return tuple(reversed(path))


def root_by_consistency(older: int, older_root: bytes, size: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """(root of the first `older` entries, root of all `size`) that `path` leads to (§2.1.4.2): compare both with roots
    that are signed. Raises `Malformed` for a path that no such trees have."""
    if not 0 < older <= size:
        raise Malformed("consistency.size", f"{older} of {size} entries")
    if older == size:
        if path:
            raise Malformed("consistency.path", "longer than the tree is high")
        return older_root, older_root
    hashes = [older_root, *path] if older & (older - 1) == 0 else list(path)
    if not hashes:
        raise Malformed("consistency.path", "ends below the root")
    number, last = older - 1, size - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    before = after = hashes[0]
    for each in hashes[1:]:
        if last == 0:
            raise Malformed("consistency.path", "longer than the tree is high")
        if number & 1 or number == last:
            before, after = _node(each, before), _node(each, after)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            after = _node(after, each)
        number, last = number >> 1, last >> 1
    if last:
        raise Malformed("consistency.path", "ends below the root")
    return before, after


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1


def _leaf(entry: bytes) -> bytes:
    return _sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\x01" + left + right).digest()
