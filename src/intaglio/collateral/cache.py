"""A cache of collateral that never goes back in time.

Asked is a list of services, in order, once a tenth of the held set's lifetime is left. A service that offers an older
issue date or a lower evaluation number than we hold (a rollback, or a stale mirror) is reported and passed over; where
all do, the newer set is kept. Judges nothing: what a service says of its age is unverified, so whoever verifies and
finds a set forged calls `forget`.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol

from intaglio.collateral.folder import EntryFolder
from intaglio.collateral.freshness import Forecast, forecast
from intaglio.collateral.http import Absent
from intaglio.collateral.rollbacks import Rollback, note_rollbacks, rollbacks
from intaglio.collateral.source import fits
from intaglio.collateral.turns import Queued
from intaglio.errors import Malformed, Unavailable
from intaglio.types import UnixTime
from intaglio.verify.cache import Recent
from intaglio.wire.collateral_bundle import Entry
from intaglio.wire.collateral_request import CollateralRequest
from intaglio.wire.endorsement import Collateral

__all__ = ["CachedSource", "Fetcher", "Rollback"]

RETRY_SECONDS = 60
"""After a failure, how long not to ask again: each hello that waits for collateral would ask otherwise."""
UNCHANGED_SECONDS = 3600
"""After an answer that is about to expire itself: the service will make a new one when it does."""
LOCKS = 64
"""Keys share this many locks, so that names chosen by strangers can't make locks without end."""
MAX_PAUSES = 1024
"""Failures remembered, for the same reason; there are a few dozen platform families in the world."""
MAX_HELD = 4096
"""Sets in memory; the disk has the others."""

_log = logging.getLogger("intaglio.collateral")


class Fetcher(Protocol):
    """`PcsClient`, `KdsClient`, or anything that fetches like them."""

    @property
    def name(self) -> str:
        """Its address."""

    def serves(self, request: CollateralRequest) -> bool: ...

    def fetch(self, request: CollateralRequest, held: Collateral | None, at: UnixTime) -> Collateral:
        """Raises `Unavailable`, `Malformed`. `held`: what we have already, of which parts may be used again."""


@dataclass(frozen=True, slots=True)
class _Held:
    """`checked`: when this process last fetched it; 0 where it lay in the folder."""

    forecast: Forecast
    checked: UnixTime

    @property
    def entry(self) -> Entry:
        return self.forecast.entry

    @property
    def collateral(self) -> Collateral:
        return self.forecast.entry.collateral

    def fresh(self, at: UnixTime) -> bool:
        return self.forecast.facts.fresh(at, self.checked or self.entry.fetched_at)


@dataclass(frozen=True, slots=True)
class _Pause:
    """Until then nobody is asked again, and what was said is said again."""

    until: UnixTime
    failure: Unavailable | Malformed | None


