"""When the collateral that a gateway stands on ends: for its API and for whoever watches it."""

from collections.abc import Iterable, Sequence
from threading import Lock

from intaglio.collateral.cache import CachedSource
from intaglio.collateral.freshness import Forecast
from intaglio.collateral.source import CollateralSource
from intaglio.types import UnixTime
from intaglio.wire.collateral_request import CollateralRequest, DcapRequest

__all__ = ["CollateralOutlook", "metrics_text"]

SECONDS = 60
"""For how long an outlook is good: the folder is read whole for it."""
_METRIC = "intaglio_collateral_expiry_days"


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


def metrics_text(forecasts: Iterable[Forecast], at: UnixTime) -> str:
    """The Prometheus text format: days until collateral ends, for each platform family and channel, and for each
    product of AMD the least of its chips (a fleet has thousands)."""
    least: dict[str, float] = {}
    for forecast in forecasts:
        labels = _labels(forecast.entry.request)
        least[labels] = min(forecast.days(at), least.get(labels, forecast.days(at)))
    lines = [f"# HELP {_METRIC} Days until collateral expires; negative once it has.", f"# TYPE {_METRIC} gauge"]
    lines += [f"{_METRIC}{{{labels}}} {days:g}" for labels, days in sorted(least.items())]
    return "\n".join(lines) + "\n"


def _labels(request: CollateralRequest) -> str:
    """Every value is of a closed set or hexadecimal, so none needs an escape."""
    if isinstance(request, DcapRequest):
        return f'tee="{request.tee.value}",fmspc="{request.fmspc}",ca="{request.ca}",update="{request.update}"'
    return f'tee="snp",product="{request.product.value}",signing_key="{request.signing_key}"'
