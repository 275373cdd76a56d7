"""The gateway's store as the commands find it while the gateway may be writing: to read, or for one transaction."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.failure import Usage

if TYPE_CHECKING:
    from intaglio.gateway.query import Reader
    from intaglio.types import SessionId

__all__ = ["DEFAULT_STORE", "STORE_VARIABLE", "Store", "parse_session", "reader", "store_folder", "who", "writing"]

STORE_VARIABLE = "INTAGLIO_STORE"
DEFAULT_STORE = Path("intaglio-store")

Store = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help=f"The gateway's folder. [default: ${STORE_VARIABLE}, or {DEFAULT_STORE}]"),
]

_SESSION_BYTES = 16


def store_folder(given: Path | None) -> Path:
    """The option, else the environment, else `intaglio-store` in the current folder."""
    named = os.environ.get(STORE_VARIABLE)
    return given or (Path(named) if named else DEFAULT_STORE)


@contextmanager
def reader(given: Path | None) -> "Iterator[Reader]":
    """The store, to read. Raises `Usage` where no gateway has ever run, `Unavailable` where it can't be read now."""
    from intaglio.gateway.query import Reader  # noqa: PLC0415

    database = store_folder(given) / "gateway.db"
    if not database.is_file():
        raise Usage(f"{database}: no gateway has stored anything here; --store names its folder")
    with Reader(database) as opened:
        yield opened


@contextmanager
def writing(given: Path | None) -> Iterator[sqlite3.Connection]:
    """One transaction on the store, beside a gateway that may be running. Raises `Usage` where there is no store,
    `Unavailable` where another version made it or it can't be written now."""
    from intaglio.errors import Unavailable  # noqa: PLC0415
    from intaglio.gateway.store.writer import connect  # noqa: PLC0415

    with reader(given) as opened:  # says so where there is no store, or one of another version
        opened.items(limit=1)
    database = store_folder(given) / "gateway.db"
    try:
        with closing(connect(database)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise Unavailable(f"{database}: {error}") from error


def parse_session(text: str) -> "SessionId":
    """A session id, 32 hexadecimal digits. Raises `Usage`."""
    from intaglio.types import SessionId  # noqa: PLC0415

    try:
        session = bytes.fromhex(text)
    except ValueError as error:
        raise Usage(f"{text!r}: a session id is 32 hexadecimal digits") from error
    if len(session) != _SESSION_BYTES:
        raise Usage(f"{text!r}: a session id is 32 hexadecimal digits")
    return SessionId(session)


def who() -> str:
    """The user's name, or number where a container has no name for it."""
    try:
        return getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
