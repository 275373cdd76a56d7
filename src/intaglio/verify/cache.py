"""What a verifier remembers, bounded. Losing an entry costs time, never a wrong answer: only pure results are kept."""

from collections import OrderedDict
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["Recent"]

V = TypeVar("V")


class Recent(Generic[V]):
    """The `limit` most recently used values, by their bytes or digest.

    Safe for use from several threads without a lock: each step is one operation of OrderedDict, and what another
    thread removed in between is a miss.
    """

    __slots__ = ("_limit", "_values")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[bytes, V] = OrderedDict()

    def get(self, key: bytes) -> V | None:
        value = self._values.get(key)
        if value is not None:
            with suppress(KeyError):
                self._values.move_to_end(key)
        return value

    def put(self, key: bytes, value: V) -> None:
        self._values[key] = value
        while len(self._values) > self._limit:
            with suppress(KeyError):
                self._values.popitem(last=False)

    def pop(self, key: bytes) -> V | None:
        """Forgets it; returns what it was."""
        return self._values.pop(key, None)

    def values(self) -> list[V]:
        """Those of this moment, the most recently used last."""
        return list(self._values.values())

    def clear(self) -> None:
        self._values.clear()

    def __len__(self) -> int:
        return len(self._values)
