"""The operator's first bearer token: drawn at first start, written once to a file, kept as a hash only."""

import sqlite3
from pathlib import Path
from secrets import token_urlsafe

from intaglio.files import replace_private
from intaglio.gateway.access import token_hash
from intaglio.gateway.store.writer import Writer
from intaglio.types import UnixTime

__all__ = ["ensure_token"]


def ensure_token(writer: Writer, file: Path, at: UnixTime) -> None:
    """At first start a token is drawn and written to `file` (mode 0600); the file may be moved away, the gateway does
    not read it again."""
    if writer.submit(_known).result():
        return
    token = token_urlsafe(32)
    replace_private(file, token.encode() + b"\n")

    def keep(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO tokens VALUES (?, ?)", (token_hash(token), at))

    writer.submit(keep).result()


def _known(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM tokens").fetchone() is not None
