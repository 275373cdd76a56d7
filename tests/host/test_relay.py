"""A relay between a real enclave SDK and a data centre that is at times slow, full, forgetful, gone or hostile."""

import logging
import tempfile
import threading
from pathlib import Path

import cbor2
import pytest

from intaglio.errors import LocalProtocolError, Malformed, Unavailable
from intaglio.host import EnclaveDied, EnclaveRefused, HelloRejected, Receipt, Relay, SpoolFull
from intaglio.host.relay import Fate
from intaglio.host.sessions import MAX_ATTEMPTS
from intaglio.wire.frame import parse_frame, split_frames
from tests.enclave.world import DataCentreSide
from tests.host.enclave import LocalEnclave, local_enclave
from tests.host.gateway import BUSY, UNDECIDABLE, Answer, Gateway, frames_answer, rejected, serving

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


@pytest.fixture(autouse=True)
def _temporary_spools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


def test_a_message_is_stored_when_send_returns(gateway: Gateway, url: str, enclave: LocalEnclave) -> None:
    with Relay(enclave, url) as relay:
        assert relay.send(enclave.call("echo", 100)) == STORED
        assert gateway.values() == [cbor2.dumps(100)]
        assert relay.call("echo", 7) == STORED
        assert relay.pending == 0
    delivered = [path for path in gateway.paths() if not path.startswith("GET /v1/down?")]
    assert delivered[:3] == ["GET /v1/offer", "POST /v1/hello", "POST /v1/frames"]
    assert {parse_frame(frame).epoch for frame in gateway.order} == {0, 1}


def test_without_a_data_centre_there_is_no_first_session(enclave: LocalEnclave) -> None:
    with pytest.raises(Unavailable, match="GET /v1/offer"), Relay(enclave, "http://127.0.0.1:1", timeout=2.0):
        pass


def test_store_and_forward_over_two_lives_of_the_host(gateway: Gateway, tmp_path: Path, pauses: Pauses) -> None:
    """The data centre is met once; then the host works without it, stops, starts again, and delivers everything."""
    with serving(gateway) as url, local_enclave(gateway.dc) as enclave, Relay(enclave, url, spool=tmp_path) as relay:
        relay.call("echo", 0)
    with local_enclave(gateway.dc) as enclave, Relay(enclave, url, spool=tmp_path, pause=pauses) as relay:
        assert relay.call("echo", 1) == Receipt(Fate.SPOOLED, 1)
        assert relay.send(enclave.call("echo", 2)) == Receipt(Fate.SPOOLED, 1)
        assert relay.pending == 2
    port = int(url.rpartition(":")[2])
    with local_enclave(gateway.dc) as enclave, serving(gateway, port), Relay(enclave, url, spool=tmp_path) as relay:
        assert relay.call("echo", 3) == STORED
    assert gateway.values() == [cbor2.dumps(number) for number in range(4)]
    assert len(gateway.accepts) == 3


def test_back_off_grows_and_ends_when_the_data_centre_answers(
    gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses
) -> None:
    with Relay(enclave, url, pause=pauses) as relay:
        gateway.next_answers["/v1/frames"] = [BUSY, BUSY, BUSY]
        assert relay.call("echo", 1).fate in (Fate.SPOOLED, Fate.STORED)
        for count in (1, 2, 3):
            pauses.wait_for(count)
            pauses.go()
        assert relay.flush(20.0) == 0
        assert relay.call("echo", 2) == STORED
    assert len(pauses.seconds) == 3
    assert all(0 <= seconds <= ceiling for seconds, ceiling in zip(pauses.seconds, (0.5, 1.0, 2.0), strict=True))
    assert gateway.values() == [cbor2.dumps(1), cbor2.dumps(2)]


def test_retry_after_is_the_least_wait(gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses) -> None:
    gateway.next_answers["/v1/hello"] = [UNDECIDABLE, UNDECIDABLE]
    with Relay(enclave, url, pause=pauses) as relay:
        pauses.wait_for(1)
        assert 7.0 <= pauses.seconds[0] <= 7.5
        assert relay.call("echo", 1) == Receipt(Fate.SPOOLED, 1)
        assert "POST /v1/frames" not in gateway.paths()
        pauses.go()
        assert relay.flush(20.0) == 0
    assert gateway.values() == [cbor2.dumps(1)]


