"""The one thread that writes the database, and commits what several requests brought at once.

A commit costs one flush to disk, whatever it holds: so the thread takes everything that waits, runs it in one
transaction and answers nobody before that is committed. An error of the database rolls the whole group back. Nothing
else writes, so no lock is ever waited for.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Generic, Protocol, TypeVar

from intaglio.errors import IntaglioError, Unavailable

__all__ = ["Participant", "Work", "Writer", "connect"]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
"""What a request wants done in the transaction. It may run twice (the first time was rolled back), and may raise an
`IntaglioError` only before it changed anything."""

GROUP_JOBS = 512
GROUP_BYTES = 8 << 20
"""A group's end: what it holds lies in memory, and its first request waits for its last."""
QUEUE_BYTES = 64 << 20
"""Message bytes that may wait for the writer. Beyond it a request is told to come back: the disk is the limit."""
_WAL_PAGES = 4000
_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
"""Primary result codes of SQLite that tell of the disk."""

_log = logging.getLogger("intaglio.gateway.store")


class Participant(Protocol):
    """Collects rows during a group and keeps state that must agree with the database."""

    def flush(self, connection: sqlite3.Connection) -> None:
        """Writes what the group collected, inside its transaction."""

    def forget(self) -> None:
        """The group was rolled back: drop what was collected, and all state that it changed."""


class _Ticket(Generic[T]):
    """One piece of work and where its answer goes."""

    __slots__ = ("answer", "error", "future", "loop", "size", "work")

    def __init__(
        self, work: Work[T], size: int, future: "asyncio.Future[T] | Future[T]", loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.work = work
        self.size = size
        self.future = future
        self.loop = loop
        self.answer: T | None = None
        self.error: IntaglioError | None = None


class Writer:
    """Start it once; `submit` from threads, `write` from an event loop, `close` to commit what waits and stop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: SimpleQueue[_Ticket[object] | None] = SimpleQueue()
        self._lock = Lock()
        self._waiting = 0
        self._closed = False
        self._participants: list[Participant] = []
        self._thread = Thread(target=self._run, name="intaglio-writer", daemon=True)

    def attach(self, participant: Participant) -> None:
        """Before `start`."""
        self._participants.append(participant)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Commits everything that was submitted, then stops. Further work is refused."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def submit(self, work: Work[T], size: int = 0) -> "Future[T]":
        """For threads: the future is done when `work` is committed. Raises `Unavailable` if too much waits."""
        future: Future[T] = Future()
        self._put(_Ticket(work, size, future, None))
        return future

    def write(self, work: Work[T], size: int = 0) -> "asyncio.Future[T]":
        """For the running event loop: the same."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Ticket(work, size, future, loop))
        return future

    def _put(self, ticket: "_Ticket[T]") -> None:
        with self._lock:
            if self._closed:
                raise Unavailable("the gateway is stopping", retry_after=5)
            if self._waiting + ticket.size > QUEUE_BYTES:
                raise Unavailable("the store is busy", retry_after=1)
            self._waiting += ticket.size
            self._queue.put(ticket)  # type: ignore[arg-type]  # a queue of tickets of every type

    def _run(self) -> None:
        group: list[_Ticket[object]] = []
        try:
            with closing(connect(self._path)) as connection:
                going = True
                while going:
                    group, going = self._gather()
                    if group:
                        self._commit(connection, group)
                        self._settle(group)
                        group = []
        except sqlite3.Error as error:
            _log.critical("the store can't be written any more: %s", error)
        finally:
            self._refuse_all(group)

    def _refuse_all(self, left: "list[_Ticket[object]]") -> None:
        """Whatever ends the thread: nobody is left waiting for it. `left`: of the group that it could not settle."""
        with self._lock:
            self._closed = True
        while not self._queue.empty():
            ticket = self._queue.get_nowait()
            if ticket is not None:
                left.append(ticket)
        for ticket in left:
            ticket.error = Unavailable("the gateway is stopping", retry_after=5)
        self._settle(left)

    def _gather(self) -> "tuple[list[_Ticket[object]], bool]":
        """Waits for one ticket and takes what else is there, up to the limits; False when it is time to stop."""
        group: list[_Ticket[object]] = []
        size = 0
        ticket = self._queue.get()
        while ticket is not None:
            group.append(ticket)
            size += ticket.size
            if len(group) >= GROUP_JOBS or size >= GROUP_BYTES:
                return group, True
            try:
                ticket = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _commit(self, connection: sqlite3.Connection, group: "list[_Ticket[object]]") -> None:
        """Everything together; if that fails, each by itself, so that an error costs the one request that met it."""
        error = self._attempt(connection, group)
        if error is None:
            return
        for ticket in group:
            if len(group) > 1:
                error = self._attempt(connection, [ticket])
            if error is not None:
                ticket.error = Unavailable("the store failed", retry_after=5)

    def _attempt(self, connection: sqlite3.Connection, group: "list[_Ticket[object]]") -> Exception | None:
        """One transaction. Returns what made it fail and be rolled back, or None."""
        try:
            connection.execute("BEGIN IMMEDIATE")
            for ticket in group:
                ticket.error = None
                try:
                    ticket.answer = ticket.work(connection)
                except IntaglioError as error:
                    ticket.error = error
            for participant in self._participants:
                participant.flush(connection)
            connection.execute("COMMIT")
        # Everything, because a bug that one request can reach must not stop the thread that all sessions need. It is
        # logged whole, nothing of the group is kept, and nobody was answered yet.
        except Exception as error:  # noqa: BLE001
            if _world_is_to_blame(error):
                _log.error("transaction of %d requests failed: %s", len(group), error)
            else:
                _log.error("transaction of %d requests failed", len(group), exc_info=error)
            for participant in self._participants:
                participant.forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return error
        return None

    def _settle(self, group: "list[_Ticket[object]]") -> None:
        with self._lock:
            self._waiting -= sum(ticket.size for ticket in group)
        loops: dict[asyncio.AbstractEventLoop, list[_Ticket[object]]] = {}
        for ticket in group:
            if ticket.loop is None:
                _resolve(ticket)
            else:
                loops.setdefault(ticket.loop, []).append(ticket)
        for loop, tickets in loops.items():
            try:
                loop.call_soon_threadsafe(_resolve_all, tickets)
            except RuntimeError:  # the loop is closed: whoever waited is gone, and what they sent is stored
                _log.info("%d answers have nobody to go to", len(tickets))


def _world_is_to_blame(error: Exception) -> bool:
    """A full or failing disk: one line a time says it all, and there may be many times until somebody frees it."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes: WAL, every commit on disk before it returns, transactions by explicit statements."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        f"wal_autocheckpoint = {_WAL_PAGES}",
        "busy_timeout = 5000",
        "secure_delete = FAST",
        "temp_store = MEMORY",
        "cache_size = -65536",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _resolve_all(tickets: "list[_Ticket[object]]") -> None:
    for ticket in tickets:
        if not ticket.future.done():  # a peer that hung up cancelled it
            _resolve(ticket)


def _resolve(ticket: "_Ticket[object]") -> None:
    if ticket.error is not None:
        ticket.future.set_exception(ticket.error)
    else:
        ticket.future.set_result(ticket.answer)
