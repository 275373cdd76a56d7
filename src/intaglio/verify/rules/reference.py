"""Reference values: what a policy allows a field of evidence to be, and from when until when.

Old and new releases overlap while a fleet is updated, so each value may have a window of its own. Both ends belong to
it, and it is judged at the verdict's time. A note is for the reader of the file; it judges nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.verify.ledger import moment
from intaglio.wire.cbor import Value

__all__ = ["ALWAYS", "FOREVER", "Reference", "References", "Span"]

ALWAYS = UnixTime(0)
FOREVER = UnixTime(253_402_300_799)
"""The last second that a date in TOML can name: a window that ends then does not end."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """One allowed value and when it is allowed."""

    value: bytes
    not_before: UnixTime = ALWAYS
    not_after: UnixTime = FOREVER
    note: str = field(default="", compare=False)

    def open(self, at: UnixTime) -> bool:
        return self.not_before <= at <= self.not_after

    def __str__(self) -> str:
        begin = f" from {moment(self.not_before)}" if self.not_before else ""
        end = f" until {moment(self.not_after)}" if self.not_after != FOREVER else ""
        return f"{_text(self.value)}{begin}{end}"


Span = tuple[UnixTime, UnixTime]


class References:
    """The allowed values of one field. One value may have several windows."""

    __slots__ = ("_windows", "all", "spans")

    def __init__(self, references: Iterable[Reference]) -> None:
        self.all = tuple(sorted(set(references)))
        self._windows: dict[bytes, tuple[Reference, ...]] = {}
        for each in self.all:
            self._windows[each.value] = (*self._windows.get(each.value, ()), each)
        self.spans: dict[bytes, tuple[Span, ...]] = {
            value: _merged((each.not_before, each.not_after) for each in windows)
            for value, windows in self._windows.items()
        }
        """When each value is allowed: windows that touch or overlap are one."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, References) and self.spans == other.spans

    def __hash__(self) -> int:
        return hash(tuple(self.spans.items()))

    def __repr__(self) -> str:
        return f"References({', '.join(map(str, self.all))})"

    @property
    def values(self) -> frozenset[bytes]:
        return frozenset(self._windows)

    def check(self, name: str, found: bytes, at: UnixTime, reason: Reason) -> str:
        """Raises `Rejected`: with `reason` for a value that was never named, with its own reason outside its window."""
        windows = self._windows.get(found)
        if windows is None:
            raise Rejected(reason, expected=[f"{name} {value.hex()}" for value in self._windows], found=_text(found))
        if not any(each.open(at) for each in windows):
            ahead = any(at < each.not_before for each in windows)
            outside = Reason.MEASUREMENT_NOT_YET_VALID if ahead else Reason.MEASUREMENT_RETIRED
            raise Rejected(outside, expected=[f"{name} {each}" for each in windows], found=moment(at))
        return f"{name} {_text(found)}"

    def closes(self, found: bytes, at: UnixTime) -> UnixTime | None:
        """When what is allowed at `at` stops being allowed; None for never."""
        end = next((end for begin, end in self.spans.get(found, ()) if begin <= at <= end), at)
        return None if end == FOREVER else end

    def canonical(self) -> Value:
        return [[value, begin, end] for value, spans in self.spans.items() for begin, end in spans]


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)


def _text(value: bytes) -> str:
    return value.hex() or "(absent)"
