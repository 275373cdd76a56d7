"""The SDK's side of sealed state: when it may be used, when it changes, and what an update does to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest

from intaglio.attest.base import SealPolicy
from intaglio.enclave import Enclave, StateUnconfirmed
from intaglio.enclave.loading import loaded
from intaglio.enclave.sealing import reseal, seal, sealed_at, unseal
from intaglio.enclave.serving import Service
from intaglio.errors import LocalProtocolError, Malformed, Rejected, Unavailable
from intaglio.reasons import Reason
from intaglio.wire.content import Record
from intaglio.wire.state import STATE_NAME, StateStep
from tests.enclave.world import DataCentreSide, FakeAttester

SCRIPT = b"""
from intaglio.enclave import Enclave, SealPolicy
from intaglio.wire.state import STATE_TYPE

enclave = Enclave()
state = enclave.sealed_state(SealPolicy.MRSIGNER)

@enclave.call
def add(text: str) -> str:
    state.update(state.value + text.encode())
    state.update(state.value + b";")
    return state.value.decode()

@enclave.call
def value() -> list:
    return [state.value, state.counter, state.confirmed]

@enclave.call
def fail() -> None:
    state.update(b"never")
    raise RuntimeError

@enclave.call
def forge() -> None:
    enclave.emit("intaglio.state", b"", STATE_TYPE)

@enclave.call
def large() -> bytes:
    state.update(b"never")
    return bytes(1_000_001)

@enclave.call
def too_much() -> None:
    state.update(bytes(8 * 1024 * 1024 + 1))

@enclave.receive
def received(name, content_type, value):
    state.update(state.value + value)
    if name == "fail":
        raise RuntimeError
    return bytes(600_000) if name == "large" else name
