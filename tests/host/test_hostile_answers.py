"""Answers that never end, that no HTTP library expects, or that are meant for whoever reads the log."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from intaglio.errors import Unavailable
from intaglio.host import Relay
from intaglio.host.data_centre import DataCentre
from tests.host.enclave import local_enclave
from tests.host.gateway import Gateway, json_answer, serving
from tests.host.test_data_centre import scripted


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Busy\r\nRetry-After: " + b"9" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" + b"x" * 3_000_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\nContent-Type: application/cbor\r\n\r\n" + b"x" * 3_000_000,
        b"HTTP/1.1 200 OK\r\n" + b"X-Header: 1\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 999999999999 OK\r\n\r\n",
    ],
)
def test_nonsense_is_unavailable(answer: bytes) -> None:
    with scripted(answer) as address:
        centre = DataCentre(f"http://{address}", timeout=5)
        with pytest.raises(Unavailable):
            centre.offer()
        centre.close()


@pytest.mark.parametrize("drip", [b"HTTP/1.1 100 Continue\r\n\r\n", b"X-A: b\r\n", b"."])
def test_an_answer_that_drips_is_given_up(drip: bytes) -> None:
    """Each byte comes in time, and the whole never ends."""
    beginning = {b"X": b"HTTP/1.1 200 OK\r\n", b".": b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n"}
    stop = threading.Event()
    with dripping(beginning.get(drip[:1], b""), drip, stop) as address:
        centre = DataCentre(f"http://{address}", timeout=0.3)
        caught: list[BaseException] = []

        def ask() -> None:
            try:
                centre.offer()
            except Unavailable as error:
                caught.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(3)
        late = asking.is_alive()
        stop.set()
        asking.join(10)
        centre.close()
    assert not late
    assert caught


@contextmanager
def dripping(beginning: bytes, drip: bytes, stop: threading.Event) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            stream, _ = listener.accept()
            with stream:
                stream.recv(65536)
                try:
                    stream.sendall(beginning)
                    while not stop.wait(0.05):
                        stream.sendall(drip)
                except OSError:
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        stop.set()
        thread.join(20)


def test_what_a_stranger_says_does_not_forge_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    gateway = Gateway()
    forged = "x\n2026-01-01 CRITICAL intaglio: all is well\x1b[2J"
    gateway.next_answers = {
        "/v1/frames": [json_answer(503, {"error": forged}), json_answer(500, {"error": "y" * 5000})],
        "/v1/hello": [json_answer(403, {"error": "rejected", "reasons": [forged, "OFFER_EXPIRED"], "id": forged})],
    }
    with (
        serving(gateway) as url,
        local_enclave(gateway.dc) as enclave,
        Relay(enclave, url, pause=lambda *_: None) as relay,
    ):
        relay.call("echo", 1)
        relay.flush(10)
    messages = [record.getMessage() for record in caplog.records]
    assert any("answered 503" in message for message in messages)
    assert any("OFFER_EXPIRED" in message for message in messages)
    assert all(message.isprintable() and len(message) < 1000 for message in messages)
