"""How long to wait before the next try: exponential with full jitter, and never less than the data centre asks."""

from random import SystemRandom

__all__ = ["Backoff"]

FIRST = 0.5
"""Seconds: the upper end of the first wait."""
LONGEST = 300.0
"""Seconds: the upper end of every later one. A data centre that comes back hears from all its hosts within this."""

_random = SystemRandom()


class Backoff:
    """The waits of one courier."""

    def __init__(self, first: float = FIRST, longest: float = LONGEST) -> None:
        self._first = first
        self._longest = longest
        self._tries = 0

    def next(self, retry_after: int = 0) -> float:
        """Seconds to wait after one more failure. `retry_after`: what the data centre asked for; the jitter comes on
        top, so that hosts which were sent away together do not come back together."""
        ceiling = min(self._longest, self._first * 2.0**self._tries)
        self._tries = min(self._tries + 1, 30)
        return retry_after + _random.uniform(0.0, ceiling)

    def succeeded(self) -> None:
        self._tries = 0
