"""Where an enclave's script finds out that it runs inside one: set by the runtime around loading it, nowhere else."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from intaglio.attest.base import Attester

if TYPE_CHECKING:
    from intaglio.enclave.calls import Enclave

__all__ = ["INSIDE", "Inside"]


@dataclass(slots=True)
class Inside:
    """The attester of this enclave, and the `Enclave` objects that the script has made so far."""

    attester: Attester
    enclaves: list["Enclave"] = field(default_factory=list)


INSIDE: ContextVar[Inside | None] = ContextVar("intaglio_inside", default=None)
