"""Rules: each reads one thing from genuine evidence, and raises `Rejected` or returns what it found.

The kinds here serve every TEE: a field is one of some values, a number reaches a minimum, some bits of a field are as
named. A `RuleSet` is everything that a table for one kind of TEE may say, and in which order a verdict shows it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.ledger import Step
from intaglio.verify.rules.extent import Bits, Extent, Floor, Named, Timed
from intaglio.verify.rules.reference import ALWAYS, FOREVER, References
from intaglio.verify.verdict import Verdict
from intaglio.wire.cbor import Value

if TYPE_CHECKING:
    from intaglio.verify.rules.table import Table

__all__ = [
    "MEASURED", "AtLeast", "Case", "Exactly", "Forbidden", "Is", "Masked", "OneOf", "PinField", "Reaches", "Rule",
    "RuleSet", "Rules", "Unchecked", "Window",
]  # fmt: skip

Body = TypeVar("Body")
"""What the evidence says is running: a report of one format."""

MEASURED = "measured"
"""The pin's place inside the measurement, where whoever has the measurement has our keys."""


class Case(NamedTuple, Generic[Body]):
    """What a rule judges."""

    verdict: Verdict
    identity: Body


class Window(NamedTuple):
    """Something that a rule lets through, and when."""

    what: str
    not_before: UnixTime
    not_after: UnixTime
    note: str


