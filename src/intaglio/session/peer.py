"""Two enclaves on two machines attest each other, through two hosts (docs/protocol.md §15).

    responder    NEW --offer--> OFFERED --hello--> ESTABLISHED
    initiator    NEW --hello--> OPENED --accept--> ESTABLISHED             any error --> DEAD

Each end hands in a judge, which brings policy, collateral and the data centre's signed time, and asks it about the
other's evidence; what comes back must accept that evidence and no other, and its report data must be what this end
computed. An offer is for one hello: its keys are gone when that hello was taken, whatever came of it.
"""

import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from intaglio.errors import LocalProtocolError, Rejected
from intaglio.reasons import Reason
from intaglio.session import kem, peer_schedule, schedule
from intaglio.session.appraised import accepted_identity
from intaglio.session.machine import Event, Machine, State
from intaglio.session.peer_channel import PeerChannel
from intaglio.session.signing import SigningKeys, verify_by
from intaglio.types import Direction, Draw, ReportData, SessionId, Tee
from intaglio.verify.verdict import Decision, Verdict, evidence_hash
from intaglio.wire.hello import Role, SealedEvidence
from intaglio.wire.identity import Pin, PublicKeys, Suite
from intaglio.wire.peer import PeerAccept, PeerHello, PeerOffer, PeerOfferBody, PeerResult

__all__ = ["PEER_INITIATOR_TABLE", "PEER_RESPONDER_TABLE", "Judge", "PeerInitiator", "PeerResponder", "Quote"]

PEER_RESPONDER_TABLE: Mapping[tuple[State, Event], State] = {
    (State.NEW, Event.OFFER): State.OFFERED,
    (State.OFFERED, Event.HELLO): State.ESTABLISHED,
}
PEER_INITIATOR_TABLE: Mapping[tuple[State, Event], State] = {
    (State.NEW, Event.HELLO): State.OPENED,
    (State.OPENED, Event.ACCEPT): State.ESTABLISHED,
}

Judge = Callable[[Tee, bytes], Verdict]
"""(TEE, evidence) -> a verdict with a policy's decision. Report data are compared here: it needs not know them."""

Quote = Callable[[ReportData], bytes]
"""An attester's `evidence`."""


class PeerResponder:
    """The end that is called. After one hello, or any error, it is used up; make another."""

    def __init__(self, pin: Pin, tee: Tee, judge: Judge, quote: Quote, draw: Draw) -> None:
        self._machine = Machine(PEER_RESPONDER_TABLE)
        self._pin = pin
        self._tee = tee
        self._judge = judge
        self._quote = quote
        self._draw = draw
        self._offered: _Offered | None = None

    @property
    def state(self) -> State:
        return self._machine.state

    def offer(self) -> bytes:
        """The offer, for anybody. Draws its keys and has them attested: one of the two places that set report data
        for a peer, and no caller chooses an input. Raises what the attester raises."""
        with self._machine.step(Event.OFFER):
            suite = self._pin.minimum_suite
            kem_key, signing = kem.KemPrivateKey.generate(self._draw), SigningKeys.generate(self._draw)
            keys = signing.public if suite is Suite.ED25519_ML_DSA_65 else PublicKeys(signing.public.ed25519)
            fields = PeerOfferBody(suite, kem_key.public, self._draw(32), keys, self._pin.hash, self._pin.audience)
            body = fields.encode()
            evidence = self._quote(peer_schedule.offer_report_data(self._tee, body))
            data = PeerOffer(body, self._tee, evidence).encode()
            self._offered = _Offered(PeerOffer.hash(data), evidence_hash(evidence), kem_key, signing)
            return data

    def accept(self, hello: bytes) -> tuple[bytes, PeerChannel]:
        """Takes the hello; returns the Accept to send and the session. The hello is younger than this offer; whether
        the initiator still lives shows in its first frame.

        Raises `Malformed`, `LocalProtocolError` for a judge that judged something else, or `Rejected`: OFFER_UNKNOWN,
        HELLO_AUTHENTICATION, REPORT_DATA, or what the judge says of the initiator. Nothing is answered then.
        """
        with self._machine.step(Event.HELLO):
            offered, self._offered = self._offered, None
            if offered is None:
                raise LocalProtocolError("hello: no offer")
            return self._answer(PeerHello.parse(hello), offered)

    def _answer(self, hello: PeerHello, offered: "_Offered") -> tuple[bytes, PeerChannel]:
        suite = self._pin.minimum_suite
        if hello.offer_hash != offered.hash or hello.suite is not suite:
            raise Rejected(Reason.OFFER_UNKNOWN, expected=offered.hash.hex(), found=hello.offer_hash.hex())
        # 1. Who speaks: somebody whose evidence covers this offer, this ciphertext and the secret in it.
        ss = offered.kem_key.decapsulate(hello.kem_ciphertext, kem.INFO_PEER_OFFER, Reason.HELLO_AUTHENTICATION)
        th = peer_schedule.transcript(hello, offered.evidence)
        ck1 = schedule.secret_of_hello(th, ss)
        key, failed = schedule.evidence_key(ck1, th), Reason.HELLO_AUTHENTICATION
        hidden = schedule.open_once(key, hello.sealed_evidence, th, failed, "evidence")
        brought = SealedEvidence.parse(hidden, Role.PEER_INITIATOR)
        bound = schedule.report_data(brought.tee, brought.role, th, schedule.confirmation(ck1, th))
        peer = _judged(self._judge, brought.tee, brought.evidence, bound)
        # 2. The answer: a fresh secret, and a signature by the key that our own evidence covers.
        name, result = evidence_hash(brought.evidence), PeerResult(peer.at, peer.workload)
        ss2, ct2 = kem.encapsulate(hello.reply_key, kem.INFO_PEER_REPLY, self._draw)
        ck2 = schedule.accept_key(ck1, ss2, name, ct2)
        sealed = schedule.seal_once(schedule.result_key(ck2, th), result.encode(), th)
        body = peer_schedule.accept_body(th, name, ct2, sealed, offered.evidence)
        signature = offered.signing.sign(suite, "peer-accept", body, detached=True)
        accept = PeerAccept(hello.session, ct2, sealed, signature).encode()
        return accept, PeerChannel(hello.session, Direction.DOWN, ck2, name, peer, result)