def test_frames_of_a_session_wait_for_its_hello(
    gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses
) -> None:
    gateway.next_answers["/v1/hello"] = [BUSY]
    pauses.free = True
    with Relay(enclave, url, pause=pauses) as relay:
        relay.call("echo", 1)
        assert relay.flush(20.0) == 0
    paths = gateway.paths()
    assert paths.index("POST /v1/frames") > 1
    assert paths[1:3] == ["POST /v1/hello", "POST /v1/hello"]


def test_a_backlog_travels_in_batches_and_in_order(
    gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses
) -> None:
    with Relay(enclave, url, pause=pauses) as relay:
        gateway.next_answers["/v1/frames"] = [BUSY]
        for number in range(2500):
            relay._take(split_frames(enclave.call("echo", number)))
        pauses.wait_for(1)
        pauses.go()
        assert relay.flush(20.0) == 0
    assert gateway.values() == [cbor2.dumps(number) for number in range(2500)]
    bodies = [body for path, _, body in gateway.requests if path == "POST /v1/frames"]
    assert all(len(split_frames(body)) <= 1000 and len(body) <= 1024 * 1024 for body in bodies)
    kinds = {kind for path, kind, body in gateway.requests if path == "POST /v1/frames" and len(split_frames(body)) > 1}
    assert kinds == {"application/cbor-seq"}


def test_a_pending_session_gets_its_hello_again(
    gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses
) -> None:
    pauses.free = True
    with Relay(enclave, url, pause=pauses) as relay:
        pending = frames_answer(425, pending=[0])
        pending.headers["Retry-After"] = "3"
        gateway.next_answers["/v1/frames"] = [pending]
        relay.call("echo", 1)
        assert relay.flush(20.0) == 0
    assert 3.0 <= pauses.seconds[0] <= 3.5
    paths = gateway.paths()
    assert paths.count("POST /v1/hello") == 2
    assert gateway.values() == [cbor2.dumps(1)]


@pytest.mark.parametrize(("status", "name"), [(403, "refused"), (404, "unknown")])
def test_refused_frames_are_kept_and_a_new_session_is_made(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path, status: int, name: str
) -> None:
    with Relay(enclave, url, spool=tmp_path) as relay:
        assert relay.call("echo", 0) == STORED
        # A session that is unknown there gets its hello again first.
        gateway.next_answers["/v1/frames"] = [frames_answer(status, **{name: [0]})] * (2 if status == 404 else 1)
        message = enclave.call("echo", 1)
        assert relay.send(message) == Receipt(Fate.REFUSED, 1)
        assert [path.read_bytes() for path in relay.refused_files] == [message]
        gateway.wait_for(lambda: len(gateway.accepts) == 2)
        assert relay.call("echo", 2) == STORED
        assert relay.sessions == 2
    assert cbor2.dumps(2) in gateway.values()


def test_a_refused_frame_takes_no_other_with_it(
    gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses, tmp_path: Path
) -> None:
    pauses.free = True
    with Relay(enclave, url, pause=pauses, spool=tmp_path) as relay:
        assert relay.call("echo", 0) == STORED
        message = b"".join(enclave.call("echo", number) for number in (1, 2, 3))
        gateway.next_answers["/v1/frames"] = [frames_answer(403, refused=[1])]
        assert relay.send(message) == Receipt(Fate.REFUSED, 3)
        assert [path.read_bytes() for path in relay.refused_files] == [split_frames(message)[1]]
    assert gateway.values() == [cbor2.dumps(0), cbor2.dumps(1), cbor2.dumps(3)]


def test_an_endlessly_refusing_data_centre_does_not_cost_endless_sessions(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path
) -> None:
    with Relay(enclave, url, spool=tmp_path) as relay:
        relay.flush(20.0)
        gateway.next_answers["/v1/frames"] = [frames_answer(403, refused=[0])] * 20
        for number in range(8):
            assert relay.call("echo", number).fate is Fate.REFUSED
        assert relay.sessions <= MAX_ATTEMPTS


def test_a_rejected_enclave_is_told_to_its_host(gateway: Gateway, url: str, enclave: LocalEnclave) -> None:
    gateway.next_answers["/v1/hello"] = [rejected("WRONG_MEASUREMENT", "DEBUG_ENCLAVE")]
    with pytest.raises(HelloRejected) as told, Relay(enclave, url):
        pass
    assert told.value.reasons == ("WRONG_MEASUREMENT", "DEBUG_ENCLAVE")
    assert (told.value.id, told.value.report) == ("q-17", b"sealed")


