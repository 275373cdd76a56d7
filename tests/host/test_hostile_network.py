"""A relay whose way to the data centre leads through somebody else: portals, proxies and liars."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from intaglio.host import Receipt, Relay
from intaglio.host.outline import is_offer, session_of_accept, session_of_hello
from intaglio.host.relay import Fate
from tests.host.enclave import LocalEnclave
from tests.host.gateway import Answer, Gateway, frames_answer

PORTAL = Answer(200, b"<html>Please log in", {"Content-Type": "text/html"})
STORED = Receipt(Fate.STORED, 1)


def pause(event: threading.Event, seconds: float) -> None:
    """None: what is to be tried again is tried at once."""


@contextmanager
def relaying(enclave: LocalEnclave, url: str, spool: Path) -> Iterator[Relay]:
    with Relay(enclave, url, spool=spool, pause=pause) as relay:
        yield relay


def test_a_portals_welcome_page_is_no_accept(gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path) -> None:
    """It answers 200 to everything, hello included: the data centre never saw the session, so nothing of it may be
    taken for delivered or refused."""
    gateway.next_answers = {"/v1/hello": [PORTAL] * 3, "/v1/frames": [PORTAL] * 3}
    with relaying(enclave, url, tmp_path) as relay:
        for value in range(3):
            assert relay.call("echo", value) in (STORED, Receipt(Fate.SPOOLED, 1))
        assert relay.flush(10) == 0
        assert (relay.refused_files, relay.sessions) == ([], 1)
    assert gateway.values() == [b"\x00", b"\x01", b"\x02"]


def test_a_portals_welcome_page_is_no_offer(gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path) -> None:
    with relaying(enclave, url, tmp_path) as relay:
        assert relay.call("echo", 1) == STORED
    kept = (tmp_path / "offer").read_bytes()
    gateway.next_answers = {"/v1/offer": [PORTAL]}
    with relaying(enclave, url, tmp_path) as relay:
        assert relay.call("echo", 2) == STORED
    assert (tmp_path / "offer").read_bytes() == kept


def test_an_offer_that_the_enclave_refuses_is_not_kept(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path
) -> None:
    with relaying(enclave, url, tmp_path) as relay:
        kept = (tmp_path / "offer").read_bytes()
        gateway.next_answers = {"/v1/offer": [Answer(200, b"forged", {"Content-Type": "application/cbor"})]}
        with pytest.raises(Exception, match="offer"):
            relay.renew()
    assert (tmp_path / "offer").read_bytes() == kept


def test_frames_of_a_session_that_the_data_centre_does_not_know_wait_for_its_hello(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path
) -> None:
    """A liar said that the hello was accepted, or the data centre was restored from a back-up: it is told again
    before its frames are put aside."""
    gateway.next_answers = {"/v1/frames": [frames_answer(404, unknown=[0])]}
    with relaying(enclave, url, tmp_path) as relay:
        assert relay.call("echo", 1).fate is not Fate.REFUSED
        assert relay.flush(10) == 0
        assert relay.refused_files == []
    assert gateway.values() == [b"\x01"]
    assert gateway.paths().count("POST /v1/hello") == 2


def test_what_an_accept_and_an_offer_begin_with(gateway: Gateway, enclave: LocalEnclave) -> None:
    offer = gateway.dc.offer()
    hello = enclave.hello(offer)
    accept = gateway.dc.accept(hello)
    assert is_offer(offer)
    assert not is_offer(hello)
    assert session_of_accept(accept) == session_of_hello(hello)
    for other in (hello, accept[:34], b"", b"<html>"):
        assert session_of_accept(other) is None
