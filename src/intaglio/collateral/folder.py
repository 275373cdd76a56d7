"""Collateral on disk: one entry a file, whole or not at all, never more than fits.

A file that can't be read, or that holds something else than its name says, counts as absent: services have it again.
Several processes may share the folder.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from intaglio.collateral.freshness import Forecast, forecast
from intaglio.collateral.rollbacks import Rollback, rollbacks
from intaglio.collateral.source import read_collateral
from intaglio.errors import Malformed
from intaglio.files import exclusive, remove_leftovers, replace_private
from intaglio.wire.collateral_bundle import Entry
from intaglio.wire.collateral_request import CollateralRequest
from intaglio.wire.endorsement import Collateral

__all__ = ["SUFFIX", "EntryFolder", "Kept", "read_held"]

MAX_FILE = 16 << 20
MAX_FILES = 16384
"""As many as a bundle may have: platform families are dozens, chips as many as the fleet has."""
MAX_BYTES = 512 << 20
_SHARE = 256
"""The folder may be fuller than allowed by one part in so many: to look through thousands of files at each write would
make a fleet's import take hours."""
SUFFIX = ".collateral"

_log = logging.getLogger("intaglio.collateral")


class Kept(NamedTuple):
    """What became of an offer. Not taken is what lies there already, and what is `older` in these parts."""

    taken: bool
    older: tuple[Rollback, ...]


class EntryFolder:
    """`path` is made when something is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # What was written since the folder was last looked through; at first, as if it were full.
        self._new_files, self._new_bytes = MAX_FILES, MAX_BYTES

    def load(self, request: CollateralRequest) -> Entry | None:
        """What lies there for this request."""
        path = self._path(request)
        try:
            entry = _read(path)
        except FileNotFoundError:
            return None
        except (Malformed, OSError) as error:
            _log.warning("cached collateral %s can't be read, fetching it again: %s", path, error)
            return None
        if entry.request != request:
            _log.warning("cached collateral %s is of %s, fetching it again", path, entry.request)
            return None
        return entry

    def keep(self, offer: Forecast) -> Kept:
        """Puts it in the place of what lies there, which another process may have put there just now, unless that is
        newer; makes room. Raises OSError."""
        path = self._path(offer.entry.request)
        with exclusive(self.path):
            held = self._forecast(offer.entry.request)
            older = tuple(rollbacks(held, offer)) if held else ()
            same = held is not None and held.entry.collateral.digest == offer.entry.collateral.digest
            if not older and not same:
                content = offer.entry.encode()
                replace_private(path, content)
                self._new_files, self._new_bytes = self._new_files + 1, self._new_bytes + len(content)
                if self._new_files >= MAX_FILES // _SHARE or self._new_bytes >= MAX_BYTES // _SHARE:
                    self._make_room(path)
        return Kept(taken=not older and not same, older=older)

    def _forecast(self, request: CollateralRequest) -> Forecast | None:
        entry = self.load(request)
        try:
            return forecast(entry) if entry else None
        except Malformed as error:
            _log.warning("cached collateral %s can't be read, fetching it again: %s", request.key, error)
            return None

    def remove(self, request: CollateralRequest) -> None:
        """Raises OSError."""
        self._path(request).unlink(missing_ok=True)

    def entries(self) -> Iterator[Entry]:
        """All that can be read, in the order of their names; the log hears of the others."""
        for path in self._files():
            try:
                yield _read(path)
            except (Malformed, OSError) as error:
                _log.warning("cached collateral %s can't be read: %s", path, error)

    def _files(self) -> list[Path]:
        return sorted(self.path.glob(f"*{SUFFIX}"))

    def _path(self, request: CollateralRequest) -> Path:
        return self.path / f"{request.key}{SUFFIX}"

    def _make_room(self, newest: Path) -> None:
        """What was written longest ago goes first: an entry in use is written again when it is refreshed."""
        self._new_files, self._new_bytes = 0, 0
        remove_leftovers(self.path)
        sizes: dict[Path, tuple[float, int]] = {}
        for path in self._files():
            with suppress(FileNotFoundError):  # another process found it forged
                status = path.stat()
                sizes[path] = status.st_mtime, status.st_size
        total = sum(size for _, size in sizes.values())
        for path in sorted(sizes, key=lambda each: sizes[each][0]):
            if len(sizes) <= MAX_FILES and total <= MAX_BYTES:
                break
            if path != newest:
                path.unlink(missing_ok=True)
                total -= sizes.pop(path)[1]


def read_held(path: Path) -> Collateral:
    """What a file holds, be it of a cache (`SUFFIX`) or given by hand. Raises `Malformed`, OSError."""
    return _read(path).collateral if path.suffix == SUFFIX else read_collateral(path)


def _read(path: Path) -> Entry:
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise Malformed(path.name, f"more than {MAX_FILE} bytes")
    return Entry.parse(data)
