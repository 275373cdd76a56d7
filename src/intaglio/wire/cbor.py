"""Deterministic CBOR (RFC 8949 §4.2.1): one encoding for each value, and readers that refuse every other one.

All of Intaglio's own messages are made of unsigned and negative integers, byte strings, text strings, arrays, maps,
true, false and null. Floats, tags and indefinite lengths do not occur and are refused. `digest` is the only way in
which the protocol hashes: SHA-256 over an array whose first item is a label, never a bare concatenation.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NoReturn

import cbor2

from intaglio.errors import Malformed

__all__ = [
    "LABEL_PREFIX",
    "MAX_DEPTH",
    "NO_TAGS",
    "Value",
    "array",
    "bstr",
    "bytes_head",
    "decode",
    "digest",
    "encode",
    "head",
    "labelled",
    "tstr",
    "uint",
]

Value = int | bytes | str | bool | None | Sequence["Value"] | dict["Value", "Value"]

LABEL_PREFIX = "intaglio/1 "
"""Every label of protocol version 1 begins with it, so that no hash or signature fits another protocol."""

MAX_DEPTH = 8
"""Our deepest message nests five levels; more is an attack on the reader's stack."""

_MAX_INT = 2**64
_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _OTHER = range(8)
_SIMPLE = {(_OTHER, 20): False, (_OTHER, 21): True, (_OTHER, 22): None}


def encode(value: Value) -> bytes:
    """The deterministic encoding of `value`. Raises TypeError for what the protocol does not use."""
    return cbor2.dumps(value if _flat(value) else _ordered(value, 0))


def decode(data: bytes, name: str) -> Value:
    """The value that `data` encodes, arrays as lists. Raises `Malformed` (naming `name`) unless `data` is exactly its
    deterministic encoding: no trailing bytes, no longer lengths than needed, keys sorted, no floats, no tags.

    Map keys are numbers, byte strings and text strings. A decoder that builds others can be made to hash a map's
    thousands of keys to one value, which takes a time that grows with the square of their number.
    """
    try:
        value, end = _item(data, 0, MAX_DEPTH)
    except ValueError as error:
        raise Malformed(name, f"not deterministically encoded CBOR ({error})") from error
    if end != len(data):
        raise Malformed(name, f"not deterministically encoded CBOR ({len(data) - end} bytes too many)")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    """The item at `at` with at most `depth` levels, and where the next one begins. Raises ValueError."""
    major, argument, at = _read_head(data, at)
    if major == _UINT:
        return argument, at
    if major == _NEGATIVE:
        return -1 - argument, at
    if major > _MAP:
        if (major, argument) not in _SIMPLE:
            raise ValueError("a tag, a float, or a value that is not used here")
        return _SIMPLE[major, argument], at
    # An item has at least one byte, and a string as many as it says.
    if argument > len(data) - at:
        raise ValueError(f"a length of {argument}, {len(data) - at} bytes left")
    if major == _BYTES:
        return data[at : at + argument], at + argument
    if major == _TEXT:
        return data[at : at + argument].decode("utf-8"), at + argument
    if not depth:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if major == _MAP:
        return _map(data, at, argument, depth - 1)
    items = []
    for _ in range(argument):
        item, at = _item(data, at, depth - 1)
        items.append(item)
    return items, at


def _map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[Value, Value], int]:
    found: dict[Value, Value] = {}
    before = b""
    for _ in range(count):
        if at < len(data) and data[at] >> 5 > _TEXT:
            raise ValueError("a key that is no number and no string")
        key, end = _item(data, at, 0)
        spelled = data[at:end]
        if spelled <= before:
            raise ValueError("keys that are not sorted, or one twice")
        found[key], at = _item(data, end, depth)
        before = spelled
    return found, at


