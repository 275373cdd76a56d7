"""Stored values as JSON, for people: what CBOR can say and JSON can't becomes a small object; nothing is guessed."""

import base64
import math
from collections.abc import Mapping

import cbor2

from intaglio.wire.cbor import NO_TAGS
from intaglio.wire.cbor_keys import check_keys

__all__ = ["JsonValue", "json_of_cbor", "readable"]

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

MAX_DEPTH = 32
_SAFE = 2**53
"""Beyond it JavaScript's numbers lose digits, so such an integer is written as text."""


def json_of_cbor(value: bytes) -> JsonValue:
    """A record's value, decoded. Byte strings become {"base64": ...}, maps with other keys than text {"entries":
    [[key, value], ...]}, large integers {"integer": "..."}, other floats {"float": "NaN"}; what is no plain CBOR
    becomes None, and its bytes are shown beside it. That includes tags: a few hundred bytes of shared references can
    mean more items than there is memory. It includes maps with arrays as keys, which can be made to hash alike."""
    try:
        check_keys(value, MAX_DEPTH)
        decoded = cbor2.loads(
            value, semantic_decoders=NO_TAGS, allow_indefinite=False, allow_duplicate_keys=False, max_depth=MAX_DEPTH
        )
        return _json(decoded)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError):
        return None


def readable(content_type: str, value: bytes) -> JsonValue:
    """The value if its content type has a rendering: CBOR (and what ends in +cbor), and UTF-8 text."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/cbor" or kind.endswith("+cbor"):
        return json_of_cbor(value)
    if kind == "text/plain":
        return value.decode("utf-8", "replace")
    return None


def _json(value: object) -> JsonValue:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -_SAFE < value < _SAFE else {"integer": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {str(key): _json(item) for key, item in value.items()}
        return {"entries": [[_json(key), _json(item)] for key, item in value.items()]}
    raise TypeError(f"{type(value).__name__} has no rendering")