class CachedSource:
    """A `CollateralSource` over services and a folder. Without any service it holds what was imported. `report` is
    told of rollbacks; by default they go to the log as warnings. Several processes may share the folder."""

    def __init__(
        self, fetchers: Sequence[Fetcher], folder: Path, report: Callable[[Rollback], None] | None = None
    ) -> None:
        self._fetchers = tuple(fetchers)
        self._folder = EntryFolder(folder)
        self._report = report or _warn
        self._held: Recent[_Held] = Recent(MAX_HELD)
        self._pauses: dict[str, _Pause] = {}
        # One fetch for each key at a time: a restart of a fleet must not become a stampede on the service.
        self._locks = [Lock() for _ in range(LOCKS)]

    def get(self, request: CollateralRequest, at: UnixTime) -> Collateral:
        """The held set while it is fresh at `at`, else a fetched one. While no service answers, the held set
        as long as it has not expired. Raises `Unavailable`, `Malformed` (the services answer nonsense and
        nothing good is held)."""
        with self._lock(request):
            return self._get(request, at)

    def refresh(self, request: CollateralRequest, at: UnixTime) -> Collateral:
        """Asks the services now, however fresh the held set is. Raises as `get`, but never bridges: a person wants to
        know why nothing newer came. `Unavailable` where the services only went back."""
        with self._lock(request):
            held = self._newest(request)
            offered = self._renew(request, held, at)
            if offered is None:
                raise Unavailable(f"{request}: every service offers less than what is held", retry_after=RETRY_SECONDS)
            return self._keep(offered, held, at).collateral

    def forget(self, request: CollateralRequest) -> None:
        """Drops the held set, because it turned out to be forged or broken. A service that just gave it is not asked
        again at once."""
        with self._lock(request):
            key = request.key
            dropped = self._held.pop(key.encode())
            self._pauses.pop(key, None)
            try:
                self._folder.remove(request)
            except OSError as error:
                _log.error("forged collateral %s can't be deleted: %s", key, error)
            if dropped and dropped.checked:
                failure = Unavailable("what the service gave last was refused by the verifier")
                self._pause(key, UnixTime(dropped.checked + RETRY_SECONDS), failure)

    def forecasts(self) -> tuple[Forecast, ...]:
        """What the folder holds, and what this process holds of it that is newer."""
        found: dict[str, Forecast] = {}
        for entry in self._folder.entries():
            try:
                found[entry.request.key] = forecast(entry)
            except Malformed as error:
                _log.warning("cached collateral %s can't be read: %s", entry.request.key, error)
        for held in self._held.values():
            found[held.entry.request.key] = held.forecast
        return tuple(found[key] for key in sorted(found))

    def _lock(self, request: CollateralRequest) -> Lock:
        return self._locks[hash(request.key) % LOCKS]

    def _get(self, request: CollateralRequest, at: UnixTime) -> Collateral:
        key = request.key
        held = self._held.get(key.encode())
        if held and held.fresh(at):
            return held.collateral
        pause = self._pauses.get(key)
        if pause and at < pause.until:
            return _bridged(held, at, pause.failure, pause.until - at)
        held = self._newest(request)
        if held and held.fresh(at):
            return held.collateral
        try:
            offered = self._renew(request, held, at)
        except (Unavailable, Malformed) as error:
            _log.warning("collateral for %s can't be fetched: %s", request, error)
            # Whoever waits for a turn must come when it is his, and asking costs nothing before.
            if not isinstance(error, Queued):
                self._pause(key, UnixTime(at + RETRY_SECONDS), error)
            return _bridged(held, at, error, None)
        if offered is None:
            self._pause(key, UnixTime(at + RETRY_SECONDS), None)
            return _bridged(held, at, None, RETRY_SECONDS)
        kept = self._keep(offered, held, at)
        if not kept.fresh(at):
            self._pause(key, UnixTime(at + UNCHANGED_SECONDS), None)
        return kept.collateral

    def _newest(self, request: CollateralRequest) -> _Held | None:
        """The newer of what this process holds and what lies in the folder, where another may have put it."""
        ours, entry = self._held.get(request.key.encode()), self._folder.load(request)
        if entry is None or (ours and entry.collateral.digest == ours.collateral.digest):
            return ours
        try:
            theirs = _Held(forecast(entry), UnixTime(0))
        except Malformed as error:
            _log.warning("cached collateral %s can't be read, fetching it again: %s", request.key, error)
            return ours
        if ours is None or not theirs.forecast.facts.went_back(ours.forecast.facts):
            self._held.put(request.key.encode(), theirs)
            return theirs
        return ours

    def _renew(self, request: CollateralRequest, held: _Held | None, at: UnixTime) -> _Held | None:
        """From the first service that has something good. None where services only went back. Raises `Unavailable`,
        `Malformed`."""
        failures: list[Unavailable | Malformed] = []
        went_back = False
        for fetcher in self._fetchers:
            if not fetcher.serves(request):
                continue
            try:
                offered = _fetch(fetcher, request, held, at)
            except (Unavailable, Malformed) as error:
                failures.append(error)
                continue
            found = rollbacks(held.forecast, offered.forecast) if held else []
            if not found:
                return offered
            went_back = True
            self._tell(found, at)
        if went_back:
            return None
        raise _together(failures, request)

    def _pause(self, key: str, until: UnixTime, failure: Unavailable | Malformed | None) -> None:
        if len(self._pauses) >= MAX_PAUSES:
            self._pauses.clear()
        self._pauses[key] = _Pause(until, failure)

    def _keep(self, offered: _Held, held: _Held | None, at: UnixTime) -> _Held:
        """What is held from now on: what was offered, or what another process put into the folder meanwhile, if that
        is newer."""
        key = offered.entry.request.key
        self._held.put(key.encode(), offered)
        self._pauses.pop(key, None)
        if held and offered.entry is held.entry:
            return offered
        try:
            older = self._folder.keep(offered.forecast).older
        except OSError as error:  # a full disk: what was fetched serves this process all the same
            _log.error("collateral %s can't be kept: %s", key, error)
            return offered
        if not older:
            return offered
        self._tell(older, at)
        return self._newest(offered.entry.request) or offered

    def _tell(self, found: Sequence[Rollback], at: UnixTime) -> None:
        for rollback in found:
            self._report(rollback)
        note_rollbacks(self._folder.path, found, at)


def _fetch(fetcher: Fetcher, request: CollateralRequest, held: _Held | None, at: UnixTime) -> _Held:
    """Where nothing changed, the held set itself: verifiers know it, and its file need not be written again."""
    collateral = fetcher.fetch(request, held.collateral if held else None, at)
    if held and collateral.digest == held.collateral.digest:
        return _Held(held.forecast, at)
    if not fits(collateral, request):
        raise Malformed("collateral", f"asked {fetcher.name} for {request}, got something else")
    return _Held(forecast(Entry(request, at, fetcher.name, collateral)), at)


def _together(failures: list[Unavailable | Malformed], request: CollateralRequest) -> Unavailable | Malformed:
    """One error for all services that were asked."""
    if not failures:
        return Unavailable(f"nothing is held for {request}, and no service is asked for it", retry_after=RETRY_SECONDS)
    down = [failure for failure in failures if isinstance(failure, Unavailable)]
    if len(failures) == 1 or not down:
        return failures[0]
    absent = all(isinstance(failure, Absent) for failure in failures)
    queued = any(isinstance(failure, Queued) for failure in failures)
    kind = Absent if absent else Queued if queued else Unavailable
    return kind("; ".join(map(str, failures)), retry_after=min(failure.retry_after for failure in down))


def _bridged(
    held: _Held | None, at: UnixTime, failure: Unavailable | Malformed | None, seconds: int | None
) -> Collateral:
    """What is held, until it expires; then the failure once more (`seconds`: until the service is asked again)."""
    if held and at <= held.forecast.next_update:
        return held.collateral
    if isinstance(failure, Malformed):
        raise Malformed(failure.field, failure.problem) from failure
    what = str(failure) if failure else "the services offer nothing newer than the expired set that is held"
    retry = seconds if seconds is not None else failure.retry_after if failure else RETRY_SECONDS
    waits = "" if seconds is None else f" (not asked again for {seconds} s)"
    kind = Unavailable if failure is None else type(failure)
    raise kind(what + waits, retry_after=retry) from failure


def _warn(rollback: Rollback) -> None:
    _log.warning("collateral rollback: %s", rollback)