def test_a_rejection_that_comes_late_refuses_what_was_spooled(
    gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses, tmp_path: Path
) -> None:
    gateway.next_answers["/v1/hello"] = [BUSY, BUSY, rejected("TCB_REVOKED")]
    with Relay(enclave, url, pause=pauses, spool=tmp_path) as relay:
        pauses.wait_for(1)
        early = enclave.call("echo", 1)
        assert relay.send(early) == Receipt(Fate.SPOOLED, 1)
        pauses.go()
        with pytest.raises(HelloRejected, match="TCB_REVOKED"):
            relay.flush(20.0)
        with pytest.raises(HelloRejected, match="TCB_REVOKED"):
            relay.call("echo", 2)
        with pytest.raises(HelloRejected, match="TCB_REVOKED"):
            relay.send(enclave.call("echo", 2))
        assert [path.read_bytes() for path in relay.refused_files] == [early]
        relay.renew()
        assert relay.call("echo", 3) == STORED
    assert gateway.values() == [cbor2.dumps(3)]


@pytest.mark.parametrize("reason", ["OFFER_EXPIRED", "OFFER_UNKNOWN", "SESSION_CONFLICT"])
def test_a_rejection_that_a_fresh_offer_mends_costs_no_one_anything(
    gateway: Gateway, url: str, enclave: LocalEnclave, reason: str
) -> None:
    gateway.next_answers["/v1/hello"] = [rejected(reason)]
    with Relay(enclave, url) as relay:
        gateway.wait_for(lambda: len(gateway.accepts) == 1)
        assert relay.call("echo", 1) == STORED
        assert relay.sessions == 2


def test_a_remedy_that_does_not_help_is_not_tried_for_ever(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path
) -> None:
    gateway.next_answers["/v1/hello"] = [rejected("OFFER_EXPIRED")] * 50
    with Relay(enclave, url, spool=tmp_path) as relay:
        gateway.wait_for(lambda: sum(path == "POST /v1/hello" for path, _, _ in gateway.requests) == MAX_ATTEMPTS)
        with pytest.raises(HelloRejected, match="OFFER_EXPIRED"):
            while True:
                relay.call("echo", 1)
        assert relay.sessions == MAX_ATTEMPTS


