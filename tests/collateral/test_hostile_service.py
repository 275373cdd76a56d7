"""A collateral service that is slow on purpose or tells nonsense."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socket import create_server

import pytest

from intaglio.collateral.http import Endpoint
from intaglio.errors import Unavailable
from intaglio.sim.pki import DAY
from tests.collateral.test_pcs import raw_server


def test_a_wait_of_five_thousand_digits_is_a_long_one() -> None:
    answer = b"HTTP/1.1 503 Busy\r\nRetry-After: " + b"9" * 5000 + b"\r\nContent-Length: 0\r\n\r\n"
    with raw_server(answer, close=True) as url, pytest.raises(Unavailable) as caught:
        Endpoint.parse(url, timeout=2).get("/x")
    assert caught.value.retry_after == DAY


@contextmanager
def dripping(drip: bytes, stop: threading.Event) -> Iterator[str]:
    with create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            stream, _ = listener.accept()
            with stream:
                stream.recv(65536)
                try:
                    while not stop.wait(0.05):
                        stream.sendall(drip)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stop.set()
        thread.join(20)


def test_a_head_that_drips_is_given_up() -> None:
    """Interim answers without end: each line comes in time, the answer never."""
    stop = threading.Event()
    caught: list[Unavailable] = []

    def ask(url: str) -> None:
        try:
            Endpoint.parse(url, timeout=0.3).get("/x")
        except Unavailable as error:
            caught.append(error)

    with dripping(b"HTTP/1.1 100 Continue\r\n\r\n", stop) as url:
        asking = threading.Thread(target=ask, args=(url,))
        asking.start()
        asking.join(3)
        late = asking.is_alive()
        stop.set()
        asking.join(10)
    assert not late
    assert caught
