"""What an attack is, what came of it, and when that counts as defended."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intaglio.errors import IntaglioError
from intaglio.reasons import Reason

if TYPE_CHECKING:
    from intaglio.cli.demo.stage import Stage

__all__ = ["Attack", "DemoFailed", "Outcome", "Result", "ensure"]


class DemoFailed(IntaglioError):
    """Something that the demonstration asserts is not so: an attack succeeded, or the stage fell down."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened. `reasons` are names as the data centre (or the enclave) recorded them; `source` says where they
    were read."""

    happened: str
    reasons: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Attack:
    """One thing that a hostile host tries. `expected`: exactly these names must be on record afterwards.

    `act` raises `DemoFailed` as soon as anything else is not as it must be. `why` explains where the outcome is no
    rejection, and so no reason of the enumeration does.
    """

    name: str
    tried: str
    expected: tuple[str, ...]
    act: Callable[["Stage"], Outcome]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """An attack and its outcome; `problem` is empty where the attack was defended as it must be."""

    attack: Attack
    outcome: Outcome
    problem: str

    @property
    def defended(self) -> bool:
        return not self.problem

    @property
    def explanations(self) -> tuple[str, ...]:
        """Why, for each reason on record."""
        known = [Reason[name].summary for name in self.outcome.reasons if name in Reason.__members__]
        return tuple(known) or (self.attack.why,)

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.attack.name,
            "tried": self.attack.tried,
            "happened": self.outcome.happened,
            "reasons": list(self.outcome.reasons),
            "expected": list(self.attack.expected),
            "explanations": list(self.explanations),
            "source": self.outcome.source,
            "defended": self.defended,
            "problem": self.problem or None,
        }


def ensure(holds: bool, otherwise: str) -> None:
    """Raises `DemoFailed(otherwise)` unless `holds`."""
    if not holds:
        raise DemoFailed(otherwise)
