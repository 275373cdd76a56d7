"""Two enclaves attest each other: what works, and in which order."""

import hashlib
from collections.abc import Callable
from itertools import product

import pytest

from intaglio.errors import LocalProtocolError, Malformed, Unavailable
from intaglio.reasons import Reason
from intaglio.session.machine import Event, State
from intaglio.session.peer import PEER_INITIATOR_TABLE, PEER_RESPONDER_TABLE, PeerResponder
from intaglio.types import ReportData, Tee
from intaglio.verify.verdict import Decision
from intaglio.wire import cbor
from intaglio.wire.content import Kind
from intaglio.wire.identity import Suite
from intaglio.wire.peer import PeerHello, PeerOffer, PeerOfferBody, PeerResult
from tests.session.peers import Meeting, judged
from tests.session.world import HUNDRED, NOON, FixedDraw, refused, value


def test_both_ends_learn_who_the_other_is_and_talk(suite: Suite) -> None:
    meeting = Meeting(suite)
    ours, theirs = meeting.meet()
    assert (ours.peer.workload, theirs.peer.workload) == ("north", "south")
    assert (ours.peer.tee, theirs.peer.tee) == (Tee.SGX, Tee.TDX)
    assert ours.session == theirs.session
    assert ours.result == theirs.result == PeerResult(NOON, "south")
    for number in range(3):
        assert theirs.open(ours.protect([HUNDRED, value(number)])).records == (HUNDRED, value(number))
        assert ours.open(theirs.protect([value(number)])).records == (value(number),)
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        assert receiver.open(sender.rekey()).kind is Kind.REKEY
        opened = receiver.open(sender.protect([HUNDRED]))
        assert (opened.epoch, opened.records) == (2, (HUNDRED,))
        assert receiver.open(sender.end()).kind is Kind.END


def test_all_64_bytes_of_report_data_are_what_the_text_says() -> None:
    meeting = Meeting()
    offer = meeting.responder.offer()
    body = PeerOffer.parse(offer).body
    hashed = hashlib.sha256(cbor.encode(["intaglio/1 peer-offer-body", body])).digest()
    message: list[cbor.Value] = ["intaglio/1 peer-offer-report-data", "sgx", "peer-responder", hashed]
    assert meeting.north.reported == [hashlib.sha512(cbor.encode(message)).digest()]
    meeting.initiator.hello(offer)
    assert len(meeting.south.reported) == 1
    assert len(meeting.south.reported[0]) == 64


def test_the_offer_says_for_whom_it_is_and_what_signs(suite: Suite) -> None:
    meeting = Meeting(suite)
    body = PeerOfferBody.parse(PeerOffer.parse(meeting.responder.offer()).body)
    assert (body.suite, body.audience, body.pin_hash) == (suite, meeting.north.pin.audience, meeting.north.pin.hash)
    assert (body.accept_keys.ml_dsa_65 is None) is (suite is Suite.ED25519)


def test_each_offer_has_keys_of_its_own() -> None:
    north = Meeting().north
    bodies = [PeerOfferBody.parse(PeerOffer.parse(north.responder(seed).offer()).body) for seed in ("a", "b")]
    for name in ("kem_key", "nonce", "accept_keys"):
        assert getattr(bodies[0], name) != getattr(bodies[1], name)


# -- order ---------------------------------------------------------------------------------------------------


def _responder_in(state: State, meeting: Meeting) -> Callable[[Event], object]:
    """Brings the responder into this state; returns what its steps are then."""
    model = Meeting()  # equal draws, so its hello fits
    hello = model.initiator.hello(model.responder.offer())
    end = meeting.responder
    if state is State.DEAD:
        with pytest.raises(LocalProtocolError):
            end.accept(hello)
    if state in (State.OFFERED, State.ESTABLISHED):
        end.offer()
    if state is State.ESTABLISHED:
        end.accept(hello)
    assert end.state is state
    return lambda event: end.offer() if event is Event.OFFER else end.accept(hello)


def _initiator_in(state: State, meeting: Meeting) -> Callable[[Event], object]:
    offer, end = meeting.responder.offer(), meeting.initiator
    accept = b""
    if state is State.DEAD:
        with pytest.raises(Malformed):
            end.hello(b"")
    if state in (State.OPENED, State.ESTABLISHED):
        accept, _ = meeting.responder.accept(end.hello(offer))
    if state is State.ESTABLISHED:
        end.accept(accept)
    assert end.state is state
    return lambda event: end.hello(offer) if event is Event.HELLO else end.accept(accept)


STATES = (State.NEW, State.OFFERED, State.OPENED, State.ESTABLISHED, State.DEAD)
CASES = [(True, *case) for case in product(STATES, (Event.OFFER, Event.HELLO)) if case[0] is not State.OPENED]
CASES += [(False, *case) for case in product(STATES, (Event.HELLO, Event.ACCEPT)) if case[0] is not State.OFFERED]


@pytest.mark.parametrize(("responder", "state", "event"), CASES, ids=str)
def test_the_tables(responder: bool, state: State, event: Event) -> None:
    meeting = Meeting()
    step = (_responder_in if responder else _initiator_in)(state, meeting)
    target = (PEER_RESPONDER_TABLE if responder else PEER_INITIATOR_TABLE).get((state, event))
    if target is None:
        with pytest.raises(LocalProtocolError):
            step(event)
    else:
        step(event)
    assert (meeting.responder if responder else meeting.initiator).state is (target or State.DEAD)


def test_a_failing_attester_kills_the_handshake() -> None:
    def quote(report_data: ReportData) -> bytes:
        raise Unavailable("no quote")

    meeting = Meeting()
    responder = PeerResponder(meeting.north.pin, Tee.SGX, meeting.north.judge, quote, FixedDraw("x"))
    with pytest.raises(Unavailable):
        responder.offer()
    assert responder.state is State.DEAD
    with pytest.raises(LocalProtocolError):
        responder.offer()


