"""What two hosts, and the network between them, can try on enclaves that attest each other."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from intaglio.errors import LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session import kem, peer_schedule, schedule
from intaglio.session.machine import State
from intaglio.session.peer import PeerInitiator
from intaglio.session.signing import SigningKeys
from intaglio.types import SessionId, Tee
from intaglio.verify.verdict import evidence_hash
from intaglio.wire.hello import Hello, Role, SealedEvidence
from intaglio.wire.identity import PublicKeys, Suite
from intaglio.wire.peer import PeerAccept, PeerHello, PeerOffer, PeerOfferBody
from tests.session.peers import Meeting, edited, evidence_of, flipped
from tests.session.world import FixedDraw, World, keys, pin_of, refused

DRAW = FixedDraw("attacker")
THIEF = kem.KemPrivateKey.generate(DRAW)
FORGER = SigningKeys.generate(DRAW)


# -- a host edits --------------------------------------------------------------------------------------------

BODIES: list[tuple[dict[str, object], Reason]] = [
    ({"suite": Suite.ED25519_ML_DSA_65, "accept_keys": FORGER.public}, Reason.REPORT_DATA),
    ({"kem_key": THIEF.public}, Reason.REPORT_DATA),
    ({"nonce": bytes(32)}, Reason.REPORT_DATA),
    ({"accept_keys": PublicKeys(FORGER.public.ed25519)}, Reason.REPORT_DATA),
    ({"pin_hash": bytes(32)}, Reason.WRONG_PIN),
    ({"audience": "elsewhere"}, Reason.AUDIENCE_MISMATCH),
]


@pytest.mark.parametrize(("changes", "reason"), BODIES, ids=lambda case: str(case)[:40])
def test_each_field_of_an_offers_body(changes: dict[str, object], reason: Reason) -> None:
    meeting = Meeting()
    with refused(reason):
        meeting.initiator.hello(edited(meeting.responder.offer(), **changes))
    assert meeting.initiator.state is State.DEAD
    assert meeting.south.reported == []


OFFERS: list[tuple[Callable[[PeerOffer], PeerOffer], Reason]] = [
    (lambda offer: replace(offer, evidence=flipped(offer.evidence)), Reason.QUOTE_SIGNATURE),
    (lambda offer: replace(offer, tee=Tee.TDX), Reason.MALFORMED_EVIDENCE),
]


@pytest.mark.parametrize(("edit", "reason"), OFFERS)
def test_what_stands_beside_an_offers_body(edit: Callable[[PeerOffer], PeerOffer], reason: Reason) -> None:
    meeting = Meeting()
    with refused(reason):
        meeting.initiator.hello(edit(PeerOffer.parse(meeting.responder.offer())).encode())


def test_a_weaker_suite_than_the_pin_demands() -> None:
    weak, strong = Meeting(), Meeting(Suite.ED25519_ML_DSA_65)
    with refused(Reason.SUITE_TOO_WEAK):
        strong.initiator.hello(weak.responder.offer())


def test_an_offer_of_an_enclave_of_another_data_centre() -> None:
    meeting = Meeting()
    meeting.south.pin = pin_of(Suite.ED25519, "other")
    with refused(Reason.WRONG_PIN):
        meeting.south.initiator().hello(meeting.responder.offer())


HELLOS: list[tuple[dict[str, object], Reason]] = [
    ({"suite": Suite.ED25519_ML_DSA_65}, Reason.OFFER_UNKNOWN),
    ({"offer_hash": bytes(32)}, Reason.OFFER_UNKNOWN),
    ({"session": SessionId(bytes(16))}, Reason.HELLO_AUTHENTICATION),
    ({"kem_ciphertext": bytes(1168)}, Reason.HELLO_AUTHENTICATION),
    ({"reply_key": THIEF.public}, Reason.HELLO_AUTHENTICATION),
    ({"sealed_evidence": bytes(64)}, Reason.HELLO_AUTHENTICATION),
]


@pytest.mark.parametrize(("changes", "reason"), HELLOS, ids=lambda case: str(case)[:40])
def test_each_field_of_a_hello(changes: dict[str, object], reason: Reason) -> None:
    meeting = Meeting()
    hello = PeerHello.parse(meeting.initiator.hello(meeting.responder.offer()))
    with refused(reason):
        meeting.responder.accept(replace(hello, **changes).encode())  # type: ignore[arg-type]
    assert meeting.responder.state is State.DEAD
    assert meeting.north.judged == []


ACCEPTS: list[tuple[dict[str, object], Reason]] = [
    ({"session": SessionId(bytes(16))}, Reason.ACCEPT_AUTHENTICATION),
    ({"kem_ciphertext": bytes(1168)}, Reason.ACCEPT_SIGNATURE),
    ({"sealed_result": bytes(32)}, Reason.ACCEPT_SIGNATURE),
]


@pytest.mark.parametrize(("changes", "reason"), ACCEPTS, ids=lambda case: str(case)[:40])
def test_each_field_of_an_accept(suite: Suite, changes: dict[str, object], reason: Reason) -> None:
    meeting = Meeting(suite)
    data, _ = meeting.responder.accept(meeting.initiator.hello(meeting.responder.offer()))
    with refused(reason):
        meeting.initiator.accept(replace(PeerAccept.parse(data), **changes).encode())  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError):
        meeting.initiator.accept(data)


def test_the_signature_of_an_accept(suite: Suite) -> None:
    meeting = Meeting(suite)
    data, _ = meeting.responder.accept(meeting.initiator.hello(meeting.responder.offer()))
    accept = PeerAccept.parse(data)
    with refused(Reason.ACCEPT_SIGNATURE):
        meeting.initiator.accept(replace(accept, signature=flipped(accept.signature)).encode())


def test_evidence_that_a_host_spelled_anew_and_that_still_verifies() -> None:
    """An ECDSA signature has two spellings. The initiator can't tell; the responder knows what it offered."""
    meeting = Meeting()
    offer = PeerOffer.parse(meeting.responder.offer())
    spelled, strict, initiator = offer.evidence + b"!", meeting.south.judge, meeting.south.initiator()
    meeting.south.changes = {"evidence_hash": evidence_hash(spelled)}
    initiator._judge = lambda tee, evidence: strict(tee, evidence.removesuffix(b"!"))
    hello = initiator.hello(replace(offer, evidence=spelled).encode())
    with refused(Reason.OFFER_UNKNOWN):
        meeting.responder.accept(hello)


