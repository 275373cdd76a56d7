"""One `[[accept]]` table, read key by key, and the values that many keys have. A problem is noted and reading goes on,
to find the others: every problem of a file is reported at once.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from intaglio.types import UnixTime
from intaglio.verify.rules.reference import ALWAYS, FOREVER, Reference, References

__all__ = [
    "Table",
    "duration",
    "hexadecimal",
    "instant",
    "items",
    "number",
    "permitted",
    "references",
    "true",
    "window",
]

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

    def below(self, key: str, *, optional: bool = False) -> "Below":
        """The table inside this one under `key`; its keys are named `key.name` in problems and in the policy's hash."""
        if key not in self._left:
            if not optional:
                self.problem(key, "missing")
            return Below({}, key, self, given=False)
        value = self._left.pop(key)
        if not isinstance(value, dict):
            self.problem(key, "expected a table, such as { name = value }")
            return Below({}, key, self, given=False)
        return Below(value, key, self, given=True)

    def end(self, hints: Mapping[str, str]) -> None:
        """What is left is unknown; `hints` say what was probably meant."""
        for key in sorted(self._left):
            self.problem(key, f"unknown key{f': {hints[key]}' if key in hints else ''}")


class Below:
    """A table inside a table. Where it is missing itself, nothing is said of the keys that it would have to have."""

    def __init__(self, values: dict[str, object], prefix: str, table: Table, *, given: bool) -> None:
        self.given = given
        self._left = dict(values)
        self._prefix = prefix
        self._table = table

    def key(self, name: str) -> str:
        return f"{self._prefix}.{name}"

    def has(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, read: Callable[[object], T], default: T) -> T:
        if self.given and name not in self._left:
            self._table.problem(self.key(name), "missing")
        return self.maybe(name, read, default)

    def maybe(self, name: str, read: Callable[[object], T], default: T) -> T:
        if name not in self._left:
            return default
        try:
            return read(self._left.pop(name))
        except ValueError as error:
            self._table.problem(self.key(name), str(error))
            return default

    def end(self, hints: Mapping[str, str]) -> None:
        for name in sorted(self._left):
            self._table.problem(self.key(name), f"unknown key{f': {hints[name]}' if name in hints else ''}")


def true(value: object) -> bool:
    if value is not True:
        raise ValueError("expected true; leave the key out otherwise")
    return True


def permitted(value: object) -> bool:
    """`false`, which is what leaving the key out means, or `"any"`."""
    if value is not False and value != "any":
        raise ValueError("expected false or 'any'")
    return value == "any"


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


def items(value: object, what: str) -> list[object]:
    """A list that is not empty: an empty one would let nothing through."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list of {what}")  # noqa: TRY004 - a problem of a file is a ValueError
    if not value:
        raise ValueError("the list is empty: this table would accept nothing")
    return value


def instant(value: object) -> UnixTime:
    """A TOML date and time with its offset: what is meant does not depend on where it is read."""
    if not isinstance(value, datetime) or value.tzinfo is None or value.microsecond:
        raise ValueError("expected a date and time with its offset, such as 2026-01-31T00:00:00Z, in whole seconds")
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    if value < begin:
        raise ValueError("a time before 1970")
    return UnixTime(int((value - begin).total_seconds()))


def window(table: dict[str, object], known: frozenset[str]) -> tuple[UnixTime, UnixTime, str]:
    """`not_before`, `not_after` and `note` of an inline table that may also have the keys of `known`."""
    unknown = sorted(table.keys() - known - {"not_before", "not_after", "note"})
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}")
    begin = instant(table["not_before"]) if "not_before" in table else ALWAYS
    end = instant(table["not_after"]) if "not_after" in table else FOREVER
    note = table.get("note", "")
    if not isinstance(note, str):
        raise ValueError("note: expected text")  # noqa: TRY004 - as above
    if end < begin:
        raise ValueError("not_after is before not_before, so it would never be accepted")
    return begin, end, note


def references(size: int) -> Callable[[object], References]:
    """A list of values of `size` bytes, each as hexadecimal text or as a table with its window."""

    def item(value: object) -> Reference:
        if not isinstance(value, dict):
            return Reference(hexadecimal(size)(value))
        if "value" not in value:
            raise ValueError("a table in the list needs a value")
        return Reference(hexadecimal(size)(value["value"]), *window(value, frozenset(("value",))))

    return lambda value: References(item(each) for each in items(value, "values"))


def duration(value: object) -> int:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a duration such as '60s', '15m', '24h' or '7d'")
    return int(match[1]) * _UNITS[match[2]]
