"""What a frame holds (docs/protocol.md §6.2): [kind, body], and in epoch 0 a signature beside it.

Records are written by concatenation and read by slicing. The reader takes one encoding only: every head must be the
shortest (RFC 8949 §4.2.1), so a content that was read and written again is the same bytes.
"""

from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import cbor2

from intaglio.errors import Malformed
from intaglio.wire import cbor

__all__ = [
    "SIGNATURE",
    "Body",
    "ContentReader",
    "Kind",
    "Record",
    "encode_content",
    "encode_control",
    "encode_records",
    "split_signature",
]

SIGNATURE = 64
"""Bytes of an Ed25519 signature."""
MAX_RECORDS = 65535
"""Records in one frame."""
MAX_NAME = 255
"""Bytes of UTF-8 in a record's name or content type."""

_SIGNATURE_HEAD = cbor.bytes_head(SIGNATURE)


class Kind(IntEnum):
    """What a frame's content is."""

    RECORDS = 0
    """Body: the records."""
    REKEY = 1
    """Body: the next epoch. The last frame of its epoch and direction."""
    CHECKPOINT = 2
    """Body: a checkpoint (docs/protocol.md §8)."""
    END = 3
    """Body: null. The sender will send nothing more in this session and direction."""


_RECORDS = Kind.RECORDS
_new = tuple.__new__  # half the price of a named tuple's own constructor


class Record(NamedTuple):
    """One value: its name (`get_size`), content type (a media type), both 1 to 255 bytes of UTF-8, and its bytes."""

    name: str
    content_type: str
    value: bytes


Body = tuple[Record, ...] | int | bytes | None
"""By kind: the records, the next epoch, a checkpoint's bytes, or None."""


