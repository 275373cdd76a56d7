"""Plain values as CBOR: what arguments and results are made of.

None, bool, int (64 bits), float, str, bytes, list, dict; a tuple travels as an array. Arguments come from a host that
nobody trusts, so bytes are walked before a decoder sees them: tags (which make decoders build dates, patterns and
cycles), indefinite lengths, deep nesting, very many items and trailing bytes never reach it.
"""

import cbor2

from intaglio.errors import Malformed
from intaglio.wire.cbor_keys import check_keys

__all__ = ["MAX_DEPTH", "MAX_ITEMS", "Plain", "decode", "encode"]

Plain = None | bool | int | float | str | bytes | list["Plain"] | tuple["Plain", ...] | dict[str | int | bytes, "Plain"]

MAX_DEPTH = 16
"""Levels of nesting: more is an attack on somebody's stack."""
MAX_ITEMS = 100_000
"""Items in one message: 16 MiB of one-byte items would take gigabytes as Python objects."""

_INT_RANGE = range(-(2**64), 2**64)
_SIMPLE = {20: 0, 21: 0, 22: 0, 25: 2, 26: 4, 27: 8}
"""Simple values and floats (RFC 8949 §3.3) that have a plain value: false, true, null, three sizes of float."""


def encode(value: object, name: str) -> bytes:
    """CBOR of a plain value. Raises `Malformed`, naming the place inside `name`, for everything else."""
    _check(value, name, 0)
    return cbor2.dumps(value)


def decode(data: bytes, name: str) -> Plain:
    """The plain value that `data` encodes, arrays as lists. Raises `Malformed`."""
    _walk(data, name)
    try:
        check_keys(data, MAX_DEPTH + 1)
        value: Plain = cbor2.loads(data, allow_indefinite=False, allow_duplicate_keys=False, max_depth=MAX_DEPTH + 1)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise Malformed(name, f"not CBOR ({error})") from error
    _check(value, name, 0)
    return value


def _check(value: object, name: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Malformed(name, f"nested deeper than {MAX_DEPTH} levels")
    kind = type(value)
    if value is None or kind in (bool, float, bytes):
        return
    if kind is str and isinstance(value, str):
        _check_text(value, name)
    elif kind is int:
        if value not in _INT_RANGE:
            raise Malformed(name, "an integer of more than 64 bits: send it as bytes or text")
    elif isinstance(value, list | tuple) and kind in (list, tuple):
        for index, item in enumerate(value):
            _check(item, f"{name}[{index}]", depth + 1)
    elif isinstance(value, dict) and kind is dict:
        for key, item in value.items():
            if type(key) not in (str, int, bytes):
                raise Malformed(name, f"a {type(key).__name__} can't be a key: use str, int or bytes")
            _check(key, name, depth + 1)
            _check(item, f"{name}[{key!r}]", depth + 1)
    else:
        raise Malformed(
            name, f"{kind.__name__} is not a plain value: use None, bool, int, float, str, bytes, list, dict"
        )


def _check_text(value: str, name: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Malformed(name, "text that is not Unicode (a lone surrogate)") from error


def _walk(data: bytes, name: str) -> None:
    """One pass over the item heads, without recursion: `data` is one item of allowed kinds, and nothing follows it."""
    at, items = 0, 0
    left = [1]
    while left:
        if left[-1] == 0:
            left.pop()
            continue
        left[-1] -= 1
        items += 1
        if items > MAX_ITEMS or len(left) > MAX_DEPTH + 1:
            raise Malformed(name, f"more than {MAX_ITEMS} items or {MAX_DEPTH} levels")
        major, argument, at = _head(data, at, name)
        if major in (2, 3):
            at += argument
        elif major in (4, 5):
            left.append(argument * (major - 3))
        if at > len(data):
            raise Malformed(name, f"need {at} bytes, found {len(data)}")
    if at != len(data):
        raise Malformed(name, f"{len(data) - at} bytes follow the value")


def _head(data: bytes, at: int, name: str) -> tuple[int, int, int]:
    """(major type, argument, where the next byte is) of the head at `at`; for floats the argument is 0."""
    if at >= len(data):
        raise Malformed(name, f"need more than {len(data)} bytes")
    major, short = data[at] >> 5, data[at] & 0x1F
    if major == 6:
        raise Malformed(name, "a CBOR tag (dates, big numbers and the like) is not a plain value")
    if major == 7:
        if short not in _SIMPLE:
            raise Malformed(name, "a simple value that has no plain meaning")
        return major, 0, at + 1 + _SIMPLE[short]
    if short < 24:
        return major, short, at + 1
    if short > 27:
        raise Malformed(name, "indefinite or reserved length")
    size = 1 << (short - 24)
    # A length cut short reads as a smaller number here; the caller then finds the position past the end.
    return major, int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size