def _read_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Major type and argument of the head at `at`, which must be the shortest, and where it ends."""
    if at >= len(data):
        raise ValueError("it ends too early")
    major, argument = data[at] >> 5, data[at] & 0x1F
    at += 1
    if argument < 24:
        return major, argument, at
    if argument > 27 or major > _TAG:
        raise ValueError("an indefinite length, a float, or a head that is not used here")
    size = 1 << argument - 24
    argument = int.from_bytes(data[at : at + size], "big")
    if at + size > len(data) or argument < (24 if size == 1 else 1 << 4 * size):
        raise ValueError("a head that is cut short, or longer than it needs to be")
    return major, argument, at + size


class _NoTags(dict[int, Callable[[Any, bool], Any]]):
    """What the decoder asks for the meaning of a tag: none has one. It must not even be built: with shared references
    (tags 28 and 29) a kilobyte of nested arrays holds more items than could ever be looked at."""

    def __missing__(self, tag: int) -> NoReturn:
        raise ValueError(f"tag {tag}")


NO_TAGS = _NoTags()
"""For `cbor2.loads(semantic_decoders=...)`, wherever bytes of a stranger are decoded."""


def labelled(label: str, *items: Value) -> bytes:
    """CBOR ["intaglio/1 " + label, *items]: what the protocol hashes, signs or feeds to a key derivation.

    Byte strings and small numbers, which nearly all items are, need no general encoder (half the time of a hash).
    """
    parts = [_label(label, len(items))]
    for item in items:
        if type(item) is bytes:
            parts += (bytes_head(len(item)), item)
        elif type(item) is int and 0 <= item < 24:
            parts.append(_SMALL[item])
        else:
            parts.append(encode(item))
    return b"".join(parts)


@lru_cache(maxsize=256)
def _label(label: str, items: int) -> bytes:
    return head(4, items + 1) + cbor2.dumps(LABEL_PREFIX + label)


def digest(label: str, *items: Value) -> bytes:
    """H(label, items...) of docs/protocol.md: SHA-256 of `labelled`, 32 bytes."""
    return hashlib.sha256(labelled(label, *items)).digest()


def head(major: int, argument: int) -> bytes:
    """The shortest head of this major type and argument below 2**32 (RFC 8949 §3)."""
    if argument < 24:
        return bytes((major << 5 | argument,))
    if argument < 0x100:
        return bytes((major << 5 | 24, argument))
    if argument < 0x10000:
        return bytes((major << 5 | 25,)) + argument.to_bytes(2, "big")
    return bytes((major << 5 | 26,)) + argument.to_bytes(4, "big")


_SMALL = tuple(head(0, number) for number in range(24))
_BYTES_HEADS = tuple(head(2, length) for length in range(1024))


def bytes_head(length: int) -> bytes:
    """The shortest head of a byte string of this length."""
    return _BYTES_HEADS[length] if length < 1024 else head(2, length)


_SCALARS = frozenset((bytes, str, bool, type(None)))


def _flat(value: Value) -> bool:
    """Whether `value` is an array of scalars and empty maps, as nearly all that the protocol hashes is: there is
    nothing in it to order or to refuse. (This halves the time of a derivation.)"""
    if type(value) is not list:
        return False
    for item in value:
        kind = type(item)
        if kind in _SCALARS or (kind is dict and not item) or (kind is int and -_MAX_INT <= item < _MAX_INT):
            continue
        return False
    return True


def _ordered(value: Value, depth: int) -> Value:
    """`value` with map keys in bytewise order of their encodings: cbor2's canonical mode sorts by length first (the
    older RFC 7049), which differs for mixed key types."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if value is None or isinstance(value, bool | bytes | str):
        return value
    if isinstance(value, int):
        if not -_MAX_INT <= value < _MAX_INT:
            raise ValueError("integer needs more than 64 bits")
        return value
    if isinstance(value, list | tuple):
        return [_ordered(item, depth + 1) for item in value]
    if isinstance(value, dict):
        pairs = sorted(((cbor2.dumps(_key(key)), key, item) for key, item in value.items()), key=lambda pair: pair[0])
        return {key: _ordered(item, depth + 1) for _, key, item in pairs}
    raise TypeError(f"{type(value).__name__} has no place in a message")


def _key(key: Value) -> Value:
    if isinstance(key, bool) or not isinstance(key, int | bytes | str):
        raise TypeError(f"{type(key).__name__} can't be a map key")
    return key


def uint(value: object, field: str, *, limit: int = _MAX_INT - 1) -> int:
    """`value` as an unsigned integer of at most `limit`. CBOR's true is no number. Raises `Malformed`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
        raise Malformed(field, f"need an unsigned integer of at most {limit}")
    return value


def bstr(value: object, field: str, size: int | None = None) -> bytes:
    """`value` as a byte string, of exactly `size` bytes where given. Raises `Malformed`."""
    if not isinstance(value, bytes):
        raise Malformed(field, "need a byte string")
    if size is not None and len(value) != size:
        raise Malformed(field, f"need {size} bytes, found {len(value)}")
    return value


def tstr(value: object, field: str, *, limit: int = 256) -> str:
    """`value` as a text string of 1 to `limit` bytes of UTF-8. Raises `Malformed`."""
    try:
        size = len(value.encode()) if isinstance(value, str) else 0
    except UnicodeEncodeError as error:
        raise Malformed(field, "not text: holds half of a surrogate pair") from error
    if not isinstance(value, str) or not 0 < size <= limit:
        raise Malformed(field, f"need a text string of 1 to {limit} bytes")
    return value


def array(value: object, field: str, size: int) -> list[object]:
    """`value` as an array of exactly `size` items. Raises `Malformed`."""
    if not isinstance(value, list) or len(value) != size:
        raise Malformed(field, f"need an array of {size} items")
    return value
