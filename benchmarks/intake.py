"""Intake of a gateway over HTTP, answered after commit, beside what SQLite and the web server alone can do.

    python -m benchmarks.intake            a table
    python -m benchmarks.intake --json     one object; figures per second

The gateway is a process of its own, alone on one core; the load comes from another where there is one. Batched: frames
of 100 records of 100 bytes, ten frames a POST. Single: one frame of one record a POST, 64 connections. Every commit is
on disk before its answer (WAL, synchronous = FULL). The insert ceiling stores the same rows into the same tables with
nothing else done; the ASGI ceiling answers the same POSTs with a constant. Every figure is the best of three rounds.
"""

import argparse
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from intaglio.gateway.app import Receive, Send
from intaglio.gateway.store.migrate import migrate
from intaglio.gateway.store.writer import connect
from intaglio.session.enclave import EnclaveChannel
from intaglio.sim.world import Lab
from intaglio.wire.content import Record
from tests.conftest import ROOT
from tests.gateway.world import NOON, World, ask

ROUNDS = 3
BATCH, FRAMES_A_POST, POSTS = 100, 10, 60
CONNECTIONS, SINGLES = 64, 6400
BATCH_CONNECTIONS = 4
RECORD = Record("get_size", "application/cbor", b"\x58\x62" + bytes(98))
TARGETS = {"batched_records_per_s": 120_000, "single_records_per_s": 16_000}

_CONSTANT = b'{"stored": 1, "duplicate": 0, "pending": [], "unknown": [], "refused": []}'


def main() -> None:
    parser = argparse.ArgumentParser(description="intake over HTTP, beside its limits")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--asgi", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.asgi:
        serve_constant()
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)


def measure(folder: Path) -> dict[str, object]:
    """All figures of one run."""
    lab = Lab.create(None, NOON)
    world = World.make(folder, lab)
    (folder / "collateral").mkdir()
    (folder / "collateral" / "alpha.json").write_bytes(lab.collateral("alpha", NOON))
    with process("tests.gateway.victim", str(folder), str(NOON)) as url:
        channels = [_session(world, url) for _ in range(8)]
        batched = best(lambda: _batched(url, channels))
        single = best(lambda: _single(url, channels))
    with process("benchmarks.intake", "--asgi") as url:
        asgi = best(lambda: _single(url, channels))
    inserts = best(lambda: _inserts(folder))
    return {
        "batched_records_per_s": round(batched),
        "insert_ceiling_per_s": round(inserts),
        "single_records_per_s": round(single),
        "asgi_ceiling_per_s": round(asgi),
        "targets": TARGETS,
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
    }


def best(work: Callable[[], float]) -> float:
    return max(work() for _ in range(ROUNDS))


@contextmanager
def process(module: str, *arguments: str) -> Iterator[str]:
    """A server on the first core, told to stop in the end; yields its URL. We stay on the others."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        os.sched_setaffinity(0, cores[1:] or cores)
        try:
            assert child.stdout is not None
            yield child.stdout.readline().strip()
        finally:
            child.terminate()
            child.wait(30)
            os.sched_setaffinity(0, cores)


def _session(world: World, url: str) -> EnclaveChannel:
    guest = world.guest(ask(url, "GET", "/v1/offer").body)
    channel = guest.accept(ask(url, "POST", "/v1/hello", guest.hello).body)
    assert ask(url, "POST", "/v1/frames", channel.farewell, {"Content-Type": "application/cose"}).status == 200
    return channel


def _batched(url: str, channels: Sequence[EnclaveChannel]) -> float:
    """Records a second."""
    batch = [RECORD] * BATCH
    bodies = [
        b"".join(channels[post % len(channels)].up.protect(batch) for _ in range(FRAMES_A_POST))
        for post in range(POSTS)
    ]
    seconds = deliver(url, [_request(url, body, "application/cbor-seq") for body in bodies], BATCH_CONNECTIONS)
    return POSTS * FRAMES_A_POST * BATCH / seconds


def _single(url: str, channels: Sequence[EnclaveChannel]) -> float:
    """Records a second, each in a POST of its own."""
    frames = [channels[n % len(channels)].up.protect([RECORD]) for n in range(SINGLES)]
    seconds = deliver(url, [_request(url, frame, "application/cose") for frame in frames], CONNECTIONS)
    return SINGLES / seconds


def _request(url: str, body: bytes, kind: str) -> bytes:
    host = urlsplit(url).netloc
    head = f"POST /v1/frames HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def deliver(url: str, requests: Sequence[bytes], connections: int) -> float:
    """Seconds until every request was answered with 200; each connection has one request under way."""
    parts = urlsplit(url)
    sockets = [socket.create_connection((parts.hostname or "", parts.port or 0)) for _ in range(connections)]
    try:
        for each in sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = time.perf_counter()
        for n in range(len(requests) + connections):
            connection = sockets[n % connections]
            if connections <= n:
                _answered(connection)
            if n < len(requests):
                connection.sendall(requests[n])
        return time.perf_counter() - start
    finally:
        for each in sockets:
            each.close()


def _answered(connection: socket.socket) -> None:
    answer = connection.recv(4096)
    while not answer.endswith(b"}"):
        answer += connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200"), answer


def _inserts(folder: Path, rows: int = 200_000) -> float:
    """Rows a second into the gateway's own tables, as many a commit as the batched run has."""
    path = folder / "ceiling.db"
    path.unlink(missing_ok=True)
    migrate(path)
    connection = connect(path)
    per_commit = BATCH * FRAMES_A_POST * BATCH_CONNECTIONS
    _, content_type, value = RECORD
    start = time.perf_counter()
    for first in range(0, rows, per_commit):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO records (session, sequence, position, epoch, name, content_type, value, arrived_at, late)"
            " VALUES (1, ?, ?, 1, 'get_size', ?, ?, ?, 0)",
            [(n // BATCH, n % BATCH, content_type, value, NOON) for n in range(first, first + per_commit)],
        )
        connection.execute("COMMIT")
    seconds = time.perf_counter() - start
    connection.close()
    return rows / seconds


def serve_constant() -> None:
    """The web server and nothing behind it."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_CONSTANT)).encode())]

    async def app(_scope: object, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _CONSTANT})

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, access_log=False, server_header=False, date_header=False
        )
        uvicorn.Server(config).run([listener])


def show(found: dict[str, object]) -> None:
    print(f"Python {found['python']}, SQLite {found['sqlite']}, {found['cores']} cores\n")
    print(f"{'durable records a second':40}{'intaglio':>12}{'limit':>12}{'target':>12}")
    rows = (
        ("1,000 a POST (limit: bare inserts)", "batched_records_per_s", "insert_ceiling_per_s"),
        ("1 a POST (limit: bare web server)", "single_records_per_s", "asgi_ceiling_per_s"),
    )
    for label, ours, limit in rows:
        print(f"{label:40}{found[ours]:>12}{found[limit]:>12}{TARGETS[ours]:>12}")


if __name__ == "__main__":
    main()
