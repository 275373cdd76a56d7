"""The surface: methods, limits while a body streams, peers that hang up, headers, health, and the JSON API."""

import hashlib
import json
import logging
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from intaglio.gateway import app
from intaglio.gateway import connection as connection_rules
from intaglio.gateway.render import json_of_cbor, readable
from intaglio.wire.content import Record
from intaglio.wire.hello import MAX_HELLO
from tests.gateway.world import HUNDRED, Dc, World, ask, told

FOR_BROWSERS = ("cache-control", "content-security-policy", "referrer-policy")


@contextmanager
def wire(dc: Dc) -> Iterator[socket.socket]:
    """A connection on which a test sends what no HTTP library would."""
    parts = urlsplit(dc.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connection:
        yield connection


def status_of(connection: socket.socket) -> int:
    """Of the first answer on this connection."""
    received = b""
    while b"\r\n" not in received:
        piece = connection.recv(4096)
        assert piece, "closed without an answer"
        received += piece
    return int(received.split(b" ")[1])


def test_methods_and_paths(dc: Dc) -> None:
    expected = {
        ("POST", "/v1/offer"): 405,
        ("GET", "/v1/hello"): 405,
        ("DELETE", "/v1/frames"): 405,
        ("GET", "/"): 404,
        ("GET", "/v1/offer/"): 404,
        ("GET", "/v1//offer"): 404,
        ("GET", "/docs"): 404,
        ("GET", "/v1/health/live"): 200,
        ("GET", "/v1/health/ready"): 200,
        ("GET", "/api/v1/openapi.json"): 200,
    }
    for (method, path), status in expected.items():
        reply = dc.ask(method, path)
        assert reply.status == status, (method, path)
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "server" not in reply.headers
        if path.startswith("/api"):
            assert all(name in reply.headers for name in FOR_BROWSERS), (method, path)


def test_a_declared_length_beyond_the_limit_is_answered_before_a_byte_of_it(dc: Dc) -> None:
    with wire(dc) as connection:
        connection.sendall(b"POST /v1/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert status_of(connection) == 413


def test_a_chunked_body_is_cut_off_at_the_limit(dc: Dc) -> None:
    with wire(dc) as connection:
        connection.sendall(b"POST /v1/hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"4000\r\n" + bytes(0x4000) + b"\r\n"
        for _ in range(MAX_HELLO // 0x4000 + 1):
            connection.sendall(chunk)
        assert status_of(connection) == 413


def test_a_chunked_body_within_the_limit_is_read(dc: Dc) -> None:
    hello = dc.guest().hello
    with wire(dc) as connection:
        connection.sendall(b"POST /v1/hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(hello), 1000):
            piece = hello[start : start + 1000]
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert status_of(connection) == 200


def test_a_peer_that_drips_is_told_so(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_SECONDS", 0.05)
    with wire(dc) as connection:
        connection.sendall(b"POST /v1/frames HTTP/1.1\r\nHost: x\r\nContent-Type: application/cose\r\n")
        connection.sendall(b"Content-Length: 100\r\n\r\nabc")
        assert status_of(connection) == 408


@pytest.mark.parametrize("piece", [b"a" * 8192, b"X: aaaaaaaaaaaa\r\n" * 512])
def test_a_head_without_end_is_cut_off(dc: Dc, piece: bytes) -> None:
    with wire(dc) as connection:
        connection.sendall(b"GET /v1/offer HTTP/1.1\r\nHost: x\r\nX: ")
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                connection.sendall(piece)
    assert dc.ask("GET", "/v1/offer").status == 200


def test_a_connection_on_which_nothing_is_said_is_closed(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_rules, "HEAD_SECONDS", 0.05)
    for begun in (b"", b"GET /v1/offer HTTP/1.1\r\nHo"):
        with wire(dc) as connection:
            connection.sendall(begun)
            assert connection.recv(1) == b""
    with wire(dc) as connection:
        connection.sendall(b"GET /v1/health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /")
        assert status_of(connection) == 200
        while connection.recv(4096):
            pass


def test_a_peer_that_hangs_up_changes_nothing(dc: Dc) -> None:
    _, channel = dc.session()
    frame = channel.farewell
    head = b"POST /v1/frames HTTP/1.1\r\nHost: x\r\nContent-Type: application/cose\r\nContent-Length: %d\r\n\r\n"
    for sent in (0, 1, len(frame) - 1):
        with wire(dc) as connection:
            connection.sendall(head % len(frame) + frame[:sent])
    assert dc.frames(frame).json == told(stored=1)


def test_a_peer_that_does_not_wait_for_its_answer_loses_only_that(dc: Dc) -> None:
    _, channel = dc.session()
    frame = channel.farewell
    head = b"POST /v1/frames HTTP/1.1\r\nHost: x\r\nContent-Type: application/cose\r\nContent-Length: %d\r\n\r\n"
    with wire(dc) as connection:
        connection.sendall(head % len(frame) + frame)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    assert dc.frames(frame).json == told(duplicate=1)


def test_garbage_on_the_wire_is_the_servers_400(dc: Dc) -> None:
    with wire(dc) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert status_of(connection) == 400


def test_the_api_wants_its_token(dc: Dc) -> None:
    token = dc.world.settings.token_file.read_text().strip()
    paths = ("records", "sessions", f"sessions/{bytes(16).hex()}", "quarantine", "quarantine/x", "status")
    for path in paths:
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {token}"}):
            reply = dc.ask("GET", f"/api/v1/{path}", None, header)
            assert reply.status == 401, path
            assert reply.headers["www-authenticate"] == "Bearer"
            assert reply.headers["cache-control"] == "no-store"
        assert dc.api(path).status in (200, 404), path


def test_the_token_is_private_kept_as_a_hash_and_stays(world: World) -> None:
    file = world.settings.token_file
    with world.gateway() as dc:
        token = file.read_text().strip()
        assert file.stat().st_mode & 0o777 == 0o600
        assert dc.api("status").status == 200
    connection = sqlite3.connect(world.settings.database)
    assert connection.execute("SELECT hash FROM tokens").fetchall() == [(hashlib.sha256(token.encode()).digest(),)]
    connection.close()
    assert token.encode() not in world.settings.database.read_bytes()
    file.unlink()
    with world.gateway() as dc:
        assert not file.exists()
        reply = dc.ask("GET", "/api/v1/status", None, {"Authorization": f"Bearer {token}"})
        assert reply.status == 200


def test_records_are_paged_and_filtered(dc: Dc) -> None:
    sessions = [dc.session() for _ in range(2)]
    for _, channel in sessions:
        records = [HUNDRED, Record("get_name", "text/plain", b"meter"), HUNDRED]
        assert dc.frames(channel.up.protect(records)).status == 200
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = dc.api(f"records?after={after}&limit=2").json
        seen += [record["id"] for record in page["records"]]
        after = page["next"]
    assert seen == sorted(set(seen))
    assert len(seen) == 6
    first = sessions[0][0].session.hex()
    found = dc.api(f"records?session={first}&name=get_name").json["records"]
    assert [(record["session"], record["value"]) for record in found] == [(first, "meter")]
    assert dc.api(f"records?session={bytes(16).hex()}").json == {"records": [], "next": None}
    for wrong in ("records?limit=0", "records?limit=1001", "records?after=-1", "records?session=xyz"):
        assert dc.api(wrong).status == 422
    page = dc.api("sessions?limit=1").json
    assert page["sessions"][0]["session"] == first
    rest = dc.api(f"sessions?limit=2&after={page['next']}").json
    assert (len(rest["sessions"]), rest["next"]) == (1, None)


def test_quarantine_is_filtered(dc: Dc) -> None:
    _, channel = dc.session()
    frame = channel.up.protect([HUNDRED])
    dc.frames(frame[:-1] + b"\0")
    dc.hello(b"garbage")
    everything = dc.api("quarantine").json["entries"]
    assert [(entry["what"], entry["reasons"]) for entry in everything] == [
        ("frame", ["FRAME_AUTHENTICATION"]),
        ("hello", ["MALFORMED_MESSAGE"]),
    ]
    assert everything[0]["remote"] == "127.0.0.1"
    by_reason = dc.api("quarantine?reason=MALFORMED_MESSAGE").json["entries"]
    by_session = dc.api(f"quarantine?session={channel.up.session.hex()}").json["entries"]
    assert (by_reason, by_session) == ([everything[1]], [everything[0]])
    assert dc.api("quarantine/unknown").status == 404


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\x18\x64", 100),
        (b"\x43abc", {"base64": "YWJj"}),
        (b"\xa1\x61a\x01", {"a": 1}),
        (b"\xa1\x01\x02", {"entries": [[1, 2]]}),
        (b"\x1b" + b"\xff" * 8, {"integer": "18446744073709551615"}),
        (b"\xf9\x7e\x00", {"float": "nan"}),
        (b"\xf9\x3c\x00", 1.0),
        (b"\x82\xf5\xf6", [True, None]),
        (b"\xff", None),
        (b"", None),
        (b"\x81" * 5000, None),
        (b"\xc1\x01", None),
    ],
)
def test_cbor_is_rendered_without_guessing(value: bytes, expected: object) -> None:
    assert json_of_cbor(value) == expected
    json.dumps(json_of_cbor(value), allow_nan=False)


def test_only_known_content_types_are_rendered() -> None:
    assert readable("application/vnd.intaglio.error+cbor", b"\x61x") == "x"
    assert readable("Text/Plain; charset=utf-8", b"\xffa") == "\ufffda"
    assert readable("image/png", b"\x18\x64") is None


def test_the_log_names_what_happened_and_no_value(dc: Dc, caplog: pytest.LogCaptureFixture) -> None:
    secret = Record("password", "text/plain", b"correct horse battery staple")
    with caplog.at_level(logging.DEBUG, logger="intaglio"):
        guest, channel = dc.session()
        frame = channel.up.protect([secret])
        dc.frames(frame, frame[:-1] + b"\0")
        dc.hello(b"garbage")
    assert f"session accepted session={guest.session.hex()} workload=meter" in caplog.text
    assert "frame refused reason=FRAME_AUTHENTICATION" in caplog.text
    assert "hello malformed field=hello" in caplog.text
    for hidden in (b"correct horse", b"password", secret.value.hex().encode()):
        assert hidden.decode() not in caplog.text


def test_live_is_live_while_the_store_is_not_ready(dc: Dc) -> None:
    dc.gateway.close()
    assert ask(dc.url, "GET", "/v1/health/live").status == 200
    assert ask(dc.url, "GET", "/v1/health/ready").status == 503
    reply = ask(dc.url, "POST", "/v1/frames", b"x", {"Content-Type": "application/cose"})
    assert reply.status == 503
