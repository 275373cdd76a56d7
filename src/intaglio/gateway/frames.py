"""Frames: opened, told apart and stored, in the writer's thread and inside its transaction.

Every frame of a body gets its own outcome; whatever can be stored is, whatever became of the others. What a receiver
learns in memory counts only if the transaction commits: otherwise the receiver is dropped and read back.
"""

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import NamedTuple

from intaglio.errors import Malformed, Rejected
from intaglio.gateway.live import LiveSession, LiveSessions, Receiver
from intaglio.gateway.pending import PendingSessions
from intaglio.gateway.store import checkpoints, downward, states
from intaglio.gateway.store.quarantine import Quarantine, Refusal
from intaglio.gateway.store.rows import Insert
from intaglio.gateway.store.writer import Work
from intaglio.reasons import Reason
from intaglio.session.channel import Opened
from intaglio.sigma.frames import SESSION as SIGMA_SESSION
from intaglio.sigma.frames import parse_sigma_frame
from intaglio.types import SessionId, UnixTime
from intaglio.wire.checkpoint import content_hash
from intaglio.wire.content import Kind
from intaglio.wire.downward import ACK_TYPE, Acknowledgement
from intaglio.wire.frame import SESSION, Frame, parse_frame
from intaglio.wire.state import STATE_TYPE, StateStep

__all__ = ["INTAGLIO_FRAMES", "SIGMA_FRAMES", "FrameIntake", "Framing", "Outcomes"]

MAX_SEQUENCE = 2**63 - 1
"""SQLite's largest integer. A session would have to send a frame a microsecond for 290,000 years to get there."""

_insert_frames = Insert(
    "frames", "session", "direction", "sequence", "epoch", "kind", "digest", "content_hash", "body", "records", "late",
    "arrived_at", "salt",
)  # fmt: skip
_insert_records = Insert(
    "records", "session", "sequence", "position", "epoch", "name", "content_type", "value", "arrived_at", "late"
)
_log = logging.getLogger("intaglio.gateway.frames")


class Framing(NamedTuple):
    """How the frames of one protocol are laid out: where the session stands, and what reads the head. A frame that
    names a session of the other protocol is not one that its receiver can read."""

    session: slice
    parse: Callable[[bytes], Frame]


INTAGLIO_FRAMES = Framing(SESSION, parse_frame)
SIGMA_FRAMES = Framing(SIGMA_SESSION, parse_sigma_frame)