def test_any_other_byte_on_the_way_is_refused_by_one_end() -> None:
    """What the initiator can't notice in an offer, the responder does in the hello; nobody gets a session."""
    meeting = Meeting()
    offer = meeting.responder.offer()
    hello = meeting.initiator.hello(offer)
    kept = meeting.initiator._secrets
    accept, _ = _again().responder.accept(hello)
    refusals = (Malformed, Rejected)
    for at in range(0, len(offer), 3):
        with pytest.raises(refusals):
            _again().responder.accept(meeting.south.initiator().hello(_changed(offer, at)))
    for at in range(0, len(hello), 23):
        with pytest.raises(refusals):
            _again().responder.accept(_changed(hello, at))
    for at in range(0, len(accept), 11):
        with pytest.raises(refusals):
            meeting.initiator.accept(_changed(accept, at))
        meeting.initiator._machine.state, meeting.initiator._secrets = State.OPENED, kept  # as it was before
    assert meeting.initiator.accept(accept).peer.workload == "north"


def _again() -> Meeting:
    """Equal draws make an equal offer."""
    meeting = Meeting()
    meeting.responder.offer()
    return meeting


def _changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :]


# -- evidence of something else ------------------------------------------------------------------------------


def test_the_evidence_of_another_offer() -> None:
    meeting = Meeting()
    one, two = (PeerOffer.parse(meeting.north.responder(seed).offer()) for seed in ("one", "two"))
    with refused(Reason.REPORT_DATA):
        meeting.initiator.hello(replace(one, evidence=two.evidence).encode())


def test_an_offer_proven_by_report_data_of_zeros_or_of_a_session_with_the_data_centre() -> None:
    world = World()
    world.greet()
    for report_data in (bytes(64), bytes(world.reported[0])):
        meeting = Meeting()
        offer = PeerOffer.parse(meeting.responder.offer())
        with refused(Reason.REPORT_DATA):
            meeting.initiator.hello(replace(offer, evidence=evidence_of(Tee.SGX, "north", report_data)).encode())


