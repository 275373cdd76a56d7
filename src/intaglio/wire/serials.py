"""The serial numbers of a revocation list.

A list is read before it is known who signed it, and Python's set of numbers can be made slow by whoever chooses them:
all multiples of 2**61 - 1 have one hash, and a list of 10 MB of those would take hours. Bytes are hashed with a secret.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

__all__ = ["Serials"]


class Serials(AbstractSet[int]):
    """An immutable set of serial numbers."""

    __slots__ = ("_spelled",)

    def __init__(self, serials: Iterable[int] = ()) -> None:
        self._spelled = frozenset(map(_spell, serials))

    def __contains__(self, serial: object) -> bool:
        return isinstance(serial, int) and _spell(serial) in self._spelled

    def __iter__(self) -> Iterator[int]:
        return (int.from_bytes(each, "big", signed=True) for each in self._spelled)

    def __len__(self) -> int:
        return len(self._spelled)

    def __eq__(self, other: object) -> bool:
        return self._spelled == other._spelled if isinstance(other, Serials) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._spelled)


def _spell(serial: int) -> bytes:
    return serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)
