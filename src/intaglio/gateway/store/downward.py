"""Secrets and commands in the database, and the downward frames that carry them. For whoever holds the transaction.

A row of `down_frames` is a number that was used: it is committed with the frame's bytes before anything leaves, and
never deleted. So a number meets one plaintext only, whatever crashes when: what is sent again is the same bytes.
"""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from intaglio.types import SessionId, UnixTime
from intaglio.wire.cbor import decode, encode
from intaglio.wire.downward import Acknowledgement, SecretKind

__all__ = [
    "COMMAND",
    "MAX_SESSION_FRAMES",
    "Addressee",
    "Item",
    "NewItem",
    "Recipient",
    "Target",
    "add_command",
    "add_secret",
    "answered",
    "close_ended",
    "close_expired",
    "frames_from",
    "keep_down_state",
    "known_secret",
    "next_number",
    "opened_item",
    "rewrap_items",
    "sealed_item",
    "target",
    "undelivered",
    "use_number",
]

COMMAND: Final = "command"
MAX_SESSION_FRAMES = 65_536
"""Downward frames of one session: far below the 2**24 at which its epoch would have to change."""
REWRAP_ROWS = 500

Wrap = Callable[[bytes], bytes]
"""plaintext -> blob."""


class Addressee(NamedTuple):
    """Which enclaves get an item: those of a workload, and of them those of one measurement (hexadecimal), or the
    owner of one lineage of sealed state."""

    workload: str
    measurement: str | None = None
    lineage: bytes | None = None


@dataclass(frozen=True, slots=True)
class NewItem:
    """`kind`: COMMAND, or a secret's in lower case. `made_by`: for the audit."""

    reference: bytes
    kind: str
    name: str
    to: Addressee
    made_by: str
    at: UnixTime
    value: bytes = field(repr=False)
    expires_at: UnixTime | None = None


class Item(NamedTuple):
    """What waits for a session. The blob is wrapped; a revocation has none."""

    row: int
    reference: bytes
    kind: str
    name: str
    to: Addressee
    version: int
    blob: bytes | None


class Target(NamedTuple):
    """A session that can be sent to. `down_state` is wrapped."""

    row: int
    session: SessionId
    down_epoch: int
    down_state: bytes


class Recipient(Protocol):
    """As which enclave a session was accepted, from where nobody can alter it: the columns of its row don't count."""

    @property
    def workload(self) -> str: ...

    @property
    def measurements(self) -> tuple[str, ...]: ...

    @property
    def lineage(self) -> bytes | None: ...


def sealed_item(to: Addressee, kind: str, name: str, version: int, value: bytes) -> bytes:
    """What is wrapped: the address with the value, so that nobody who can write the database can readdress one."""
    return encode([to.workload, to.measurement, to.lineage, kind, name, version, value])


def opened_item(item: Item, plain: bytes) -> bytes | None:
    """The value, or None where the row says something else than what was wrapped."""
    *said, value = list(decode(plain, "item"))  # type: ignore[arg-type]  # `sealed_item`'s array, authenticated
    return value if said == [*item.to, item.kind, item.name, item.version] else None  # type: ignore[return-value]


def add_secret(connection: sqlite3.Connection, new: NewItem, key: int | None, wrap: Wrap) -> int:
    """The next version of a secret; the values of earlier ones are destroyed. Returns the version.

    A revocation waits on for who has not heard of it, unless the new version goes to all of the workload, too.
    """
    where = "workload = ? AND name = ? AND kind <> 'command'"
    ((version,),) = connection.execute(
        f"SELECT coalesce(max(version), 0) + 1 FROM down_items WHERE {where}",  # noqa: S608 - our own text
        (new.to.workload, new.name),
    ).fetchall()
    kept = "revoked" if new.to.measurement is not None or new.to.lineage is not None else ""
    connection.execute(
        f"UPDATE down_items SET closed_at = ?, wrap_key = NULL, blob = NULL WHERE {where} AND closed_at IS NULL"  # noqa: S608
        " AND kind <> ?",
        (new.at, new.to.workload, new.name, kept),
    )
    revoked = new.kind == SecretKind.REVOKED.name.lower()
    blob = None if revoked else wrap(sealed_item(new.to, new.kind, new.name, version, new.value))
    _insert(connection, new, version, None if revoked else key, blob)
    _event(connection, "secret revoked" if revoked else "secret put", new, version)
    return int(version)


