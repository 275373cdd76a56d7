"""A folder that keeps messages until they are delivered: what `append` returned for survives kill -9 and power loss.

Segments (`<base>.log`, base = position of their first byte, 20 digits) hold entries back to back:

    "ISPL" ‖ length u32 ‖ CRC-32 of payload u32 ‖ CRC-32 of the 12 bytes before u32 ‖ payload      (big-endian)

A position is a byte's place in the endless log of all segments. `acknowledged` holds the position up to which
everything is delivered, and is replaced atomically; segments below it are deleted. An entry cut short at the very end
was never acknowledged to anybody and is cut off; damage anywhere else is moved to `damaged/`, logged and counted.
"""

import fcntl
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from intaglio.errors import Malformed
from intaglio.files import remove_leftovers, replace_private, sync_folder
from intaglio.host.errors import SpoolDamaged, SpoolFull, SpoolInUse

__all__ = ["HEAD", "Entry", "Spool"]

_log = logging.getLogger(__name__)

_MAGIC = b"ISPL"
HEAD = 16
"""Bytes before an entry's payload."""
MAX_PAYLOAD = 2 * 1024 * 1024
"""Bytes of one entry: a frame takes at most 1 MiB."""
SEGMENT = 8 * 1024 * 1024
"""Bytes after which a new segment begins: what is delivered leaves the disk in steps of this size."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message: `position` of its first byte, `end` of the byte after its last."""

    position: int
    end: int
    payload: bytes


class Spool:
    """The only owner of `folder`. Not for several threads at once."""

    def __init__(self, folder: Path, *, limit_bytes: int, segment_bytes: int = SEGMENT) -> None:
        """Opens or makes the spool, and mends what a crash left.

        `limit_bytes`: of undelivered entries, heads included; on disk up to one segment more.
        Raises `SpoolInUse`, `SpoolDamaged`, OSError.
        """
        self.folder = folder
        self.damaged = 0
        """Stretches of bytes that were moved to `damaged/` since this spool was opened."""
        self.pending = 0
        """Entries that wait for delivery."""
        self._limit = limit_bytes
        self._segment = segment_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _lock(folder / "lock")
        try:
            for part in (folder, folder / "refused", folder / "damaged"):
                remove_leftovers(part)
            self._bases = sorted(_base_of(path) for path in folder.glob("*.log"))
            self._holes: dict[int, int] = {}
            self._acknowledged = self._read_acknowledged()
            self._end = self._mend()
            self._out = self._open_last()
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def size(self) -> int:
        """Bytes that wait for delivery."""
        return self._end - self._acknowledged

    @property
    def end(self) -> int:
        """The position that the next entry gets."""
        return self._end

    @property
    def acknowledged(self) -> int:
        """Everything before this position is delivered."""
        return self._acknowledged

    def append(self, payloads: Sequence[bytes], *, beyond_limit: bool = False) -> int:
        """Stores entries, all with one fsync, and gives the position after the last: on disk when this returns.
        `beyond_limit`: for what can't be asked for again, such as a frame that the enclave has already made.

        Raises `SpoolFull` and stores none of them where there is no room for all, OSError where the disk fails.
        """
        data = b"".join(map(_encode, payloads))
        if self.size + len(data) > self._limit and not beyond_limit:
            raise SpoolFull(f"spool: {self.size} bytes wait, {len(data)} more are above the limit of {self._limit}")
        if self._end - self._bases[-1] >= self._segment:
            self._roll()
        try:
            _write_all(self._out, data)
            os.fsync(self._out)
        except BaseException:
            # Half an entry may be there, or one that nobody counts (Ctrl-C): what follows would lie elsewhere
            # than we believe.
            os.ftruncate(self._out, self._end - self._bases[-1])
            raise
        self._end += len(data)
        self.pending += len(payloads)
        return self._end

    @property
    def full(self) -> bool:
        return self.size >= self._limit

    def entries(self, start: int | None = None) -> Iterator[Entry]:
        """The undelivered entries from `start` (a position that an entry begins at), oldest first."""
        position = self._acknowledged if start is None else start
        for index, base in enumerate(self._bases):
            stop = self._bases[index + 1] if index + 1 < len(self._bases) else self._end
            if stop <= position:
                continue
            with self._path(base).open("rb") as segment:
                while (position := self._past_holes(position)) < stop:
                    segment.seek(position - base)
                    head = segment.read(HEAD)
                    payload = segment.read(int.from_bytes(head[4:8], "big"))
                    entry = Entry(position, position + HEAD + len(payload), payload)
                    if _entry_size(head + payload, 0) != entry.end - position:
                        raise SpoolDamaged(f"{segment.name}: entry at {position - base} changed while in use")
                    yield entry
                    position = entry.end

    def acknowledge(self, position: int, count: int) -> None:
        """`count` entries, all before `position`, are delivered (or kept elsewhere): forgets them, for good."""
        replace_private(self.folder / "acknowledged", f"{position}\n".encode())
        self._acknowledged = position
        self.pending -= count
        while len(self._bases) > 1 and self._bases[1] <= position:
            self._path(self._bases.pop(0)).unlink()

    def close(self) -> None:
        os.close(self._out)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _past_holes(self, position: int) -> int:
        while position in self._holes:
            position = self._holes[position]
        return position

    def _read_acknowledged(self) -> int:
        first = self._bases[0] if self._bases else 0
        try:
            text = (self.folder / "acknowledged").read_bytes()
        except FileNotFoundError:
            return first
        if not text.strip().isdigit() or len(text) > 32:
            # Delivering again is harmless: the data centre stores a frame once.
            _log.warning("spool %s: acknowledged is not a number; delivering everything again", self.folder)
            return first
        return max(int(text), first)

    def _mend(self) -> int:
        """Reads what waits once: cuts off a torn tail, moves damage aside, counts entries. Gives the end."""
        end = self._acknowledged
        for index, base in enumerate(self._bases):
            data = self._path(base).read_bytes()
            following = self._bases[index + 1] if index + 1 < len(self._bases) else None
            reached = self._mend_segment(base, data, last=following is None)
            if following is not None and reached > following:
                raise SpoolDamaged(f"{self._path(base)}: reaches into the next segment")
            if following is not None and reached < following:
                self._report(reached, f"{following - reached} bytes are missing")
                self._holes[reached] = following
            end = max(reached, end)
        return end

    def _mend_segment(self, base: int, data: bytes, *, last: bool) -> int:
        """Gives the position of the segment's end."""
        at = max(0, self._acknowledged - base)
        while at < len(data):
            size = _entry_size(data, at)
            if size is not None:
                self.pending += 1
                at += size
                continue
            following = _next_entry(data, at + 1)
            if following is None and last and _is_torn(data, at):
                _log.info("spool %s: cut off %d bytes of an unfinished entry", self.folder, len(data) - at)
                os.truncate(self._path(base), at)
                return base + at
            stop = len(data) if following is None else following
            self._move_aside(base + at, data[at:stop])
            self._holes[base + at] = base + stop
            at = stop
        return base + max(at, len(data))

    def _move_aside(self, position: int, data: bytes) -> None:
        folder = self.folder / "damaged"
        folder.mkdir(mode=0o700, exist_ok=True)
        replace_private(folder / f"{position:020d}.bytes", data)
        self._report(position, f"{len(data)} bytes moved to damaged/")

    def _report(self, position: int, what: str) -> None:
        self.damaged += 1
        _log.error("spool %s: damage at %d: %s", self.folder, position, what)

    def _open_last(self) -> int:
        last = self._bases[-1] if self._bases else None
        if last is None or self._end > last + self._path(last).stat().st_size:
            # Nothing there, or everything there was delivered and its file lost: go on where `acknowledged` says.
            for base in self._bases:
                self._path(base).unlink()
            self._bases = [self._end]
        return self._open_segment(self._bases[-1])

    def _roll(self) -> None:
        out = self._open_segment(self._end)
        os.close(self._out)
        self._out = out
        self._bases.append(self._end)

    def _open_segment(self, base: int) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        out = os.open(self._path(base), flags, 0o600)
        sync_folder(self.folder)
        return out

    def _path(self, base: int) -> Path:
        return self.folder / f"{base:020d}.log"


