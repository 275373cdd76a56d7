"""What a gateway tells Prometheus: what the store holds, when collateral ends, and how long answers take.

Everything that is stored is counted from the store when it is asked for, so a restart resets no counter and no request
pays for it; only the times of answers are measured as they are sent. No label holds what a peer could choose.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from intaglio.collateral.freshness import Forecast
from intaglio.gateway.query import Status
from intaglio.types import UnixTime
from intaglio.wire.collateral_request import CollateralRequest, DcapRequest

__all__ = ["CONTENT_TYPE", "AnswerTimes", "metrics_text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
"""Seconds: a frame's commit takes about one millisecond, a hello's evidence a few, a collateral service seconds."""
_DCAP_LABELS = ("tee", "fmspc", "ca", "update")
_SNP_LABELS = ("tee", "product", "signing_key")


class AnswerTimes:
    """How long the protocol's routes take to answer, by route and status. `observe` runs for every message."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._histogram = Histogram(
            "intaglio_answer_seconds",
            "From a request's beginning to its answer, its body's arrival and the commit included.",
            ("route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._of: dict[tuple[str, int], Callable[[float], None]] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        """`route`: a path of the protocol, never one that a peer made up."""
        observe = self._of.get((route, status))
        if observe is None:
            observe = self._of[route, status] = self._histogram.labels(route, str(status)).observe
        observe(seconds)

    def text(self) -> str:
        return generate_latest(self._registry).decode()


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def metrics_text(status: Status, forecasts: Iterable[Forecast], at: UnixTime) -> str:
    """The Prometheus text format of everything but `AnswerTimes`."""
    registry = CollectorRegistry()
    registry.register(_Families((*_stored(status, at), _collateral(forecasts, at))))
    return generate_latest(registry).decode()


def _stored(status: Status, at: UnixTime) -> Iterator[Metric]:
    yield CounterMetricFamily("intaglio_sessions_accepted", "Sessions ever accepted.", status.sessions)
    yield GaugeMetricFamily("intaglio_sessions_live", "Sessions that may still send.", status.live_sessions)
    yield GaugeMetricFamily(
        "intaglio_session_oldest_seconds",
        "Age of the oldest live session.",
        at - status.oldest if status.oldest is not None else 0,
    )
    yield CounterMetricFamily("intaglio_records", "Records stored, late ones included.", status.records)
    yield CounterMetricFamily("intaglio_frames", "Frames stored.", status.frames)
    yield CounterMetricFamily("intaglio_frames_late", "Frames stored that came after their session's end.", status.late)
    yield CounterMetricFamily("intaglio_replays", "Frames that were delivered again, and not stored.", status.replays)
    yield GaugeMetricFamily(
        "intaglio_frames_missing", "Numbers below a live session's highest that have not arrived.", status.missing
    )
    refused = CounterMetricFamily("intaglio_refused", "Messages refused, by reason.", labels=("reason",))
    for reason, count in status.quarantined.items():
        refused.add_metric((reason,), count)
    yield refused
    if status.last_at is not None:
        yield GaugeMetricFamily("intaglio_last_frame_timestamp_seconds", "When a frame last came.", status.last_at)
    yield GaugeMetricFamily(
        "intaglio_simulated", "1 where any session rests on simulated evidence.", int(status.simulated)
    )


def _collateral(forecasts: Iterable[Forecast], at: UnixTime) -> Metric:
    """Days for each platform family and channel, and for each product of AMD the least of its chips (a fleet has
    thousands)."""
    family = Metric("intaglio_collateral_expiry_days", "Days until collateral expires; negative once it has.", "gauge")
    least: dict[tuple[tuple[str, str], ...], float] = {}
    for forecast in forecasts:
        labels = _labels(forecast.entry.request)
        least[labels] = min(forecast.days(at), least.get(labels, forecast.days(at)))
    for labels, days in sorted(least.items()):
        family.add_sample(family.name, dict(labels), days)
    return family


def _labels(request: CollateralRequest) -> tuple[tuple[str, str], ...]:
    if isinstance(request, DcapRequest):
        values = (request.tee.value, request.fmspc, request.ca, str(request.update))
        return tuple(zip(_DCAP_LABELS, values, strict=True))
    return tuple(zip(_SNP_LABELS, ("snp", request.product.value, request.signing_key), strict=True))
