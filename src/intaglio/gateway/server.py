"""A gateway that runs: everything put together in the right order, and taken apart again without losing anything.

serve(settings)                        # until a signal
with running(settings) as url: ...     # on a free port, in a thread: for tests and demonstrations
"""

import logging
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event, Thread, current_thread, main_thread
from types import TracebackType
from typing import Self

import uvicorn

from intaglio.errors import IntaglioError, Unavailable
from intaglio.files import remove_leftovers
from intaglio.gateway.api import Readers, make_api
from intaglio.gateway.app import Application, Clock
from intaglio.gateway.appraisal import Appraiser, EvidenceAppraiser
from intaglio.gateway.config import Misconfigured, Settings
from intaglio.gateway.connection import BoundedProtocol
from intaglio.gateway.downward import DownDesk
from intaglio.gateway.frames import FrameIntake
from intaglio.gateway.hellos import HelloDesk
from intaglio.gateway.housekeeping import EVERY, Housekeeping
from intaglio.gateway.keystore import Keystore
from intaglio.gateway.live import INTAGLIO, SIGMA, LiveSessions
from intaglio.gateway.lock import exclusive_lock
from intaglio.gateway.metrics import AnswerTimes
from intaglio.gateway.offers import OfferBook
from intaglio.gateway.outlook import CollateralOutlook
from intaglio.gateway.pending import PendingSessions
from intaglio.gateway.review import review_sessions
from intaglio.gateway.sigma import SigmaDesk
from intaglio.gateway.sigma_key import open_sigma_key, pin_hash
from intaglio.gateway.statements import StatementDesk
from intaglio.gateway.store.migrate import migrate
from intaglio.gateway.store.quarantine import Quarantine
from intaglio.gateway.store.sessions import end_simulated
from intaglio.gateway.store.writer import Writer
from intaglio.gateway.tokens import ensure_token
from intaglio.gateway.vault import Vault
from intaglio.sigma.curve import ProviderKey
from intaglio.types import Draw, UnixTime

__all__ = ["Gateway", "running", "serve", "system_clock"]

_DRAIN_SECONDS = 10
"""At a stop, for requests that are being answered."""
_READY_SECONDS = 5

_log = logging.getLogger("intaglio.gateway")


def system_clock() -> UnixTime:
    return UnixTime(int(time.time()))


