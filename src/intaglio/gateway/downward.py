"""What a host that polls for its enclave gets: the downward frames of one session, from the number that it asks for.

Frames are made when somebody asks, in the writer's thread, and are on disk before the answer leaves. An answer is no
proof of anything: what the enclave got it says itself, in an upward record. Whoever knows a session's id may ask; what
they get is of use to its enclave alone.
"""

import logging
import sqlite3
from dataclasses import dataclass, replace
from functools import partial

from intaglio.errors import Malformed
from intaglio.gateway.down_state import DownState
from intaglio.gateway.store import downward as store
from intaglio.gateway.store.downward import COMMAND, Item, Target
from intaglio.gateway.store.writer import Work
from intaglio.gateway.vault import Vault
from intaglio.session.sender import Sender
from intaglio.types import Direction, SessionId, UnixTime
from intaglio.wire.content import Record
from intaglio.wire.downward import COMMAND_NAME, COMMAND_TYPE, SECRET_NAME, SECRET_TYPE, Command, Secret, SecretKind

__all__ = ["MAX_FRAMES", "DownDesk"]

MAX_FRAMES = 8
"""Of one answer, 64 kB each: a host's limit for an answer is 1 MiB. It asks again while something comes."""

_log = logging.getLogger("intaglio.gateway.downward")


@dataclass(frozen=True, slots=True)
class DownDesk:
    vault: Vault

    def work(self, session: SessionId, first: int, at: UnixTime) -> Work[list[bytes] | None]:
        """For the writer: the frames to answer with, or None for a session that takes none."""
        return partial(self._frames, session, first, at)

    def _frames(
        self, session: SessionId, first: int, at: UnixTime, connection: sqlite3.Connection
    ) -> list[bytes] | None:
        target = store.target(connection, session, at)
        if target is None:
            return None
        frames = store.frames_from(connection, target.row, first, MAX_FRAMES)
        number = store.next_number(connection, target.row)
        # A host that asks for what is far ahead gets nothing made: numbers are used in order, and when needed.
        if first + len(frames) == number and len(frames) < MAX_FRAMES:
            frames += self._made(connection, target, number, MAX_FRAMES - len(frames), at)
        return frames

    def _made(
        self, connection: sqlite3.Connection, target: Target, number: int, room: int, at: UnixTime
    ) -> list[bytes]:
        state = self._state(target, number)
        if state is None:
            return []
        # Made for each answer, so that no sender outlives a rolled-back transaction.
        sender = Sender(target.session, Direction.DOWN, target.down_epoch, state.secret, sequence=number)
        made: list[bytes] = []
        for item in store.undelivered(connection, target, state, at):
            if len(made) >= room or sender.sequence >= store.MAX_SESSION_FRAMES:
                break
            record = self._record(item)
            if record is None:
                continue
            sequence, frame = sender.sequence, sender.protect([record])
            store.use_number(connection, target, sequence, item, frame, at)
            made.append(frame)
            _log.info("sent down session=%s kind=%s name=%r version=%d reference=%s sequence=%d", target.session.hex(),
                      item.kind, item.name, item.version, item.reference.hex(), sequence)  # fmt: skip
        if made:
            after = replace(state, next=sender.sequence).encode()
            blob = self.vault.wrap(target.session, Direction.DOWN, target.down_epoch, after)
            store.keep_down_state(connection, target, blob)
        return made

    def _state(self, target: Target, number: int) -> DownState | None:
        """None for a session that can't be sent to: its row was altered, the key that wraps it destroyed, or `number`,
        the lowest unused one by the database, is not what was wrapped with the key."""
        try:
            plain = self.vault.unwrap(target.session, Direction.DOWN, target.down_epoch, target.down_state)
            state = DownState.parse(plain)
        except Malformed as error:
            _log.error("session can't be sent to session=%s: %s", target.session.hex(), error)
            return None
        if state.next != number:
            what = "frames were altered in the database"
            _log.error("session can't be sent to session=%s: %s: next is %d, found %d", target.session.hex(), what,
                       state.next, number)  # fmt: skip
            return None
        return state

    def _record(self, item: Item) -> Record | None:
        """None for an item that was altered in the database: no enclave gets it, and the others get theirs."""
        value: bytes | None = b""
        try:
            if item.blob is not None:
                value = store.opened_item(item, self.vault.unwrap_item(item.reference, item.blob))
            elif item.kind != SecretKind.REVOKED.name.lower():
                value = None
        except Malformed as error:
            _log.error("item can't be opened reference=%s: %s", item.reference.hex(), error)
            return None
        if value is None:
            _log.error("item was altered in the database reference=%s", item.reference.hex())
            return None
        if item.kind == COMMAND:
            return Record(COMMAND_NAME, COMMAND_TYPE, Command(item.reference, item.name, value).encode())
        kind = SecretKind[item.kind.upper()]
        secret = Secret(item.reference, item.name, item.version, kind, value)
        return Record(SECRET_NAME, SECRET_TYPE, secret.encode())
