"""Peers that hold on to connections or memory."""

import contextlib
import socket

import pytest

from intaglio.gateway import app
from intaglio.gateway import connection as connection_rules
from tests.gateway.test_http import status_of, wire
from tests.gateway.world import Dc, told

POST = b"POST /v1/frames HTTP/1.1\r\nHost: x\r\nContent-Type: application/cose\r\n"


def ends(connection: socket.socket) -> None:
    """The server closes it, without our having asked."""
    connection.settimeout(3)
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass


def test_a_body_that_never_begins_is_told_so(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_SECONDS", 0.05)
    with wire(dc) as connection:
        connection.sendall(POST + b"Content-Length: 100\r\n\r\n")
        connection.settimeout(3)
        assert status_of(connection) == 408
        ends(connection)


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /v1/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /v1/offer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
        b"GET /v1/health/live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/offer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
        b"GET /v1/offer HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
@pytest.mark.parametrize("crumb", [b"1", b"\r\n"])
def test_a_crumb_after_an_answer_does_not_hold_the_connection(
    dc: Dc, monkeypatch: pytest.MonkeyPatch, begun: bytes, crumb: bytes
) -> None:
    """Whatever came after an answer stopped the clock for idle connections, and no other ran."""
    monkeypatch.setattr(connection_rules, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(connection_rules, "DISCARD_SECONDS", 0.1)
    with wire(dc) as connection:
        connection.sendall(begun)
        status_of(connection)
        connection.sendall(crumb)
        ends(connection)


@pytest.mark.parametrize(
    "without_end",
    [b"X: " + b"a" * 8000 + b"\r\n", b"a" * 8000],
    ids=["trailers", "one trailer"],
)
def test_trailers_without_end_are_cut_off(dc: Dc, without_end: bytes) -> None:
    with wire(dc) as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\nX: ")
        with pytest.raises(ConnectionError):
            for _ in range(2000):
                connection.sendall(without_end)


def test_chunk_extensions_without_end_are_cut_off(dc: Dc) -> None:
    with wire(dc) as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n1;")
        with pytest.raises(ConnectionError):
            for _ in range(2000):
                connection.sendall(b"a" * 8000)


def test_bodies_under_way_have_a_bound_all_together(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_RECEIVING", 300_000)
    head = POST + b"Content-Length: 200000\r\n\r\n"
    _, channel = dc.session()
    with wire(dc) as first, wire(dc) as second:
        first.sendall(head + bytes(190_000))
        second.sendall(head + bytes(190_000))
        for each in (first, second):
            each.settimeout(0.5)
        answers = []
        for each in (second, first):
            with contextlib.suppress(TimeoutError):
                answers.append(status_of(each))
        assert answers == [503]
        assert dc.frames(channel.farewell).json == told(stored=1), "small bodies need no room"
        for each in (second, first):
            with contextlib.suppress(OSError):
                each.sendall(bytes(10_000))
    assert dc.frames(channel.farewell).json == told(duplicate=1)
