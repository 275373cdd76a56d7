"""Reading a byte string from left to right: the only place that slices bytes of a fixed layout.

Every reader names the field it is about to read, so that `Malformed` can say which one was short. Nothing is padded,
nothing skipped in silence.
"""

from intaglio.errors import Malformed

__all__ = ["Cursor"]


class Cursor:
    """A position in `data`. `name` prefixes the field names in errors."""

    __slots__ = ("_data", "_name", "position")

    def __init__(self, data: bytes, name: str = "") -> None:
        self._data = data
        self._name = name
        self.position = 0

    @property
    def left(self) -> int:
        """How many bytes remain."""
        return len(self._data) - self.position

    def take(self, count: int, field: str) -> bytes:
        """The next `count` bytes. Raises `Malformed` if fewer remain."""
        end = self.position + count
        if end > len(self._data):
            raise Malformed(self._label(field), f"need {count} bytes, {self.left} left")
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def u8(self, field: str) -> int:
        return self.take(1, field)[0]

    def u16(self, field: str) -> int:
        """Little-endian, as Intel and AMD lay out all their structures."""
        return int.from_bytes(self.take(2, field), "little")

    def u32(self, field: str) -> int:
        return int.from_bytes(self.take(4, field), "little")

    def u64(self, field: str) -> int:
        return int.from_bytes(self.take(8, field), "little")

    def zeros(self, count: int, field: str) -> None:
        """The next `count` bytes, which are reserved: anything but zero raises `Malformed`."""
        if self.take(count, field).strip(b"\0"):
            raise Malformed(self._label(field), "reserved bytes are not zero")

    def rest(self) -> bytes:
        """Everything that remains."""
        return self.take(self.left, "rest")

    def end(self) -> None:
        """Raises `Malformed` if bytes remain."""
        if self.left:
            raise Malformed(self._name or "input", f"{self.left} bytes too many")

    def _label(self, field: str) -> str:
        return f"{self._name}.{field}" if self._name else field
