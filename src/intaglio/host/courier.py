"""Delivering what lies in a spool: oldest first, a session's hello before its frames, nothing forgotten before a 2xx.

A courier has no thread and does not wait: each step makes at most a few requests and says what became of them, or
raises `Unavailable` where trying again later is all that can be done.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from intaglio.errors import Unavailable
from intaglio.host.data_centre import DataCentre, TooLarge
from intaglio.host.errors import HelloRejected
from intaglio.host.outline import session_of_accept, session_of_frame
from intaglio.host.shelf import RefusedFrames, Shelf
from intaglio.host.spool import Entry, Spool

__all__ = ["Courier", "Step"]

_log = logging.getLogger(__name__)

MAX_BATCH_FRAMES = 1000
MAX_BATCH_BYTES = 1024 * 1024
"""Of one body: far below the gateway's limit of 4 MiB, large enough that the disk over there sets the pace."""


class Observer(Protocol):
    """Who wants to know what becomes of hellos. Called by the thread that delivers them."""

    def accepted(self, session: bytes, accept: bytes) -> None:
        """The data centre accepted a hello; this is its answer for the enclave."""

    def rejected(self, session: bytes, error: HelloRejected) -> None:
        """The data centre rejected a hello; frames of the session go to the refused ones."""


class Step(Enum):
    """What a step did."""

    NOTHING = "nothing waits"
    DELIVERED = "frames were delivered"
    REFUSED = "frames were refused"


@dataclass(frozen=True, slots=True)
class _Batch:
    """The oldest entries, all of one session. `end` and `count` take in entries that were refused before."""

    session: bytes
    entries: list[Entry]
    end: int
    count: int


class Courier:
    """Owns the way from `spool` to `data_centre`. One thread at a time may use it; `lock` guards the spool."""

    def __init__(
        self,
        spool: Spool,
        shelf: Shelf,
        refused: RefusedFrames,
        data_centre: DataCentre,
        lock: threading.RLock,
        observer: Observer,
        on_refused: Callable[[Entry], None],
    ) -> None:
        """`on_refused` is told of each entry that goes to the refused ones, with `lock` held."""
        self._spool = spool
        self._shelf = shelf
        self._refused = refused
        self._data_centre = data_centre
        self._lock = lock
        self._observer = observer
        self._on_refused = on_refused
        self._delivered: set[bytes] = set()
        self._set_aside: set[int] = set()
        self._dead: set[bytes] = set()
        self._told_again: set[bytes] = set()
        """Sessions that the data centre did not know although their hello was answered with an Accept."""
        self._most = MAX_BATCH_FRAMES

    def next_session(self) -> bytes | None:
        """The session of the oldest undelivered frame."""
        with self._lock:
            oldest = next(self._spool.entries(), None)
        return None if oldest is None else session_of_frame(oldest.payload)

    def deliver_hello(self, session: bytes) -> bool:
        """Delivers a session's hello, unless that is done, or it is not here. Gives whether it was decided now.

        Raises `Unavailable`.
        """
        if session in self._delivered or session in self._dead:
            return False
        hello = self._shelf.hello(session)
        if hello is None:
            return False
        try:
            accept = self._data_centre.deliver_hello(hello)
        except HelloRejected as error:
            _log.warning("session %s: %s", session.hex(), error)
            # An ended session was accepted once, so its frames are still taken, as late ones.
            (self._delivered if "SESSION_ENDED" in error.reasons else self._dead).add(session)
            self._observer.rejected(session, error)
        else:
            if session_of_accept(accept) != session:
                raise Unavailable("hello: answered 200 with something else than its Accept", retry_after=0)
            self._delivered.add(session)
            self._observer.accepted(session, accept)
        return True

    def tidy(self, live: bytes | None) -> None:
        """Where nothing waits: forgets the hellos that are decided, but for the live session's, which could be asked
        for again."""
        with self._lock:
            if self._spool.pending:
                return
        for session in (self._delivered | self._dead) - {live}:
            self._shelf.discard_hello(session)
        self._delivered &= {live}
        self._dead &= {live}
        self._told_again &= {live}

    def step(self) -> Step:
        """Delivers the oldest batch. Raises `Unavailable`."""
        batch = self._batch()
        if batch is None:
            return Step.NOTHING
        self.deliver_hello(batch.session)
        if batch.session in self._dead:
            return self._refuse(batch, range(len(batch.entries)))
        if not batch.entries:
            return self._forget(batch, Step.REFUSED)
        return self._post(batch)

    def _post(self, batch: _Batch) -> Step:
        frames = [entry.payload for entry in batch.entries]
        try:
            delivered = self._data_centre.deliver_frames(frames)
        except TooLarge:
            if len(frames) == 1:
                raise
            # For good: what stands in the way (a proxy, mostly) will still be there for the next batch.
            self._most = len(frames) // 2
            return self.step()
        if delivered.status == 200:
            return self._forget(batch, Step.DELIVERED)
        lost = delivered.refused | delivered.unknown
        if delivered.status == 425 or not lost:
            # The hello again first: over there it is not decided, or was forgotten.
            self._delivered.discard(batch.session)
            what = f"frames of {batch.session.hex()}: answered {delivered.status}"
            raise Unavailable(what, retry_after=delivered.retry_after)
        if delivered.unknown and self._tell_again(batch.session):
            return self.step()
        return self._refuse(batch, lost)

    def _tell_again(self, session: bytes) -> bool:
        """Whether the hello can be delivered once more to a data centre that has never heard of its session: somebody
        else may have answered it, or it was restored from a back-up."""
        if session in self._told_again or session not in self._delivered or self._shelf.hello(session) is None:
            return False
        self._told_again.add(session)
        self._delivered.discard(session)
        return True

    def _refuse(self, batch: _Batch, lost: Iterable[int]) -> Step:
        """Moves the lost ones to the refused frames; the rest of the batch is tried again by the next step."""
        indexes = sorted(lost)
        with self._lock:
            for index in indexes:
                entry = batch.entries[index]
                self._refused.keep(entry.payload)
                self._set_aside.add(entry.position)
                self._on_refused(entry)
        _log.warning("session %s: %d frames refused", batch.session.hex(), len(indexes))
        return self._forget(batch, Step.REFUSED) if len(indexes) == len(batch.entries) else Step.REFUSED

    def _forget(self, batch: _Batch, step: Step) -> Step:
        with self._lock:
            self._spool.acknowledge(batch.end, batch.count)
            self._set_aside = {position for position in self._set_aside if position >= batch.end}
        return step

    def _batch(self) -> _Batch | None:
        entries: list[Entry] = []
        session, end, count, size = b"", 0, 0, 0
        with self._lock:
            for entry in self._spool.entries():
                size += len(entry.payload)
                named = session_of_frame(entry.payload)
                full = len(entries) >= self._most or size > MAX_BATCH_BYTES
                if count and (named != session or full):
                    break
                session, end, count = named, entry.end, count + 1
                if entry.position not in self._set_aside:
                    entries.append(entry)
        return _Batch(session, entries, end, count) if count else None
