"""Copies of the database: made beside a running gateway, checked whole, and put back where there is none.

A copy is taken by `VACUUM INTO`: one transaction's view, without the freed pages in which destroyed keys may still
stand. It holds session keys only wrapped; the keystore is copied on its own, and kept elsewhere.
"""

import errno
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from intaglio.errors import Malformed, Unavailable
from intaglio.files import drafted
from intaglio.types import UnixTime

__all__ = ["Copy", "back_up", "examine", "restore"]

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SIDECARS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Copy:
    """What a sound database holds. `newest`: when its newest session or frame came."""

    schema: str
    sessions: int
    records: int
    newest: UnixTime | None


def back_up(database: Path, target: Path) -> Copy:
    """Copies `database` to the new file `target`, mode 0600, complete and on disk or not there at all.

    Raises FileExistsError, `Malformed` where a page of the database is corrupt, `Unavailable` where it can't be read.
    """
    with _new_file(target) as draft:
        with _translated(database), closing(_open(database)) as connection:
            connection.execute("VACUUM INTO ?", (str(draft),))
        return examine(draft, name=target)


def examine(copy: Path, *, name: Path | None = None) -> Copy:
    """Reads every page of a database that nobody writes. Raises `Malformed` where it is damaged or not a gateway's.
    `name` stands for it in errors."""
    shown = name or copy
    with _translated(shown), closing(_open(copy)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise Malformed(str(shown), f"damaged: {found}")
        if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
            raise Malformed(str(shown), "damaged: a row points to one that is missing")
        return _counted(connection, shown)


def restore(copy: Path, database: Path, at: UnixTime) -> Copy:
    """Puts a copy back as `database`, which must not exist.

    The copy has forgotten which downward numbers were used after it was made, and a number must never meet two
    plaintexts: so the downward direction of its sessions is closed. It has forgotten which commands were sent, too, and
    none must run twice: those that wait in it expire. That it was put back is kept among the events.
    Raises FileExistsError, `Malformed`, `Unavailable`.
    """
    if database.exists():
        raise FileExistsError(errno.EEXIST, "exists already", str(database))
    for sidecar in _SIDECARS:  # of a database that was removed without them: SQLite would play it into the copy
        if database.with_name(database.name + sidecar).exists():
            raise FileExistsError(errno.EEXIST, "left of an earlier database, move it away", str(database) + sidecar)
    with _new_file(database) as draft:
        examine(copy)
        with _translated(copy), closing(_open(copy)) as connection:
            connection.execute("VACUUM INTO ?", (str(draft),))
        found = examine(draft, name=copy)
        with _translated(copy), closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE sessions SET down_state = NULL")
            _expire_commands(connection, at)
            detail = json.dumps({"newest": found.newest, "records": found.records})
            connection.execute("INSERT INTO events (at, kind, detail) VALUES (?, 'store restored', ?)", (at, detail))
            connection.execute("COMMIT")
        return found


def _expire_commands(connection: sqlite3.Connection, at: UnixTime) -> None:
    """As if nobody had fetched them in time. A copy from before there were commands has no table for them."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'down_items'").fetchone() is not None:
        connection.execute(
            "UPDATE down_items SET expires_at = ?, closed_at = ?, wrap_key = NULL, blob = NULL"
            " WHERE kind = 'command' AND closed_at IS NULL",
            (at, at),
        )


def _counted(connection: sqlite3.Connection, shown: Path) -> Copy:
    try:
        (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        sessions, accepted = connection.execute("SELECT count(*), max(accepted_at) FROM sessions").fetchone()
        (records,) = connection.execute("SELECT count(*) FROM records").fetchone()
        (arrived,) = connection.execute("SELECT max(last_at) FROM sessions").fetchone()
    except (sqlite3.OperationalError, TypeError) as error:
        raise Malformed(str(shown), "not a gateway's database") from error
    newest = max((moment for moment in (accepted, arrived) if moment is not None), default=None)
    return Copy(str(schema), sessions, records, newest)


def _open(path: Path) -> sqlite3.Connection:
    """A connection that makes no file: a missing database is an error, not an empty one."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
    return sqlite3.connect(path.absolute().as_uri() + "?mode=rw", uri=True, isolation_level=None)


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """`drafted`, without what SQLite may leave beside a draft."""
    with drafted(target) as draft:
        try:
            yield draft
        finally:
            for sidecar in _SIDECARS:
                draft.with_name(draft.name + sidecar).unlink(missing_ok=True)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT:
            raise Malformed(str(path), f"damaged: {error}") from error
        raise Unavailable(f"{path}: {error}") from error
