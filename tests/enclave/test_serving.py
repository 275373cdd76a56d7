"""What a host can get out of an enclave: protected frames, and nothing else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import intaglio
from intaglio.enclave import values
from intaglio.enclave.calls import CBOR, ERROR
from intaglio.enclave.loading import loaded
from intaglio.enclave.serving import Service
from intaglio.enclave.values import Plain
from intaglio.errors import Unavailable
from intaglio.session.sender import EPOCH_FRAMES
from intaglio.types import ReportData
from intaglio.wire.content import Kind, Record
from intaglio.wire.frame import parse_frame, split_frames
from tests.enclave.world import NOW, DataCentreSide, FakeAttester

SCRIPT = b"""
from intaglio.enclave import CallError, Enclave

enclave = Enclave(data_centre="dc.pub")
ran = []

@enclave.call
def get_size() -> int:
    ran.append(1)
    return 100

@enclave.call
def runs() -> int:
    return len(ran)

@enclave.call(name="meter.read")
def read_meter(serial: str, digits: int = 2) -> dict:
    return {"serial": serial, "kwh": 1.5, "digits": digits, "pair": (1, 2)}

@enclave.call
def known_failure():
    raise CallError("meter 7 does not answer")

@enclave.call
def unforeseen():
    password = "hunter2"
    raise RuntimeError(password)

@enclave.call
def several() -> None:
    enclave.emit("voltage", 230)
    enclave.emit("picture", b"\\x89PNG", "image/png")

@enclave.call
def half() -> None:
    enclave.emit("voltage", 230)
    raise ValueError

@enclave.call
def large(size: int) -> bytes:
    return bytes(size)

@enclave.call
def clock():
    import datetime
    return datetime.datetime(2026, 1, 1)

@enclave.receive
def received(name, content_type, value):
    return [name, content_type, value]