def add_command(connection: sqlite3.Connection, new: NewItem, key: int, wrap: Wrap) -> None:
    _insert(connection, new, 0, key, wrap(sealed_item(new.to, new.kind, new.name, 0, new.value)))
    _event(connection, "command sent", new, 0)


def known_secret(connection: sqlite3.Connection, workload: str, name: str) -> Addressee | None:
    """To whom the newest version goes; None where there is none that could be revoked."""
    row = connection.execute(
        "SELECT workload, measurement, lineage FROM down_items WHERE workload = ? AND name = ?"
        " AND kind NOT IN ('command', 'revoked') AND closed_at IS NULL",
        (workload, name),
    ).fetchone()
    return Addressee(*row) if row else None


def target(connection: sqlite3.Connection, session: SessionId, at: UnixTime) -> Target | None:
    """A session that is live at `at` and speaks a protocol that goes both ways."""
    row = connection.execute(
        "SELECT id, session, down_epoch, down_state FROM sessions WHERE session = ? AND expires_at > ?"
        " AND ended_at IS NULL AND wrap_key IS NOT NULL AND down_state IS NOT NULL",
        (session, at),
    ).fetchone()
    return Target(*row) if row else None


def undelivered(connection: sqlite3.Connection, to: Target, who: Recipient, at: UnixTime) -> list[Item]:
    """What is addressed to this session and was not sent to it, oldest first; `who`: as which it was accepted. A
    revocation goes to every session: an enclave may hold the secret from the session before."""
    rows = connection.execute(
        "SELECT i.id, i.reference, i.kind, i.name, i.workload, i.measurement, i.lineage, i.version, i.blob"
        " FROM down_items i WHERE i.workload = ? AND i.closed_at IS NULL AND coalesce(i.expires_at > ?, 1)"
        " AND NOT EXISTS (SELECT 1 FROM down_frames f WHERE f.item = i.id AND f.session = ?)"
        " AND (i.lineage IS NULL OR i.lineage = ? AND EXISTS"
        " (SELECT 1 FROM states t WHERE t.lineage = i.lineage AND t.owner = ?))"
        " ORDER BY i.id",
        (who.workload, at, to.row, who.lineage, to.row),
    ).fetchall()
    return [
        Item(row, reference, kind, name, Addressee(workload, measurement, lineage), version, blob)
        for row, reference, kind, name, workload, measurement, lineage, version, blob in rows
        if measurement is None or measurement in who.measurements
    ]


def next_number(connection: sqlite3.Connection, row: int) -> int:
    """The lowest sequence number that no frame of the session has ever had."""
    ((number,),) = connection.execute(
        "SELECT coalesce(max(sequence) + 1, 0) FROM down_frames WHERE session = ?", (row,)
    ).fetchall()
    return int(number)


def use_number(
    connection: sqlite3.Connection, to: Target, sequence: int, item: Item, frame: bytes, at: UnixTime
) -> None:
    """A command goes to one session, and to no other afterwards: whether it ran there or got lost on the way, it must
    not run twice."""
    connection.execute(
        "INSERT INTO down_frames (session, sequence, item, frame, made_at) VALUES (?,?,?,?,?)",
        (to.row, sequence, item.row, frame, at),
    )
    if item.kind == COMMAND:
        connection.execute(
            "UPDATE down_items SET closed_at = ?, wrap_key = NULL, blob = NULL WHERE id = ?", (at, item.row)
        )


