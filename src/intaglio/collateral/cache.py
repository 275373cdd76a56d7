"""A disk cache of collateral that never goes back in time.

One file for each (FMSPC, CA), replaced atomically. Fetched anew when a tenth of its lifetime is left. A service
that offers an older issue date or a lower evaluation number than we hold (a rollback, or a stale mirror) is
reported, and the newer set is kept. Judges nothing: what a service says of its age is unverified, so whoever
verifies and finds a set forged calls `forget`.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol

from intaglio.collateral.source import Freshness, Issue, freshness, read_collateral
from intaglio.errors import Malformed, Unavailable
from intaglio.files import replace_private
from intaglio.types import UnixTime
from intaglio.wire.collateral import DcapCollateral

__all__ = ["CachedSource", "Fetcher", "Rollback"]

REFRESH_FRACTION = 10
"""Ask again once a tenth of the lifetime is left: three days of Intel's thirty, time for a person to repair
things."""
RETRY_SECONDS = 60
"""After a failure, how long not to ask again: each hello that waits for collateral would ask otherwise."""
LOCKS = 64
"""Keys share this many locks, so that names chosen by strangers can't make locks without end."""
MAX_PAUSES = 1024
"""Failures remembered, for the same reason; there are a few dozen platform families in the world."""

_log = logging.getLogger("intaglio.collateral")
_KEY = re.compile(r"[0-9a-f]{12}-(?:platform|processor)")


class Fetcher(Protocol):
    """`PcsClient`, or anything that fetches like it."""

    def collateral(self, fmspc: str, ca: str) -> DcapCollateral: ...


@dataclass(frozen=True, slots=True)
class Rollback:
    """The service offered less than we hold. `what`: `tcb_info`, `qe_identity`, `root_ca_crl` or `pck_crl`; numbers
    are evaluation numbers, which CRLs do not have (0)."""

    fmspc: str
    ca: str
    what: str
    held_issued: UnixTime
    held_number: int
    offered_issued: UnixTime
    offered_number: int


@dataclass(frozen=True, slots=True)
class _Held:
    """`fetched`: when this process fetched it; None where it lay in the folder."""

    collateral: DcapCollateral
    facts: Freshness
    fetched: UnixTime | None


@dataclass(frozen=True, slots=True)
class _Pause:
    """The service failed or went back: until then it is not asked again, and what it said is said again."""

    until: UnixTime
    failure: Unavailable | Malformed | None