"""


class Host:
    """Asks a service the way the pipe does: encoded requests, decoded answers."""

    def __init__(self, dc: DataCentreSide, attester: FakeAttester, service: Service) -> None:
        self.dc = dc
        self.attester = attester
        self.service = service

    def ask(self, *request: object) -> list[Plain]:
        return self.service.answer(cbor2.dumps(list(request)))

    def ok(self, *request: object) -> Plain:
        kind, value = self.ask(*request)
        assert kind != "error", value
        return value

    def code(self, *request: object) -> str:
        kind, code, text = self.ask(*request)
        assert kind == "error"
        assert isinstance(code, str)
        assert isinstance(text, str)
        return code

    def hello(self, **offer: int) -> bytes:
        data = self.ok("hello", self.dc.offer(**offer))
        assert isinstance(data, bytes)
        return data

    def establish(self) -> list[bytes]:
        frames = self.ok("accept", self.dc.accept(self.hello()))
        assert isinstance(frames, list)
        return [frame for frame in frames if isinstance(frame, bytes)]

    def frames(self, *request: object) -> list[bytes]:
        frames = self.ok(*request)
        assert isinstance(frames, list)
        return [frame for frame in frames if isinstance(frame, bytes)]

    def call(self, name: str, *args: object, **kwargs: object) -> list[Record]:
        return self.dc.records(b"".join(self.frames("call", name, list(args), kwargs)))


def _host() -> Iterator[Host]:
    dc = DataCentreSide()
    attester = FakeAttester({"meter.py": SCRIPT, "dc.pub": dc.pin.to_text().encode()})
    with loaded(Path("elsewhere/meter.py"), attester) as enclave:
        yield Host(dc, attester, Service(enclave, attester, os.urandom, "meter.py"))


host = pytest.fixture(_host, name="host")


def error(record: Record) -> tuple[str, str]:
    assert record.content_type == ERROR
    body = cbor2.loads(record.value)
    assert set(body) == {"type", "message"}
    return body["type"], body["message"]


def test_a_value_reaches_the_data_centre_and_not_the_host(host: Host) -> None:
    host.establish()
    message = b"".join(host.frames("call", "get_size", [], {}))
    assert cbor2.dumps(100) not in message.replace(message[:41], b"")
    assert host.dc.records(message) == [Record("get_size", CBOR, cbor2.dumps(100))]


def test_the_hello_claims_sdk_and_script(host: Host) -> None:
    host.establish()
    assert host.dc.opened[0].claims == {"sdk": f"intaglio/{intaglio.__version__}", "name": "meter.py"}


def test_epoch_0_frames_and_the_farewell_open_after_the_accept(host: Host) -> None:
    hello = host.hello()
    early = b"".join(host.frames("call", "get_size", [], {}))
    farewell = host.frames("accept", host.dc.accept(hello))
    assert len(farewell) == 1
    assert [r.value for r in host.dc.records(early + farewell[0])] == [cbor2.dumps(100)]
    assert host.call("get_size")[0].value == cbor2.dumps(100)


def test_arguments_names_and_defaults(host: Host) -> None:
    host.establish()
    (record,) = host.call("meter.read", "A-7", digits=3)
    assert record.name == "meter.read"
    assert cbor2.loads(record.value) == {"serial": "A-7", "kwh": 1.5, "digits": 3, "pair": [1, 2]}


@pytest.mark.parametrize(
    ("args", "kwargs"), [([], {}), (["a", 1, 2], {}), ([7], {}), (["a"], {"colour": 1}), (["a"], {"digits": True})]
)
def test_arguments_that_do_not_fit_become_a_protected_error(
    host: Host, args: list[object], kwargs: dict[str, object]
) -> None:
    host.establish()
    (record,) = host.call("meter.read", *args, **kwargs)
    assert error(record)[0] == "ArgumentError"


def test_the_author_speaks_to_the_data_centre_by_call_error(host: Host) -> None:
    host.establish()
    assert error(host.call("known_failure")[0]) == ("CallError", "meter 7 does not answer")


def test_an_unforeseen_error_says_its_class_alone(host: Host) -> None:
    host.establish()
    assert error(host.call("unforeseen")[0]) == ("RuntimeError", "RuntimeError")


def test_success_and_error_look_alike_to_the_host(host: Host) -> None:
    host.establish()
    for name in ("get_size", "known_failure", "unforeseen", "several", "clock"):
        assert len(host.frames("call", name, [], {})) == 1


def test_emitted_records_share_the_frame_of_the_result(host: Host) -> None:
    host.establish()
    assert host.call("several") == [
        Record("voltage", CBOR, cbor2.dumps(230)),
        Record("picture", "image/png", b"\x89PNG"),
        Record("several", CBOR, cbor2.dumps(None)),
    ]


def test_records_emitted_before_an_error_are_kept(host: Host) -> None:
    host.establish()
    first, second = host.call("half")
    assert first.name == "voltage"
    assert error(second)[0] == "ValueError"


def test_what_is_no_plain_value_or_too_large_becomes_a_protected_error(host: Host) -> None:
    host.establish()
    assert "datetime is not a plain value" in error(host.call("clock")[0])[1]
    assert len(host.call("large", 999_000)[0].value) > 999_000
    assert error(host.call("large", 1_000_000)[0])[0] == "Malformed"


def test_the_host_learns_which_calls_exist(host: Host) -> None:
    host.establish()
    assert host.code("call", "get_password", [], {}) == "unknown-call"
    assert host.ok("calls") == sorted(
        ["get_size", "runs", "meter.read", "known_failure", "unforeseen", "several", "half", "large", "clock"]
    )


def test_nothing_leaves_before_a_session(host: Host) -> None:
    for request in (["call", "get_size", [], {}], ["rekey"], ["end"], ["down", b""], ["accept", b""]):
        assert host.code(*request) == "no-session"
    assert host.ok("status") == {"state": "none", "sessions": 0}


@pytest.mark.parametrize(
    "request_",
    [
        [], ["quote", bytes(64)], ["evidence", bytes(64)], ["report", bytes(64)], ["hello"], ["hello", "text"],
        ["hello", b"", bytes(64)], ["accept", 1], ["call", "get_size"], ["call", "get_size", {}, []],
        ["call", b"get_size", [], {}], ["call", "get_size", [], {1: 2}], ["status", 1], "status", 7, None, {"call": 1},
    ],
)  # fmt: skip
def test_no_request_but_a_hello_reaches_the_attester(host: Host, request_: object) -> None:
    host.establish()
    asked = list(host.attester.quoted)
    kind, code, _ = host.service.answer(cbor2.dumps(request_))
    assert (kind, code) == ("error", "bad-request")
    assert host.attester.quoted == asked


REQUESTS = st.lists(
    st.one_of(
        st.sampled_from(["hello", "accept", "call", "down", "rekey", "end", "status", "calls", "quote", "get_size"]),
        st.binary(max_size=80),
        st.integers(),
        st.lists(st.integers(0, 9), max_size=2),
        st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
    ),
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), REQUESTS.map(cbor2.dumps)), max_size=8))
def test_whatever_a_host_sends_is_answered_and_nothing_it_chose_is_quoted(requests: list[bytes]) -> None:
    with contextmanager(_host)() as host:
        frames = host.establish()
        for request in requests:
            answer = host.service.answer(request)
            assert answer[0] in ("frames", "status", "calls", "error")
            values.encode(answer, "answer")
        frames += host.establish()
        assert len(host.dc.records(frames[0])) == 0
        assert host.attester.quoted == [opened.report_data for opened in host.dc.opened]
        assert len(host.attester.quoted) == 2


def test_evidence_is_only_made_over_the_transcript(host: Host) -> None:
    """The host's bytes are in the offer alone; the report data is what the data centre computes from the hello."""
    host.establish()
    host.establish()
    assert host.attester.quoted == [opened.report_data for opened in host.dc.opened]


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\x81", b"\x82\x65hello", cbor2.dumps(["status"]) + b"\x00", b"\x9f\xff"]
)
def test_garbage_is_a_bad_request(host: Host, data: bytes) -> None:
    kind, code, _ = host.service.answer(data)
    assert (kind, code) == ("error", "bad-request")


