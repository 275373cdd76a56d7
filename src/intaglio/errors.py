"""The four kinds of error, told apart by whose fault they are.

`Malformed` is the bytes' fault, `Rejected` the peer's or its platform's, `ProtocolError` a party's that broke the
protocol's order (ours or theirs), `Unavailable` the world's. Messages are lower case, have no full stop and name the
thing first: ``mr_td: need 48 bytes, 47 left``.
"""

from intaglio.reasons import Reason

__all__ = [
    "IntaglioError",
    "LocalProtocolError",
    "Malformed",
    "ProtocolError",
    "Rejected",
    "RemoteProtocolError",
    "Unavailable",
]


class IntaglioError(Exception):
    """The base of every error that Intaglio raises on purpose."""


class Malformed(IntaglioError):
    """Bytes that are not what they claim to be. `field` names the first field that could not be read."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Rejected(IntaglioError):
    """A check said no. `reason` is countable; `expected` and `found` are for the log of whoever checked."""

    def __init__(self, reason: Reason, *, expected: object = None, found: object = None) -> None:
        detail = ""
        if expected is not None or found is not None:
            detail = f" (expected {expected}, found {found})"
        super().__init__(f"{reason.name}: {reason.summary}{detail}")
        self.reason = reason
        self.expected = expected
        self.found = found


class ProtocolError(IntaglioError):
    """A step out of order. The machine that raised it stays dead."""


class LocalProtocolError(ProtocolError):
    """Our own caller asked for a step that this state does not have."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what this state does not allow."""


class Unavailable(IntaglioError):
    """The world is not ready: try again. `retry_after` is in seconds."""

    def __init__(self, what: str, *, retry_after: int = 30) -> None:
        super().__init__(what)
        self.retry_after = retry_after
