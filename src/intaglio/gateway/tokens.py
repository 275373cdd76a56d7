"""The API's bearer token: drawn at first start, written once to a file for the operator, kept as a hash only."""

import hashlib
import sqlite3
from pathlib import Path
from secrets import token_urlsafe

from intaglio.files import replace_private
from intaglio.gateway.store.writer import Writer
from intaglio.types import UnixTime

__all__ = ["token_hashes"]


def token_hashes(writer: Writer, file: Path, at: UnixTime) -> frozenset[bytes]:
    """SHA-256 of every valid token. At first start one is drawn and written to `file` (mode 0600); the file may be
    moved away, the gateway does not read it again."""
    known = writer.submit(_hashes).result()
    if not known:
        token = token_urlsafe(32)
        digest = hashlib.sha256(token.encode()).digest()
        replace_private(file, token.encode() + b"\n")

        def keep(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO tokens VALUES (?, ?)", (digest, at))

        writer.submit(keep).result()
        known = frozenset((digest,))
    return known


def _hashes(connection: sqlite3.Connection) -> frozenset[bytes]:
    return frozenset(digest for (digest,) in connection.execute("SELECT hash FROM tokens"))
