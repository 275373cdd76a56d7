"""Named tokens in the database: added, listed, revoked. Rows stay, so that a name says for ever whose it was."""

import sqlite3
from dataclasses import dataclass

from intaglio.types import UnixTime

__all__ = ["NamedToken", "add", "listed", "revoke"]


@dataclass(frozen=True, slots=True)
class NamedToken:
    """Whose a token is. `expires_at` None: never; `revoked_at` None: in force until then."""

    name: str
    role: str
    made_by: str
    made_at: UnixTime
    expires_at: UnixTime | None
    revoked_at: UnixTime | None


def add(connection: sqlite3.Connection, digest: bytes, token: NamedToken) -> bool:
    """Whether the name was free: one that was ever used is not given to another token."""
    row = (digest, token.name, token.role, token.made_by, token.made_at, token.expires_at)
    cursor = connection.execute(
        "INSERT INTO named_tokens (hash, name, role, made_by, made_at, expires_at) VALUES (?,?,?,?,?,?)"
        " ON CONFLICT (name) DO NOTHING",
        row,
    )
    return cursor.rowcount == 1


def revoke(connection: sqlite3.Connection, name: str, at: UnixTime) -> bool:
    """Whether there was one of that name in force; from the commit on it opens nothing."""
    statement = "UPDATE named_tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL"
    return connection.execute(statement, (at, name)).rowcount == 1


def listed(connection: sqlite3.Connection) -> list[NamedToken]:
    """All there ever were, in the order of their making."""
    rows = connection.execute(
        "SELECT name, role, made_by, made_at, expires_at, revoked_at FROM named_tokens ORDER BY made_at, name"
    )
    return [NamedToken(*row) for row in rows]
