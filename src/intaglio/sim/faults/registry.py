"""What a fault is, and the list of all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from intaglio.reasons import Reason
from intaglio.sim.draft import Draft, QuoteDraft
from intaglio.sim.td import TdDraft

__all__ = [
    "FAULTS", "TDX_FAULTS", "Fault", "FaultOf", "Registry", "TdxFault", "fault", "shared_fault", "tdx_fault",
]  # fmt: skip

D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class FaultOf(Generic[D]):
    """One attack or accident. `reason`: why a verifier must refuse; `by_policy`: genuine, and refused by a
    sound policy."""

    name: str
    reason: Reason
    by_policy: bool
    apply: Callable[[D], None]
    also: tuple[Reason, ...] = ()
    """What else the same change breaks."""

    @property
    def story(self) -> str:
        """What is attacked, in one sentence."""
        return (self.apply.__doc__ or "").strip()


class Registry(dict[str, FaultOf[D]]):
    """The faults of one kind of draft by their names, in the order of the modules."""

    def fault(
        self, reason: Reason, *, by_policy: bool = False, also: tuple[Reason, ...] = ()
    ) -> Callable[[Callable[[D], None]], Callable[[D], None]]:
        """Registers a function under its own name."""

        def register(function: Callable[[D], None]) -> Callable[[D], None]:
            name = function.__name__
            if name in self:
                raise ValueError(f"two faults named {name}")
            self[name] = FaultOf(name, reason, by_policy, function, also)
            return function

        return register


Fault = FaultOf[Draft]
FAULTS: Registry[Draft] = Registry()
"""Of SGX quotes."""

fault = FAULTS.fault

TdxFault = FaultOf[TdDraft]
TDX_FAULTS: Registry[TdDraft] = Registry()
"""Of TDX quotes. Those that edit bytes assume version 5 and a body of TDX 1.5."""

tdx_fault = TDX_FAULTS.fault

Change = Callable[[QuoteDraft[Any]], None]


def shared_fault(reason: Reason, *, also: tuple[Reason, ...] = ()) -> Callable[[Change], Change]:
    """For what SGX and TDX quotes have in common: registers a function for both."""

    def register(function: Change) -> Change:
        fault(reason, also=also)(function)
        tdx_fault(reason, also=also)(function)
        return function

    return register