"""


class Inside:
    def __init__(self, service: Service, enclave: Enclave, dc: DataCentreSide) -> None:
        self.service = service
        self.dc = dc
        assert enclave.state is not None
        self.state = enclave.state

    def ask(self, *request: object) -> list[object]:
        answer: list[object] = cbor2.loads(cbor2.dumps(self.service.answer(cbor2.dumps(list(request)))))
        return answer

    def begin(self, blob: bytes | None = None) -> object:
        """A session; gives the blob to keep."""
        kind, kept = self.ask("restore", blob)
        assert kind == "restored"
        _, hello = self.ask("hello", self.dc.offer())
        assert isinstance(hello, bytes)
        assert self.ask("accept", self.dc.accept(hello))[0] == "accepted"
        return kept

    def call(self, name: str, *args: object) -> tuple[list[tuple[str, object]], bytes | None]:
        """Its records, decoded, and the blob."""
        kind, frames, *blob = self.ask("call", name, list(args), {})
        assert kind in ("frames", "sealed"), frames
        assert isinstance(frames, list)
        records = self.dc.records(b"".join(frames))
        kept = blob[0] if blob else None
        assert kept is None or isinstance(kept, bytes)
        return [(record.name, cbor2.loads(record.value)) for record in records], kept


@contextmanager
def running(dc: DataCentreSide, attester: FakeAttester | None = None) -> Iterator[Inside]:
    made = attester or FakeAttester({})
    files = {"meter.py": SCRIPT, "dc.pub": dc.pin.to_text().encode()}
    made = replace(made, files=files)
    with loaded(Path("elsewhere/meter.py"), made) as enclave:
        yield Inside(Service(enclave, made, os.urandom, "meter.py"), enclave, dc)


@pytest.fixture
def dc() -> DataCentreSide:
    return DataCentreSide()


def test_a_change_leaves_with_the_result_that_rests_on_it(dc: DataCentreSide) -> None:
    with running(dc) as inside:
        kept = inside.begin()
        assert isinstance(kept, bytes)
        first = inside.state.claim()
        (result, step), blob = inside.call("add", "a")
        assert result == ("add", "a;")
        assert step == (STATE_NAME, inside.state.claim().to_value())
        assert StateStep.of(step[1]).previous == first.hash
        assert blob is not None
        assert inside.call("value") == ([("value", [b"a;", 1, True])], None)
    with running(dc) as again:
        assert again.begin(blob) is None
        assert again.call("add", "b")[0][0] == ("add", "a;b;")


def test_the_claims_of_the_hello(dc: DataCentreSide) -> None:
    with running(dc) as inside:
        inside.begin()
        (opened,) = dc.opened
        assert opened.claims["state"] == inside.state.claim().to_value()
        assert opened.claims["continues"] is None
        inside.ask("hello", dc.offer())
        _, hello = inside.ask("hello", dc.offer())
        assert isinstance(hello, bytes)
        dc.accept(hello)
        assert dc.opened[1].claims["continues"] == opened.session, "the last that was accepted"


def test_before_the_accept_it_can_be_neither_read_nor_changed(dc: DataCentreSide) -> None:
    with running(dc) as inside:
        inside.ask("restore", None)
        _, hello = inside.ask("hello", dc.offer())
        assert isinstance(hello, bytes)
        accept = dc.accept(hello)
        for name, args in (("value", []), ("add", ["a"])):
            (record,), blob = inside.call(name, *args)
            assert isinstance(record[1], dict)
            assert record[1]["type"] == "StateUnconfirmed"
            assert blob is None
        assert inside.state.claim().counter == 0
        inside.ask("accept", accept)
        assert inside.call("add", "a")[1] is not None


def test_an_accept_that_does_not_name_the_state_is_no_session(dc: DataCentreSide) -> None:
    dc.keeps_states = False
    with running(dc) as inside:
        inside.ask("restore", None)
        _, hello = inside.ask("hello", dc.offer())
        assert isinstance(hello, bytes)
        answer = inside.ask("accept", dc.accept(hello))
        assert answer[:2] == ["error", f"rejected:{Reason.STATE_UNACKNOWLEDGED.name}"]
        assert inside.ask("call", "value", [], {})[1] == "no-session"
        assert not inside.state.confirmed


@pytest.mark.parametrize("call", ["fail", "forge", "large", "too_much"])
def test_a_call_that_fails_changes_nothing(dc: DataCentreSide, call: str) -> None:
    with running(dc) as inside:
        inside.begin()
        (record,), blob = inside.call(call)
        assert isinstance(record[1], dict)
        assert "type" in record[1]
        assert blob is None
        assert inside.call("value")[0] == [("value", [b"", 0, True])]


def test_a_state_that_can_not_be_sealed_undoes_the_call(dc: DataCentreSide, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise Unavailable("no key today")

    with running(dc) as inside:
        inside.begin()
        with monkeypatch.context() as patch:
            patch.setattr(FakeAttester, "seal_key", broken)
            (record,), blob = inside.call("add", "a")
        assert record == ("add", {"type": "Unavailable", "message": "the state could not be sealed"})
        assert blob is None
        assert inside.call("add", "b")[0][0] == ("add", "b;")


def test_order_of_the_host(dc: DataCentreSide) -> None:
    with running(dc) as inside:
        assert inside.ask("hello", dc.offer())[1] == "no-state"
        assert inside.ask("restore", 7)[1] == "bad-request"
        inside.begin()
        assert inside.ask("restore", None)[1] == "bad-request"


@pytest.mark.parametrize("blob", [b"", b"garbage", bytes(200)])
def test_a_blob_that_is_none(dc: DataCentreSide, blob: bytes) -> None:
    with running(dc) as inside:
        assert inside.ask("restore", blob)[1] == "bad-request"
        assert not inside.state.restored


def test_what_is_sealed_for_something_else_is_no_state(dc: DataCentreSide) -> None:
    attester = FakeAttester({})
    with running(dc, attester) as inside:
        for aad in (b"", b"state"):
            blob = seal(attester, b"anything", SealPolicy.MRSIGNER, aad)
            assert inside.ask("restore", blob)[1] == f"rejected:{Reason.SEAL_AUTHENTICATION.name}"


def test_an_update_seals_it_anew_as_the_next_number_and_the_older_version_is_out(dc: DataCentreSide) -> None:
    older, newer = FakeAttester({}, isv_svn=3), FakeAttester({}, mr_enclave=b"fixed", isv_svn=4)
    with running(dc, older) as inside:
        inside.begin()
        _, blob = inside.call("add", "a")
        before = inside.state.claim()
    with running(dc, newer) as inside:
        again = inside.begin(blob)
        assert isinstance(again, bytes)
        assert (sealed_at(again), inside.state.claim().counter) == (4, before.counter + 1)
        assert inside.state.claim().previous == before.hash
        assert inside.call("value")[0] == [("value", [b"a;", 2, True])]
    with running(dc, older) as inside:
        assert inside.ask("restore", again)[1] == f"rejected:{Reason.SEAL_AUTHENTICATION.name}"
    with running(dc, newer) as inside:
        assert inside.begin(again) is None


def test_a_record_from_the_data_centre_can_change_it(dc: DataCentreSide) -> None:
    with running(dc) as inside:
        inside.begin()
        (session,) = dc.accepted
        down = dc.accepted[session].down_sender(dc.opened[0].session)
        kind, _, blob = inside.ask("down", down.protect((Record("set", "text/plain", b"new"),)))
        assert kind == "sealed"
        assert blob
        assert inside.call("value")[0] == [("value", [b"new", 1, True])]


def test_one_frame_from_the_data_centre_is_one_step(dc: DataCentreSide) -> None:
    """Of two sealed before either frame left, a host that crashes then would have lost the first for good."""
    with running(dc) as inside:
        inside.begin()
        (session,) = dc.accepted
        down = dc.accepted[session].down_sender(dc.opened[0].session)
        sent = [Record(name, "text/plain", name[:1].encode()) for name in ("one", "fail", "two")]
        kind, frames, blob = inside.ask("down", down.protect(sent))
        assert kind == "sealed"
        assert isinstance(frames, list)
        records = dc.records(b"".join(frames))
        assert len(frames) == 1
        assert [record.name for record in records] == ["one", "fail", "two", STATE_NAME]
        assert StateStep.parse(records[-1].value).counter == 1
        assert inside.call("value")[0] == [("value", [b"ot", 1, True])]
    with running(dc) as inside:
        assert isinstance(blob, bytes)
        inside.begin(blob)
        assert inside.call("value")[0] == [("value", [b"ot", 1, True])]


def test_answers_that_are_too_many_together_change_nothing(dc: DataCentreSide) -> None:
    with running(dc) as inside:
        inside.begin()
        (session,) = dc.accepted
        down = dc.accepted[session].down_sender(dc.opened[0].session)
        kind, frames = inside.ask("down", down.protect([Record("large", "text/plain", b"x")] * 2))
        assert kind == "frames"
        assert isinstance(frames, list)
        (record,) = dc.records(b"".join(frames))
        assert cbor2.loads(record.value)["type"] == "Malformed"
        assert inside.call("value")[0] == [("value", [b"", 0, True])]


def test_what_is_kept_is_not_shown(dc: DataCentreSide) -> None:
    with running(dc) as inside:
        inside.begin()
        inside.call("add", "secret")
        assert "secret" not in repr(inside.state.__dict__)


def test_outside_an_enclave_there_is_no_state() -> None:
    enclave = Enclave()
    state = enclave.sealed_state()
    with pytest.raises(StateUnconfirmed):
        _ = state.value
    with pytest.raises(LocalProtocolError):
        state.restore(None)
    with pytest.raises(LocalProtocolError):
        state.claim()
    with pytest.raises(ValueError, match="one already"):
        enclave.sealed_state()
    with pytest.raises(LocalProtocolError, match="not inside"):
        enclave.reseal(b"")


def test_changes_are_for_calls(dc: DataCentreSide) -> None:
    with running(dc) as inside:
        inside.begin()
        with pytest.raises(LocalProtocolError, match="only during a call"):
            inside.state.update(b"")


# -- resealing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [SealPolicy.MRENCLAVE, SealPolicy.MRSIGNER])
def test_resealing_moves_a_blob_up_and_never_down(policy: SealPolicy) -> None:
    older, newer = FakeAttester({}, isv_svn=1), FakeAttester({}, isv_svn=2)
    blob = seal(older, b"secret", policy, b"aad")
    again = reseal(newer, blob, b"aad")
    assert again is not None
    assert (sealed_at(blob), sealed_at(again)) == (1, 2)
    assert unseal(newer, again, b"aad") == b"secret"
    assert reseal(newer, again, b"aad") is None
    assert reseal(older, blob, b"aad") is None
    with pytest.raises(Rejected) as refusal:
        reseal(older, again, b"aad")
    assert refusal.value.reason is Reason.SEAL_AUTHENTICATION
    with pytest.raises(Rejected):
        reseal(newer, blob, b"other")
    with pytest.raises(Malformed):
        sealed_at(blob[:20])
