"""The newest state of each lineage, and every step to it (docs/protocol.md §12). For the writer's thread, and `reset`
for the operator's command.

`admit` and `is_new` only read and say no; `enter` and `take` write, in the same transaction, after nothing can fail.
One session owns a lineage: the one that was accepted last. Steps of one session may arrive in any order.
"""

import json
import sqlite3
from dataclasses import dataclass

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import SessionId, UnixTime
from intaglio.wire.state import StateStep

__all__ = ["Claim", "admit", "enter", "is_new", "note_fork", "reset", "take"]


FORK_EVENTS = 100
"""Of one lineage. The count of its forks goes on."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a hello claims, and of whom. `platform`: the machine's first identifier, empty where its certificates name
    none. `continues`: the session before it of the same running enclave."""

    step: StateStep
    continues: SessionId | None
    workload: str
    platform: str


def admit(connection: sqlite3.Connection, claim: Claim) -> None:
    """Whether a session with this claim may begin. Raises `Rejected` (STATE_ROLLED_BACK, STATE_FORKED, STATE_AHEAD,
    STATE_UNKNOWN, STATE_MISSING)."""
    step = claim.step
    row = connection.execute(
        "SELECT platform, counter, hash, reset_at, retired_at FROM states WHERE lineage = ?", (step.lineage,)
    ).fetchone()
    if row is None:
        _admit_new(connection, claim)
        return
    platform, counter, newest, reset_at, retired_at = row
    if retired_at is not None:
        raise Rejected(Reason.STATE_ROLLED_BACK, expected="the lineage that replaced it", found=step.lineage.hex())
    if reset_at is not None:
        return
    if platform != claim.platform:
        raise Rejected(Reason.STATE_FORKED, expected=f"platform {platform}", found=f"platform {claim.platform}")
    if step.counter < counter:
        raise Rejected(Reason.STATE_ROLLED_BACK, expected=f"number {counter}", found=f"number {step.counter}")
    if step.counter > counter + 1:
        raise Rejected(Reason.STATE_AHEAD, expected=f"at most number {counter + 1}", found=f"number {step.counter}")
    found = step.hash if step.counter == counter else step.previous
    if found != newest:
        raise Rejected(Reason.STATE_FORKED, expected=f"{newest.hex()} as number {counter}", found=(found or b"").hex())
    _check_neighbours(connection, step)


def _admit_new(connection: sqlite3.Connection, claim: Claim) -> None:
    if claim.step.counter:
        raise Rejected(Reason.STATE_UNKNOWN, expected="number 0", found=_named(claim.step))
    rows = connection.execute(
        "SELECT lineage FROM states WHERE workload = ? AND platform = ? AND retired_at IS NULL AND reset_at IS NULL",
        (claim.workload, claim.platform),
    ).fetchall()
    if rows:
        raise Rejected(Reason.STATE_MISSING, expected=f"lineage {rows[0][0].hex()}", found=_named(claim.step))


def enter(connection: sqlite3.Connection, claim: Claim, session: SessionId, at: UnixTime) -> None:
    """The session was stored: it owns the lineage now. What was reset is adopted, or replaced by a new lineage."""
    step = claim.step
    ((owner,),) = connection.execute("SELECT id FROM sessions WHERE session = ?", (session,)).fetchall()
    row = connection.execute(
        "SELECT counter, reset_at, owner FROM states WHERE lineage = ?", (step.lineage,)
    ).fetchone()
    if row is None:
        connection.execute(
            "UPDATE states SET retired_at = ? WHERE workload = ? AND platform = ? AND retired_at IS NULL",
            (at, claim.workload, claim.platform),
        )
        connection.execute(
            "INSERT INTO states VALUES (?,?,?,?,?,?,?,?,0,0,NULL,NULL)",
            (step.lineage, claim.workload, claim.platform, step.counter, step.hash, owner, at, at),
        )
        _event(connection, "state begun", session, at, lineage=step.lineage.hex(), workload=claim.workload)
    else:
        counter, reset_at, before = row
        if reset_at is not None:
            connection.execute(
                "DELETE FROM state_steps WHERE lineage = ? AND counter >= ?", (step.lineage, step.counter)
            )
            connection.execute(
                "UPDATE states SET retired_at = ? WHERE workload = ? AND platform = ? AND lineage <> ?"
                " AND retired_at IS NULL",
                (at, claim.workload, claim.platform, step.lineage),
            )
            _event(
                connection, "state adopted", session, at, lineage=step.lineage.hex(), found=step.counter, was=counter
            )
        _note_takeover(connection, claim, before, session, at)
        connection.execute(
            "UPDATE states SET workload = ?, platform = ?, counter = ?, hash = ?, owner = ?, moved_at = ?,"
            " reset_at = NULL WHERE lineage = ?",
            (claim.workload, claim.platform, step.counter, step.hash, owner, at, step.lineage),
        )
    _insert(connection, step, owner, at)
    _advance(connection, step.lineage, at)


