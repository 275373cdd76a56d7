"""A relay between a real enclave SDK and a data centre that is at times slow, full, forgetful, gone or hostile."""

import threading
from collections.abc import Iterator

import cbor2
import pytest

from intaglio.host import Receipt, Relay
from intaglio.host.relay import Fate
from intaglio.wire.frame import parse_frame
from tests.host.enclave import LocalEnclave, local_enclave
from tests.host.gateway import Gateway, serving

STORED = Receipt(Fate.STORED, 1)


class Pauses:
    """Instead of waiting: the relay's thread stops in here until `go`; `seconds` are the waits it asked for."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._changed = threading.Condition()
        self._allowed = 0
        self.free = False

    def __call__(self, event: threading.Event, seconds: float) -> None:
        with self._changed:
            self.seconds.append(seconds)
            self._changed.notify_all()
            while not (event.is_set() or self.free or self._allowed):
                self._changed.wait(0.01)
            self._allowed = max(0, self._allowed - 1)

    def wait_for(self, count: int) -> None:
        """Until the relay has begun its `count`-th wait."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seconds) >= count, 20.0)

    def go(self) -> None:
        with self._changed:
            self._allowed += 1
            self._changed.notify_all()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def url(gateway: Gateway) -> Iterator[str]:
    with serving(gateway) as url:
        yield url


@pytest.fixture
def enclave(gateway: Gateway) -> Iterator[LocalEnclave]:
    with local_enclave(gateway.dc) as enclave:
        yield enclave


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


def test_a_message_is_stored_when_send_returns(gateway: Gateway, url: str, enclave: LocalEnclave) -> None:
    with Relay(enclave, url) as relay:
        assert relay.send(enclave.call("echo", 100)) == STORED
        assert gateway.values() == [cbor2.dumps(100)]
        assert relay.call("echo", 7) == STORED
        assert relay.pending == 0
    assert gateway.paths()[:3] == ["GET /v1/offer", "POST /v1/hello", "POST /v1/frames"]
    assert {parse_frame(frame).epoch for frame in gateway.order} == {0, 1}
