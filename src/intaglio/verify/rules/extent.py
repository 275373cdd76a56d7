"""How much one rule lets through, apart from which rule it is: what `intaglio policy diff` compares.

Each kind of extent can say what a second one of its kind lets through that it does not. A rule that a policy does not
have lets everything through.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from intaglio.types import UnixTime
from intaglio.verify.ledger import moment
from intaglio.verify.rules.reference import FOREVER, References

__all__ = ["Bits", "Extent", "Floor", "Limit", "Named", "Timed", "beyond"]


@dataclass(frozen=True, slots=True)
class Named:
    """A closed list of things."""

    things: frozenset[str]


@dataclass(frozen=True, slots=True)
class Timed:
    """Things, each in its windows."""

    windows: Mapping[str, tuple[tuple[UnixTime, UnixTime], ...]]

    @classmethod
    def of(cls, references: References) -> "Timed":
        windows: dict[str, tuple[tuple[UnixTime, UnixTime], ...]] = {}
        for each in references.all:
            windows[each.value.hex()] = (*windows.get(each.value.hex(), ()), (each.not_before, each.not_after))
        return cls({thing: _merged(spans) for thing, spans in windows.items()})


@dataclass(frozen=True, slots=True)
class Floor:
    """Numbers, each by its name, that must be reached: a lower one lets more through."""

    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that must not be passed: a higher one lets more through."""

    number: int


@dataclass(frozen=True, slots=True)
class Bits:
    """Some bits of a field, which must be these."""

    value: bytes
    mask: bytes


Extent = Named | Timed | Floor | Limit | Bits


def beyond(one: Extent | None, other: Extent | None) -> Iterator[str]:
    """What `other` lets through and `one` does not, in words; nothing if `other` is no wider. None is everything."""
    if one is None or one == other:
        return
    if other is None:
        yield "anything: the rule is gone"
        return
    match one, other:
        case Named(), Named():
            yield from sorted(other.things - one.things)
        case Timed(), Timed():
            yield from _timed(one, other)
        case Floor(), Floor():
            for name in sorted(one.numbers):
                if other.numbers.get(name, 0) < one.numbers[name]:
                    yield f"{name} from {other.numbers.get(name, 0)}".strip()
        case Limit(), Limit():
            if other.number > one.number:
                yield f"up to {other.number}"
        case Bits(), Bits():
            if not _implies(other, one):
                yield f"{other.value.hex()} under the mask {other.mask.hex()}"
        case _:
            yield "what another kind of rule names"


def _timed(one: Timed, other: Timed) -> Iterator[str]:
    for thing, spans in sorted(other.windows.items()):
        known = one.windows.get(thing)
        if known is None:
            yield f"{thing}{_spans(spans)}"
        elif not all(any(a <= begin and end <= b for a, b in known) for begin, end in spans):
            yield f"{thing}{_spans(spans) or ' at any time'} (before: {_spans(known).strip() or 'at any time'})"


def _spans(spans: tuple[tuple[UnixTime, UnixTime], ...]) -> str:
    texts = []
    for begin, end in spans:
        texts.append((f" from {moment(begin)}" if begin else "") + (f" until {moment(end)}" if end != FOREVER else ""))
    return " and".join(texts)


def _merged(spans: tuple[tuple[UnixTime, UnixTime], ...]) -> tuple[tuple[UnixTime, UnixTime], ...]:
    merged: list[tuple[UnixTime, UnixTime]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)


def _implies(wide: Bits, narrow: Bits) -> bool:
    """Whether whatever satisfies `wide` satisfies `narrow`."""
    same = len(wide.mask) == len(narrow.mask)
    bits = bytes(map(int.__and__, wide.value, narrow.mask))
    return same and bytes(map(int.__and__, wide.mask, narrow.mask)) == narrow.mask and bits == narrow.value