def _encode(payload: bytes) -> bytes:
    if not 0 < len(payload) <= MAX_PAYLOAD:
        raise Malformed("message", f"need 1 to {MAX_PAYLOAD} bytes, found {len(payload)}")
    head = b"".join((_MAGIC, len(payload).to_bytes(4, "big"), zlib.crc32(payload).to_bytes(4, "big")))
    return b"".join((head, zlib.crc32(head).to_bytes(4, "big"), payload))


def _payload_size(data: bytes, at: int) -> int | None:
    """The length that an intact head at `at` gives, or None."""
    head = data[at : at + HEAD]
    if len(head) < HEAD or head[:4] != _MAGIC or zlib.crc32(head[:12]).to_bytes(4, "big") != head[12:]:
        return None
    return int.from_bytes(head[4:8], "big")


def _entry_size(data: bytes, at: int) -> int | None:
    """The size of the intact entry at `at`, or None."""
    size = _payload_size(data, at)
    if size is None:
        return None
    payload = data[at + HEAD : at + HEAD + size]
    if len(payload) < size or zlib.crc32(payload).to_bytes(4, "big") != data[at + 8 : at + 12]:
        return None
    return HEAD + size


def _next_entry(data: bytes, at: int) -> int | None:
    """Where the next intact entry begins, or None."""
    while (at := data.find(_MAGIC, at)) >= 0:
        if _entry_size(data, at) is not None:
            return at
        at += 1
    return None


def _is_torn(data: bytes, at: int) -> bool:
    """Whether the bytes at `at` are the beginning of an entry whose end was never written."""
    if len(data) - at < HEAD:
        return True
    size = _payload_size(data, at)
    return size is not None and len(data) - at < HEAD + size


def _base_of(path: Path) -> int:
    if not path.stem.isdigit():
        raise SpoolDamaged(f"{path}: not a segment's name")
    return int(path.stem)


def _write_all(out: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]


def _lock(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise SpoolInUse(f"{path.parent}: another relay owns this spool") from error
    except OSError:
        os.close(handle)
        raise
    return handle