def test_a_hello_opens_one_session_and_a_bad_one_uses_the_offer_up() -> None:
    meeting = Meeting()
    offer = meeting.responder.offer()
    hello = meeting.initiator.hello(offer)
    _, channel = meeting.responder.accept(hello)
    with pytest.raises(LocalProtocolError):
        meeting.responder.accept(hello)
    assert channel.protect([HUNDRED]), "the session that there is goes on"

    meeting = Meeting()
    hello = meeting.initiator.hello(meeting.responder.offer())
    with pytest.raises(Malformed):
        meeting.responder.accept(hello[:-1])
    assert meeting.responder._offered is None, "its keys are gone"
    with pytest.raises(LocalProtocolError):
        meeting.responder.accept(hello)
    assert meeting.north.judged == []


def test_nothing_of_ours_goes_to_whoever_is_not_acceptable() -> None:
    meeting = Meeting()
    meeting.south.wants = "east"
    with refused(Reason.WRONG_MEASUREMENT):
        meeting.initiator.hello(meeting.responder.offer())
    assert meeting.south.reported == []


# -- the judge's word ----------------------------------------------------------------------------------------

NO: list[tuple[dict[str, object], Reason]] = [
    ({"decision": Decision.REJECTED, "reasons": (Reason.TCB_STATUS, Reason.ADVISORY)}, Reason.TCB_STATUS),
    (
        {"decision": Decision.UNDECIDABLE, "genuine": None, "reasons": (Reason.COLLATERAL_EXPIRED,)},
        Reason.COLLATERAL_EXPIRED,
    ),
    ({"decision": None, "genuine": False, "reasons": (Reason.QUOTE_SIGNATURE,)}, Reason.QUOTE_SIGNATURE),
]


@pytest.mark.parametrize(("changes", "reason"), NO, ids=str)
def test_what_the_judge_says_is_why(changes: dict[str, object], reason: Reason) -> None:
    meeting = Meeting()
    meeting.south.changes = changes
    with refused(reason):
        meeting.initiator.hello(meeting.responder.offer())

    meeting = Meeting()
    meeting.north.changes = changes
    hello = meeting.initiator.hello(meeting.responder.offer())
    with refused(reason):
        meeting.responder.accept(hello)


OTHER: list[dict[str, object]] = [
    {"decision": None},
    {"decision": Decision.UNDECIDABLE},
    {"genuine": None},
    {"genuine": False},
    {"identity": None},
    {"evidence_hash": bytes(32)},
    {"tee": Tee.NITRO},
]


@pytest.mark.parametrize("changes", OTHER, ids=str)
def test_a_verdict_without_a_decision_or_of_other_evidence_opens_nothing(changes: dict[str, object]) -> None:
    meeting = Meeting()
    meeting.south.changes = changes
    with pytest.raises(LocalProtocolError, match="verdict"):
        meeting.initiator.hello(meeting.responder.offer())

    meeting = Meeting()
    meeting.north.changes = changes
    hello = meeting.initiator.hello(meeting.responder.offer())
    with pytest.raises(LocalProtocolError, match="verdict"):
        meeting.responder.accept(hello)
    assert meeting.responder.state is State.DEAD


def test_the_verdict_of_the_evidence_before_does_not_serve() -> None:
    meeting = Meeting()
    first = PeerOffer.parse(meeting.north.responder("first").offer())
    kept = judged(first.tee, first.evidence, "north")
    initiator = meeting.south.initiator()
    initiator._judge = lambda *_: kept
    with pytest.raises(LocalProtocolError, match="other evidence"):
        initiator.hello(meeting.responder.offer())


# -- frames --------------------------------------------------------------------------------------------------


def test_frames_come_in_order_each_once_and_from_the_other_end() -> None:
    ours, theirs = Meeting().meet()
    first, second = ours.protect([value(1)]), ours.protect([value(2)])
    with refused(Reason.OUT_OF_ORDER):
        theirs.open(second)
    with refused(Reason.SESSION_UNKNOWN):
        ours.open(first)  # reflected
    with refused(Reason.FRAME_AUTHENTICATION):
        ours.open(first[:25] + b"\x01" + first[26:])  # reflected, and said to go the other way
    assert theirs.open(first).records == (value(1),)
    with refused(Reason.OUT_OF_ORDER):
        theirs.open(first)
    with refused(Reason.FRAME_AUTHENTICATION):
        theirs.open(second[:-1] + bytes((second[-1] ^ 1,)))
    assert theirs.open(second).records == (value(2),)


def test_a_frame_of_another_session_opens_nowhere() -> None:
    ours, _ = Meeting().meet()
    other = Meeting()
    other.initiator = other.south.initiator("another")
    _, theirs = other.meet()
    frame = ours.protect([HUNDRED])
    with refused(Reason.SESSION_UNKNOWN):
        theirs.open(frame)
    with refused(Reason.FRAME_AUTHENTICATION):
        theirs.open(frame[:9] + theirs.session + frame[25:])


def test_after_the_end_nothing_is_taken_or_sent() -> None:
    ours, theirs = Meeting().meet()
    last = ours.end()
    theirs.open(last)
    with refused(Reason.SESSION_ENDED):
        theirs.open(last)
    with pytest.raises(LocalProtocolError):
        ours.protect([HUNDRED])
    assert ours.open(theirs.protect([HUNDRED])).records == (HUNDRED,)


def test_a_hello_says_nothing_of_who_made_it() -> None:
    meeting = Meeting()
    hello = meeting.initiator.hello(meeting.responder.offer())
    assert b"south" not in hello
    assert PeerHello.parse(hello).sealed_evidence
