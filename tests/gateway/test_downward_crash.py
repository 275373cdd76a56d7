"""A gateway that is killed between committing a downward frame and sending it: a number meets one plaintext only."""

import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from intaglio.gateway.query import Reader
from intaglio.sim.world import Lab
from intaglio.wire.frame import parse_frame
from tests.gateway.downward import Vault, expect_vaults, put
from tests.gateway.test_restart import victim
from tests.gateway.world import NOON, Dc, World


def frames_on_disk(world: World) -> list[tuple[int, bytes]]:
    with closing(sqlite3.connect(world.settings.database)) as connection:
        return connection.execute("SELECT sequence, frame FROM down_frames ORDER BY sequence").fetchall()


def test_killed_between_commit_and_answer(tmp_path: Path, drawn_lab: Lab) -> None:
    world = World.make(tmp_path, drawn_lab.copy())
    expect_vaults(world)
    (tmp_path / "collateral").mkdir()
    (tmp_path / "collateral" / "alpha.json").write_bytes(world.lab.collateral("alpha", NOON))
    with victim(tmp_path) as (process, url):
        dc = Dc(world, None, url)  # type: ignore[arg-type]  # it runs elsewhere
        vault = Vault(dc).begin()
        put(world, "key", b"one")
        where = urlsplit(url)
        with socket.create_connection((where.hostname or "", where.port or 0)) as host:
            host.sendall(f"GET /v1/down?session={vault.session.hex()}&next=0 HTTP/1.1\r\nHost: dc\r\n\r\n".encode())
            deadline = time.monotonic() + 20
            while not frames_on_disk(world) and time.monotonic() < deadline:
                pass
            process.send_signal(signal.SIGKILL)
    ((number, lost),) = frames_on_disk(world)
    assert number == 0
    put(world, "key", b"two")
    with victim(tmp_path) as (_, url):
        vault.dc = Dc(world, None, url)  # type: ignore[arg-type]
        again, after = vault.polled()
        assert again == lost
        assert parse_frame(after).sequence == 1
        assert vault.fetch() == 2
    assert vault.enclave.secrets["key"] == b"two"
    with Reader(world.settings.database) as reader:
        assert [(item.version, item.answered) for item in reader.items()] == [(1, 1), (2, 1)]
