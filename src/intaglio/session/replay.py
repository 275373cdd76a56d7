"""Which sequence numbers have been seen: a set that is bounded however a host reorders.

Upward frames may arrive in any order, each once. The set is kept as intervals, at most `MAX_INTERVALS` of them; a frame
that would need one more is not refused for ever: it fits again once a gap before it closes.
"""

from bisect import bisect_right

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.wire import cbor

__all__ = ["MAX_INTERVALS", "SeenSet"]

MAX_INTERVALS = 1024
"""16 kB a session at most. A well-behaved host needs one; a store-and-forward host with losses a handful."""


class SeenSet:
    """A set of sequence numbers (0 to 2**64 - 1) as sorted, disjoint, non-adjacent intervals."""

    __slots__ = ("_firsts", "_lasts", "limit", "next")

    def __init__(self, limit: int = MAX_INTERVALS) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self.limit = limit
        self.next = 0
        """One more than the highest number seen: what comes in order."""

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.intervals)

    @property
    def intervals(self) -> tuple[tuple[int, int], ...]:
        """(first, last) of each interval, ascending, both inclusive."""
        return tuple(zip(self._firsts, self._lasts, strict=True))

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """(first, last) of every run of missing numbers below the highest seen."""
        edges = [-1, *self._lasts]
        pairs = zip(edges, self._firsts, strict=False)
        return tuple((before + 1, after - 1) for before, after in pairs if after - before > 1)

    @property
    def highest(self) -> int:
        """The highest number seen, or -1."""
        return self.next - 1

    def covers(self, first: int, last: int) -> bool:
        """Whether `first` to `last` have all been seen; true where that is no number."""
        at = bisect_right(self._firsts, first) - 1
        return first > last or (at >= 0 and self._lasts[at] >= last)

    def check(self, number: int) -> None:
        """Raises `Rejected`: REPLAY for a number already seen, REPLAY_STATE_FULL for one too many intervals."""
        at = bisect_right(self._firsts, number) - 1
        if at >= 0 and number <= self._lasts[at]:
            raise Rejected(Reason.REPLAY, expected="a new sequence number", found=number)
        joins_left = at >= 0 and self._lasts[at] + 1 == number
        joins_right = at + 1 < len(self._firsts) and self._firsts[at + 1] - 1 == number
        if not joins_left and not joins_right and len(self._firsts) >= self.limit:
            raise Rejected(Reason.REPLAY_STATE_FULL, expected=f"at most {self.limit} intervals", found=number)

    def add(self, number: int) -> None:
        """Adds a number. Raises as `check` does, and changes nothing then."""
        firsts, lasts = self._firsts, self._lasts
        if number == self.next and firsts:  # in order: what nearly every frame is
            lasts[-1] = number
            self.next += 1
            return
        self.check(number)
        self.next = max(self.next, number + 1)
        at = bisect_right(firsts, number) - 1
        joins_left = at >= 0 and lasts[at] + 1 == number
        joins_right = at + 1 < len(firsts) and firsts[at + 1] - 1 == number
        if joins_left and joins_right:
            lasts[at] = lasts.pop(at + 1)
            del firsts[at + 1]
        elif joins_left:
            lasts[at] = number
        elif joins_right:
            firsts[at + 1] = number
        else:
            firsts.insert(at + 1, number)
            lasts.insert(at + 1, number)

    def encode(self) -> bytes:
        """For the store."""
        return cbor.encode([[first, last] for first, last in self.intervals])

    @classmethod
    def parse(cls, data: bytes, limit: int = MAX_INTERVALS) -> "SeenSet":
        """Reads `encode`'s bytes. Raises `Malformed`."""
        rows = cbor.decode(data, "seen")
        if not isinstance(rows, list) or len(rows) > limit:
            raise Malformed("seen", f"need an array of at most {limit} intervals")
        seen = cls(limit)
        for row in rows:
            low, high = cbor.array(row, "seen.interval", 2)
            first, last = cbor.uint(low, "seen.first"), cbor.uint(high, "seen.last")
            if first > last or (seen._lasts and first <= seen._lasts[-1] + 1):
                raise Malformed("seen", "intervals out of order")
            seen._firsts.append(first)
            seen._lasts.append(last)
            seen.next = last + 1
        return seen
