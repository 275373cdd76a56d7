"""Sessions in the database: stored once, found by id, wrapped anew, and closed for good. For the writer's thread."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from intaglio.gateway.store.facts import facts_of
from intaglio.types import Direction, SessionId, UnixTime
from intaglio.wire.endorsement import Collateral

__all__ = ["NewSession", "StoredHello", "close_sessions", "end_simulated", "known_hello", "rewrap", "store_session"]

StoredHello = tuple[bytes, bytes, int, int | None]
"""th, Accept, expires_at, ended_at."""

REWRAP_ROWS = 500
"""Rows of one transaction, so that frames do not wait for a long one."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """Everything that is stored with an Accept, in one transaction."""

    session: SessionId
    th: bytes
    offer: bytes | None
    policy: bytes
    policy_text: bytes
    evidence_hash: bytes
    evidence: bytes
    collateral: Collateral | None
    tee: str
    workload: str
    verdict: str
    simulated: bool
    hello: bytes
    accept: bytes
    accepted_at: UnixTime
    expires_at: UnixTime
    wrap_key: int
    up_epoch: int
    up_state: bytes = field(repr=False)
    down_state: bytes | None = field(repr=False)
    protocol: str
    confirm_hash: bytes | None = None
    """SHA-512(confirm); None where the protocol has none: Sigma."""


def known_hello(connection: sqlite3.Connection, session: SessionId) -> StoredHello | None:
    """What is stored under this session id."""
    row: StoredHello | None = connection.execute(
        "SELECT s.th, h.accept, s.expires_at, s.ended_at FROM sessions s JOIN handshakes h ON h.session = s.id"
        " WHERE s.session = ?",
        (session,),
    ).fetchone()
    return row


def store_session(connection: sqlite3.Connection, new: NewSession) -> tuple[StoredHello, bool]:
    """Stores a session unless its id is taken; returns what is stored now, and whether that is ours."""
    cursor = connection.execute(
        "INSERT INTO sessions (session, th, offer, evidence, collateral, policy, tee, workload, simulated, accepted_at,"
        " expires_at, wrap_key, up_epoch, up_state, down_epoch, down_state, highest, frames, records, late, replays,"
        " protocol) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,1,?,-1,0,0,0,0,?) ON CONFLICT DO NOTHING",
        (new.session, new.th, new.offer, new.evidence_hash, new.collateral.digest if new.collateral else None,
         new.policy, new.tee, new.workload, int(new.simulated), new.accepted_at, new.expires_at, new.wrap_key,
         new.up_epoch, new.up_state, new.down_state, new.protocol),
    )  # fmt: skip
    ours = cursor.rowcount == 1
    if ours:
        handshake = (cursor.lastrowid, new.hello, new.accept, new.verdict, new.confirm_hash)
        connection.execute("INSERT INTO handshakes VALUES (?,?,?,?,?)", handshake)
        facts = [(kind, value, cursor.lastrowid) for kind, value in sorted(facts_of(json.loads(new.verdict)))]
        connection.executemany("INSERT INTO session_facts (kind, value, session) VALUES (?,?,?)", facts)
        insert = "INSERT INTO {} VALUES ({}) ON CONFLICT DO NOTHING"
        connection.execute(insert.format("evidence", "?,?,?"), (new.evidence_hash, new.tee, new.evidence))
        connection.execute(insert.format("policies", "?,?"), (new.policy, new.policy_text))
        if new.collateral is not None:
            row = (new.collateral.digest, new.collateral.encode_json())
            connection.execute(insert.format("collateral", "?,?"), row)
    stored = known_hello(connection, new.session)
    if stored is None:  # the id is new but the transcript is not: only SHA-256 broken could do that
        raise sqlite3.IntegrityError("a transcript under two session ids")
    return stored, ours


Rewrapped = Callable[[SessionId, Direction, int, bytes], bytes]


def rewrap(connection: sqlite3.Connection, newest: int, again: Rewrapped) -> int:
    """Wraps up to `REWRAP_ROWS` rows anew by `again`(session, direction, epoch, blob); returns how many there were."""
    rows = connection.execute(
        "SELECT id, session, up_epoch, up_state, down_epoch, down_state FROM sessions WHERE wrap_key < ? LIMIT ?",
        (newest, REWRAP_ROWS),
    ).fetchall()
    for number, session, up_epoch, up_state, down_epoch, down_state in rows:
        up = again(session, Direction.UP, up_epoch, up_state) if up_state is not None else None
        down = again(session, Direction.DOWN, down_epoch, down_state) if down_state is not None else None
        connection.execute(
            "UPDATE sessions SET wrap_key = ?, up_state = ?, down_state = ? WHERE id = ?", (newest, up, down, number)
        )
    return len(rows)


def close_sessions(connection: sqlite3.Connection, before: UnixTime) -> list[SessionId]:
    """Destroys the keys of sessions that ended before `before`; from now on even their late frames are refused."""
    rows = connection.execute(
        "UPDATE sessions SET wrap_key = NULL, up_state = NULL, down_state = NULL"
        " WHERE expires_at < ? AND wrap_key IS NOT NULL RETURNING session",
        (before,),
    ).fetchall()
    return [SessionId(session) for (session,) in rows]


def end_simulated(connection: sqlite3.Connection, at: UnixTime) -> int:
    """Ends every session that rests on simulated evidence, and returns how many; what they still send is LATE."""
    return connection.execute(
        "UPDATE sessions SET expires_at = ? WHERE simulated = 1 AND expires_at > ? AND wrap_key IS NOT NULL", (at, at)
    ).rowcount
