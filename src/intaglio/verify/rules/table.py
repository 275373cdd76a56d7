"""One `[[accept]]` table, read key by key, and the values that many keys have. A problem is noted and reading goes on,
to find the others: every problem of a file is reported at once.
"""

import re
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Table", "duration", "hexadecimal", "number", "strings", "true"]

T = TypeVar("T")

_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")


class Table:
    """A table and what is left of it. Readers raise ValueError saying what they want."""

    def __init__(self, values: dict[str, object], index: int, problems: list[str]) -> None:
        self._left = dict(values)
        self._problems = problems
        self._before = len(problems)
        name = values.get("name")
        self._label = f"accept {name!r}" if isinstance(name, str) else f"accept number {index}"

    @property
    def sound(self) -> bool:
        return len(self._problems) == self._before

    def problem(self, key: str, text: str) -> None:
        self._problems.append(f"{self._label}: {key}: {text}")

    def has(self, key: str) -> bool:
        return key in self._left

    def drop(self, key: str) -> None:
        """A key whose problem was already named."""
        self._left.pop(key, None)

    def take(self, key: str, read: Callable[[object], T], default: T) -> T:
        """A mandatory key."""
        if key not in self._left:
            self.problem(key, "missing")
            return default
        return self.maybe(key, read, default)

    def maybe(self, key: str, read: Callable[[object], T], default: T) -> T:
        """An optional key."""
        if key not in self._left:
            return default
        try:
            return read(self._left.pop(key))
        except ValueError as error:
            self.problem(key, str(error))
            return default

    def end(self) -> None:
        for key in sorted(self._left):
            self.problem(key, "unknown key")


def true(value: object) -> bool:
    if value is not True:
        raise ValueError("expected true; leave the key out otherwise")
    return True


def hexadecimal(size: int) -> Callable[[object], bytes]:
    def read(value: object) -> bytes:
        if not isinstance(value, str) or len(value) != 2 * size or not _HEX.fullmatch(value):
            raise ValueError(f"expected {size} bytes as hexadecimal text")
        return bytes.fromhex(value)

    return read


def number(limit: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
            raise ValueError(f"expected a number from 0 to {limit}")
        return value

    return read


def strings(value: object, what: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"expected a list of {what}")
    return value


def duration(value: object) -> int:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a duration such as '60s', '15m', '24h' or '7d'")
    return int(match[1]) * _UNITS[match[2]]
