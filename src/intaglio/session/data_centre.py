"""The data centre's side of the handshake (docs/protocol.md §9).

    NEW --hello--> OPENED --accept--> ESTABLISHED                            any error --> DEAD
                          --refuse--> REFUSED

Between `open_hello` and `accept` the caller has the evidence appraised; `accept` wants the `Verdict` that `verify` made
of this very evidence, with the report data of this very session, and nothing else opens it. The caller stores the
Accept and the keys in one transaction, and sends no copy of the Accept before that is committed.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from intaglio.errors import LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session import kem, schedule
from intaglio.session.appraised import accepted_identity
from intaglio.session.channel import UpReceiver
from intaglio.session.machine import Event, Machine, State
from intaglio.session.offers import read_offer
from intaglio.session.sender import Sender
from intaglio.session.signing import Signer
from intaglio.types import Direction, Draw, ReportData, SessionId, Tee
from intaglio.verify.verdict import Verdict, evidence_hash
from intaglio.wire import cbor
from intaglio.wire.hello import Accept, Hello, Result, Role, SealedEvidence
from intaglio.wire.offer import Offer, OfferBody

__all__ = ["DATA_CENTRE_TABLE", "Accepted", "HelloOpener", "OpenHello"]

DATA_CENTRE_TABLE: Mapping[tuple[State, Event], State] = {
    (State.NEW, Event.HELLO): State.OPENED,
    (State.OPENED, Event.ACCEPT): State.ESTABLISHED,
    (State.OPENED, Event.REFUSE): State.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A session that may begin once it is stored: the Accept to send, the receiver of its frames (its `encode` is
    secret), the first secret of the downward direction (32 bytes, secret), and when the session ends."""

    accept: bytes
    receiver: UpReceiver
    down_secret: bytes = field(repr=False)
    result: Result

    def down_sender(self, session: SessionId) -> Sender:
        """The downward direction from its beginning."""
        return Sender(session, Direction.DOWN, 1, self.down_secret)


class HelloOpener:
    """One offer's private key and what it can open. A data centre keeps one for each offer it still answers."""

    def __init__(self, offer: bytes, key: kem.KemPrivateKey) -> None:
        """`offer`: the encoded offer that was published with this key. Raises `Malformed`."""
        self.body: OfferBody = read_offer(offer)
        self.hash = Offer.hash(offer)
        if self.body.kem_key != key.public:
            raise Malformed("offer.kem_key", "not the public key of the private key given")
        self._key = key

    def open(self, hello: Hello) -> "OpenHello":
        """Opens a hello. Raises `Rejected` (OFFER_UNKNOWN, HELLO_AUTHENTICATION) or `Malformed`."""
        return OpenHello(self, hello, self._key)


class OpenHello:
    """A hello that opened: its evidence is not appraised yet."""

    def __init__(self, opener: HelloOpener, hello: Hello, key: kem.KemPrivateKey) -> None:
        self._machine = Machine(DATA_CENTRE_TABLE)
        with self._machine.step(Event.HELLO):
            if hello.offer_hash != opener.hash or hello.suite is not opener.body.suite:
                raise Rejected(Reason.OFFER_UNKNOWN, expected=opener.hash.hex(), found=hello.offer_hash.hex())
            ss = key.decapsulate(hello.kem_ciphertext, kem.INFO_OFFER, Reason.HELLO_AUTHENTICATION)
            th0 = schedule.th0_of(hello)
            ck1 = schedule.secret_of_hello(th0, ss)
            claims = _opened(schedule.claims_key(ck1, th0), hello.sealed_claims, th0, "claims")
            self.th = schedule.th_of(th0, schedule.sealed_claims_hash(hello.sealed_claims))
            hidden = _opened(schedule.evidence_key(ck1, self.th), hello.sealed_evidence, self.th, "evidence")
            sealed = SealedEvidence.parse(hidden)
            self.claims = _claims(claims)
            self.tee: Tee = sealed.tee
            self.evidence: bytes = sealed.evidence
            self.evidence_hash: bytes = evidence_hash(sealed.evidence)
            confirm = schedule.confirmation(ck1, self.th)
            self.confirm_hash: bytes = hashlib.sha512(confirm).digest()
            """What an auditor recomputes the report data from: without ck1 nobody can make it later."""
            self.report_data: ReportData = schedule.report_data(sealed.tee, Role.ENCLAVE, self.th, confirm)
            self.session: SessionId = hello.session
            self.offer: OfferBody = opener.body
            self._hello = hello
            self._ck1 = ck1

    @property
    def state(self) -> State:
        return self._machine.state

    def accept(self, verdict: Verdict, result: Result, signer: Signer, draw: Draw) -> Accepted:
        """Begins the session. Raises `LocalProtocolError` for any verdict but an accepted one of this evidence."""
        with self._machine.step(Event.ACCEPT):
            self._check(verdict)
            if signer.suite is not self._hello.suite:
                raise LocalProtocolError(f"accept: need a signer of suite {self._hello.suite}")
            ss2, ct2 = kem.encapsulate(self._hello.reply_key, kem.INFO_REPLY, draw)
            ck2 = schedule.accept_key(self._ck1, ss2, self.evidence_hash, ct2)
            sealed = schedule.seal_once(schedule.result_key(ck2, self.th), result.encode(), self.th)
            body = schedule.accept_body(self.th, self.evidence_hash, ct2, sealed)
            signature = signer.sign("accept", body, detached=True)
            epoch0 = schedule.epoch_secret(self._ck1, self.session, Direction.UP, 0, self.evidence_hash)
            up, down = (
                schedule.epoch_secret(ck2, self.session, direction, 1, self.evidence_hash) for direction in Direction
            )
            return Accepted(
                accept=Accept(self.session, ct2, sealed, signature, signer.certificate).encode(),
                receiver=UpReceiver.begin(
                    self.session, self.th, self.evidence_hash, self._hello.signing_key, epoch0, up
                ),
                down_secret=down,
                result=result,
            )

    def refuse(self, report: bytes) -> bytes:
        """`report` (the whole verdict) sealed to this hello's reply key, so that only the enclave's vendor reads it.
        Raises `Malformed` where that key is none."""
        with self._machine.step(Event.REFUSE):
            return kem.seal(self._hello.reply_key, report, kem.INFO_VERDICT)

    def _check(self, verdict: Verdict) -> None:
        identity = accepted_identity(verdict, self.tee, self.evidence_hash)
        if not hmac.compare_digest(identity.report_data, self.report_data):
            raise LocalProtocolError("accept: the evidence is not bound to this session")


def _opened(key: bytes, ciphertext: bytes, aad: bytes, what: str) -> bytes:
    return schedule.open_once(key, ciphertext, aad, Reason.HELLO_AUTHENTICATION, what)


def _claims(data: bytes) -> Mapping[cbor.Value, cbor.Value]:
    claims = cbor.decode(data, "claims")
    if not isinstance(claims, dict):
        raise Malformed("claims", "need a map")
    return claims
