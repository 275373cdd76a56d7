"""The enclave's side of the handshake (docs/protocol.md §9).

    NEW --offer--> OFFERED --hello--> OPENED --accept--> ESTABLISHED        any error --> DEAD

`hello` is the one place in an enclave that sets report data: it takes the function that quotes, computes the 64 bytes
from its own transcript, and lets no caller choose an input. Keys live in memory only; a restarted enclave begins anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from intaglio.errors import LocalProtocolError, Rejected
from intaglio.reasons import Reason
from intaglio.session import kem, schedule
from intaglio.session.epoch import epoch0_body
from intaglio.session.ledger import Ledger
from intaglio.session.machine import Event, Machine, State
from intaglio.session.offers import CheckedOffer, check_offer
from intaglio.session.ordered import OrderedReceiver
from intaglio.session.sender import Sender
from intaglio.session.signing import trusted_keys, verify_by
from intaglio.types import Direction, Draw, ReportData, SessionId, Tee
from intaglio.verify.verdict import evidence_hash
from intaglio.wire import cbor
from intaglio.wire.hello import Accept, Hello, Result, Role, SealedEvidence
from intaglio.wire.identity import KeyUse, Pin

__all__ = ["ENCLAVE_TABLE", "EnclaveChannel", "EnclaveHandshake"]

ENCLAVE_TABLE: Mapping[tuple[State, Event], State] = {
    (State.NEW, Event.OFFER): State.OFFERED,
    (State.OFFERED, Event.HELLO): State.OPENED,
    (State.OPENED, Event.ACCEPT): State.ESTABLISHED,
}

Quote = Callable[[ReportData], bytes]
"""An attester's `evidence`."""


@dataclass(frozen=True, slots=True)
class EnclaveChannel:
    """An established session inside the enclave. `farewell` is the last frame of epoch 0: send it first."""

    up: Sender
    down: OrderedReceiver
    result: Result
    farewell: bytes


