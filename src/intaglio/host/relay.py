"""`Relay`: carries an enclave's messages to its data centre, and keeps them on disk while that is away.

One background thread does all the delivering; callers wait for it as long as the data centre answers, and no longer.
None of it reads a message: what this code can do to one is lose it, and that gets noticed.
"""

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

from intaglio.errors import IntaglioError, Unavailable
from intaglio.host.backoff import Backoff
from intaglio.host.courier import Courier, Step
from intaglio.host.data_centre import DataCentre
from intaglio.host.errors import EnclaveRefused, SpoolFull
from intaglio.host.outline import session_of_frame, split_frames
from intaglio.host.sessions import DOWN_EVERY, LiveEnclave, SessionKeeper
from intaglio.host.shelf import RefusedFrames, Shelf
from intaglio.host.spool import Entry, Spool

__all__ = ["Fate", "Pause", "Receipt", "Relay"]

_log = logging.getLogger(__name__)

SPOOL_LIMIT = 256 * 1024 * 1024
REFUSED_LIMIT = 64 * 1024 * 1024
"""Bytes on disk of each."""
LONGEST_IDLE = 3600.0
"""Seconds: a session's end may lie further ahead than threads can wait for."""
DRAIN = 5.0
"""Seconds that leaving a relay waits for the last messages, while the data centre answers."""

Pause = Callable[[threading.Event, float], None]
"""Waits these seconds, or until the event is set: between two tries. Tests give their own."""


class Fate(Enum):
    """Where a sent message is."""

    STORED = "stored"
    """The data centre has it on its disk."""
    SPOOLED = "spooled"
    """It is on this host's disk, and will be delivered."""
    REFUSED = "refused"
    """The data centre does not take it (all of it or a part); it lies among the refused frames."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message of `frames` frames."""

    fate: Fate
    frames: int


@dataclass(slots=True)
class _Sent:
    """A message that somebody waits for: its place in the spool, and whether a part of it was refused."""

    frames: int
    start: int
    end: int
    refused: bool = False


