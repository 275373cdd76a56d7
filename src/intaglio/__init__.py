"""Intaglio gives every value that leaves an enclave a proof of origin that survives an untrusted host.

The public names, resolved when they are used: importing `intaglio` (or `intaglio.host`) loads nothing that could open
a message.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intaglio.enclave import Enclave as Enclave
    from intaglio.errors import IntaglioError as IntaglioError
    from intaglio.errors import Malformed as Malformed
    from intaglio.errors import ProtocolError as ProtocolError
    from intaglio.errors import Rejected as Rejected
    from intaglio.errors import Unavailable as Unavailable
    from intaglio.host import Relay as Relay
    from intaglio.host import launch as launch
    from intaglio.reasons import Reason as Reason
    from intaglio.verify.evidence import Verifier as Verifier
    from intaglio.verify.policy import Policy as Policy
    from intaglio.verify.verdict import Verdict as Verdict

__version__ = "0.1.0.dev0"

_HOMES = {
    "Enclave": "intaglio.enclave",
    "IntaglioError": "intaglio.errors",
    "Malformed": "intaglio.errors",
    "Policy": "intaglio.verify.policy",
    "ProtocolError": "intaglio.errors",
    "Reason": "intaglio.reasons",
    "Rejected": "intaglio.errors",
    "Relay": "intaglio.host",
    "Unavailable": "intaglio.errors",
    "Verdict": "intaglio.verify.verdict",
    "Verifier": "intaglio.verify.evidence",
    "launch": "intaglio.host",
}

__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604 - the keys are strings


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'intaglio' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
