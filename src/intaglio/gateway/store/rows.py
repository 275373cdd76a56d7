"""Many rows into one table, quickly: several a statement, the rest one by one.

The driver lets other threads run at every statement, and each time has to win the interpreter back; with a busy event
loop beside it that costs more than the insert. 32 rows a statement make it rare (and a fifth faster in itself).
"""

import sqlite3
from itertools import chain

__all__ = ["Insert"]

TOGETHER = 32


class Insert:
    """`INSERT INTO table (columns) VALUES ...` for rows of as many values as there are columns."""

    def __init__(self, table: str, *columns: str) -> None:
        row = f"({', '.join('?' * len(columns))})"
        self._one = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {row}"  # noqa: S608  # our own names only
        self._many = self._one + f", {row}" * (TOGETHER - 1)

    def __call__(self, connection: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
        """Raises `sqlite3.Error`; some rows may be in the open transaction then."""
        whole = len(rows) - len(rows) % TOGETHER
        for first in range(0, whole, TOGETHER):
            connection.execute(self._many, list(chain.from_iterable(rows[first : first + TOGETHER])))
        if whole < len(rows):
            connection.executemany(self._one, rows[whole:])