def test_an_offer_of_another_data_centre_is_refused(host: Host) -> None:
    assert host.code("hello", DataCentreSide().offer()) == "rejected:OFFER_SIGNATURE"
    assert host.code("hello", b"offer") == "rejected:MALFORMED_MESSAGE"
    assert host.attester.quoted == []


def test_an_accept_of_another_data_centre_is_refused_and_epoch_0_goes_on(host: Host) -> None:
    hello = host.hello()
    accept = bytearray(host.dc.accept(hello))
    accept[-40] ^= 1
    assert host.code("accept", bytes(accept)) in ("rejected:ACCEPT_SIGNATURE", "rejected:MALFORMED_MESSAGE")
    assert host.code("accept", host.dc.accept(hello)) == "no-session"
    assert host.call("get_size")[0].value == cbor2.dumps(100)


def test_the_highest_offer_epoch_is_kept_across_sessions(host: Host) -> None:
    host.hello(epoch=5)
    assert host.code("hello", host.dc.offer(epoch=4)) == "rejected:OFFER_TOO_OLD"
    host.hello(epoch=5)


def test_epoch_0_has_a_limit_and_the_call_does_not_run_beyond_it(host: Host) -> None:
    hello = host.hello(epoch0_limit=2)
    early = [*host.frames("call", "get_size", [], {}), *host.frames("call", "get_size", [], {})]
    assert host.code("call", "get_size", [], {}) == "exhausted"
    early += host.frames("accept", host.dc.accept(hello))
    assert len(host.dc.records(b"".join(early))) == 2
    assert cbor2.loads(host.call("runs")[0].value) == 2


def test_a_full_epoch_is_rekeyed_before_the_next_frame(host: Host) -> None:
    host.establish()
    sender = host.service._sender()
    assert sender.left == EPOCH_FRAMES - 1
    sender._room = 1
    assert len(host.frames("call", "get_size", [], {})) == 1
    frames = host.frames("call", "get_size", [], {})
    assert [parse_frame(frame).epoch for frame in frames] == [1, 2]


def test_the_host_can_ask_for_a_rekey(host: Host) -> None:
    farewell = host.establish()
    host.dc.records(farewell[0])
    assert host.dc.records(host.frames("rekey")[0]) == []
    assert host.call("get_size")[0].value == cbor2.dumps(100)
    status = host.ok("status")
    assert isinstance(status, dict)
    assert status["epoch"] == 2


def kinds(host: Host, frames: list[bytes]) -> list[Kind]:
    """What these frames of the session hold, opened in the order given."""
    return [host.dc.take(frame).kind for frame in frames]


def test_checkpoints_leave_when_they_are_due(host: Host) -> None:
    frames = host.establish()
    for _ in range(600):
        frames += host.frames("call", "get_size", [], {})
    found = kinds(host, frames)
    at = [place for place, kind in enumerate(found) if kind is Kind.CHECKPOINT]
    assert at == [255, 510]
    assert len(found) == 603


