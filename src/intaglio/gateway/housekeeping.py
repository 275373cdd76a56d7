"""What time asks of a gateway, whoever calls: offers turned over, epochs given up, sessions closed, keys wrapped anew.

`turn` may be called as often as one likes; it does what is due. All of it is safe to interrupt at any point.
"""

import json
import logging
import sqlite3
from threading import Lock

from intaglio.errors import Malformed
from intaglio.gateway.config import DAY
from intaglio.gateway.keystore import Keystore
from intaglio.gateway.live import LiveSessions
from intaglio.gateway.offers import OfferBook
from intaglio.gateway.store.downward import close_ended, close_expired, rewrap_items
from intaglio.gateway.store.sessions import close_sessions, rewrap
from intaglio.gateway.store.writer import Writer
from intaglio.gateway.vault import Vault
from intaglio.types import Direction, SessionId, UnixTime

__all__ = ["EVERY", "Housekeeping"]

EVERY = 60
"""Seconds between two turns."""
WRAPPING_AGE = DAY
"""How long one key wraps; a stolen back-up and keystore open at most what was live then."""
MAX_EVENTS = 100_000
MAX_RUNS = 100
"""Runs of lost frames that an event names."""

_log = logging.getLogger("intaglio.gateway.housekeeping")


class Housekeeping:
    """Not for the event loop: it waits for the disk."""

    def __init__(
        self,
        keystore: Keystore,
        vault: Vault,
        offers: OfferBook,
        live: LiveSessions,
        writer: Writer,
        spool_window: int,
    ) -> None:
        self._keystore = keystore
        self._vault = vault
        self._offers = offers
        self._live = live
        self._writer = writer
        self._spool_window = spool_window
        self._one_at_a_time = Lock()

    def open(self, at: UnixTime) -> None:
        """Before the first session: there must be a key to wrap with."""
        if not self._keystore.wrapping:
            self._keystore.add_wrapping_key(at)

    def turn(self, at: UnixTime) -> None:
        """Raises `Unavailable` if the store fails; what is due stays due."""
        with self._one_at_a_time:
            self._offers.turn(at)
            self._writer.submit(lambda connection: self._tidy(connection, at)).result()
            # Negative where our clock was ahead once: no reason to keep the key until that day.
            if not 0 <= at - self._keystore.wrapping[-1].made < WRAPPING_AGE:
                self._keystore.add_wrapping_key(at)
                _log.info("new wrapping key number=%d", self._vault.newest)
            if len(self._keystore.wrapping) > 1:
                self._rewrap()

    def _rewrap(self) -> None:
        """Every row under the newest key; then the others are destroyed."""
        newest = self._vault.newest
        while self._writer.submit(lambda connection: rewrap(connection, newest, self._again)).result():
            pass
        while self._writer.submit(lambda connection: rewrap_items(connection, newest, self._item_again)).result():
            pass
        for key in self._keystore.wrapping[:-1]:
            self._keystore.destroy_wrapping_key(key.number)
            _log.info("wrapping key destroyed number=%d", key.number)

    def _again(self, session: SessionId, direction: Direction, epoch: int, blob: bytes) -> bytes:
        """A blob that can't be opened stays as it is: it was lost before, and must not stop the others."""
        try:
            return self._vault.wrap(session, direction, epoch, self._vault.unwrap(session, direction, epoch, blob))
        except Malformed as error:
            _log.error("session state is lost session=%s: %s", session.hex(), error)
            return blob

    def _item_again(self, reference: bytes, blob: bytes) -> bytes:
        try:
            return self._vault.wrap_item(reference, self._vault.unwrap_item(reference, blob))
        except Malformed as error:
            _log.error("item is lost reference=%s: %s", reference.hex(), error)
            return blob

    def _tidy(self, connection: sqlite3.Connection, at: UnixTime) -> None:
        # First: what ends for good has ended. One that expired while the gateway was down may be due for both.
        for session in close_ended(connection, at):
            _log.info("downward keys destroyed session=%s", session.hex())
        for session in close_sessions(connection, UnixTime(at - self._spool_window)):
            self._live.drop(session)
            _log.info("session keys destroyed session=%s", session.hex())
        close_expired(connection, at)
        for session, runs in self._live.give_up(connection, at):
            detail = {"lost": runs[:MAX_RUNS], "runs": len(runs)}
            _log.warning("frames lost session=%s runs=%d first=%s", session.hex(), len(runs), runs[0])
            connection.execute(
                "INSERT INTO events (at, kind, session, detail) VALUES (?, 'frames lost', ?, ?)",
                (at, session, json.dumps(detail)),
            )
        connection.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (MAX_EVENTS,))
