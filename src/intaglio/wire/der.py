"""A strict reader of DER (X.690 §10), as far as Intel's certificate extension needs it.

It exists beside the certificate parser of the cryptography package because that one hands out unknown
extensions as bytes. Definite lengths in their shortest form only; like the cursor, it alone slices what it
reads.
"""

from collections.abc import Iterator

from intaglio.errors import Malformed

__all__ = [
    "BOOLEAN", "ENUMERATED", "INTEGER", "OBJECT_IDENTIFIER", "OCTET_STRING", "SEQUENCE", "boolean", "dotted",
    "element", "elements", "encode", "integer", "raw", "sole",
]  # fmt: skip

BOOLEAN = 0x01
INTEGER = 0x02
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
ENUMERATED = 0x0A
SEQUENCE = 0x30


def element(data: bytes, at: int, field: str) -> tuple[int, bytes, int]:
    """The tag and content of the element at `at`, and where the next one begins. Raises `Malformed`."""
    size = len(data)
    if size - at < 2:
        raise Malformed(field, f"need a tag and a length, {size - at} bytes left")
    tag, length = data[at], data[at + 1]
    at += 2
    if length >= 0x80:
        count = length - 0x80
        if not 1 <= count <= 4 or size - at < count:
            raise Malformed(field, "length is not one that DER uses here")
        length = int.from_bytes(data[at : at + count], "big")
        at += count
        if length < (0x80 if count == 1 else 1 << 8 * (count - 1)):
            raise Malformed(field, "length is longer than it needs to be")
    end = at + length
    if end > size:
        raise Malformed(field, f"need {length} bytes, {size - at} left")
    return tag, data[at:end], end


def raw(data: bytes, at: int, field: str) -> tuple[bytes, int]:
    """The element at `at` with its tag and length, and where the next one begins."""
    _, _, end = element(data, at, field)
    return data[at:end], end


def elements(data: bytes, field: str) -> Iterator[tuple[int, bytes]]:
    """All elements of `data`, which they fill exactly."""
    at = 0
    while at < len(data):
        tag, content, at = element(data, at, field)
        yield tag, content


def sole(data: bytes, tag: int, field: str) -> bytes:
    """The content of the one element that `data` is. Raises `Malformed` for another tag or bytes after it."""
    found, content, end = element(data, 0, field)
    if found != tag:
        raise Malformed(field, f"expected tag {tag:#04x}, got {found:#04x}")
    if end != len(data):
        raise Malformed(field, f"{len(data) - end} bytes too many")
    return content


def integer(content: bytes, limit: int, field: str) -> int:
    """A non-negative INTEGER or ENUMERATED of at most `limit`, in its shortest form."""
    if not content or content[0] >= 0x80 or (len(content) > 1 and content[0] == 0 and content[1] < 0x80):
        raise Malformed(field, "not a non-negative integer in its shortest form")
    value = int.from_bytes(content, "big")
    if value > limit:
        raise Malformed(field, f"at most {limit}, got {value}")
    return value


def boolean(content: bytes, field: str) -> bool:
    if content not in (b"\x00", b"\xff"):
        raise Malformed(field, "a boolean is 00 or ff")
    return content == b"\xff"


def dotted(oid: bytes) -> str:
    """An OBJECT IDENTIFIER's content as text. Raises `Malformed` unless it is complete and in its shortest form."""
    if not oid or oid[-1] >= 0x80:
        raise Malformed("oid", "empty, or its last number is cut short")
    numbers, number, begins = [], 0, True
    for byte in oid:
        if begins and byte == 0x80:
            raise Malformed("oid", "a number is longer than it needs to be")
        number, begins = number << 7 | byte & 0x7F, byte < 0x80
        if begins:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def encode(tag: int, content: bytes) -> bytes:
    """One element. Raises ValueError for more than 65,535 bytes, which nothing here has."""
    length = len(content)
    if length > 0xFFFF:
        raise ValueError("too long for this encoder")
    if length < 0x80:
        head = bytes((tag, length))
    elif length < 0x100:
        head = bytes((tag, 0x81, length))
    else:
        head = bytes((tag, 0x82)) + length.to_bytes(2, "big")
    return head + content