class Forgery:
    """A hello that somebody without an enclave makes: every key is right, and the evidence is what it can find."""

    def __init__(self, meeting: Meeting) -> None:
        self.offer = meeting.responder.offer()
        found = PeerOffer.parse(self.offer)
        ss, ciphertext = kem.encapsulate(PeerOfferBody.parse(found.body).kem_key, kem.INFO_PEER_OFFER, DRAW)
        name = PeerOffer.hash(self.offer)
        self.bare = PeerHello(Suite.ED25519, name, SessionId(DRAW(16)), ciphertext, THIEF.public, b"")
        self.th = peer_schedule.transcript(self.bare, evidence_hash(found.evidence))
        self.ck1 = schedule.secret_of_hello(self.th, ss)

    def report_data(self, role: Role, tee: Tee = Tee.TDX) -> bytes:
        return schedule.report_data(tee, role, self.th, schedule.confirmation(self.ck1, self.th))

    def hello(self, evidence: bytes, role: Role = Role.PEER_INITIATOR, tee: Tee = Tee.TDX) -> bytes:
        hidden = SealedEvidence(tee, role, evidence).encode()
        sealed = schedule.seal_once(schedule.evidence_key(self.ck1, self.th), hidden, self.th)
        return replace(self.bare, sealed_evidence=sealed).encode()


def test_the_forgery_would_pass_with_evidence_for_it() -> None:
    """So what the tests below break is the only thing that is broken."""
    meeting = Meeting()
    forgery = Forgery(meeting)
    evidence = evidence_of(Tee.TDX, "south", forgery.report_data(Role.PEER_INITIATOR))
    _, channel = meeting.responder.accept(forgery.hello(evidence))
    assert channel.peer.workload == "south"


@pytest.mark.parametrize("role", [Role.ENCLAVE, Role.PEER_RESPONDER])
def test_a_hello_with_evidence_of_another_role(role: Role) -> None:
    meeting = Meeting()
    forgery = Forgery(meeting)
    evidence = evidence_of(Tee.TDX, "south", forgery.report_data(role))
    with refused(Reason.REPORT_DATA):
        meeting.responder.accept(forgery.hello(evidence))

    meeting = Meeting()
    forgery = Forgery(meeting)
    with pytest.raises(Malformed) as caught:
        meeting.responder.accept(forgery.hello(evidence, role))
    assert caught.value.field == "hello.role"


def test_a_hello_with_genuine_evidence_of_other_sessions() -> None:
    """Of an earlier hello of the wanted enclave, of its own offer, and of the offer that is answered."""
    earlier = Meeting()
    earlier.initiator.hello(earlier.north.responder("earlier").offer())
    earlier.south.responder().offer()
    for report_data in (*earlier.south.reported, bytes(64)):
        meeting = Meeting()
        with refused(Reason.REPORT_DATA):
            meeting.responder.accept(Forgery(meeting).hello(evidence_of(Tee.TDX, "south", report_data)))
    meeting = Meeting()
    meeting.north.wants = "north"
    forgery = Forgery(meeting)
    with refused(Reason.REPORT_DATA):
        meeting.responder.accept(forgery.hello(PeerOffer.parse(forgery.offer).evidence, tee=Tee.SGX))


def test_evidence_named_as_another_tees() -> None:
    meeting = Meeting()
    forgery = Forgery(meeting)
    evidence = evidence_of(Tee.TDX, "south", forgery.report_data(Role.PEER_INITIATOR, Tee.SGX))
    with refused(Reason.MALFORMED_EVIDENCE):
        meeting.responder.accept(forgery.hello(evidence, tee=Tee.SGX))


def test_a_peers_hello_is_none_to_a_data_centre_and_the_other_way_round() -> None:
    meeting, world = Meeting(), World()
    hello = meeting.initiator.hello(meeting.responder.offer())
    with pytest.raises(Malformed):
        Hello.parse(hello)
    with pytest.raises(Malformed):
        meeting.responder.accept(world.greet()[1])
    with pytest.raises(Malformed):
        meeting.south.initiator().hello(world.made.data)


# -- reflection ----------------------------------------------------------------------------------------------


def test_an_enclave_is_handed_its_own_offer() -> None:
    """Where two hospitals run one image, measurements can't tell them apart."""
    meeting = Meeting()
    meeting.north.wants = "north"
    offer = meeting.responder.offer()
    with refused(Reason.OWN_OFFER):
        meeting.north.initiator(own=(PeerOffer.hash(offer),)).hello(offer)
    other = meeting.north.responder("elsewhere").offer()
    assert meeting.north.initiator(own=(PeerOffer.hash(offer),)).hello(other)


def test_messages_do_not_pass_for_one_another() -> None:
    meeting = Meeting()
    offer = meeting.responder.offer()
    hello = meeting.initiator.hello(offer)
    with pytest.raises(Malformed):
        meeting.south.initiator().hello(hello)
    with pytest.raises(Malformed):
        meeting.initiator.accept(hello)
    other = meeting.north.responder("other")
    other.offer()
    with pytest.raises(Malformed):
        other.accept(offer)


# -- replay --------------------------------------------------------------------------------------------------


