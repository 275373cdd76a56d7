"""The four ways in which every reader is fed: whole, with each byte changed, cut short, and with a byte too many.

`feed` knows nothing of a format. A reader passes if it reads what is good, refuses what is short or long, and for
anything else raises `Malformed` or returns; any other exception fails the test.
"""

from collections.abc import Callable, Iterable

import pytest

from intaglio.errors import Malformed

__all__ = ["feed", "feed_garbage"]

Reader = Callable[[bytes], object]

MAX_POSITIONS = 600
"""Of longer inputs a spread of positions is tried, the first and the last hundred among them."""


def feed(reader: Reader, good: bytes, *, may_follow: bytes = b"", optional_tail: int = 0) -> object:
    """Feeds `good` in all four ways and returns what it reads as.

    `may_follow`: bytes that may follow what is good (padding, white space). `optional_tail`: how many bytes at the
    end of `good` may be missing without harm.
    """
    whole = reader(good)
    for position in _positions(len(good)):
        for change in (0x01, 0x80):
            feed_garbage(reader, good[:position] + bytes((good[position] ^ change,)) + good[position + 1 :])
    for length in _positions(len(good) - optional_tail):
        with pytest.raises(Malformed):
            reader(good[:length])
    for extra in (b"\x00", b"\n", b"A", b"\xff", good[:1]):
        if extra not in (may_follow[i : i + 1] for i in range(len(may_follow))):
            with pytest.raises(Malformed):
                reader(good + extra)
    return whole


def feed_garbage(reader: Reader, garbage: bytes) -> None:
    """Whatever `garbage` is, nothing but `Malformed` may come out of the reader as an exception."""
    try:
        reader(garbage)
    except Malformed as malformed:
        assert malformed.field, "a Malformed names its field"


def _positions(length: int) -> Iterable[int]:
    if length <= MAX_POSITIONS:
        return range(length)
    step = (length - 200) // (MAX_POSITIONS - 200) + 1
    return sorted({*range(100), *range(100, length - 100, step), *range(length - 100, length)})