def test_a_heartbeat_says_that_nothing_happened(host: Host) -> None:
    assert host.code("heartbeat") == "no-session"
    host.hello()
    assert host.code("heartbeat") == "no-session"
    frames = host.establish()
    assert kinds(host, frames) == [Kind.REKEY]
    for _ in range(2):
        assert kinds(host, host.frames("heartbeat")) == [Kind.CHECKPOINT]
    host.service._sender()._room = 0
    assert kinds(host, host.frames("heartbeat")) == [Kind.REKEY, Kind.CHECKPOINT]


def test_a_session_ends_with_a_checkpoint_unless_there_is_nothing_new(host: Host) -> None:
    host.dc.take(host.establish()[0])
    kinds(host, host.frames("call", "get_size", [], {}))
    assert kinds(host, host.frames("end")) == [Kind.CHECKPOINT, Kind.END]
    host.dc.take(host.establish()[0])
    kinds(host, host.frames("heartbeat"))
    assert kinds(host, host.frames("end")) == [Kind.END]


def test_what_epoch_0_holds_is_proven_when_it_is_full(host: Host) -> None:
    host.hello(epoch0_limit=2)
    frames = [*host.frames("call", "get_size", [], {}), *host.frames("call", "get_size", [], {})]
    assert len(frames) == 3
    assert host.code("call", "get_size", [], {}) == "exhausted"


def test_a_new_hello_ends_the_session_before_it_and_loses_nothing(host: Host) -> None:
    first = host.establish()
    made = host.frames("call", "get_size", [], {})
    frames = host.establish()
    assert len(frames) == 3, "a checkpoint, END, and the farewell of the next"
    old, same, new = (parse_frame(frame).session for frame in frames)
    assert old == same
    assert old == parse_frame(first[0]).session != new
    assert [r.value for r in host.dc.records(b"".join([*first, *made, *frames]))] == [cbor2.dumps(100)]
    assert parse_frame(host.frames("call", "get_size", [], {})[0]).session == new


def test_a_refused_offer_leaves_the_session_alone(host: Host) -> None:
    host.establish()
    assert host.code("hello", DataCentreSide().offer()) == "rejected:OFFER_SIGNATURE"
    assert host.call("get_size")[0].value == cbor2.dumps(100)


def test_an_attester_that_is_not_ready_leaves_the_session_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(report_data: ReportData) -> bytes:
        raise Unavailable("the quoting enclave restarts")

    host.establish()
    monkeypatch.setattr(host.attester, "evidence", unavailable)
    assert host.code("hello", host.dc.offer()) == "unavailable"
    assert host.call("get_size")[0].value == cbor2.dumps(100)


def test_after_the_end_nothing_leaves(host: Host) -> None:
    frames = host.establish()
    frames += host.frames("end")
    assert host.dc.records(b"".join(frames)) == []
    assert host.code("call", "get_size", [], {}) == "no-session"
    assert host.code("end") == "no-session"
    assert host.ok("status") == {"state": "none", "sessions": 1}
    assert len(host.establish()) == 1


def test_status_shows_the_data_centres_times(host: Host) -> None:
    host.hello()
    status = host.ok("status")
    assert isinstance(status, dict)
    assert status["state"] == "opened"
    assert "expires" not in status
    host.establish()
    status = host.ok("status")
    assert isinstance(status, dict)
    assert (status["state"], status["time"], status["expires"]) == ("established", NOW, NOW + 3600)
    assert set(status) == {"state", "sessions", "session", "epoch", "sequence", "left", "time", "expires", "down"}


def test_records_from_the_data_centre_reach_the_script_in_order(host: Host) -> None:
    host.establish()
    session = host.dc.opened[0].session
    down = host.dc.accepted[session].down_sender(session)
    first, second = (down.protect([Record(name, "text/plain", b"on")]) for name in ("relay-1", "relay-2"))
    assert host.code("down", second) == "rejected:OUT_OF_ORDER"
    (answer,) = host.dc.records(b"".join(host.frames("down", first)))
    assert (answer.name, cbor2.loads(answer.value)) == ("relay-1", ["relay-1", "text/plain", b"on"])
    assert host.code("down", first) == "rejected:OUT_OF_ORDER"
    assert len(host.frames("down", second)) == 1
    assert host.frames("down", down.rekey()) == []
    assert host.frames("down", down.end()) == []
    assert host.code("down", first) == "rejected:SESSION_ENDED"


def test_every_answer_is_one_the_host_can_split(host: Host) -> None:
    frames = host.establish()
    message = b"".join([*frames, *host.frames("call", "several", [], {})])
    assert b"".join(split_frames(message)) == message
