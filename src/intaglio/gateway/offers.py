"""The offers of a data centre: the one that is published now, the ones still answered, the ones destroyed.

A new offer is published at half of the old one's lifetime, so whoever fetches one has at least the other half to use
it. A key is kept until its offer's delete-after and then destroyed; the offer itself stays in the database, so a hello
that comes too late is told from one that was never ours. `epoch` is the moment of making in Unix seconds, raised above
every earlier one: it does not fall even where a keystore is restored from an old copy.
"""

import json
import logging
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

from intaglio.errors import Rejected, Unavailable
from intaglio.gateway.config import Settings
from intaglio.gateway.keystore import Keystore, OfferKey
from intaglio.gateway.store.writer import Writer
from intaglio.reasons import Reason
from intaglio.session.data_centre import HelloOpener
from intaglio.session.offers import OfferTerms, make_offer, read_offer
from intaglio.types import Draw, UnixTime
from intaglio.wire.offer import OfferBody

__all__ = ["OfferBook", "PublishedOffer"]

_RETRY = 5
"""Seconds after which a disk may work again."""

_log = logging.getLogger("intaglio.gateway.offers")


@dataclass(frozen=True, slots=True)
class PublishedOffer:
    """An offer as it is served: its bytes, its last use, and when the next one is due."""

    data: bytes
    not_before: UnixTime
    not_after: UnixTime
    renew_at: UnixTime

    def serves(self, at: UnixTime) -> bool:
        """Whether it needs no successor yet. One of the future was made while our clock was wrong."""
        return self.not_before <= at < self.renew_at