class PeerInitiator:
    """The end that calls. After an error it is dead; make another."""

    def __init__(
        self, pin: Pin, tee: Tee, judge: Judge, quote: Quote, draw: Draw, *, own_offers: Collection[bytes] = ()
    ) -> None:
        """`own_offers`: hashes (`PeerOffer.hash`) of the offers that this enclave itself has open. A host that hands
        one of them back would have an enclave talk to itself where it believes to talk to another like it."""
        self._machine = Machine(PEER_INITIATOR_TABLE)
        self._pin = pin
        self._tee = tee
        self._judge = judge
        self._quote = quote
        self._draw = draw
        self._own_offers = own_offers
        self._secrets: _Secrets | None = None

    @property
    def state(self) -> State:
        return self._machine.state

    def hello(self, offer: bytes) -> bytes:
        """Judges the offer's evidence and answers it. Whether the responder lives is not known before its Accept: the
        offer may be old. Our own evidence goes to whoever was found acceptable, and to nobody else.

        Raises `Malformed`, `LocalProtocolError` for a judge that judged something else, what the attester raises, or
        `Rejected`: OWN_OFFER, SUITE_TOO_WEAK, AUDIENCE_MISMATCH, WRONG_PIN, REPORT_DATA, or what the judge says of the
        responder.
        """
        with self._machine.step(Event.HELLO):
            offered, name = PeerOffer.parse(offer), PeerOffer.hash(offer)
            if name in self._own_offers:
                raise Rejected(Reason.OWN_OFFER, found=name.hex())
            body = PeerOfferBody.parse(offered.body)
            _check_body(self._pin, body)
            bound = peer_schedule.offer_report_data(offered.tee, offered.body)
            peer = _judged(self._judge, offered.tee, offered.evidence, bound)
            return self._answer(name, body, evidence_hash(offered.evidence), peer)

    def _answer(self, offer: bytes, body: PeerOfferBody, offer_evidence: bytes, peer: Verdict) -> bytes:
        session, reply = SessionId(self._draw(16)), kem.KemPrivateKey.generate(self._draw)
        ss, ciphertext = kem.encapsulate(body.kem_key, kem.INFO_PEER_OFFER, self._draw)
        bare = PeerHello(body.suite, offer, session, ciphertext, reply.public, b"")
        th = peer_schedule.transcript(bare, offer_evidence)
        ck1 = schedule.secret_of_hello(th, ss)
        role = Role.PEER_INITIATOR
        evidence = self._quote(schedule.report_data(self._tee, role, th, schedule.confirmation(ck1, th)))
        hidden = SealedEvidence(self._tee, role, evidence).encode()
        sealed = schedule.seal_once(schedule.evidence_key(ck1, th), hidden, th)
        name = evidence_hash(evidence)
        self._secrets = _Secrets(session, ck1, th, name, offer_evidence, reply, body.suite, body.accept_keys, peer)
        return PeerHello(body.suite, offer, session, ciphertext, reply.public, sealed).encode()

    def accept(self, accept: bytes) -> PeerChannel:
        """Takes the Accept: whoever made it holds the key A that the offer's evidence covers, and lived when it read
        our hello. Its signature is checked before the new secret is used.

        Raises `Malformed` or `Rejected` (ACCEPT_SIGNATURE, ACCEPT_AUTHENTICATION).
        """
        with self._machine.step(Event.ACCEPT):
            ours, self._secrets = self._secrets, None
            if ours is None:
                raise LocalProtocolError("accept: no hello")
            found, failed = PeerAccept.parse(accept), Reason.ACCEPT_AUTHENTICATION
            if found.session != ours.session:
                raise Rejected(failed, expected=ours.session.hex(), found=found.session.hex())
            ct2, sealed = found.kem_ciphertext, found.sealed_result
            body = peer_schedule.accept_body(ours.th, ours.evidence, ct2, sealed, ours.offer_evidence)
            keys = (ours.accept_keys,)
            verify_by(keys, ours.suite, "peer-accept", found.signature, body, Reason.ACCEPT_SIGNATURE)
            ss2 = ours.reply.decapsulate(ct2, kem.INFO_PEER_REPLY, failed)
            ck2 = schedule.accept_key(ours.ck1, ss2, ours.evidence, ct2)
            plain = schedule.open_once(schedule.result_key(ck2, ours.th), sealed, ours.th, failed, "a result")
            result = PeerResult.parse(plain)
            return PeerChannel(ours.session, Direction.UP, ck2, ours.evidence, ours.peer, result)


