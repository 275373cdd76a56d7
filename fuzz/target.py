"""What a fuzz target is, and the list of all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from intaglio.errors import Malformed

__all__ = ["TARGETS", "Broken", "Target", "expect", "read", "target"]

T = TypeVar("T")

Seeds = Callable[[], Sequence[bytes]]


class Broken(Exception):
    """An invariant does not hold."""


@dataclass(frozen=True, slots=True)
class Target:
    """`run` raises nothing, whatever bytes it is given. `short_run`: how many mutations the ordinary tests try."""

    name: str
    run: Callable[[bytes], None]
    seeds: Seeds
    short_run: int

    @property
    def invariant(self) -> str:
        """The first line of the target's docstring."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]


TARGETS: dict[str, Target] = {}
"""Every target by its name."""


def target(seeds: Seeds, *, short_run: int = 300) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    """Registers a function under its own name."""

    def register(function: Callable[[bytes], None]) -> Callable[[bytes], None]:
        name = function.__name__
        if name in TARGETS:
            raise ValueError(f"two targets named {name}")
        TARGETS[name] = Target(name, function, seeds, short_run)
        return function

    return register


def expect(holds: bool, invariant: str) -> None:
    """Raises `Broken`."""
    if not holds:
        raise Broken(invariant)


def read(reader: Callable[[bytes], T], data: bytes) -> T | None:
    """What `data` reads as; None where it is `Malformed`, which must name a field. Any other exception is a finding."""
    try:
        return reader(data)
    except Malformed as malformed:
        expect(bool(malformed.field), "a Malformed names its field")
        return None
