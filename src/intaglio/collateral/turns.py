"""Turns at a service that answers only so often: one each interval, in the order in which they were first asked for.

Nobody sleeps here. Whoever has to wait is told for how long, and keeps its place until it comes again.
"""

from threading import Lock

from intaglio.errors import Unavailable
from intaglio.types import UnixTime

__all__ = ["Queued", "Turns"]

MAX_WAITING = 64
"""Places kept. Whoever comes when all are taken gets none, so that a flood does not make the queue endless."""
LATEST = 120
"""Seconds after its turn for which a place is kept: a host that was told to wait may come a little late."""


class Queued(Unavailable):
    """Not now: `retry_after` says when it is this request's turn."""


class Turns:
    """`interval`: seconds between two turns; 0 lets everybody through. Times are the caller's."""

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._last: int | None = None
        self._free = 0
        """The earliest moment that nobody has a place for."""
        self._places: dict[str, int] = {}
        self._lock = Lock()

    def take(self, name: str, at: UnixTime) -> None:
        """Returns if it is the turn of `name`. Raises `Queued`."""
        if not self._interval:
            return
        with self._lock:
            self._places = {who: turn for who, turn in self._places.items() if at <= turn + LATEST}
            turn = self._places.get(name)
            if turn is None:
                turn = self._join(name, at)
            ready = max(turn, at if self._last is None else self._last + self._interval)
            if at < ready:
                raise Queued(f"one request each {self._interval} s, {len(self._places)} wait", retry_after=ready - at)
            self._places.pop(name, None)
            self._last = at

    def defer(self, seconds: int, at: UnixTime) -> None:
        """The service wants to be left alone for so long."""
        with self._lock:
            self._last = max(self._last or 0, at + seconds - self._interval)
            self._free = max(self._free, at + seconds)

    def _join(self, name: str, at: UnixTime) -> int:
        turn = max(at, self._free)
        if turn > at and len(self._places) >= MAX_WAITING:
            raise Queued(f"too many wait for their turn, one each {self._interval} s", retry_after=turn - at)
        self._places[name] = turn
        self._free = turn + self._interval
        return turn