def test_a_hello_to_another_offer() -> None:
    meeting = Meeting()
    hello = meeting.initiator.hello(meeting.responder.offer())
    other = meeting.north.responder("other")
    name = PeerOffer.hash(other.offer())
    with refused(Reason.OFFER_UNKNOWN):
        other.accept(hello)
    other = meeting.north.responder("other")
    other.offer()
    with refused(Reason.HELLO_AUTHENTICATION):
        other.accept(replace(PeerHello.parse(hello), offer_hash=name).encode())


def test_an_accept_of_an_earlier_session() -> None:
    meeting = Meeting()
    old, _ = meeting.responder.accept(meeting.initiator.hello(meeting.responder.offer()))
    for session_too in (False, True):
        responder, initiator = meeting.north.responder("new"), meeting.south.initiator("new")
        hello = PeerHello.parse(initiator.hello(responder.offer()))
        replayed = replace(PeerAccept.parse(old), session=hello.session).encode() if session_too else old
        with refused(Reason.ACCEPT_SIGNATURE if session_too else Reason.ACCEPT_AUTHENTICATION):
            initiator.accept(replayed)


def test_two_initiators_of_one_offer_get_one_session() -> None:
    meeting = Meeting()
    offer = meeting.responder.offer()
    first, second = meeting.initiator, meeting.south.initiator("second")
    accept, _ = meeting.responder.accept(first.hello(offer))
    late = second.hello(offer)
    with pytest.raises(LocalProtocolError):
        meeting.responder.accept(late)
    with refused(Reason.ACCEPT_AUTHENTICATION):
        second.accept(accept)
    first.accept(accept)


# -- a thief of the offer's key ------------------------------------------------------------------------------


def _stolen_accept(meeting: Meeting, signer: SigningKeys, label: str) -> tuple[PeerInitiator, bytes]:
    """An Accept by somebody who holds X's private key, and so ck1, and signs with another key."""
    offer = meeting.responder.offer()
    hello = PeerHello.parse(meeting.initiator.hello(offer))
    offered = meeting.responder._offered
    assert offered is not None
    ss = offered.kem_key.decapsulate(hello.kem_ciphertext, kem.INFO_PEER_OFFER, Reason.HELLO_AUTHENTICATION)
    th = peer_schedule.transcript(hello, offered.evidence)
    ck1 = schedule.secret_of_hello(th, ss)
    plain = schedule.open_once(
        schedule.evidence_key(ck1, th), hello.sealed_evidence, th, Reason.HELLO_AUTHENTICATION, "evidence"
    )
    name = evidence_hash(SealedEvidence.parse(plain, Role.PEER_INITIATOR).evidence)
    ss2, ct2 = kem.encapsulate(hello.reply_key, kem.INFO_PEER_REPLY, DRAW)
    ck2 = schedule.accept_key(ck1, ss2, name, ct2)
    sealed = schedule.seal_once(schedule.result_key(ck2, th), b"", th)
    body = peer_schedule.accept_body(th, name, ct2, sealed, offered.evidence)
    signature = signer.sign(Suite.ED25519, label, body, detached=True)
    return meeting.initiator, PeerAccept(hello.session, ct2, sealed, signature).encode()


def test_a_thief_of_the_kem_key_makes_no_accept() -> None:
    initiator, accept = _stolen_accept(Meeting(), FORGER, "peer-accept")
    with refused(Reason.ACCEPT_SIGNATURE):
        initiator.accept(accept)


def test_not_even_the_data_centre_answers_in_the_responders_place() -> None:
    initiator, accept = _stolen_accept(Meeting(), keys("identity"), "peer-accept")
    with refused(Reason.ACCEPT_SIGNATURE):
        initiator.accept(accept)


def test_a_signature_made_for_another_purpose() -> None:
    meeting = Meeting()
    signer = SigningKeys.generate(DRAW)
    for label, reason in (("accept", Reason.ACCEPT_SIGNATURE), ("peer-accept", None)):
        meeting = Meeting()
        initiator, accept = _with_accept_keys(meeting, signer, label)
        if reason is not None:
            with refused(reason):
                initiator.accept(accept)
        else:
            with pytest.raises(Malformed):  # signed well, and its result is empty
                initiator.accept(accept)


def _with_accept_keys(meeting: Meeting, signer: SigningKeys, label: str) -> tuple[PeerInitiator, bytes]:
    """The same with A itself: what it signed under this label."""
    initiator, accept = _stolen_accept(meeting, signer, label)
    ours = initiator._secrets
    assert ours is not None
    initiator._secrets = replace(ours, accept_keys=PublicKeys(signer.public.ed25519))
    return initiator, accept
