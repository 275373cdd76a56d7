"""Sessions whose hello is being decided, or waits for collateral: their frames are not unknown, only early.

The set is of this process and bounded. A frame that overtakes its hello is told to come again (425) instead of being
refused (404), after which its host would put it aside.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from intaglio.types import SessionId

__all__ = ["PendingSessions"]

MAX_UNDECIDED = 65536
"""6 MB. Only hellos that open, from evidence that could not be checked, stay in it; the oldest is dropped."""


class PendingSessions:
    """Safe for several threads."""

    def __init__(self, limit: int = MAX_UNDECIDED) -> None:
        self._limit = limit
        self._lock = Lock()
        self._deciding: dict[SessionId, int] = {}
        self._undecided: OrderedDict[SessionId, None] = OrderedDict()

    def __contains__(self, session: SessionId) -> bool:
        with self._lock:
            return session in self._deciding or session in self._undecided

    @contextmanager
    def deciding(self, session: SessionId) -> Iterator[None]:
        """While a hello is looked at. Two copies at once are counted."""
        with self._lock:
            self._deciding[session] = self._deciding.get(session, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._deciding[session] -= 1
                if not self._deciding[session]:
                    del self._deciding[session]

    def undecidable(self, session: SessionId) -> None:
        """Its hello could not be decided and will be sent again."""
        with self._lock:
            self._undecided[session] = None
            self._undecided.move_to_end(session)
            while len(self._undecided) > self._limit:
                self._undecided.popitem(last=False)

    def decided(self, session: SessionId) -> None:
        with self._lock:
            self._undecided.pop(session, None)