def encode_records(records: Iterable[Record]) -> bytes:
    """[0, [records]], by concatenation. Raises `Malformed` for no records, too many, or names out of bounds."""
    parts = [b""]
    for record in records:
        name, content_type, value = record
        parts += (_record_head(name, content_type, len(value)), value)
    parts[0] = _records_head(len(parts) // 2)
    return b"".join(parts)


def encode_control(kind: Kind, body: int | bytes | None) -> bytes:
    """[kind, body] for every kind but records."""
    return cbor.encode([int(kind), body])


def encode_content(signed_part: bytes, signature: bytes) -> bytes:
    """The plaintext of an epoch-0 frame: [kind, body, signature]. In later epochs `signed_part` is the plaintext."""
    return b"".join((b"\x83", signed_part[1:], _SIGNATURE_HEAD, signature))


def split_signature(plaintext: bytes) -> tuple[bytes, bytes]:
    """[kind, body] and the 64-byte signature of an epoch-0 plaintext, [kind, body, signature]. Raises `Malformed`."""
    split = len(plaintext) - SIGNATURE - len(_SIGNATURE_HEAD)
    if split < 2 or plaintext[0] != 0x83 or plaintext[split:-SIGNATURE] != _SIGNATURE_HEAD:
        raise Malformed("content", "need [kind, body, signature of 64 bytes]")
    return b"\x82" + plaintext[1:split], plaintext[-SIGNATURE:]


class ContentReader:
    """Reads the contents of one direction. It remembers the last record's head (name, content type and size mostly
    stay the same), so that the next one like it costs a comparison; it reads the same with or without that memory."""

    __slots__ = ("_head", "_name", "_one", "_one_size", "_size", "_type")

    def __init__(self) -> None:
        # A head like any other: remembering it reads the same as parsing it. (A head that no record has would be read
        # where a stranger wrote it.)
        self._remember(_record_head("-", "-", 0), "-", "-", 0)

    def read(self, content: bytes) -> tuple[Kind, Body]:
        """The kind and body of [kind, body]. Raises `Malformed`."""
        if len(content) == self._one_size and content.startswith(self._one):
            return _RECORDS, (_new(Record, (self._name, self._type, content[len(self._one) :])),)
        if content.startswith(b"\x82\x00"):
            return _RECORDS, self._records(content)
        return _parse_control(content)

    def _records(self, data: bytes) -> tuple[Record, ...]:
        count, at = _head(data, 2, 4, "content.records")
        if not 0 < count <= MAX_RECORDS:
            raise Malformed("content.records", f"need 1 to {MAX_RECORDS}, found {count}")
        head, name, content_type, size = self._head, self._name, self._type, self._size
        records: list[Record] = []
        for _ in range(count):
            if not data.startswith(head, at):
                name, content_type, size, after = _parse_record_head(data, at)
                head = data[at:after]
            at += len(head)
            end = at + size
            records.append(_new(Record, (name, content_type, data[at:end])))
            at = end
        # A value that was cut short leaves `at` beyond the end.
        if at != len(data):
            raise Malformed("content", f"{len(data)} bytes, its records take {at}")
        self._remember(head, name, content_type, size)
        return tuple(records)

    def _remember(self, head: bytes, name: str, content_type: str, size: int) -> None:
        self._head, self._name, self._type, self._size = head, name, content_type, size
        self._one = b"\x82\x00\x81" + head
        self._one_size = len(self._one) + size


@lru_cache(maxsize=4096)
def _record_head(name: str, content_type: str, size: int) -> bytes:
    for text, field in ((name, "record.name"), (content_type, "record.content_type")):
        cbor.tstr(text, field, limit=MAX_NAME)
    return b"\x83" + cbor2.dumps(name) + cbor2.dumps(content_type) + cbor.bytes_head(size)


@lru_cache(maxsize=256)
def _records_head(count: int) -> bytes:
    if not 0 < count <= MAX_RECORDS:
        raise Malformed("records", f"need 1 to {MAX_RECORDS}, found {count}")
    return b"\x82\x00" + cbor.head(4, count)


def _parse_record_head(data: bytes, at: int) -> tuple[str, str, int, int]:
    """Name, content type, size of the value, and where the value begins."""
    if data[at : at + 1] != b"\x83":
        raise Malformed("content.record", "need [name, content type, value]")
    name, at = _text(data, at + 1, "record.name")
    content_type, at = _text(data, at, "record.content_type")
    size, at = _head(data, at, 2, "record.value")
    return name, content_type, size, at


def _text(data: bytes, at: int, field: str) -> tuple[str, int]:
    size, at = _head(data, at, 3, field)
    raw = data[at : at + size]
    if len(raw) != size or not 0 < size <= MAX_NAME:
        raise Malformed(field, f"need a text string of 1 to {MAX_NAME} bytes")
    try:
        return raw.decode(), at + size
    except UnicodeDecodeError as error:
        raise Malformed(field, "not UTF-8") from error


def _head(data: bytes, at: int, major: int, field: str) -> tuple[int, int]:
    """The argument of the CBOR head at `at`, which must be of this major type and the shortest, and where it ends."""
    first = data[at] if at < len(data) else 0xFF
    extra = {24: 1, 25: 2, 26: 4}.get(first & 0x1F, 0)
    value = int.from_bytes(data[at + 1 : at + 1 + extra], "big") if extra else first & 0x1F
    end = at + 1 + extra
    if data[at:end] != cbor.head(major, value):
        raise Malformed(field, f"need a CBOR item of major type {major} with the shortest head")
    return value, end


def _parse_control(plaintext: bytes) -> tuple[Kind, int | bytes | None]:
    kind, body = cbor.array(cbor.decode(plaintext, "content"), "content", 2)
    match cbor.uint(kind, "content.kind"):
        case Kind.REKEY:
            return Kind.REKEY, cbor.uint(body, "content.next_epoch", limit=2**32 - 1)
        case Kind.CHECKPOINT:
            return Kind.CHECKPOINT, cbor.bstr(body, "content.checkpoint")
        case Kind.END if body is None:
            return Kind.END, None
    raise Malformed("content.kind", f"unknown kind {kind} or a body that does not belong to it")
