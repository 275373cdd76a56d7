"""What a recall takes in a store of a million records: to say what was touched, and to take it back.

    python -m benchmarks.recall            a table
    python -m benchmarks.recall --json     one object; seconds

A thousand sessions of a thousand records of 100 bytes. `few`: one session in a hundred is touched, `all`: every one.
Rows are inserted directly; a session's facts are those that an Accept stores. The file is in the cache of the system.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from intaglio.gateway.store import recalls
from intaglio.gateway.store.facts import PLATFORM
from intaglio.gateway.store.migrate import migrate
from intaglio.gateway.store.recalls import Criterion
from intaglio.gateway.store.writer import connect
from intaglio.types import UnixTime

SESSIONS, RECORDS = 1000, 1000
FEW = 100
"""One session in so many is on the machine that is asked for."""
NOON = UnixTime(1_780_000_000)


def fill(connection: sqlite3.Connection) -> None:
    session = (
        "INSERT INTO sessions (id, session, th, evidence, policy, tee, workload, simulated, accepted_at, expires_at,"
        " wrap_key, up_epoch, down_epoch, highest, frames, records, late, replays)"
        " VALUES (?, randomblob(16), randomblob(32), x'00', x'00', 'sgx', 'meter', 0, ?, ?, 1, 1, 1, ?, ?, ?, 0, 0)"
    )
    record = (
        "INSERT INTO records (session, sequence, position, epoch, name, content_type, value, arrived_at, late)"
        " VALUES (?, ?, 0, 1, ?, 'application/cbor', zeroblob(100), ?, 0)"
    )
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN")
    for row in range(1, SESSIONS + 1):
        connection.execute(session, (row, NOON, NOON + 86400, RECORDS - 1, RECORDS, RECORDS))
        facts = [(PLATFORM, "all", row), (PLATFORM, "few" if row % FEW == 0 else "others", row)]
        connection.executemany("INSERT INTO session_facts (kind, value, session) VALUES (?,?,?)", facts)
    # Sessions send at the same time: their rows lie among each other's.
    for number in range(RECORDS):
        name = f"sensor-{number % 10}"
        connection.executemany(record, ((row, number, name, NOON + number) for row in range(1, SESSIONS + 1)))
    connection.execute("COMMIT")


def measure(connection: sqlite3.Connection) -> dict[str, float]:
    found: dict[str, float] = {}
    for which, records in (("few", SESSIONS // FEW * RECORDS), ("all", SESSIONS * RECORDS)):
        criterion = Criterion(PLATFORM, which)
        begun = time.perf_counter()
        reached = recalls.find(connection, criterion, NOON)
        found[f"say_{which}"] = time.perf_counter() - begun
        if reached.records != records:
            raise RuntimeError(f"{which}: {reached.records} records found, of {records}")
    begun = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    recalls.recall(connection, Criterion(PLATFORM, "all"), "benchmark", "benchmark", NOON)
    connection.execute("COMMIT")
    found["take_back_all"] = time.perf_counter() - begun
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="recall in a store of a million records")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "gateway.db"
        migrate(database)
        with closing(connect(database)) as connection:
            fill(connection)
            found = measure(connection)
    if as_json:
        print(json.dumps({"records": SESSIONS * RECORDS, "sessions": SESSIONS} | found))
        return 0
    print(f"recall, {SESSIONS * RECORDS:,} records in {SESSIONS:,} sessions")
    for name, seconds in found.items():
        print(f"  {name.replace('_', ' '):20} {seconds:8.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
