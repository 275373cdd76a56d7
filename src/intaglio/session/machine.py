"""A protocol as a table of (state, event) -> state. After an error a machine stays dead."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum

from intaglio.errors import LocalProtocolError

__all__ = ["Event", "Machine", "State"]


class State(Enum):
    """Where a handshake stands. docs/protocol.md draws the tables of sessions with a data centre (§9) and between
    enclaves (§15), docs/local-attestation.md those of Intel's exchange."""

    NEW = "new"
    STARTED = "started"
    """Keys were exchanged and nothing is proven: a state of Sigma (docs/sigma.md)."""
    OFFERED = "offered"
    OPENED = "opened"
    ESTABLISHED = "established"
    REFUSED = "refused"
    DEAD = "dead"


class Event(Enum):
    """What moves a handshake."""

    OFFER = "offer"
    HELLO = "hello"
    ACCEPT = "accept"
    REFUSE = "refuse"
    POSTPONE = "postpone"
    MSG1 = "msg1"
    MSG2 = "msg2"
    MSG3 = "msg3"
    MSG4 = "msg4"


class Machine:
    """The current state of one handshake and the only way to change it."""

    def __init__(self, table: Mapping[tuple[State, Event], State]) -> None:
        self._table = table
        self.state = State.NEW

    @contextmanager
    def step(self, event: Event) -> Iterator[None]:
        """Runs the body as the work of `event`: on success the machine moves, on any exception it is dead.

        Raises `LocalProtocolError` where the table has no such step (the machine is dead after that, too).
        """
        target = self._table.get((self.state, event))
        before, self.state = self.state, State.DEAD
        if target is None:
            raise LocalProtocolError(f"{event.value}: not possible in state {before.value}")
        yield
        self.state = target