@dataclass(frozen=True, slots=True, repr=False)
class _Offered:
    """What the responder keeps between offer and hello. `evidence` is its hash."""

    hash: bytes
    evidence: bytes
    kem_key: kem.KemPrivateKey
    signing: SigningKeys


@dataclass(frozen=True, slots=True, repr=False)
class _Secrets:
    """What the initiator keeps between hello and Accept. `evidence` and `offer_evidence` are hashes."""

    session: SessionId
    ck1: bytes
    th: bytes
    evidence: bytes
    offer_evidence: bytes
    reply: kem.KemPrivateKey
    suite: Suite
    accept_keys: PublicKeys
    peer: Verdict


def _check_body(pin: Pin, body: PeerOfferBody) -> None:
    """What needs no evidence: an offer of this house, at least as strong as the pin demands."""
    if body.suite < pin.minimum_suite:
        raise Rejected(Reason.SUITE_TOO_WEAK, expected=int(pin.minimum_suite), found=int(body.suite))
    if body.audience != pin.audience:
        raise Rejected(Reason.AUDIENCE_MISMATCH, expected=pin.audience, found=body.audience)
    if body.pin_hash != pin.hash:
        raise Rejected(Reason.WRONG_PIN, expected=pin.hash.hex(), found=body.pin_hash.hex())


def _judged(judge: Judge, tee: Tee, evidence: bytes, bound: ReportData) -> Verdict:
    """The verdict that accepts this evidence, which must carry `bound`. Raises `Rejected`, or `LocalProtocolError`
    where the judge applied no policy or judged something else."""
    verdict = judge(tee, evidence)
    if verdict.decision is not Decision.ACCEPTED and verdict.reasons:
        raise Rejected(verdict.reasons[0], expected="evidence that is accepted", found=verdict.decision)
    identity = accepted_identity(verdict, tee, evidence_hash(evidence))
    if not hmac.compare_digest(identity.report_data, bound):
        raise Rejected(Reason.REPORT_DATA, expected=bound.hex(), found=identity.report_data.hex())
    return verdict
