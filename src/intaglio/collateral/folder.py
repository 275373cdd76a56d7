"""Collateral on disk: one entry a file, whole or not at all, never more than fits.

A file that can't be read, or that holds something else than its name says, counts as absent: services have it again.
Several processes may share the folder.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from intaglio.collateral.source import read_collateral
from intaglio.errors import Malformed
from intaglio.files import replace_private
from intaglio.wire.collateral_bundle import Entry
from intaglio.wire.collateral_request import CollateralRequest
from intaglio.wire.endorsement import Collateral

__all__ = ["SUFFIX", "EntryFolder", "read_held"]

MAX_FILE = 16 << 20
MAX_FILES = 16384
"""As many as a bundle may have: platform families are dozens, chips as many as the fleet has."""
MAX_BYTES = 512 << 20
SUFFIX = ".collateral"
_LEFTOVER_SECONDS = 3600
"""What a crash left of a replaced file is older than any file that is being written."""

_log = logging.getLogger("intaglio.collateral")


class EntryFolder:
    """`path` is made when something is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path

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

    def keep(self, entry: Entry) -> None:
        """Puts it in the place of what lay there, and makes room. Raises OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(entry.request)
        replace_private(path, entry.encode())
        self._make_room(path)

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
        for leftover in self.path.glob(f".*{SUFFIX}.*"):
            if _age(leftover) > _LEFTOVER_SECONDS:
                leftover.unlink(missing_ok=True)
        sizes = {path: (status.st_mtime, status.st_size) for path in self._files() for status in (path.stat(),)}
        total = sum(size for _, size in sizes.values())
        for path in sorted(sizes, key=lambda each: sizes[each][0]):
            if len(sizes) <= MAX_FILES and total <= MAX_BYTES:
                break
            if path != newest:
                path.unlink(missing_ok=True)
                total -= sizes.pop(path)[1]


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # another process was faster
        return 0


def read_held(path: Path) -> Collateral:
    """What a file holds, be it of a cache (`SUFFIX`) or given by hand. Raises `Malformed`, OSError."""
    return _read(path).collateral if path.suffix == SUFFIX else read_collateral(path)


def _read(path: Path) -> Entry:
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise Malformed(path.name, f"more than {MAX_FILE} bytes")
    return Entry.parse(data)
