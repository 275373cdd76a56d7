"""What a fault is, and the list of all of them."""

from collections.abc import Callable
from dataclasses import dataclass

from intaglio.reasons import Reason
from intaglio.sim.draft import Draft

__all__ = ["FAULTS", "Fault", "fault"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One attack or accident. `reason`: why a verifier must refuse; `by_policy`: genuine, and refused by a
    sound policy."""

    name: str
    reason: Reason
    by_policy: bool
    apply: Callable[[Draft], None]
    also: tuple[Reason, ...] = ()
    """What else the same change breaks."""

    @property
    def story(self) -> str:
        """What is attacked, in one sentence."""
        return (self.apply.__doc__ or "").strip()


FAULTS: dict[str, Fault] = {}
"""Every fault by its name, in the order of the modules."""


def fault(
    reason: Reason, *, by_policy: bool = False, also: tuple[Reason, ...] = ()
) -> Callable[[Callable[[Draft], None]], Callable[[Draft], None]]:
    """Registers a function under its own name."""

    def register(function: Callable[[Draft], None]) -> Callable[[Draft], None]:
        name = function.__name__
        if name in FAULTS:
            raise ValueError(f"two faults named {name}")
        FAULTS[name] = Fault(name, reason, by_policy, function, also)
        return function

    return register
