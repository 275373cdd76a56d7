"""Keeping an enclave in session with its data centre: offer in, hello out, Accept in, and again when one is used up.

A new session is begun when nine tenths of the old one's life are over, when the data centre rejects a hello for a
reason that a fresh offer mends, when it refuses the live session's frames, or when the enclave refuses an Accept. Not
without end: after `MAX_ATTEMPTS` in a row that came to nothing, a person has to look.
"""

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from intaglio.errors import Malformed, Unavailable
from intaglio.host.backoff import Backoff
from intaglio.host.courier import Courier, Step
from intaglio.host.data_centre import DataCentre
from intaglio.host.errors import EnclaveDied, EnclaveRefused, HelloRejected
from intaglio.host.outline import is_offer, session_of_hello, split_frames
from intaglio.host.shelf import Shelf

__all__ = ["MAX_ATTEMPTS", "NEW_SESSION_HELPS", "LiveEnclave", "SessionKeeper"]

_log = logging.getLogger(__name__)

RENEW_AT = 0.9
"""Part of a session's life after which the next one is begun: what is sent at its very end would arrive late."""
DOWN_EVERY = 10.0
"""Seconds between two looks for what the data centre sends down, and what the first of them waits for at most."""
MAX_ATTEMPTS = 3
"""Each costs the platform a quote and the data centre an appraisal."""

NEW_SESSION_HELPS = frozenset({
    "OFFER_UNKNOWN", "OFFER_EXPIRED", "OFFER_KEY_DESTROYED", "SESSION_CONFLICT", "SESSION_ENDED", "EVIDENCE_TOO_OLD",
})  # fmt: skip
"""Rejections whose remedy (`intaglio.reasons`) is a fresh offer and a new session."""


class LiveEnclave(Protocol):
    """What a relay needs of an enclave; `EnclaveProcess` is one."""

    def hello(self, offer: bytes) -> bytes: ...
    def accept(self, accept: bytes) -> list[bytes]: ...
    def call(self, name: str, /, *args: object, **kwargs: object) -> bytes: ...
    def status(self) -> dict[str, object]: ...
    def down(self, frame: bytes) -> bytes: ...


@dataclass(slots=True)
class _Live:
    """The session that the enclave is in. `renew_at`, `look_down_at`: by our own clock, once accepted. `spent`: begin
    another."""

    session: bytes
    accepted: bool = False
    renew_at: float | None = None
    look_down_at: float = 0.0
    spent: bool = False
    rejected: HelloRejected | None = None