def keep_down_state(connection: sqlite3.Connection, to: Target, blob: bytes) -> None:
    """In the transaction that uses the numbers of which the blob knows."""
    connection.execute("UPDATE sessions SET down_state = ? WHERE id = ?", (blob, to.row))


def frames_from(connection: sqlite3.Connection, row: int, first: int, limit: int) -> list[bytes]:
    """The frames from number `first` on that can be sent (again), without a gap."""
    found = connection.execute(
        "SELECT sequence, frame FROM down_frames WHERE session = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
        (row, first, limit),
    )
    frames: list[bytes] = []
    for sequence, frame in found.fetchall():
        if frame is None or sequence != first + len(frames):
            break
        frames.append(frame)
    return frames


def answered(connection: sqlite3.Connection, row: int, ack: Acknowledgement, at: UnixTime) -> bool:
    """Notes what the enclave of this session made of an item; whether it was sent that. The first answer counts."""
    cursor = connection.execute(
        "UPDATE down_frames SET answered_at = coalesce(answered_at, ?), outcome = coalesce(outcome, ?), frame = NULL"
        " WHERE session = ? AND item = (SELECT id FROM down_items WHERE reference = ?)",
        (at, ack.outcome.name.lower(), row, ack.reference),
    )
    return cursor.rowcount == 1


def close_ended(connection: sqlite3.Connection, at: UnixTime) -> list[SessionId]:
    """Destroys the downward keys and the frames of sessions that have ended: nothing is sent to them any more, and an
    unanswered frame may hold a value that was replaced or revoked since. The frames' numbers stay."""
    ended = connection.execute(
        "UPDATE sessions SET down_state = NULL WHERE (expires_at <= ? OR ended_at IS NOT NULL)"
        " AND wrap_key IS NOT NULL AND down_state IS NOT NULL RETURNING id, session",
        (at,),
    ).fetchall()
    connection.executemany("UPDATE down_frames SET frame = NULL WHERE session = ?", [(row,) for row, _ in ended])
    return [SessionId(session) for _, session in ended]


def close_expired(connection: sqlite3.Connection, at: UnixTime) -> None:
    """Commands that no session has fetched in time: what they say is destroyed."""
    connection.execute(
        "UPDATE down_items SET closed_at = ?, wrap_key = NULL, blob = NULL WHERE expires_at <= ? AND closed_at IS NULL",
        (at, at),
    )


def rewrap_items(connection: sqlite3.Connection, newest: int, again: Callable[[bytes, bytes], bytes]) -> int:
    """As `sessions.rewrap`: `again`(reference, blob) for up to `REWRAP_ROWS` items; returns how many there were."""
    rows = connection.execute(
        "SELECT id, reference, blob FROM down_items WHERE wrap_key < ? LIMIT ?", (newest, REWRAP_ROWS)
    ).fetchall()
    for number, reference, blob in rows:
        connection.execute(
            "UPDATE down_items SET wrap_key = ?, blob = ? WHERE id = ?", (newest, again(reference, blob), number)
        )
    return len(rows)


def _insert(connection: sqlite3.Connection, new: NewItem, version: int, key: int | None, blob: bytes | None) -> None:
    connection.execute(
        "INSERT INTO down_items (reference, kind, workload, name, version, measurement, lineage, wrap_key, blob,"
        " made_by, made_at, expires_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        (new.reference, new.kind, new.to.workload, new.name, version, new.to.measurement, new.to.lineage, key, blob,
         new.made_by, new.at, new.expires_at),
    )  # fmt: skip


def _event(connection: sqlite3.Connection, kind: str, new: NewItem, version: int) -> None:
    detail = {
        "by": new.made_by,
        "name": new.name,
        "workload": new.to.workload,
        "version": version,
        "measurement": new.to.measurement,
        "lineage": new.to.lineage.hex() if new.to.lineage else None,
        "reference": new.reference.hex(),
    }
    connection.execute("INSERT INTO events (at, kind, detail) VALUES (?,?,?)", (new.at, kind, json.dumps(detail)))
