"""CBOR that others encode (RFC 8949), read item by item from left to right, with a limit on everything.

`intaglio.wire.cbor` wants one encoding for each value and lets a general decoder build it first. What a platform signs
is not ours to choose: maps and arrays may state how many items they have or end in a break, as their encoder likes.
Nothing else is lenient. Heads are as short as they can be; tags, floats, strings in pieces, and items nobody asked for
are refused, so nothing is ever built that was not asked for by type and size.
"""

from collections.abc import Iterator

from intaglio.errors import Malformed

__all__ = ["ItemReader"]

_UINT, _BYTES, _TEXT, _ARRAY, _MAP = 0, 2, 3, 4, 5
_NAMES = ("an unsigned integer", "a negative integer", "a byte string", "a text string", "an array", "a map", "a tag",
          "a simple value")  # fmt: skip
_INDEFINITE = 31


class ItemReader:
    """A position in `data`. `name` prefixes the field names in errors. Every method raises `Malformed`."""

    __slots__ = ("_data", "_name", "at")

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name
        self.at = 0

    def uint(self, field: str, low: int, high: int) -> int:
        """An unsigned integer from `low` to `high`."""
        value = self._head(_UINT, field)
        if not low <= value <= high:
            raise self._malformed(field, f"need a number from {low} to {high}, found {value}")
        return value

    def bstr(self, field: str, low: int, high: int) -> bytes:
        """A byte string of `low` to `high` bytes."""
        return self._string(_BYTES, field, low, high)

    def bstr_or_null(self, field: str, low: int, high: int) -> bytes | None:
        """The same, or null."""
        if self._data[self.at : self.at + 1] == b"\xf6":
            self.at += 1
            return None
        return self._string(_BYTES, field, low, high)

    def tstr(self, field: str, low: int, high: int) -> str:
        """A text string of `low` to `high` bytes of UTF-8."""
        content = self._string(_TEXT, field, low, high)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._malformed(field, "not UTF-8") from error

    def array(self, field: str, low: int, high: int) -> Iterator[int]:
        """Counts the items of an array of `low` to `high` items; whoever loops reads one item each time."""
        return self._counted(_ARRAY, field, low, high)

    def map(self, field: str, low: int, high: int) -> Iterator[int]:
        """Counts the pairs of a map of `low` to `high` pairs; whoever loops reads a key and a value each time."""
        return self._counted(_MAP, field, low, high)

    def after(self, heads: bytes, size: int) -> bytes | None:
        """The `size` bytes that follow exactly these `heads`; None, and nothing read, where the next items begin in
        another way. For what is nearly always the same: no head has two spellings, so it means what the general
        way would make of it."""
        begin = self.at + len(heads)
        if not self._data.startswith(heads, self.at) or begin + size > len(self._data):
            return None
        self.at = begin + size
        return self._data[begin : self.at]

    def exactly(self, expected: bytes, field: str, meaning: str) -> None:
        """These bytes and no others; `meaning` says in an error what they are."""
        end = self.at + len(expected)
        if self._data[self.at : end] != expected:
            raise self._malformed(field, f"need {meaning}, found {self._data[self.at : end].hex() or 'nothing'}")
        self.at = end

    def end(self) -> None:
        """Refuses what follows."""
        if self.at != len(self._data):
            raise Malformed(self._name, f"{len(self._data) - self.at} bytes too many")

    def _counted(self, major: int, field: str, low: int, high: int) -> Iterator[int]:
        if self._data[self.at : self.at + 1] == bytes((major << 5 | _INDEFINITE,)):
            self.at += 1
            return self._until_break(field, low, high)
        count = self._head(major, field)
        if not low <= count <= high:
            raise self._malformed(field, f"need {low} to {high} items, found {count}")
        return iter(range(count))

    def _until_break(self, field: str, low: int, high: int) -> Iterator[int]:
        count = 0
        while self._data[self.at : self.at + 1] != b"\xff":
            if count == high:
                raise self._malformed(field, f"more than {high} items")
            yield count
            count += 1
        self.at += 1
        if count < low:
            raise self._malformed(field, f"need at least {low} items, found {count}")

    def _string(self, major: int, field: str, low: int, high: int) -> bytes:
        size = self._head(major, field)
        if not low <= size <= high:
            raise self._malformed(field, f"need {low} to {high} bytes, found {size}")
        begin, self.at = self.at, self.at + size
        if self.at > len(self._data):
            raise self._malformed(field, f"need {size} bytes, {len(self._data) - begin} left")
        return self._data[begin : self.at]

    def _head(self, major: int, field: str) -> int:
        """The argument of a head of this major type, in its shortest form."""
        data, at = self._data, self.at
        if at >= len(data):
            raise self._malformed(field, f"need {_NAMES[major]}, nothing left")
        argument = data[at] - (major << 5)
        if not 0 <= argument < 32:
            raise self._malformed(field, f"need {_NAMES[major]}, found {_NAMES[data[at] >> 5]}")
        if argument < 24:
            self.at = at + 1
            return argument
        if argument > 27:
            raise self._malformed(field, "a head that is not used here")
        size = 1 << argument - 24
        self.at = at + 1 + size
        if self.at > len(data):
            raise self._malformed(field, f"need a head of {size + 1} bytes, {len(data) - at} left")
        value = int.from_bytes(data[at + 1 : self.at], "big")
        if value < (24 if size == 1 else 1 << 4 * size):
            raise self._malformed(field, "a head that is longer than it needs to be")
        return value

    def _malformed(self, field: str, problem: str) -> Malformed:
        return Malformed(f"{self._name}.{field}", problem)