class Gateway:
    """One data centre's service over one folder and one keystore. `app` is its ASGI application. A context manager."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = system_clock,
        draw: Draw = os.urandom,
        appraiser: Appraiser | None = None,
    ) -> None:
        """Raises `Misconfigured` and `Malformed` (policy, keystore), `Unavailable` (the disk). Nothing runs then."""
        self.settings = settings
        self.clock = clock
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._locks = ExitStack()
        try:
            self._locks.callback(os.close, exclusive_lock(settings.folder / "gateway.lock", "folder"))
            beside = settings.keystore.with_name(settings.keystore.name + ".lock")
            self._locks.callback(os.close, exclusive_lock(beside, "keystore"))
            # A crash may have left a copy with keys that are destroyed later: it must not outlive them.
            remove_leftovers(settings.keystore.parent, settings.keystore.name)
            keystore = Keystore.open(settings.keystore, settings.secret, draw=draw)
            self.pin = keystore.pin
            judge = appraiser or EvidenceAppraiser.from_settings(settings, keystore.pin.hash)
            sigma = open_sigma_key(settings.sigma_key, settings.secret) if settings.sigma_key else None
            migrate(settings.database)
        except BaseException:
            self._locks.close()
            raise
        self._writer = Writer(settings.database)
        self._executor = ThreadPoolExecutor(settings.hello_workers, thread_name_prefix="intaglio-hello")
        self._readers = Readers(settings.database)
        self._stop = Event()
        self.draining = Event()
        """Set when a server has begun to stop: what goes on by itself ends, and nobody sends new work here."""
        self._overdue = False
        self._assemble(keystore, judge, sigma, draw)

    def _assemble(self, keystore: Keystore, judge: Appraiser, sigma: ProviderKey | None, draw: Draw) -> None:
        settings, writer = self.settings, self._writer
        vault = Vault(keystore, draw)
        pending = PendingSessions()
        quarantine = Quarantine(settings.quarantine_bytes)
        self._live = LiveSessions(vault)
        intake = FrameIntake(self._live, quarantine, pending)
        # Frames first: what a session's row learns must be in the same transaction as its frames.
        writer.attach(intake)
        writer.attach(quarantine)
        offers = OfferBook(settings, keystore, writer, judge.policy_hash, draw)
        self._housekeeping = Housekeeping(keystore, vault, offers, self._live, writer, settings.spool_window)
        desk = HelloDesk(keystore, offers, judge, writer, quarantine, pending, vault, draw)
        # Without its key nobody knows what a stored Sigma session's enclave pins; `judge` lets measured ones go on.
        sigma_judge = judge.pinned(pin_hash(sigma)) if sigma else judge
        sigma_desk = SigmaDesk(sigma, sigma_judge, writer, quarantine, vault, draw) if sigma else None
        try:
            writer.start()
            self._housekeeping.open(self.clock())
            self._leave_the_lab()
            review_sessions(writer, {INTAGLIO: judge, SIGMA: sigma_judge}, self.clock())
            offers.open(self.clock())
            ensure_token(writer, settings.token_file, self.clock())
        except BaseException:
            self.close()
            raise
        times, outlook = AnswerTimes(), CollateralOutlook(settings.collateral)
        api = make_api(self._readers, self.clock, self._trouble, outlook, times, self.draining)
        down, statements = DownDesk(vault), StatementDesk(keystore, judge)
        self.app = Application(
            offers,
            desk,
            intake,
            quarantine,
            writer,
            self._executor,
            self.clock,
            api,
            down,
            statements,
            times,
            sigma_desk,
        )
        self._keeper = Thread(target=self._keep, name="intaglio-housekeeping", daemon=True)
        self._keeper.start()

    def _leave_the_lab(self) -> None:
        """A database that once served a lab may serve production: what was accepted on simulated evidence ends."""
        if self.settings.lab:
            return
        at = self.clock()
        ended = self._writer.submit(lambda connection: end_simulated(connection, at)).result()
        if ended:
            _log.warning("sessions of simulated enclaves ended, because no lab root is trusted sessions=%d", ended)

    def turn(self) -> None:
        """Does now what housekeeping would do within a minute. Raises `Unavailable`."""
        self._housekeeping.turn(self.clock())
        self._overdue = False

    def close(self) -> None:
        """Stops taking work, commits what was taken, and writes back what a restart would have to find out. Doing it
        again does nothing."""
        if self._stop.is_set():
            return
        self._stop.set()
        keeper: Thread | None = getattr(self, "_keeper", None)
        if keeper is not None:
            keeper.join()
        self._executor.shutdown(wait=True)
        try:
            self._writer.submit(self._live.save_all).result()
        except Unavailable as error:
            _log.warning("sessions not written back, a restart will read their frames: %s", error)
        self._writer.close()
        self._readers.close()
        self._locks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _keep(self) -> None:
        while not self._stop.wait(EVERY):
            try:
                self.turn()
            except (IntaglioError, OSError) as error:
                self._overdue = True
                _log.error("housekeeping failed, trying again in %d s: %s", EVERY, error)
            # Everything, because a bug must not stop the thread without which offers and keys silently grow old. It is
            # logged whole, and what is due stays due.
            except Exception:  # noqa: BLE001
                self._overdue = True
                _log.exception("housekeeping failed, trying again in %d s", EVERY)

    def _trouble(self) -> str | None:
        """Why the gateway is not ready: the writer must take and commit a row (an empty commit would succeed on a full
        disk, too), and the last housekeeping have succeeded."""
        if self.draining.is_set():
            return "it is stopping"
        try:
            self._writer.submit(_touch).result(_READY_SECONDS)
        except (Unavailable, TimeoutError):
            return "the store takes nothing"
        return "housekeeping failed" if self._overdue else None


def _touch(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE alembic_version SET version_num = version_num")


def serve(settings: Settings, *, clock: Clock = system_clock, started: Callable[[str], None] | None = None) -> None:
    """Serves until SIGINT or SIGTERM, then lets running requests end and commits. `started` is told the URL."""
    with Gateway(settings, clock=clock) as gateway, _listen(settings) as (listener, url):
        if settings.lab:
            _log.warning("LAB MODE: simulated evidence is accepted and marked roots=%d", len(settings.lab_roots))
        server = _server(gateway)
        if started is not None:
            started(url)
        server.run([listener])


@contextmanager
def running(
    settings: Settings, *, clock: Clock = system_clock, appraiser: Appraiser | None = None, draw: Draw = os.urandom
) -> Iterator[str]:
    """A gateway in a thread of this process; yields its URL. `settings.port` 0 takes a free one."""
    with Gateway(settings, clock=clock, appraiser=appraiser, draw=draw) as gateway, serving(gateway) as url:
        yield url


@contextmanager
def serving(gateway: Gateway) -> Iterator[str]:
    """Serves a gateway in a thread; yields its URL. The gateway stays open afterwards."""
    with _listen(gateway.settings) as (listener, url):
        server = _server(gateway)
        thread = Thread(target=server.run, args=([listener],), name="intaglio-server", daemon=True)
        thread.start()
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join()


class _Server(uvicorn.Server):
    """uvicorn's server raises a signal again once it has stopped, which would end the process before what it took is
    put away; ours returns."""

    def __init__(self, config: uvicorn.Config, draining: Event) -> None:
        super().__init__(config)
        self._draining = draining

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._draining.set()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if current_thread() is not main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _server(gateway: Gateway) -> _Server:
    return _Server(
        uvicorn.Config(
            gateway.app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            # The peer is whoever connects: a forwarded address is a claim of the host's.
            proxy_headers=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        ),
        gateway.draining,
    )


@contextmanager
def _listen(settings: Settings) -> Iterator[tuple[socket.socket, str]]:
    """Listens before the server starts, so a peer that knows the URL never finds the door missing."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise Misconfigured(f"{settings.host}:{settings.port}: {error.strerror}") from error
    with listener:
        host = f"[{settings.host}]" if family is socket.AF_INET6 else settings.host
        yield listener, f"http://{host}:{listener.getsockname()[1]}"