@dataclass(slots=True)
class Outcomes:
    """What became of a body's frames; the lists hold places in the body. A peer learns this and no reason."""

    stored: int = 0
    duplicate: int = 0
    pending: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The HTTP status, by precedence."""
        if self.pending:
            return 425
        if self.unknown:
            return 404
        return 403 if self.refused else 200


class _Arrival(NamedTuple):
    """When and from where a body came, and how its frames are laid out."""

    at: UnixTime
    remote: str | None
    framing: Framing


class _Outcome(Enum):
    STORED = auto()
    DUPLICATE = auto()
    PENDING = auto()
    UNKNOWN = auto()
    REFUSED = auto()


class FrameIntake:
    """A `Participant`: rows are collected during a group and written together at its end."""

    def __init__(self, live: LiveSessions, quarantine: Quarantine, pending: PendingSessions) -> None:
        self._live = live
        self._quarantine = quarantine
        self._pending = pending
        self._frames: list[tuple[object, ...]] = []
        self._records: list[tuple[object, ...]] = []
        self._digests: dict[tuple[int, int], bytes] = {}

    def work(
        self, frames: Sequence[bytes], at: UnixTime, remote: str | None, framing: Framing = INTAGLIO_FRAMES
    ) -> Work[Outcomes]:
        """For the writer: `at` is when they arrived."""
        return partial(self._take, frames, _Arrival(at, remote, framing))

    def flush(self, connection: sqlite3.Connection) -> None:
        self._write(connection)
        self._live.flush(connection)
        self._clear()

    def forget(self) -> None:
        self._live.forget()
        self._clear()

    def _write(self, connection: sqlite3.Connection) -> None:
        """What was collected, into the open transaction."""
        _insert_frames(connection, self._frames)
        _insert_records(connection, self._records)
        self._frames.clear()
        self._records.clear()

    def _clear(self) -> None:
        self._frames.clear()
        self._records.clear()
        self._digests.clear()

    def _take(self, frames: Sequence[bytes], arrival: _Arrival, connection: sqlite3.Connection) -> Outcomes:
        outcomes = Outcomes()
        for index, data in enumerate(frames):
            match self._one(connection, data, arrival):
                case _Outcome.STORED:
                    outcomes.stored += 1
                case _Outcome.DUPLICATE:
                    outcomes.duplicate += 1
                case _Outcome.PENDING:
                    outcomes.pending.append(index)
                case _Outcome.UNKNOWN:
                    outcomes.unknown.append(index)
                case _Outcome.REFUSED:
                    outcomes.refused.append(index)
        return outcomes

    def _one(self, connection: sqlite3.Connection, data: bytes, arrival: _Arrival) -> _Outcome:
        """The common case is a slice, a look-up and one AEAD operation; a frame is taken apart when something is
        wrong."""
        session = SessionId(data[arrival.framing.session])
        try:
            live = self._live.get(connection, session)
        except Malformed as error:
            # The peer is not at fault: its frame must wait until somebody has restored the store or the keystore.
            _log.error("session can't be read back session=%s: %s", session.hex(), error)
            return _Outcome.PENDING
        try:
            if live is None:
                return self._homeless(connection, arrival.framing.parse(data), arrival)
            if live.receiver is None:
                return self._again(connection, live, arrival.framing.parse(data), arrival)
            opened = _opened(live.receiver, data)
            if opened.kind is Kind.CHECKPOINT or opened.sequence < live.receiver.seen.next:
                self._compare(connection, live, opened, arrival.at)
            ack = _acknowledgement(opened)
            if opened.records and opened.records[-1].content_type == STATE_TYPE:
                self._step(connection, live, opened.records[-1].value, arrival.at)
            if ack is not None and not downward.answered(connection, live.row, ack, arrival.at):
                _log.warning("answers what was never sent session=%s reference=%s", session.hex(), ack.reference.hex())
        except Rejected as error:
            if error.reason is Reason.REPLAY and live is not None:
                return self._again(connection, live, arrival.framing.parse(data), arrival)
            return self._refuse(connection, data, error.reason, str(error), arrival)
        except Malformed as error:
            return self._refuse(connection, data, Reason.MALFORMED_MESSAGE, str(error), arrival)
        self._store(live, opened, data, arrival.at)
        if opened.kind is Kind.CHECKPOINT:
            self._write(connection)
        return _Outcome.STORED

    def _compare(self, connection: sqlite3.Connection, live: LiveSession, opened: Opened, at: UnixTime) -> None:
        """A checkpoint with the frames it covers, and a frame with a checkpoint that came before it. Raises
        `Rejected(CHECKPOINT_MISMATCH)`."""
        checkpoints.check_frame(connection, live.row, opened)
        if opened.kind is Kind.CHECKPOINT:
            self._write(connection)
            checkpoints.take(connection, live.row, live.session, opened, at)

    def _step(self, connection: sqlite3.Connection, live: LiveSession, value: bytes, at: UnixTime) -> None:
        """The state that a frame's records rest on moved with them, late or not: both are stored, or neither. Raises
        `Malformed`, `Rejected(STATE_FORKED)`."""
        step = StateStep.parse(value)
        try:
            new = states.is_new(connection, live.row, step)
        except Rejected:
            states.note_fork(connection, live.session, step, at)
            raise
        if new:
            states.take(connection, live.row, step, at)

    def _homeless(self, connection: sqlite3.Connection, frame: Frame, arrival: _Arrival) -> _Outcome:
        """A frame of a session that is not in the store."""
        if frame.session in self._pending:
            return _Outcome.PENDING
        self._refuse(connection, frame.data, Reason.SESSION_UNKNOWN, "no such session", arrival)
        return _Outcome.UNKNOWN

    def _again(self, connection: sqlite3.Connection, live: LiveSession, frame: Frame, arrival: _Arrival) -> _Outcome:
        """A frame whose number is stored, or whose session's keys are gone: the same bytes are a duplicate. Other bytes
        that open are another frame under one number; other bytes whose key is gone can't be told from a forgery."""
        stored = self._digests.get((live.row, frame.sequence))
        if stored is None and frame.sequence <= MAX_SEQUENCE:
            row = connection.execute(
                "SELECT digest FROM frames WHERE session = ? AND direction = 0 AND sequence = ?",
                (live.row, frame.sequence),
            ).fetchone()
            stored = row[0] if row else None
        if stored == hashlib.sha256(frame.data).digest():
            live.replays += 1
            self._live.touch(live)
            self._quarantine.tally(Reason.REPLAY, live.session, arrival.at)
            return _Outcome.DUPLICATE
        if live.receiver is None:
            return self._refuse(connection, frame.data, Reason.SESSION_ENDED, "its keys are destroyed", arrival)
        opens = frame.epoch in live.receiver.epochs
        reason = Reason.SEQUENCE_REUSED if opens else Reason.EPOCH_CLOSED
        return self._refuse(connection, frame.data, reason, "another frame is stored under its number", arrival)

    def _store(self, live: LiveSession, opened: Opened, data: bytes, at: UnixTime) -> None:
        digest = hashlib.sha256(data).digest()
        records = opened.records
        late = int(at >= live.expires_at)
        body = opened.body if opened.kind is Kind.CHECKPOINT else None
        row, sequence, epoch = live.row, opened.sequence, opened.epoch
        hashed = content_hash(opened.content)
        self._frames.append(
            (row, 0, sequence, epoch, int(opened.kind), digest, hashed, body, len(records), late, at, opened.salt)
        )
        self._records.extend([
            (row, sequence, place, epoch, name, content_type, value, at, late)
            for place, (name, content_type, value) in enumerate(records)
        ])  # fmt: skip
        self._digests[row, sequence] = digest
        live.stored(opened, late=bool(late), at=at)
        self._live.touch(live)

    def _refuse(
        self,
        connection: sqlite3.Connection,
        data: bytes,
        reason: Reason,
        problem: str,
        arrival: _Arrival,
    ) -> _Outcome:
        """To quarantine, and to the log unless it is a flood; the peer is told nothing but that it failed."""
        detail: dict[str, object] = {"problem": problem}
        session = None
        try:
            frame = arrival.framing.parse(data)
        except Malformed as error:
            detail["layout"] = str(error)
        else:
            session = frame.session
            detail |= {"direction": frame.direction.name.lower(), "epoch": frame.epoch, "sequence": frame.sequence}
        name = self._quarantine.add(
            connection, Refusal("frame", (reason,), detail, data, session, arrival.remote), arrival.at
        )
        if name is not None:
            _log.info("frame refused reason=%s session=%s quarantine=%s", reason.name,
                      session.hex() if session else "-", name)  # fmt: skip
        return _Outcome.REFUSED


def _acknowledgement(opened: Opened) -> Acknowledgement | None:
    """Of something that was sent down: the last record of its frame but for a state's step. Raises `Malformed`."""
    records = opened.records
    if records and records[-1].content_type == STATE_TYPE:
        records = records[:-1]
    return Acknowledgement.parse(records[-1].value) if records and records[-1].content_type == ACK_TYPE else None


def _opened(receiver: Receiver, data: bytes) -> Opened:
    """Raises `Rejected` or `Malformed` for a frame that does not belong in the store."""
    opened = receiver.open(data)
    if opened.sequence > MAX_SEQUENCE:
        raise Malformed("frame.sequence", f"at most {MAX_SEQUENCE}, found {opened.sequence}")
    return opened
