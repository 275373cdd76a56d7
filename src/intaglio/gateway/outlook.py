"""When the collateral that a gateway stands on ends: for its API and for whoever watches it."""

from collections.abc import Sequence
from threading import Lock

from intaglio.collateral.cache import CachedSource
from intaglio.collateral.freshness import Forecast
from intaglio.collateral.source import CollateralSource
from intaglio.types import UnixTime

__all__ = ["CollateralOutlook"]

SECONDS = 60
"""For how long an outlook is good: the folder is read whole for it."""


class CollateralOutlook:
    """Over the caches among the sources; folders that people look after are theirs to watch. For several threads."""

    def __init__(self, sources: Sequence[CollateralSource]) -> None:
        self._caches = [source for source in sources if isinstance(source, CachedSource)]
        self._made: tuple[UnixTime, tuple[Forecast, ...]] | None = None
        self._lock = Lock()

    def __call__(self, at: UnixTime) -> tuple[Forecast, ...]:
        """What is held, what ends soonest first."""
        with self._lock:
            if self._made is None or not self._made[0] <= at < self._made[0] + SECONDS:
                found = (forecast for cache in self._caches for forecast in cache.forecasts())
                self._made = at, tuple(sorted(found, key=lambda forecast: forecast.next_update))
            return self._made[1]