def test_an_accept_that_the_enclave_refuses_leads_to_a_new_session(
    gateway: Gateway, url: str, enclave: LocalEnclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = gateway.dc.accept

    def forged(hello: bytes, *, life: int) -> bytes:
        monkeypatch.setattr(gateway.dc, "accept", honest)
        accept = honest(hello, life=life)
        return accept[:-2] + bytes((accept[-2] ^ 1,)) + accept[-1:]

    monkeypatch.setattr(gateway.dc, "accept", forged)
    with Relay(enclave, url) as relay:
        gateway.wait_for(lambda: len(gateway.accepts) == 2)
        assert relay.call("echo", 1) == STORED
        assert relay.sessions == 2


def test_a_session_is_renewed_before_it_ends(gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path) -> None:
    now = [0.0]
    gateway.life = 1000
    with Relay(enclave, url, clock=lambda: now[0], spool=tmp_path) as relay:
        assert relay.call("echo", 1) == STORED
        now[0] = 899.0
        assert relay.call("echo", 2) == STORED
        assert relay.sessions == 1
        now[0] = 901.0
        relay.call("echo", 3)
        gateway.wait_for(lambda: len(gateway.accepts) == 2)
        assert relay.call("echo", 4) == STORED
        assert relay.sessions == 2
    assert gateway.values() == [cbor2.dumps(number) for number in (1, 2, 3, 4)]


def test_a_renewal_that_must_wait_does_not_hold_up_frames(
    gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses
) -> None:
    now = [0.0]
    gateway.life = 1000
    with Relay(enclave, url, clock=lambda: now[0], pause=pauses) as relay:
        assert relay.call("echo", 1) == STORED
        gateway.next_answers["/v1/offer"] = [UNDECIDABLE] * 3
        now[0] = 901.0
        for number in (2, 3, 4):
            assert relay.call("echo", number) == STORED
        assert gateway.paths().count("GET /v1/offer") == 2
        assert relay.sessions == 1
        now[0] = 909.0
        assert relay.call("echo", 5) == STORED
        assert gateway.paths().count("GET /v1/offer") == 3
        gateway.next_answers = {}
        now[0] = 1000.0
        relay.call("echo", 6)
        gateway.wait_for(lambda: len(gateway.accepts) == 2)
    assert pauses.seconds == []
    assert gateway.values() == [cbor2.dumps(number) for number in (1, 2, 3, 4, 5, 6)]


def test_frames_of_an_ended_session_are_still_delivered(
    gateway: Gateway, tmp_path: Path, enclave: LocalEnclave, pauses: Pauses
) -> None:
    """Another host life later, the hello is answered SESSION_ENDED; the frames go on, and are stored as late ones."""
    with serving(gateway) as url, Relay(enclave, url, spool=tmp_path, pause=pauses) as relay:
        relay.flush(20.0)
        gateway.next_answers["/v1/frames"] = [BUSY] * 9
        assert relay.call("echo", 1) == Receipt(Fate.SPOOLED, 1)
    gateway.next_answers = {"/v1/hello": [None, rejected("SESSION_ENDED")]}
    with serving(gateway) as url, local_enclave(gateway.dc) as other, Relay(other, url, spool=tmp_path) as relay:
        assert relay.flush(20.0) == 0
        assert relay.refused_files == []
    assert gateway.values() == [cbor2.dumps(1)]


def test_a_dead_enclave_does_not_stop_delivery(
    gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses, tmp_path: Path
) -> None:
    with Relay(enclave, url, pause=pauses, spool=tmp_path) as relay:
        relay.flush(20.0)
        gateway.next_answers["/v1/frames"] = [BUSY]
        relay.call("echo", 1)
        enclave.dead = True
        with pytest.raises(EnclaveDied):
            relay.call("echo", 2)
        pauses.go()
        assert relay.flush(20.0) == 0
        with pytest.raises(EnclaveDied):
            relay.renew()
    assert gateway.values() == [cbor2.dumps(1)]


def test_an_enclave_that_dies_before_its_accept_leaves_its_messages(
    gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses, tmp_path: Path
) -> None:
    gateway.next_answers["/v1/hello"] = [BUSY, BUSY]
    with Relay(enclave, url, pause=pauses, spool=tmp_path) as relay:
        pauses.wait_for(1)
        assert relay.call("echo", 1) == Receipt(Fate.SPOOLED, 1)
        enclave.dead = True
        pauses.go()
        assert relay.flush(20.0) == 0
    assert gateway.values() == [cbor2.dumps(1)]


def test_a_call_after_the_end_begins_a_new_session(gateway: Gateway, url: str, enclave: LocalEnclave) -> None:
    with Relay(enclave, url) as relay:
        assert relay.send(enclave.end()) == Receipt(Fate.STORED, 2), "a checkpoint and END"
        assert relay.call("echo", 1) == STORED
        assert relay.sessions == 2


def test_refusals_of_the_enclave_reach_the_caller(url: str, enclave: LocalEnclave) -> None:
    with Relay(enclave, url) as relay, pytest.raises(EnclaveRefused, match="unknown-call"):
        relay.call("password")


def test_an_older_offer_is_refused_by_the_enclave_and_the_session_lives(
    gateway: Gateway, url: str, enclave: LocalEnclave
) -> None:
    gateway.offer_epoch = 5
    with Relay(enclave, url) as relay:
        gateway.offer_epoch = 4
        with pytest.raises(EnclaveRefused, match="OFFER_TOO_OLD"):
            relay.renew()
        assert relay.call("echo", 1) == STORED
        assert relay.sessions == 1


def test_a_full_spool_stops_calls_before_they_are_made(
    gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses, tmp_path: Path
) -> None:
    with Relay(enclave, url, pause=pauses, spool=tmp_path, spool_limit_bytes=2000) as relay:
        relay.flush(20.0)
        gateway.next_answers["/v1/frames"] = [BUSY] * 9
        assert relay.call("echo", bytes(3000)).fate is Fate.SPOOLED
        sequence = enclave.status()["sequence"]
        with pytest.raises(SpoolFull, match="echo was not called"):
            relay.call("echo", 1)
        assert enclave.status()["sequence"] == sequence
        message = enclave.call("echo", 2)
        with pytest.raises(SpoolFull):
            relay.send(message)
        gateway.next_answers = {}
        assert relay.flush(20.0) == 0
        assert relay.send(message) == STORED
    assert gateway.values() == [cbor2.dumps(bytes(3000)), cbor2.dumps(2)]


@pytest.mark.parametrize(
    "message", [b"", b"hello", bytes(100), b"\xd0\x83\x58\x24\xa3\x01\x03\x04\x55" + bytes(60)], ids=len
)
def test_what_is_no_message_is_not_taken(gateway: Gateway, url: str, enclave: LocalEnclave, message: bytes) -> None:
    with Relay(enclave, url) as relay:
        with pytest.raises(Malformed, match="message"):
            relay.send(message)
        with pytest.raises(Malformed, match="message"):
            relay.send(enclave.call("echo", 1) + b"\xd0")
        assert relay.flush(20.0) == 0
    assert gateway.values() == []


def test_a_body_too_large_is_halved(gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses) -> None:
    pauses.free = True
    with Relay(enclave, url, pause=pauses) as relay:
        relay.flush(20.0)
        gateway.next_answers["/v1/frames"] = [Answer(413, b""), Answer(413, b"")]
        assert relay.send(b"".join(enclave.call("echo", number) for number in range(8))).frames == 8
        assert relay.flush(20.0) == 0
    sizes = [len(split_frames(body)) for path, _, body in gateway.requests if path == "POST /v1/frames"]
    assert sizes[-6:] == [8, 4, 2, 2, 2, 2]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(403, b"<html>blocked by a firewall</html>"),
        Answer(404, b"not here"),
        Answer(400, b'{"error":"malformed"}'),
        Answer(301, b"", {"Location": "http://elsewhere.example/"}),
        Answer(500, b""),
        Answer(200, b"OK"),
        frames_answer(200, stored=0),
        frames_answer(200, stored=1, pending=[0]),
        frames_answer(403, refused=[7]),
        frames_answer(403, refused="all"),
        frames_answer(403),
        Answer(200, b"x" * (1024 * 1024 + 1)),
    ],
)
def test_an_answer_that_says_nothing_deletes_nothing(
    gateway: Gateway, url: str, enclave: LocalEnclave, pauses: Pauses, answer: Answer
) -> None:
    pauses.free = True
    with Relay(enclave, url, pause=pauses) as relay:
        relay.flush(20.0)
        gateway.next_answers["/v1/frames"] = [answer]
        relay.call("echo", 1)
        assert relay.flush(20.0) == 0
        assert relay.refused_files == []
        assert len(pauses.seconds) == 1
    assert gateway.values() == [cbor2.dumps(1)]