class OfferBook:
    """Safe for several threads. Call `open` once before anything else, `turn` from time to time."""

    def __init__(self, settings: Settings, keystore: Keystore, writer: Writer, policy_hash: bytes, draw: Draw) -> None:
        self._settings = settings
        self._keystore = keystore
        self._writer = writer
        self._policy_hash = policy_hash
        self._draw = draw
        self._lock = Lock()
        self._openers: dict[bytes, HelloOpener] = {}
        self._destroyed: set[bytes] = set()
        self._current: PublishedOffer | None = None

    def open(self, at: UnixTime) -> None:
        """Takes up what an earlier run left."""
        with self._lock:
            self._destroyed = self._writer.submit(_destroyed).result()
            held = [(offer, read_offer(offer.data)) for offer in self._keystore.offers.values()]
            for offer, body in held:
                self._openers[offer.hash] = HelloOpener(offer.data, offer.key)
                self._record(offer, body)
            newest = max(held, key=lambda pair: pair[1].epoch, default=None)
            if newest is not None and self._still_ours(newest[1]):
                self._current = self._published(newest[0].data, newest[1])
        self._finish_destruction(at)
        self.turn(at)

    def current(self, at: UnixTime) -> PublishedOffer:
        """The offer to publish. Makes a new one if that is due, which takes a few milliseconds and the disk. While the
        disk fails, the old one serves until its last use; then raises `Unavailable`."""
        current = self._current
        if current is None or not current.serves(at):
            with self._lock:
                current = self._current
                if current is None or not current.serves(at):
                    current = self._current = self._successor(current, at)
        return current

    def is_due(self, at: UnixTime) -> bool:
        """Whether `current` would have to make one."""
        return self._current is None or not self._current.serves(at)

    def turn(self, at: UnixTime) -> None:
        """What time asks for: a new offer, and the destruction of keys past their delete-after."""
        self.current(at)
        with self._lock:
            over = {name: opener for name, opener in self._openers.items() if opener.body.delete_after < at}
            if over:
                self._keystore.destroy_offers(frozenset(over))
                for name in over:
                    del self._openers[name]
                    self._destroyed.add(name)
        if over:
            self._finish_destruction(at)

    def opener(self, name: bytes, at: UnixTime) -> HelloOpener:
        """What opens hellos to the offer of this hash. Raises `Rejected` (OFFER_UNKNOWN, OFFER_KEY_DESTROYED)."""
        opener = self._openers.get(name)
        if opener is not None and at <= opener.body.delete_after:
            return opener
        if opener is not None or name in self._destroyed:
            raise Rejected(Reason.OFFER_KEY_DESTROYED, found=name.hex())
        raise Rejected(Reason.OFFER_UNKNOWN, found=name.hex())

    def _successor(self, old: PublishedOffer | None, at: UnixTime) -> PublishedOffer:
        try:
            return self._make(at)
        except Unavailable as error:
            if old is None or not old.not_before <= at <= old.not_after:
                raise
            _log.error("no new offer, serving the old one until not_after=%d: %s", old.not_after, error)
            return old

    def _make(self, at: UnixTime) -> PublishedOffer:
        settings, keystore = self._settings, self._keystore
        epoch = max(int(at), keystore.highest_epoch + 1)
        not_after = at + settings.offer_lifetime
        terms = OfferTerms(
            not_before=at,
            not_after=UnixTime(not_after),
            delete_after=UnixTime(not_after + settings.spool_window),
            epoch=epoch,
            minimum_epoch=0,
            policy_hash=self._policy_hash,
            audience=keystore.pin.audience,
            epoch0_limit=settings.epoch0_limit,
        )
        made = make_offer(terms, keystore.signer, self._draw)
        try:
            keystore.add_offer(made.data, made.key, epoch)
        except OSError as error:
            raise Unavailable(f"the keystore can't be written: {error}", retry_after=_RETRY) from error
        try:
            self._record(OfferKey(made.data, made.key), made.body)
        except Unavailable:
            # Nobody has seen it; were it kept, each request of an outage would leave one, until the keystore is full.
            with suppress(OSError):
                keystore.destroy_offers(frozenset((made.hash,)))
            raise
        self._openers[made.hash] = HelloOpener(made.data, made.key)
        _log.info("new offer epoch=%d hash=%s not_after=%d", epoch, made.hash.hex(), not_after)
        return self._published(made.data, made.body)

    def _still_ours(self, body: OfferBody) -> bool:
        """Whether an earlier run's offer says what we would say now."""
        pin, settings = self._keystore.pin, self._settings
        said = body.policy_hash, body.audience, body.suite, body.epoch0_limit
        return said == (self._policy_hash, pin.audience, pin.minimum_suite, settings.epoch0_limit)

    def _published(self, data: bytes, body: OfferBody) -> PublishedOffer:
        half = body.not_before + (body.not_after - body.not_before) // 2
        return PublishedOffer(data, body.not_before, body.not_after, UnixTime(half))

    def _record(self, offer: OfferKey, body: OfferBody) -> None:
        """In the database before the offer is served; its key is in the keystore already."""
        row = (offer.hash, offer.data, body.epoch, body.not_before, body.not_after, body.delete_after)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO offers VALUES (?,?,?,?,?,?,NULL)", row)

        self._writer.submit(work).result()

    def _finish_destruction(self, at: UnixTime) -> None:
        """Notes in the database which keys are gone, those included that a crash had not let us note."""
        held = frozenset(self._openers)

        def work(connection: sqlite3.Connection) -> list[bytes]:
            rows = connection.execute("SELECT hash FROM offers WHERE destroyed_at IS NULL").fetchall()
            gone = [name for (name,) in rows if name not in held]
            connection.executemany("UPDATE offers SET destroyed_at = ? WHERE hash = ?", [(at, name) for name in gone])
            connection.executemany(
                "INSERT INTO events (at, kind, detail) VALUES (?, 'offer key destroyed', ?)",
                [(at, json.dumps({"offer": name.hex()})) for name in gone],
            )
            return gone

        gone = self._writer.submit(work).result()
        self._destroyed.update(gone)
        for name in gone:
            _log.info("offer key destroyed hash=%s", name.hex())


def _destroyed(connection: sqlite3.Connection) -> set[bytes]:
    return {name for (name,) in connection.execute("SELECT hash FROM offers WHERE destroyed_at IS NOT NULL")}