@dataclass(frozen=True, slots=True)
class Rule(ABC, Generic[Body]):
    """One rule, by its key in the policy file and the line of a verdict on which its finding stands."""

    key: str
    step: Step

    @abstractmethod
    def check(self, case: Case[Body]) -> object:
        """What was found. Raises `Rejected`."""

    @abstractmethod
    def canonical(self) -> Value:
        """The rule's meaning, for the policy's hash."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """What it demands, in words."""

    @property
    @abstractmethod
    def extent(self) -> Extent | None:
        """How much it lets through; None for everything."""

    @property
    def danger(self) -> str | None:
        """What this rule gives away, if it weakens the policy."""
        return None

    @property
    def windows(self) -> tuple[Window, ...]:
        """What it lets through only for a time."""
        return ()

    @property
    def may_close(self) -> bool:
        """Whether `closes` may name a time at all."""
        return bool(self.windows)

    def closes(self, case: Case[Body]) -> UnixTime | None:
        """Until when what passes now passes, as far as the table itself sets an end."""
        del case
        return None


@dataclass(frozen=True, slots=True)
class OneOf(Rule[Body]):
    """A field has one of these values."""

    name: str
    read: Callable[[Body], bytes]
    allowed: References
    reason: Reason

    def check(self, case: Case[Body]) -> str:
        return self.allowed.check(self.name, self.read(case.identity), case.verdict.at, self.reason)

    @property
    def windows(self) -> tuple[Window, ...]:
        return tuple(
            Window(f"{self.name} {each.value.hex()}", each.not_before, each.not_after, each.note)
            for each in self.allowed.all
            if (each.not_before, each.not_after) != (ALWAYS, FOREVER)
        )

    def closes(self, case: Case[Body]) -> UnixTime | None:
        return self.allowed.closes(self.read(case.identity), case.verdict.at)

    @property
    def sentence(self) -> str:
        return f"{self.name} {' or '.join(map(str, self.allowed.all))}"

    @property
    def extent(self) -> Extent:
        return Timed.of(self.allowed)

    def canonical(self) -> Value:
        return self.allowed.canonical()


@dataclass(frozen=True, slots=True)
class Exactly(Rule[Body]):
    """A number is this one."""

    name: str
    read: Callable[[Body], int]
    number: int
    reason: Reason

    def check(self, case: Case[Body]) -> str:
        found = self.read(case.identity)
        if found != self.number:
            raise Rejected(self.reason, expected=f"{self.name} {self.number}", found=f"{self.name} {found}")
        return f"{self.name} {found}"

    @property
    def sentence(self) -> str:
        return f"{self.name} {self.number}"

    @property
    def extent(self) -> Extent | None:
        return Named(frozenset((str(self.number),)))

    def canonical(self) -> Value:
        return self.number


@dataclass(frozen=True, slots=True)
class AtLeast(Rule[Body]):
    """A number reaches a minimum."""

    name: str
    read: Callable[[Body], int]
    minimum: int
    reason: Reason

    def check(self, case: Case[Body]) -> str:
        found = self.read(case.identity)
        if found < self.minimum:
            expected = f"{self.name} of at least {self.minimum}"
            raise Rejected(self.reason, expected=expected, found=f"{self.name} {found}")
        return f"{self.name} {found}"

    @property
    def sentence(self) -> str:
        return f"{self.name} of at least {self.minimum}"

    @property
    def extent(self) -> Extent | None:
        return Floor({"": self.minimum})

    def canonical(self) -> Value:
        return self.minimum


@dataclass(frozen=True, slots=True)
class Masked(Rule[Body]):
    """(field AND mask) is this value."""

    name: str
    read: Callable[[Body], bytes]
    value: bytes
    mask: bytes

    def check(self, case: Case[Body]) -> None:
        masked = bytes(map(int.__and__, self.read(case.identity), self.mask))
        if masked != self.value:
            expected = f"{self.name} {self.value.hex()}"
            raise Rejected(Reason.WRONG_CONFIGURATION, expected=expected, found=masked.hex())

    @property
    def sentence(self) -> str:
        return f"{self.name} {self.value.hex()} under the mask {self.mask.hex()}"

    @property
    def extent(self) -> Extent | None:
        return Bits(self.value, self.mask)

    def canonical(self) -> Value:
        return [self.value, self.mask]


@dataclass(frozen=True, slots=True)
class Reaches(Rule[Body]):
    """Every one of several numbers reaches its minimum. A number that the evidence does not have is 0."""

    name: str
    read: Callable[[Body], Mapping[str, int]]
    minimum: Mapping[str, int]
    reason: Reason

    def check(self, case: Case[Body]) -> str:
        found = self.read(case.identity)
        short = {each: found.get(each, 0) for each, least in self.minimum.items() if found.get(each, 0) < least}
        if short:
            expected = {each: self.minimum[each] for each in short}
            raise Rejected(self.reason, expected=f"{self.name} {_pairs(expected)}", found=_pairs(short))
        return f"{self.name} {_pairs(found)}"

    @property
    def sentence(self) -> str:
        return f"{self.name} of at least {_pairs(self.minimum)}"

    @property
    def extent(self) -> Extent:
        return Floor(self.minimum)

    def canonical(self) -> Value:
        return {name: least for name, least in self.minimum.items()}  # noqa: C416 - of `Value`, not of `int`


@dataclass(frozen=True, slots=True)
class Is(Rule[Body]):
    """Something is so, or is not so."""

    name: str
    read: Callable[[Body], bool]
    wanted: bool
    reason: Reason

    def check(self, case: Case[Body]) -> str:
        found = self.read(case.identity)
        if found is not self.wanted:
            raise Rejected(self.reason, expected=self.sentence, found=_yes(self.name, found))
        return self.sentence

    @property
    def sentence(self) -> str:
        return _yes(self.name, self.wanted)

    @property
    def extent(self) -> Extent:
        return Named(frozenset((self.sentence,)))

    def canonical(self) -> Value:
        return self.wanted


@dataclass(frozen=True, slots=True)
class Forbidden(Rule[Body]):
    """Something is not so, unless the table allows it by name. `harm` says what that gives away; None: little."""

    name: str
    read: Callable[[Body], bool]
    allowed: bool
    reason: Reason
    harm: str | None

    def check(self, case: Case[Body]) -> str:
        found = self.read(case.identity)
        if found and not self.allowed:
            raise Rejected(self.reason, expected=f"no {self.name}", found=self.name)
        return f"{self.name}, allowed by {self.key}" if found else f"no {self.name}"

    @property
    def sentence(self) -> str:
        return f"{self.name} or none" if self.allowed else f"no {self.name}"

    @property
    def extent(self) -> Extent:
        return Named(frozenset((self.name,) if self.allowed else ()))

    @property
    def danger(self) -> str | None:
        return f"{self.key}: {self.harm}" if self.allowed and self.harm else None

    def canonical(self) -> Value:
        return self.allowed


@dataclass(frozen=True, slots=True)
class Unchecked(Rule[Body]):
    """Something that a table must judge, or say by an ugly name that it does not."""

    name: str
    harm: str

    def check(self, case: Case[Body]) -> str:
        del case
        return f"{self.name} is allowed"

    @property
    def sentence(self) -> str:
        return self.name

    @property
    def extent(self) -> None:
        return None

    @property
    def danger(self) -> str | None:
        return f"{self.key}: {self.harm}"

    def canonical(self) -> Value:
        return True


def _yes(name: str, wanted: bool) -> str:
    return name if wanted else f"not {name}"


def _pairs(numbers: Mapping[str, int]) -> str:
    return " ".join(f"{name} {value}" for name, value in numbers.items())


class PinField(NamedTuple, Generic[Body]):
    """A field that may hold the hash of the pinned keys, and what it then is. The hash has 32 bytes."""

    key: str
    name: str
    read: Callable[[Body], bytes]
    value: Callable[[bytes], bytes]


class Rules(NamedTuple):
    """What was read from one table. `exact`: the rules name an image, and not whatever somebody signs or boots."""

    rules: tuple[Rule[Any], ...]
    exact: bool


@dataclass(frozen=True, slots=True)
class RuleSet(Generic[Body]):
    """What a table may demand of one kind of TEE. `steps` are in the order in which a reader should look for the
    cause; `identifying` is the one by which the closest table is found. `loose` names what a table accepts that is not
    exact."""

    tee: Tee
    kind: type[Body]
    steps: tuple[Step, ...]
    identifying: Step
    loose: str
    read: "Callable[[Table], Rules]"
    pins: Mapping[str, PinField[Body]]