def test_a_temporary_spool_stays_only_if_something_is_left(
    gateway: Gateway, enclave: LocalEnclave, pauses: Pauses, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with serving(gateway) as url, Relay(enclave, url) as relay:
        relay.call("echo", 1)
        folder = relay._folder
    assert folder is not None
    assert not folder.exists()
    with serving(gateway) as url, Relay(enclave, url, pause=pauses) as relay:
        relay.flush(20.0)
        gateway.next_answers["/v1/frames"] = [BUSY] * 9
        relay.call("echo", 2)
        folder = relay._folder
    assert folder is not None
    assert list(folder.glob("*.log"))
    assert "1 frames waiting, 0 refused" in caplog.text
    gateway.next_answers = {}
    with serving(gateway) as url, Relay(enclave, url, spool=folder) as relay:
        assert relay.flush(20.0) == 0
    assert gateway.values() == [cbor2.dumps(1), cbor2.dumps(2)]


@pytest.mark.parametrize("url", ["ftp://dc.example", "dc.example:8080", "http://", "http://a/?x=1", "http://me@a/"])
def test_urls_that_are_none(enclave: LocalEnclave, url: str) -> None:
    with pytest.raises(LocalProtocolError, match="url"):
        Relay(enclave, url)


def test_proxies_are_ignored(url: str, enclave: LocalEnclave, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Relay(enclave, url) as relay:
        assert relay.call("echo", 1) == STORED


def test_many_threads_may_send(gateway: Gateway, url: str, enclave: LocalEnclave) -> None:
    messages = [str(number) for number in range(40)]
    with Relay(enclave, url) as relay:
        made = [enclave.call("echo", message) for message in messages]
        fates: list[Fate] = []
        threads = [threading.Thread(target=lambda m=m: fates.append(relay.send(m).fate)) for m in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert fates == [Fate.STORED] * 40
    assert sorted(gateway.values()) == sorted(cbor2.dumps(message) for message in messages)


def test_another_data_centres_offer_is_refused(enclave: LocalEnclave) -> None:
    other = Gateway()
    other.dc = DataCentreSide()
    with serving(other) as url, pytest.raises(EnclaveRefused, match="OFFER_SIGNATURE"), Relay(enclave, url):
        pass
