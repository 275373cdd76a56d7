"""JSON as a stranger may send it: no duplicate keys, no floats, bounded depth and size (checks 16 and 17).

Signed JSON is verified over its exact bytes, so `members` hands out the values of an object as they stand.
"""

import json
import re
from typing import NoReturn

from intaglio.errors import Malformed

__all__ = ["Json", "loads", "members"]

Json = dict[str, "Json"] | list["Json"] | str | int | bool | None

MAX_SIZE = 8 * 1024 * 1024
"""A revocation list of 20,000 entries is 1.5 MB as hexadecimal text."""

MAX_DEPTH = 16
"""Intel's deepest document nests six levels; a parser's stack is not the sender's to spend (CWE-674)."""

MAX_CONTAINERS = 65536
"""Objects and arrays. Intel's longest document has a few thousand; empty ones cost a sender two bytes and us sixty."""

_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""Strings and brackets. Possessive, and a string may lack its end: one that does is looked at once, not once for each
quotation mark in it."""

_SPACE = re.compile(r"[ \t\r\n]*")


def loads(data: bytes, name: str) -> Json:
    """The value of a JSON text. Raises `Malformed`, naming `name`."""
    text = _text(data, name)
    try:
        value: Json = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(name, f"not JSON that is accepted here ({error})") from error
    return value


def members(data: bytes, name: str) -> dict[str, bytes]:
    """The members of a JSON object, each value as the exact bytes between its colon and its comma."""
    text = _text(data, name)
    found: dict[str, bytes] = {}
    try:
        at = _expect(text, 0, "{")
        while True:
            key, at = _DECODER.raw_decode(text, _skip(text, at))
            if not isinstance(key, str) or key in found:
                raise Malformed(name, "a key is not text or occurs twice")
            begin = _skip(text, _expect(text, at, ":"))
            _, at = _DECODER.raw_decode(text, begin)
            found[key] = text[begin:at].encode()
            at = _skip(text, at)
            if text[at : at + 1] != ",":
                break
            at += 1
        at = _skip(text, _expect(text, at, "}"))
    except (ValueError, RecursionError) as error:
        raise Malformed(name, f"not a JSON object ({error})") from error
    if at != len(text):
        raise Malformed(name, f"{len(text) - at} characters too many")
    return found


def _text(data: bytes, name: str) -> str:
    if len(data) > MAX_SIZE:
        raise Malformed(name, f"at most {MAX_SIZE} bytes, got {len(data)}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(name, "not UTF-8") from error
    depth = containers = 0
    for token in _STRUCTURE.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            containers += 1
            if depth > MAX_DEPTH or containers > MAX_CONTAINERS:
                raise Malformed(name, f"nested deeper than {MAX_DEPTH} levels, or more than {MAX_CONTAINERS} objects")
        elif token[0] in ("]", "}"):
            depth -= 1
    return text


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _expect(text: str, at: int, what: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != what:
        raise ValueError(f"expected {what} at {at}")
    return at + 1


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice")
    return value


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text} is not an integer")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float)
