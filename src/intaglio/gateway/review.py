"""Sessions under another policy than today's: judged once more when a gateway starts, before it answers anybody.

A restart keeps every session that policy still allows, and no other. Judged is the evidence of the session's own hello,
with the collateral it was judged by and as of that moment: what changes here is the policy. What a session that ends
this way still sends is LATE.
"""

import json
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from intaglio.errors import Malformed
from intaglio.gateway.appraisal import Appraiser
from intaglio.gateway.live import INTAGLIO
from intaglio.gateway.store.writer import Writer
from intaglio.reasons import Reason
from intaglio.types import UnixTime

__all__ = ["review_sessions"]

_ROWS = 500
"""Sessions held in memory at a time: their evidence is 5 kB each."""

_log = logging.getLogger("intaglio.gateway.review")


@dataclass(frozen=True, slots=True)
class _Live:
    """A live session's row: its number, id, evidence, the JSON of its collateral, and its times."""

    row: int
    session: bytes
    evidence: bytes
    collateral: bytes | None
    accepted_at: UnixTime
    expires_at: UnixTime
    protocol: str


@dataclass(frozen=True, slots=True)
class _Change:
    live: _Live
    expires_at: UnixTime
    reasons: tuple[str, ...]


def review_sessions(writer: Writer, appraisers: Mapping[str, Appraiser], at: UnixTime) -> None:
    """Ends, or shortens, the live sessions that were accepted under another policy and that this one would not have
    let run so long. `appraisers`: by protocol, because enclaves of each pin something else. Raises `Unavailable` if the
    store fails."""
    policy = appraisers[INTAGLIO].policy_hash
    last, seen, ended = 0, 0, 0
    while True:
        batch = writer.submit(partial(_batch, policy=policy, at=at, last=last)).result()
        if not batch:
            break
        changes = [
            change for change in (_judge(live, appraisers[live.protocol], at) for live in batch) if change is not None
        ]
        writer.submit(partial(_store, changes=changes, at=at)).result()
        last = batch[-1].row
        ended += sum(1 for change in changes if change.reasons)
        seen += len(batch)
    if seen:
        _log.warning("the policy has changed: live sessions reviewed sessions=%d ended=%d", seen, ended)


def _batch(connection: sqlite3.Connection, policy: bytes, at: UnixTime, last: int) -> list[_Live]:
    rows = connection.execute(
        "SELECT s.id, s.session, e.bytes, c.bytes, s.accepted_at, s.expires_at, s.protocol FROM sessions s"
        " JOIN evidence e ON e.hash = s.evidence LEFT JOIN collateral c ON c.digest = s.collateral"
        " WHERE s.expires_at > ? AND s.wrap_key IS NOT NULL AND s.policy != ? AND s.id > ? ORDER BY s.id LIMIT ?",
        (at, policy, last, _ROWS),
    )
    return [_Live(*row) for row in rows.fetchall()]


def _judge(live: _Live, appraiser: Appraiser, at: UnixTime) -> _Change | None:
    """None where the session may go on as it is."""
    try:
        review = appraiser.review(live.evidence, live.collateral, live.accepted_at)
    except Malformed as error:  # altered in the database: it must not keep the gateway from starting
        _log.error("stored evidence can't be read session=%s: %s", live.session.hex(), error)
        return _Change(live, at, (Reason.MALFORMED_EVIDENCE.name,))
    if review.terms is None:
        names = tuple(reason.name for reason in review.verdict.reasons)
        _log.warning("session ended by policy session=%s reasons=%s", live.session.hex(), ",".join(names))
        return _Change(live, at, names)
    ends = (live.accepted_at + review.terms.max_session_age, review.verdict.valid_until)
    shortest = UnixTime(min(end for end in ends if end is not None))
    return _Change(live, shortest, ()) if shortest < live.expires_at else None


def _store(connection: sqlite3.Connection, changes: list[_Change], at: UnixTime) -> None:
    for change in changes:
        connection.execute("UPDATE sessions SET expires_at = ? WHERE id = ?", (change.expires_at, change.live.row))
        if change.reasons:
            detail = json.dumps({"reasons": change.reasons})
            connection.execute(
                "INSERT INTO events (at, kind, session, detail) VALUES (?, 'session ended by policy', ?, ?)",
                (at, change.live.session, detail),
            )