class Relay:
    """Between one enclave and one data centre. A context manager, to be entered once; its methods may be called from
    several threads."""

    def __init__(
        self,
        enclave: LiveEnclave,
        url: str,
        *,
        spool: str | os.PathLike[str] | None = None,
        spool_limit_bytes: int = SPOOL_LIMIT,
        timeout: float = 30.0,
        ca_file: str | os.PathLike[str] | None = None,
        pause: Pause | None = None,
        clock: Callable[[], float] = time.monotonic,
        down_every: float = DOWN_EVERY,
    ) -> None:
        """`spool`: a folder of this relay's own, which a later relay goes on with; by default a temporary one, which
        stays only if something in it could not be delivered. `timeout`: seconds for each wait on the network.
        `down_every`: seconds between two looks for secrets and commands that the data centre has for the enclave.

        Raises `LocalProtocolError` for a URL that is not plain http(s).
        """
        self._enclave = enclave
        self._data_centre = DataCentre(url, timeout=timeout, ca_file=None if ca_file is None else Path(ca_file))
        self._timeout = timeout
        self._folder = None if spool is None else Path(spool)
        self._temporary = spool is None
        self._limit = spool_limit_bytes
        self._down_every = down_every
        self._pause = pause or _pause
        self._clock = clock
        self._lock = threading.RLock()
        self._calling = threading.Lock()
        self._left: list[bytes] = []
        """Frames of a call that the spool could not take."""
        self._changed = threading.Condition(self._lock)
        self._work, self._nudge, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._backoff = Backoff()
        self._away = False
        self._tries = 0
        """Rounds that failed."""
        self._failure: Exception | None = None
        self._waiting: list[_Sent] = []

    def __enter__(self) -> Self:
        """Opens the spool and begins a session; goes on without the data centre if it was ever met in this spool.

        Raises `HelloRejected`, `Unavailable` (no offer, and none kept), `EnclaveRefused`, `EnclaveDied`,
        `SpoolInUse`, `SpoolDamaged`, OSError.
        """
        self._open()
        try:
            self._keeper.begin(kept_offer=True)
            with contextlib.suppress(Unavailable):
                self._keeper.care(self._courier)
            self._check([])
        except BaseException:
            self._close_files()
            raise
        self._thread = threading.Thread(target=self._run, name="intaglio-relay", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tries once more to deliver what waits. What then still waits stays in the spool."""
        with self._calling:
            try:
                self._take_left()
            except OSError as failed:
                _log.error("the spool can't be written: %s; %d frames are lost", failed, len(self._left))
        if kind is None:
            self._drain()
        self._stop.set()
        self._wake()
        self._thread.join()
        self._close_files()

    @property
    def pending(self) -> int:
        """Frames that wait for delivery."""
        with self._lock:
            return self._spool.pending

    @property
    def sessions(self) -> int:
        """Sessions begun by this relay; more than one means that it renewed."""
        return self._keeper.begun

    @property
    def refused_files(self) -> list[Path]:
        """The frames that the data centre refused, a file each."""
        return self._refused.files()

    @property
    def damaged(self) -> int:
        """Damaged stretches that were found in the spool when it was opened."""
        return self._spool.damaged

    def send(self, message: bytes) -> Receipt:
        """Takes a message: on disk when this returns, and delivered if the data centre is there.

        Raises `Malformed` for what is no message, `SpoolFull`, and `HelloRejected` where the message belongs to a
        session that the data centre rejected. The message was not taken then.
        """
        frames = split_frames(message)
        self._check(frames)
        return self._wait_for(self._take(frames))

    def call(self, name: str, /, *args: object, **kwargs: object) -> Receipt:
        """Calls a function of the enclave and sends what comes out.

        Raises as `EnclaveProcess.call` and `send` do. Where the spool is full, or still can't be written after a call
        whose frames it did not take, the function is not called.
        """
        self._check([])
        # One after another up to the spool: an enclave's sealed state may be one step ahead of what is on disk here
        # when we crash, and no more.
        with self._calling:
            self._take_left()
            with self._lock:
                if self._spool.full:
                    raise SpoolFull(f"spool: full, so {name} was not called")
            self._left = split_frames(self._called(name, args, kwargs))
            sent = self._take(self._left, beyond_limit=True)
            self._left = []
        return self._wait_for(sent)

    def renew(self) -> None:
        """Begins a new session now. Raises `Unavailable` where the data centre is away: the old session goes on."""
        self._keeper.begin_anew()
        self._wake()

    def flush(self, timeout: float) -> int:
        """Tries at once to deliver everything, for at most `timeout` seconds. Gives the number of frames that still
        wait. Raises `HelloRejected`."""
        self._wake()
        with self._changed:
            self._changed.wait_for(lambda: not self._spool.pending or self._failure is not None, timeout)
            self._check([])
            return self._spool.pending

    # -- files -------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        folder = self._folder = self._folder or Path(tempfile.mkdtemp(prefix="intaglio-spool-"))
        self._spool = Spool(folder, limit_bytes=self._limit)
        self._shelf = Shelf(folder)
        self._refused = RefusedFrames(folder / "refused", REFUSED_LIMIT)
        self._shelf.keep_hellos({session_of_frame(entry.payload) for entry in self._spool.entries()})
        self._keeper = SessionKeeper(
            self._enclave, self._data_centre, self._shelf, self._store, self._clock, self._down_every
        )
        self._courier = Courier(
            self._spool, self._shelf, self._refused, self._data_centre, self._lock, self._keeper, self._mark_refused
        )

    def _close_files(self) -> None:
        self._data_centre.close()
        self._spool.close()
        if self._temporary and self._folder is not None:
            if self._spool.pending or self._refused.files():
                refused = len(self._refused.files())
                _log.warning("kept in %s: %d frames waiting, %d refused", self._folder, self._spool.pending, refused)
            else:
                shutil.rmtree(self._folder)

    # -- callers -----------------------------------------------------------------------------------------------------

    def _check(self, frames: list[bytes]) -> None:
        """Raises what a caller must know before more is taken: `frames` of a message, or none for one to come."""
        if self._failure is not None:
            raise self._failure
        rejection, session = self._keeper.rejection, self._keeper.session
        if rejection is not None and (not frames or any(session_of_frame(frame) == session for frame in frames)):
            raise rejection

    def _called(self, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> bytes:
        try:
            return self._enclave.call(name, *args, **kwargs)
        except EnclaveRefused as error:
            if error.code != "no-session":
                raise
            self.renew()
            return self._enclave.call(name, *args, **kwargs)

    def _take_left(self) -> None:
        """They can't be made again, and what is called next may rest on them. Raises OSError."""
        if self._left:
            self._store(self._left)
            self._left = []
            self._work.set()

    def _take(self, frames: list[bytes], *, beyond_limit: bool = False) -> _Sent:
        with self._lock:
            start = self._spool.end
            sent = _Sent(len(frames), start, self._spool.append(frames, beyond_limit=beyond_limit))
            self._waiting.append(sent)
        self._work.set()
        return sent

    def _store(self, frames: list[bytes]) -> None:
        """What the enclave made on an Accept: nobody waits for it, and it can't be asked for again."""
        with self._lock:
            self._spool.append(frames, beyond_limit=True)

    def _wait_for(self, sent: _Sent) -> Receipt:
        """Until it is delivered, or known that this takes longer."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._spool.acknowledged >= sent.end or self._away or self._failure is not None, self._timeout
            )
            self._waiting.remove(sent)
            stored = self._spool.acknowledged >= sent.end
            fate = Fate.REFUSED if sent.refused else Fate.STORED if stored else Fate.SPOOLED
        return Receipt(fate, sent.frames)

    def _mark_refused(self, entry: Entry) -> None:
        for sent in self._waiting:
            if sent.start <= entry.position < sent.end:
                sent.refused = True

    def _drain(self) -> None:
        """Until nothing waits and the session is decided (its Accept makes frames to deliver), or one more try has
        failed."""

        def done() -> bool:
            settled = not self._spool.pending and self._keeper.undecided is None
            return settled or self._failure is not None or self._tries > tries

        with self._changed:
            tries = self._tries
            self._wake()
            self._changed.wait_for(done, DRAIN)

    def _wake(self) -> None:
        self._nudge.set()
        self._work.set()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            self._work.clear()
            self._nudge.clear()
            try:
                if self._round():
                    self._progress()
                else:
                    self._idle()
            except Unavailable as error:
                self._wait_out(error)
            except OSError as error:
                # The disk. What it kept is in order, and it may have room again in a minute.
                _log.error("the spool can't be written: %s", error)
                self._wait_out(Unavailable(f"spool: {error}", retry_after=0))
            except IntaglioError as error:
                _log.exception("the relay stopped")
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return

    def _round(self) -> bool:
        """The session first, so that epoch 0 ends soon; then the oldest batch, even where the session makes trouble.
        Gives whether anything moved; raises `Unavailable` where nothing could."""
        moved, trouble = False, None
        try:
            moved = self._keeper.care(self._courier)
            moved |= self._keeper.fetch_down()
        except Unavailable as error:
            trouble = error
        oldest = self._courier.next_session()
        if trouble is not None and oldest in (None, self._keeper.undecided):
            raise trouble
        step = self._courier.step()
        self._keeper.delivered(oldest, step)
        return moved or step is not Step.NOTHING

    def _progress(self) -> None:
        self._backoff.succeeded()
        with self._changed:
            self._away = False
            self._changed.notify_all()
        self._courier.tidy(self._keeper.session)

    def _idle(self) -> None:
        with self._changed:
            self._away = False
            self._changed.notify_all()
        # Whoever stops us sets `_stop` before the event that the loop may just have cleared.
        if not self._stop.is_set():
            due = [each for each in (self._keeper.due_in, self._keeper.down_in) if each is not None]
            self._work.wait(min(*due, LONGEST_IDLE) if due else None)

    def _wait_out(self, error: Unavailable) -> None:
        seconds = self._backoff.next(error.retry_after)
        _log.info("%s; trying again in %.1f s", error, seconds)
        with self._changed:
            self._away = True
            self._tries += 1
            self._changed.notify_all()
        if not self._stop.is_set():
            self._pause(self._nudge, seconds)


def _pause(event: threading.Event, seconds: float) -> None:
    event.wait(seconds)
