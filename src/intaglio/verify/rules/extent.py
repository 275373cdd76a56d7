"""How much one rule lets through, apart from which rule it is: what `intaglio policy diff` compares.

Each kind of extent can say what a second one of its kind lets through that it does not. A rule that a policy does not
have lets everything through.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from intaglio.types import UnixTime
from intaglio.verify.ledger import moment
from intaglio.verify.rules.reference import FOREVER, References, Span

__all__ = ["Bits", "Extent", "Floor", "Limit", "Named", "Since", "Timed", "beyond"]

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Named:
    """A closed list of things."""

    things: frozenset[str]


@dataclass(frozen=True, slots=True)
class Timed:
    """Things, each in its windows."""

    windows: Mapping[str, tuple[Span, ...]]

    @classmethod
    def of(cls, references: References) -> "Timed":
        return cls({value.hex() or "(absent)": spans for value, spans in references.spans.items()})


@dataclass(frozen=True, slots=True)
class Floor:
    """Numbers, each by its name, that must be reached: a lower one lets more through."""

    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Since:
    """A time from which on things pass: an earlier one lets more through."""

    time: UnixTime


@dataclass(frozen=True, slots=True)
class Limit:
    """Seconds that must not be passed: a higher number lets more through."""

    number: int

    def __str__(self) -> str:
        unit, size = next((unit, size) for unit, size in _UNITS if self.number % size == 0)
        return f"{self.number // size}{unit}"


@dataclass(frozen=True, slots=True)
class Bits:
    """Some bits of a field, which must be these."""

    value: bytes
    mask: bytes


Extent = Named | Timed | Floor | Since | Limit | Bits


def beyond(one: Extent | None, other: Extent | None) -> Iterator[str]:
    """What `other` lets through and `one` does not, in words; nothing if `other` is no wider. None is everything."""
    if one is None or one == other:
        return
    match one, other:
        case _, None:
            yield "anything else"
        case Named(), Named():
            yield from sorted(other.things - one.things)
        case Timed(), Timed():
            yield from _timed(one, other)
        case Floor(), Floor():
            for name, least in one.numbers.items():
                lower = other.numbers.get(name, 0)
                if lower < least:
                    span = str(lower) if lower == least - 1 else f"{lower} to {least - 1}"
                    yield f"{name} {span}".strip()
        case Since(), Since():
            if other.time < one.time:
                yield f"from {moment(other.time)} on"
        case Limit(), Limit():
            if other.number > one.number:
                yield f"more than {one}, up to {other}"
        case Bits(), Bits():
            if not _implies(other, one):
                yield f"{other.value.hex()} under the mask {other.mask.hex()}"
        case _:
            yield "what another kind of rule lets through"


def _timed(one: Timed, other: Timed) -> Iterator[str]:
    for thing, spans in sorted(other.windows.items()):
        known = one.windows.get(thing)
        if known is None:
            yield f"{thing}{_spans(spans)}"
        elif not all(any(a <= begin and end <= b for a, b in known) for begin, end in spans):
            yield f"{thing}{_spans(spans) or ' at any time'} (before: {_spans(known).strip() or 'at any time'})"


def _spans(spans: tuple[Span, ...]) -> str:
    texts = []
    for begin, end in spans:
        texts.append((f" from {moment(begin)}" if begin else "") + (f" until {moment(end)}" if end != FOREVER else ""))
    return " and".join(texts)


def _implies(wide: Bits, narrow: Bits) -> bool:
    """Whether whatever satisfies `wide` satisfies `narrow`."""
    same = len(wide.mask) == len(narrow.mask)
    bits = bytes(map(int.__and__, wide.value, narrow.mask))
    return same and bytes(map(int.__and__, wide.mask, narrow.mask)) == narrow.mask and bits == narrow.value