def _note_takeover(
    connection: sqlite3.Connection, claim: Claim, before: int | None, session: SessionId, at: UnixTime
) -> None:
    """An enclave that was not told to end may still run: two live sessions on one state. From here on only the new
    one's steps count."""
    row = connection.execute(
        "SELECT session FROM sessions WHERE id = ? AND ended_at IS NULL AND expires_at > ?", (before, at)
    ).fetchone()
    if row is None or row[0] == claim.continues:
        return
    lineage = claim.step.lineage
    connection.execute("UPDATE states SET takeovers = takeovers + 1 WHERE lineage = ?", (lineage,))
    _event(connection, "state taken over", session, at, lineage=lineage.hex(), earlier=row[0].hex())


def is_new(connection: sqlite3.Connection, row: int, step: StateStep) -> bool:
    """Whether the session of this row takes a step that is not known yet; False for one that is. Raises
    `Rejected(STATE_FORKED)`."""
    known = connection.execute(
        "SELECT hash FROM state_steps WHERE lineage = ? AND counter = ?", (step.lineage, step.counter)
    ).fetchone()
    if known is not None:
        if known[0] != step.hash:
            raise Rejected(
                Reason.STATE_FORKED, expected=f"{known[0].hex()} as number {step.counter}", found=_named(step)
            )
        return False
    state = connection.execute("SELECT owner, counter FROM states WHERE lineage = ?", (step.lineage,)).fetchone()
    if state is None or state[0] != row or step.counter <= state[1]:
        raise Rejected(Reason.STATE_FORKED, expected="a step of the session that was accepted last", found=_named(step))
    _check_neighbours(connection, step)
    return True


def take(connection: sqlite3.Connection, row: int, step: StateStep, at: UnixTime) -> None:
    """After `is_new` said so."""
    _insert(connection, step, row, at)
    _advance(connection, step.lineage, at)


def note_fork(connection: sqlite3.Connection, session: SessionId, step: StateStep, at: UnixTime) -> None:
    """A step was refused: counted with its lineage, for the operator. A frame that is not stored can come again at no
    cost, so events stop at `FORK_EVENTS`, and there are none of lineages nobody knows: quarantine has the frame."""
    rows = connection.execute(
        "UPDATE states SET forks = forks + 1 WHERE lineage = ? RETURNING forks", (step.lineage,)
    ).fetchall()
    if rows and rows[0][0] <= FORK_EVENTS:
        _event(connection, "state forked", session, at, lineage=step.lineage.hex(), number=step.counter)


def reset(connection: sqlite3.Connection, lineage: bytes, because: str, at: UnixTime) -> bool:
    """Lets the next hello of this lineage say where it stands, or a new lineage take its place. Audited. Returns
    whether the lineage was known."""
    found = connection.execute(
        "UPDATE states SET reset_at = ? WHERE lineage = ? AND retired_at IS NULL", (at, lineage)
    ).rowcount
    if not found:
        connection.execute(
            "INSERT INTO states VALUES (?,'','',0,x'',NULL,?,?,0,0,?,NULL)"
            " ON CONFLICT (lineage) DO UPDATE SET reset_at = excluded.reset_at, retired_at = NULL",
            (lineage, at, at, at),
        )
    _event(connection, "state reset", None, at, lineage=lineage.hex(), because=because)
    return bool(found)


def _check_neighbours(connection: sqlite3.Connection, step: StateStep) -> None:
    """Against the steps before and after it, where those have arrived."""
    for counter, hashed, previous in connection.execute(
        "SELECT counter, hash, previous FROM state_steps WHERE lineage = ? AND counter BETWEEN ? AND ?",
        (step.lineage, step.counter - 1, step.counter + 1),
    ):
        before, after = counter == step.counter - 1, counter == step.counter + 1
        same = counter == step.counter
        if (before and hashed != step.previous) or (after and previous != step.hash) or (same and hashed != step.hash):
            raise Rejected(Reason.STATE_FORKED, expected=f"a chain through number {counter}", found=_named(step))


def _insert(connection: sqlite3.Connection, step: StateStep, row: int, at: UnixTime) -> None:
    connection.execute(
        "INSERT INTO state_steps VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        (step.lineage, step.counter, step.hash, step.previous, row, at),
    )


def _advance(connection: sqlite3.Connection, lineage: bytes, at: UnixTime) -> None:
    """Acknowledges every step that follows without a gap."""
    ((counter,),) = connection.execute("SELECT counter FROM states WHERE lineage = ?", (lineage,)).fetchall()
    while row := connection.execute(
        "SELECT counter, hash FROM state_steps WHERE lineage = ? AND counter = ?", (lineage, counter + 1)
    ).fetchone():
        counter = row[0]
        connection.execute(
            "UPDATE states SET counter = ?, hash = ?, moved_at = ? WHERE lineage = ?", (counter, row[1], at, lineage)
        )


def _event(
    connection: sqlite3.Connection, kind: str, session: SessionId | None, at: UnixTime, **detail: object
) -> None:
    connection.execute(
        "INSERT INTO events (at, kind, session, detail) VALUES (?,?,?,?)", (at, kind, session, json.dumps(detail))
    )


def _named(step: StateStep) -> str:
    return f"lineage {step.lineage.hex()}, number {step.counter}"
