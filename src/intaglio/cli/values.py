"""A record's value for people and for JSON, by its content type."""

import math

from intaglio.enclave.calls import CBOR, ERROR
from intaglio.enclave.values import Plain, decode
from intaglio.errors import Malformed

__all__ = ["value_json", "value_text"]

_TEXT = "text/plain"
_LONGEST = 120
"""Characters of a value in a list; --json has all of it."""


def value_text(content_type: str, value: bytes) -> str:
    """One line, cut where it is long. What can't be read is shown as bytes, never refused: it was accepted."""
    try:
        text = _text(content_type, value)
    except (Malformed, UnicodeDecodeError):
        text = f"{value[:32].hex()} ({content_type})"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(value):,} bytes)"


def value_json(content_type: str, value: bytes) -> object:
    """The decoded value, or None where the content type has none; byte strings as hexadecimal."""
    try:
        if content_type in (CBOR, ERROR):
            return _plain(decode(value, "value"))
        return value.decode() if content_type.partition(";")[0] == _TEXT else None
    except (Malformed, UnicodeDecodeError):
        return None


def _text(content_type: str, value: bytes) -> str:
    if content_type == CBOR:
        return repr(decode(value, "value"))
    if content_type == ERROR:
        match decode(value, "value"):
            case {"type": str(kind), "message": str(message)}:
                return f"raised {kind}: {message}"
    if content_type.partition(";")[0] == _TEXT:
        return value.decode()
    return f"{len(value):,} bytes of {content_type}"


def _plain(value: Plain) -> object:
    """Only what JSON has: it knows neither byte strings nor infinities nor keys that are no text."""
    match value:
        case bytes():
            return value.hex()
        case float() if not math.isfinite(value):
            return str(value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {key.hex() if isinstance(key, bytes) else str(key): _plain(item) for key, item in value.items()}
    return value
