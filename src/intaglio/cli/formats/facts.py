"""What a format's reader returns: names and values, nested where the format is."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["Facts", "Format", "When", "to_json"]

Facts = Mapping[str, object]


class When(int):
    """Unix seconds: shown as a date to people, as a number to machines."""


class Format(NamedTuple):
    """`matches` looks at the first bytes or the size; `read` raises `Malformed` where the rest is not as promised."""

    name: str
    matches: Callable[[bytes], bool]
    read: Callable[[bytes], Facts]


def to_json(value: object) -> object:
    """Byte strings as lower-case hexadecimal, times as numbers."""
    match value:
        case bytes():
            return value.hex()
        case Mapping():
            return {str(name): to_json(item) for name, item in value.items()}
        case list() | tuple():
            return [to_json(item) for item in value]
        case When():
            return int(value)
        case bool() | int() | str() | None:
            return value
    return str(value)