class CachedSource:
    """A `CollateralSource` over a fetcher. `report` is told of rollbacks; by default they go to the log as
    warnings. Several processes may share the folder."""

    def __init__(self, fetcher: Fetcher, folder: Path, report: Callable[[Rollback], None] | None = None) -> None:
        self._fetcher = fetcher
        self._folder = folder
        self._report = report or _warn
        self._held: dict[str, _Held] = {}
        self._pauses: dict[str, _Pause] = {}
        # One fetch for each key at a time: a restart of a fleet must not become a stampede on the service.
        self._locks = [Lock() for _ in range(LOCKS)]

    def get(self, fmspc: str, ca: str, at: UnixTime) -> DcapCollateral:
        """The held set while it is fresh at `at`, else a fetched one. While the service is down, the held set
        as long as it has not expired. Raises `Unavailable`, `Malformed` (the service answers nonsense and
        nothing good is held), `ValueError` for names that are not Intel's."""
        key = _key(fmspc, ca)
        with self._lock(key):
            return self._get(key, fmspc.lower(), ca, at)

    def forget(self, fmspc: str, ca: str) -> None:
        """Drops the held set, because it turned out to be forged or broken. A service that just gave it is not asked
        again at once."""
        key = _key(fmspc, ca)
        with self._lock(key):
            dropped = self._held.pop(key, None)
            self._pauses.pop(key, None)
            try:
                self._path(key).unlink(missing_ok=True)
            except OSError as error:
                _log.error("forged collateral %s can't be deleted: %s", self._path(key), error)
            if dropped and dropped.fetched is not None:
                failure = Unavailable("what the service gave last was refused by the verifier")
                self._pause(key, dropped.fetched, failure)

    def _lock(self, key: str) -> Lock:
        return self._locks[hash(key) % LOCKS]

    def _get(self, key: str, fmspc: str, ca: str, at: UnixTime) -> DcapCollateral:
        held = self._held.get(key)
        if held and _fresh(held, at):
            return held.collateral
        pause = self._pauses.get(key)
        if pause and at < pause.until:
            return _bridged(held, at, pause.failure, pause.until - at)
        held = self._newest(key)
        if held and _fresh(held, at):
            return held.collateral
        try:
            offered = self._fetch(fmspc, ca, at)
        except (Unavailable, Malformed) as error:
            _log.warning("collateral for %s can't be fetched: %s", key, error)
            self._pause(key, at, error)
            return _bridged(held, at, error, None)
        if held and self._rolled_back(fmspc, ca, held.facts, offered.facts):
            self._pause(key, at, None)
            return held.collateral
        self._keep(key, offered)
        return offered.collateral

    def _newest(self, key: str) -> _Held | None:
        """The newer of what this process holds and what lies in the folder, where another may have put it."""
        ours, theirs = self._held.get(key), self._load(key)
        if theirs and (ours is None or theirs.facts.tcb_info.issued > ours.facts.tcb_info.issued):
            self._held[key] = theirs
            return theirs
        return ours

    def _pause(self, key: str, at: UnixTime, failure: Unavailable | Malformed | None) -> None:
        if len(self._pauses) >= MAX_PAUSES:
            self._pauses.clear()
        self._pauses[key] = _Pause(UnixTime(at + RETRY_SECONDS), failure)

    def _fetch(self, fmspc: str, ca: str, at: UnixTime) -> _Held:
        collateral = self._fetcher.collateral(fmspc, ca)
        facts = freshness(collateral)
        if facts.fmspc != fmspc:
            raise Malformed("tcb_info.fmspc", f"asked for {fmspc}, got {facts.fmspc}")
        return _Held(collateral, facts, at)

    def _rolled_back(self, fmspc: str, ca: str, held: Freshness, offered: Freshness) -> bool:
        """Whether any document went back; every one that did is reported."""
        found = [
            Rollback(fmspc, ca, what, old.issued, old.number, new.issued, new.number)
            for what, old, new in (
                ("tcb_info", held.tcb_info, offered.tcb_info),
                ("qe_identity", held.qe_identity, offered.qe_identity),
                # An older CRL, still within its dates, would let a platform back in that was revoked meanwhile.
                ("root_ca_crl", Issue(held.root_ca_crl, 0), Issue(offered.root_ca_crl, 0)),
                ("pck_crl", Issue(held.pck_crl, 0), Issue(offered.pck_crl, 0)),
            )
            if new.issued < old.issued or new.number < old.number
        ]
        for rollback in found:
            self._report(rollback)
        return bool(found)

    def _keep(self, key: str, offered: _Held) -> None:
        self._held[key] = offered
        self._pauses.pop(key, None)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_private(self._path(key), offered.collateral.encode_json())
        except OSError as error:  # a full disk: what was fetched serves this process all the same
            _log.error("collateral %s can't be kept: %s", self._path(key), error)

    def _load(self, key: str) -> _Held | None:
        """What an earlier process left. A file that can't be read counts as absent: the service has it again."""
        try:
            collateral = read_collateral(self._path(key))
            held = _Held(collateral, freshness(collateral), None)
        except FileNotFoundError:
            return None
        except (Malformed, OSError) as error:
            _log.warning("cached collateral %s can't be read, fetching it again: %s", self._path(key), error)
            return None
        return held

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _key(fmspc: str, ca: str) -> str:
    key = f"{fmspc.lower()}-{ca}"
    if not _KEY.fullmatch(key):
        raise ValueError(f"fmspc {fmspc!r} or ca {ca!r} is not a name of Intel's API")
    return key


def _fresh(held: _Held, at: UnixTime) -> bool:
    facts = held.facts
    lifetime = facts.next_update - min(facts.tcb_info.issued, facts.qe_identity.issued)
    return at < facts.next_update - max(0, lifetime) // REFRESH_FRACTION


def _bridged(
    held: _Held | None, at: UnixTime, failure: Unavailable | Malformed | None, seconds: int | None
) -> DcapCollateral:
    """What is held, until it expires; then the failure once more (`seconds`: until the service is asked again)."""
    if held and at <= held.facts.next_update:
        return held.collateral
    if isinstance(failure, Malformed):
        raise Malformed(failure.field, failure.problem) from failure
    what = str(failure) if failure else "the service offers only older collateral than the expired set that is held"
    retry = seconds if seconds is not None else failure.retry_after if failure else RETRY_SECONDS
    waits = "" if seconds is None else f" (not asked again for {seconds} s)"
    raise Unavailable(what + waits, retry_after=retry) from failure


def _warn(rollback: Rollback) -> None:
    _log.warning("collateral rollback: %s", rollback)
