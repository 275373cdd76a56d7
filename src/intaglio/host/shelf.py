"""What lies beside the log in a spool folder: the hellos of sessions that still have frames to deliver, the last offer
seen, and frames that the data centre refused."""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

from intaglio.files import replace_private

__all__ = ["RefusedFrames", "Shelf"]

_log = logging.getLogger(__name__)


class Shelf:
    """Hellos by session, and one offer. Each file is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._offer = folder / "offer"
        self._hellos = folder / "hellos"
        self._hellos.mkdir(mode=0o700, exist_ok=True)

    def put_hello(self, session: bytes, hello: bytes) -> None:
        replace_private(self._path(session), hello)

    def hello(self, session: bytes) -> bytes | None:
        """None where it is not here: it was delivered long ago, or made by somebody else."""
        try:
            return self._path(session).read_bytes()
        except FileNotFoundError:
            return None

    def keep_hellos(self, sessions: Iterable[bytes]) -> None:
        """Deletes the hellos of all other sessions."""
        kept = {self._path(session) for session in sessions}
        for path in self._hellos.iterdir():
            if path not in kept:
                path.unlink()

    def discard_hello(self, session: bytes) -> None:
        self._path(session).unlink(missing_ok=True)

    def put_offer(self, offer: bytes) -> None:
        replace_private(self._offer, offer)

    def offer(self) -> bytes | None:
        """The newest offer that was ever fetched into this folder. Whether it is too old is the enclave's to say."""
        try:
            return self._offer.read_bytes()
        except FileNotFoundError:
            return None

    def _path(self, session: bytes) -> Path:
        return self._hellos / f"{session.hex()}.hello"


_BLOCK = 4096


class RefusedFrames:
    """A folder of frames that the data centre will not take: kept for a person to look at, up to a limit."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self.dropped = 0
        """Frames deleted from here because the folder was full."""
        self._sizes: dict[Path, int] | None = None
        self._total = 0

    def keep(self, frame: bytes) -> None:
        """Named by content: the same frame refused twice is one file. The oldest make room, and the log says so."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{hashlib.sha256(frame).hexdigest()[:32]}.frame"
        replace_private(path, frame)
        kept = self._kept()
        self._total -= kept.pop(path, 0)
        kept[path] = _on_disk(len(frame))
        self._total += kept[path]
        while self._total > self._limit and len(kept) > 1:
            oldest = next(iter(kept))
            oldest.unlink(missing_ok=True)  # a person may have taken it
            self._total -= kept.pop(oldest)
            self.dropped += 1
            _log.error("refused frames take more than %d bytes: deleted %s", self._limit, oldest)

    def files(self) -> list[Path]:
        return list(self._folder.glob("*.frame"))

    def _kept(self) -> dict[Path, int]:
        """What each takes, the oldest first. Looked up once: a backlog of small frames may be refused one by one."""
        if self._sizes is None:
            found = sorted((path.stat().st_mtime_ns, path, path.stat().st_size) for path in self.files())
            self._sizes = {path: _on_disk(size) for _, path, size in found}
            self._total = sum(self._sizes.values())
        return self._sizes


def _on_disk(size: int) -> int:
    """Bytes that a file takes."""
    return -(-size // _BLOCK) * _BLOCK