class EnclaveHandshake:
    """One attempt at a session. After an error it is dead; make another."""

    def __init__(self, pin: Pin, tee: Tee, draw: Draw, *, highest_epoch: int = 0, minimum_epoch: int = 0) -> None:
        """`highest_epoch` and `minimum_epoch`: of earlier handshakes of this enclave, so that old offers and revoked
        keys stay refused."""
        self._machine = Machine(ENCLAVE_TABLE)
        self._pin = pin
        self._tee = tee
        self._draw = draw
        self.highest_epoch = highest_epoch
        self.minimum_epoch = minimum_epoch
        self.session = SessionId(draw(16))
        self._offer: CheckedOffer | None = None
        self._secrets: _Secrets | None = None
        self._sender: Sender | None = None

    @property
    def state(self) -> State:
        return self._machine.state

    @property
    def sender(self) -> Sender:
        """The upward direction: epoch 0 as soon as the hello is made, even if this handshake died of a bad Accept."""
        if self._sender is None:
            raise LocalProtocolError("send: no hello has been made")
        return self._sender

    def offer(self, data: bytes) -> None:
        """Takes an offer. Raises `Malformed` or `Rejected` (see `check_offer`)."""
        with self._machine.step(Event.OFFER):
            offer = check_offer(self._pin, data, highest_epoch=self.highest_epoch, minimum_epoch=self.minimum_epoch)
            self.highest_epoch = max(self.highest_epoch, offer.body.epoch)
            if offer.by_identity:
                self.minimum_epoch = max(self.minimum_epoch, offer.body.minimum_epoch)
            self._offer = offer

    def hello(self, quote: Quote, claims: Mapping[cbor.Value, cbor.Value]) -> bytes:
        """The hello message: draws the session's keys, gets evidence from `quote`, seals evidence and claims.

        Raises what `quote` raises (`Unavailable`, `ProtocolError`).
        """
        with self._machine.step(Event.HELLO):
            offer = self._offer
            if offer is None:
                raise LocalProtocolError("hello: no offer")
            reply = kem.KemPrivateKey.generate(self._draw)
            signing = Ed25519PrivateKey.from_private_bytes(self._draw(32))
            ss, ciphertext = kem.encapsulate(offer.body.kem_key, kem.INFO_OFFER, self._draw)
            bare = Hello(
                suite=offer.body.suite,
                offer_hash=offer.hash,
                session=self.session,
                kem_ciphertext=ciphertext,
                reply_key=reply.public,
                signing_key=signing.public_key().public_bytes_raw(),
                sealed_claims=b"",
                sealed_evidence=b"",
            )
            th0 = schedule.th0_of(bare)
            ck1 = schedule.secret_of_hello(th0, ss)
            sealed_claims = schedule.seal_once(schedule.claims_key(ck1, th0), cbor.encode(dict(claims)), th0)
            th = schedule.th_of(th0, schedule.sealed_claims_hash(sealed_claims))
            evidence = quote(schedule.report_data(self._tee, Role.ENCLAVE, th, schedule.confirmation(ck1, th)))
            hidden = SealedEvidence(self._tee, Role.ENCLAVE, evidence).encode()
            sealed_evidence = schedule.seal_once(schedule.evidence_key(ck1, th), hidden, th)
            self._secrets = _Secrets(ck1, th, evidence_hash(evidence), reply, signing)
            self._sender = self._first_epoch(self._secrets, offer)
            return _with(bare, sealed_claims, sealed_evidence).encode()

    def accept(self, data: bytes) -> EnclaveChannel:
        """Takes the Accept. The signature is checked before the new secret is used: a thief of the offer key can make
        neither an Accept nor keys that this enclave would use.

        Raises `Malformed` or `Rejected` (ACCEPT_SIGNATURE, ACCEPT_AUTHENTICATION, OFFER_TOO_OLD).
        """
        with self._machine.step(Event.ACCEPT):
            offer, secrets = self._offer, self._secrets
            if offer is None or secrets is None or self._sender is None:
                raise LocalProtocolError("accept: no hello")
            accept = Accept.parse(data)
            if accept.session != self.session:
                raise Rejected(Reason.ACCEPT_AUTHENTICATION, expected=self.session.hex(), found=accept.session.hex())
            self._check_signature(accept, offer, secrets)
            ss2 = secrets.reply.decapsulate(accept.kem_ciphertext, kem.INFO_REPLY, Reason.ACCEPT_AUTHENTICATION)
            ck2 = schedule.accept_key(secrets.ck1, ss2, secrets.evidence, accept.kem_ciphertext)
            plain = schedule.open_once(
                schedule.result_key(ck2, secrets.th),
                accept.sealed_result,
                secrets.th,
                Reason.ACCEPT_AUTHENTICATION,
                "a result",
            )
            result = Result.parse(plain)
            up, down = (
                schedule.epoch_secret(ck2, self.session, direction, 1, secrets.evidence) for direction in Direction
            )
            farewell = self._sender.advance(up)
            self._secrets = None
            receiver = OrderedReceiver(self.session, Direction.DOWN, down)
            return EnclaveChannel(self._sender, receiver, result, farewell)

    def rejection(self, sealed: bytes) -> bytes:
        """The verdict that the data centre sealed to this hello's reply key when it said no: for the enclave's vendor,
        advisory only (anybody can seal to a public key). Raises `Rejected(ACCEPT_AUTHENTICATION)`."""
        if self._secrets is None:
            raise LocalProtocolError("rejection: no hello is waiting for an answer")
        return self._secrets.reply.open(sealed, kem.INFO_VERDICT, Reason.ACCEPT_AUTHENTICATION)

    def _first_epoch(self, secrets: "_Secrets", offer: CheckedOffer) -> Sender:
        # What lives as long as the session holds G's key alone, and nothing that opens epoch 0.
        th, evidence, sign_by_g = secrets.th, secrets.evidence, secrets.signing.sign

        def sign(sequence: int, content: bytes) -> bytes:
            return sign_by_g(epoch0_body(th, evidence, Direction.UP, 0, sequence, content))

        secret = schedule.epoch_secret(secrets.ck1, self.session, Direction.UP, 0, secrets.evidence)
        ledger, limit = Ledger(th, sign_by_g), offer.body.epoch0_limit
        return Sender(self.session, Direction.UP, 0, secret, sign=sign, limit=limit, ledger=ledger)

    def _check_signature(self, accept: Accept, offer: CheckedOffer, secrets: "_Secrets") -> None:
        keys = trusted_keys(
            self._pin,
            offer.body.suite,
            accept.certificate,
            KeyUse.ACCEPT,
            offer.body.epoch,
            self.minimum_epoch,
            Reason.ACCEPT_SIGNATURE,
        )
        body = schedule.accept_body(secrets.th, secrets.evidence, accept.kem_ciphertext, accept.sealed_result)
        verify_by(keys, offer.body.suite, "accept", accept.signature, body, Reason.ACCEPT_SIGNATURE)


@dataclass(frozen=True, slots=True, repr=False)
class _Secrets:
    """What the enclave keeps between hello and Accept. `evidence` is its hash."""

    ck1: bytes
    th: bytes
    evidence: bytes
    reply: kem.KemPrivateKey
    signing: Ed25519PrivateKey


def _with(bare: Hello, sealed_claims: bytes, sealed_evidence: bytes) -> Hello:
    return Hello(
        bare.suite,
        bare.offer_hash,
        bare.session,
        bare.kem_ciphertext,
        bare.reply_key,
        bare.signing_key,
        sealed_claims,
        sealed_evidence,
    )