class SessionKeeper:
    """The sessions of one enclave. For the thread that delivers and the threads that call, at once."""

    def __init__(
        self,
        enclave: LiveEnclave,
        data_centre: DataCentre,
        shelf: Shelf,
        store: Callable[[list[bytes]], object],
        clock: Callable[[], float],
        down_every: float = DOWN_EVERY,
    ) -> None:
        """`store` takes frames that the enclave made on an Accept or in answer to the data centre, and keeps them
        durably. `down_every`: seconds between two looks for what comes down."""
        self.begun = 0
        """Sessions begun so far."""
        self._enclave = enclave
        self._data_centre = data_centre
        self._shelf = shelf
        self._store = store
        self._clock = clock
        self._lock = threading.RLock()
        self._live: _Live | None = None
        self._attempts = 0
        """Sessions begun since one was accepted."""
        self._refusals = 0
        """Batches of live sessions refused since one was delivered."""
        self._not_before = 0.0
        """When the next renewal may be tried, by our own clock."""
        self._backoff = Backoff()
        self._down_every = down_every
        self._owed: list[bytes] = []
        """Frames that the enclave made on an Accept or in answer to a downward frame, until they are on disk: it makes
        them once."""

    @property
    def session(self) -> bytes | None:
        """The id of the live session."""
        live = self._live
        return None if live is None else live.session

    @property
    def rejection(self) -> HelloRejected | None:
        """Why the live session came to nothing, where a new one would not help."""
        live = self._live
        return None if live is None else live.rejected

    @property
    def due_in(self) -> float | None:
        """Seconds until a new session is due, where that is known."""
        live = self._live
        if live is None or live.rejected is not None or not (live.spent or live.renew_at is not None):
            return None
        due = max(self._not_before, 0.0 if live.spent or live.renew_at is None else live.renew_at)
        return max(0.0, due - self._clock())

    @property
    def undecided(self) -> bytes | None:
        """The live session while its hello is neither accepted nor rejected for good."""
        live = self._live
        return None if live is None or live.accepted or live.rejected is not None else live.session

    def begin(self, *, kept_offer: bool = False) -> None:
        """A new session in the enclave, with its hello on disk; the old one goes on where this fails. `kept_offer`:
        where the data centre is away, use its last offer.

        Raises `Unavailable`, `EnclaveRefused`, `EnclaveDied`, `Malformed` (the enclave's hello is none).
        """
        with self._lock:
            offer = self._offer(kept_offer=kept_offer)
            hello = self._enclave.hello(offer)
            session = session_of_hello(hello)
            self._shelf.put_offer(offer)  # only now: the enclave checked whose it is
            self._shelf.put_hello(session, hello)
            self._live = _Live(session)
            self.begun += 1
            self._attempts += 1

    def begin_anew(self) -> None:
        """As `begin`, because somebody asked for it: earlier failures are forgotten."""
        with self._lock:
            self._attempts = self._refusals = 0
            self.begin()

    def care(self, courier: Courier) -> bool:
        """Begins a new session where one is due, or brings the live one's hello to the data centre. Gives whether
        anything moved. Raises `Unavailable` and OSError."""
        with self._lock:
            self._store_owed()
        try:
            if self.due_in == 0.0:
                return self._renewed()
            session = self.undecided
            return session is not None and courier.deliver_hello(session)
        except (EnclaveDied, Malformed) as error:
            self._lost(error)
            return False

    @property
    def down_in(self) -> float | None:
        """Seconds until it is time to look for downward frames; None where there is nobody to look for."""
        live = self._live
        if live is None or not live.accepted or live.look_down_at == math.inf:
            return None
        return max(0.0, live.look_down_at - self._clock())

    def fetch_down(self) -> bool:
        """Brings the enclave what the data centre has for it, where it is time to. Gives whether anything came. What
        goes wrong keeps nothing else waiting: it is looked for again later. Raises OSError."""
        live = self._live
        if live is None or self.down_in != 0.0:
            return False
        live.look_down_at = self._clock() + self._down_every
        try:
            first = self._enclave.status().get("down")
            if not isinstance(first, int):  # it was told nothing of this session, or knows no such direction
                live.look_down_at = math.inf
                return False
            frames = split_frames(found) if (found := self._data_centre.down(live.session, first)) else []
            for frame in frames:
                self._hand_down(frame)
        except (Unavailable, EnclaveRefused, Malformed) as error:
            _log.warning("session %s: nothing brought down: %s", live.session.hex(), error)
            return False
        except EnclaveDied as error:
            self._lost(error)
            return False
        if frames:
            live.look_down_at = self._clock()
        return bool(frames)

    def _hand_down(self, frame: bytes) -> None:
        with self._lock:
            answer = self._enclave.down(frame)
            self._owed += split_frames(answer) if answer else []
            self._store_owed()

    def _renewed(self) -> bool:
        """Whether a new session was begun. An accepted one goes on where that fails now, and frames with it."""
        with self._lock:
            try:
                self.begin()
            except (Unavailable, EnclaveRefused) as error:
                trouble = error if isinstance(error, Unavailable) else Unavailable(str(error), retry_after=0)
                if self.undecided is not None:
                    raise trouble from error
                seconds = self._backoff.next(trouble.retry_after)
                _log.warning("no new session yet: %s; trying again in %.1f s", error, seconds)
                self._not_before = self._clock() + seconds
                return False
            return True

    def delivered(self, session: bytes | None, step: Step) -> None:
        """What became of a batch. A session whose frames are refused was forgotten over there: a few fresh ones may
        help, endless ones do not."""
        with self._lock:
            live = self._live
            if step is Step.DELIVERED:
                self._refusals = 0
            elif step is Step.REFUSED and live is not None and live.accepted and live.session == session:
                self._refusals += 1
                live.spent = self._refusals < MAX_ATTEMPTS

    def accepted(self, session: bytes, accept: bytes) -> None:
        """For the courier: the enclave gets its Accept, unless it has begun another session meanwhile."""
        with self._lock:
            live = self._live
            if live is None or live.session != session or live.accepted:
                return
            try:
                self._owed += self._enclave.accept(accept)
                live.renew_at = self._end_of_life()
            except EnclaveRefused as error:
                _log.warning("session %s: the enclave refuses the Accept: %s", session.hex(), error)
                self._give_up(live, HelloRejected((error.code.removeprefix("rejected:"),)), retry=True)
            except EnclaveDied as error:
                self._lost(error)
            else:
                live.accepted = True
                self._attempts = 0
                self._backoff.succeeded()
            self._store_owed()

    def _store_owed(self) -> None:
        """Raises OSError, and still owes them then."""
        if self._owed:
            self._store(self._owed)
            self._owed = []

    def rejected(self, session: bytes, error: HelloRejected) -> None:
        """For the courier."""
        with self._lock:
            live = self._live
            if live is not None and live.session == session:
                self._give_up(live, error, retry=bool(NEW_SESSION_HELPS.intersection(error.reasons)))

    def _give_up(self, live: _Live, error: HelloRejected, *, retry: bool) -> None:
        """A new session where that is the remedy; otherwise callers must know."""
        if retry and self._attempts < MAX_ATTEMPTS:
            live.spent = True
        else:
            live.rejected = error

    def _lost(self, error: Exception) -> None:
        """The enclave is gone or mad; what it said before is still worth delivering."""
        _log.warning("no more sessions: %s", error)
        self._live = None

    def _offer(self, *, kept_offer: bool) -> bytes:
        try:
            offer = self._fetched_offer()
        except Unavailable:
            kept = self._shelf.offer() if kept_offer else None
            if kept is None:
                raise
            _log.warning("the data centre is away: beginning a session with the last offer that it made")
            return kept
        return offer

    def _fetched_offer(self) -> bytes:
        offer = self._data_centre.offer()
        if not is_offer(offer):
            raise Unavailable("offer: answered 200 with something else than an offer", retry_after=0)
        return offer

    def _end_of_life(self) -> float | None:
        """When to begin the next session, by our own clock: only the length of the session's life is the data
        centre's word, so that clocks may differ."""
        status = self._enclave.status()
        expires, now = status.get("expires"), status.get("time")
        if not isinstance(expires, int) or not isinstance(now, int):
            return None
        return self._clock() + max(0, expires - now) * RENEW_AT
