"""A disk cache of collateral that never goes back in time.

One file for each (FMSPC, CA), replaced atomically. Fetched anew when a tenth of its lifetime is left. A service
that offers an older issue date or a lower evaluation number than we hold (a rollback, or a stale mirror) is
reported, and the newer set is kept. Judges nothing: what a service says of its age is unverified, so whoever
verifies and finds a set forged calls `forget`.
"""

import logging
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol

from intaglio.collateral.source import Freshness, freshness, read_collateral
from intaglio.errors import Malformed, Unavailable
from intaglio.types import UnixTime
from intaglio.wire.collateral import SgxCollateral

__all__ = ["CachedSource", "Fetcher", "Rollback"]

REFRESH_FRACTION = 10
"""Ask again once a tenth of the lifetime is left: three days of Intel's thirty, time for a person to repair
things."""
RETRY_SECONDS = 60
"""After a failed refresh of a set that is still good, how long not to ask again."""

_log = logging.getLogger("intaglio.collateral")
_KEY = re.compile(r"[0-9a-f]{12}-(?:platform|processor)")


class Fetcher(Protocol):
    """`PcsClient`, or anything that fetches like it."""

    def collateral(self, fmspc: str, ca: str) -> SgxCollateral: ...


@dataclass(frozen=True, slots=True)
class Rollback:
    """The service offered less than we hold. `what`: `tcb_info` or `qe_identity`; numbers are evaluation numbers."""

    fmspc: str
    ca: str
    what: str
    held_issued: UnixTime
    held_number: int
    offered_issued: UnixTime
    offered_number: int


@dataclass(frozen=True, slots=True)
class _Held:
    collateral: SgxCollateral
    facts: Freshness


class CachedSource:
    """A `CollateralSource` over a fetcher. `report` is told of rollbacks; by default they go to the log as
    warnings."""

    def __init__(self, fetcher: Fetcher, folder: Path, report: Callable[[Rollback], None] | None = None) -> None:
        self._fetcher = fetcher
        self._folder = folder
        self._report = report or _warn
        self._held: dict[str, _Held] = {}
        self._not_before: dict[str, UnixTime] = {}
        self._locks: dict[str, Lock] = {}
        self._guard = Lock()

    def get(self, fmspc: str, ca: str, at: UnixTime) -> SgxCollateral:
        """The held set while it is fresh at `at`, else a fetched one. While the service is down, the held set
        as long as it has not expired. Raises `Unavailable`, `Malformed` (the service answers nonsense and
        nothing good is held), `ValueError` for names that are not Intel's."""
        key = f"{fmspc.lower()}-{ca}"
        if not _KEY.fullmatch(key):
            raise ValueError(f"fmspc {fmspc!r} or ca {ca!r} is not a name of Intel's API")
        with self._guard:
            lock = self._locks.setdefault(key, Lock())
        # One fetch for each key at a time: a restart of a fleet must not become a stampede on the service.
        with lock:
            return self._get(key, fmspc.lower(), ca, at)

    def forget(self, fmspc: str, ca: str) -> None:
        """Drops the held set, because it turned out to be forged or broken."""
        key = f"{fmspc.lower()}-{ca}"
        if not _KEY.fullmatch(key):
            raise ValueError(f"fmspc {fmspc!r} or ca {ca!r} is not a name of Intel's API")
        with self._guard:
            self._held.pop(key, None)
            self._not_before.pop(key, None)
            self._path(key).unlink(missing_ok=True)

    def _get(self, key: str, fmspc: str, ca: str, at: UnixTime) -> SgxCollateral:
        held = self._held.get(key) or self._load(key)
        if (
            held
            and (at < _refresh_time(held.facts) or at < self._not_before.get(key, 0))
            and at <= held.facts.next_update
        ):
            return held.collateral
        try:
            offered = self._fetch(fmspc, ca)
        except (Unavailable, Malformed) as error:
            if held is None or at > held.facts.next_update:
                raise
            _log.warning("collateral for %s can't be refreshed, the held set is good until %d: %s", key,
                         held.facts.next_update, error)  # fmt: skip
            self._not_before[key] = UnixTime(at + RETRY_SECONDS)
            return held.collateral
        if held and self._rolled_back(fmspc, ca, held.facts, offered.facts):
            self._not_before[key] = UnixTime(at + RETRY_SECONDS)
            return held.collateral
        self._keep(key, offered)
        return offered.collateral

    def _fetch(self, fmspc: str, ca: str) -> _Held:
        collateral = self._fetcher.collateral(fmspc, ca)
        facts = freshness(collateral)
        if facts.fmspc != fmspc:
            raise Malformed("tcb_info.fmspc", f"asked for {fmspc}, got {facts.fmspc}")
        return _Held(collateral, facts)

    def _rolled_back(self, fmspc: str, ca: str, held: Freshness, offered: Freshness) -> bool:
        """Whether any document went back; every one that did is reported."""
        found = [
            Rollback(fmspc, ca, what, old.issued, old.number, new.issued, new.number)
            for what, old, new in (
                ("tcb_info", held.tcb_info, offered.tcb_info),
                ("qe_identity", held.qe_identity, offered.qe_identity),
            )
            if new.issued < old.issued or new.number < old.number
        ]
        for rollback in found:
            self._report(rollback)
        return bool(found)

    def _keep(self, key: str, offered: _Held) -> None:
        self._held[key] = offered
        self._not_before.pop(key, None)
        self._folder.mkdir(parents=True, exist_ok=True)
        _replace(self._path(key), offered.collateral.encode_json())

    def _load(self, key: str) -> _Held | None:
        """What an earlier process left. A file that can't be read counts as absent: the service has it again."""
        try:
            collateral = read_collateral(self._path(key))
            held = _Held(collateral, freshness(collateral))
        except FileNotFoundError:
            return None
        except (Malformed, OSError) as error:
            _log.warning("cached collateral %s can't be read, fetching it again: %s", self._path(key), error)
            return None
        self._held[key] = held
        return held

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _refresh_time(facts: Freshness) -> int:
    lifetime = facts.next_update - min(facts.tcb_info.issued, facts.qe_identity.issued)
    return facts.next_update - max(0, lifetime) // REFRESH_FRACTION


def _warn(rollback: Rollback) -> None:
    _log.warning("collateral rollback: %s", rollback)


def _replace(path: Path, content: bytes) -> None:
    """Atomically: a reader, or a crash, finds the old file or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
