"""A flood of tiny frames against the few forged hellos that somebody should see."""

import sqlite3
from pathlib import Path

import pytest

from intaglio.gateway.store import quarantine as rules
from intaglio.gateway.store.migrate import migrate
from intaglio.gateway.store.quarantine import Quarantine, Refusal
from intaglio.reasons import Reason
from tests.gateway.world import NOON


def test_many_small_rows_do_not_displace_few_large_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows are what is short, whoever has most rows makes room."""
    monkeypatch.setattr(rules, "MAX_ROWS", 200)
    migrate(tmp_path / "gateway.db")
    connection = sqlite3.connect(tmp_path / "gateway.db")
    quarantine = Quarantine(1 << 30)
    for number in range(3):
        hello = Refusal("hello", (Reason.WRONG_MEASUREMENT,), {}, bytes((number,)) * 100_000, None, None)
        quarantine.add(connection, hello, NOON)
    for number in range(400):
        frame = Refusal("frame", (Reason.SESSION_UNKNOWN,), {}, number.to_bytes(4, "big"), None, None)
        quarantine.add(connection, frame, NOON)
        quarantine.flush(connection)
    count = "SELECT count(*) FROM quarantine"
    assert connection.execute(f"{count} WHERE reason = 'WRONG_MEASUREMENT'").fetchone() == (3,)
    assert connection.execute(count).fetchone()[0] <= 200
    connection.close()
