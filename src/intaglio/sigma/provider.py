"""The service provider's side of Sigma: what vendors leave "to the ISV".

    NEW --msg1--> STARTED --msg3--> OPENED --accept--> ESTABLISHED            any error --> DEAD
                          <-postpone--     --refuse--> REFUSED

`accept` wants the `Verdict` that `verify` made of this very quote, with the report data of this very handshake; only
then are SK and MK derived. `postpone` is for a verdict that could not be reached: the same msg3 may come again.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from intaglio.errors import LocalProtocolError, Rejected
from intaglio.reasons import Reason
from intaglio.session.machine import Event, Machine, State
from intaglio.sigma import schedule
from intaglio.sigma.curve import KeyPair, ProviderKey
from intaglio.sigma.frames import SigmaReceiver, SigmaSender
from intaglio.sigma.messages import KDF_CMAC, Msg1, Msg2, Msg3, Msg4, SigmaResult, head_of_msg4
from intaglio.types import Direction, Draw, ReportData, SessionId, Tee
from intaglio.verify.evidence import Kind, classify
from intaglio.verify.verdict import Decision, Verdict, evidence_hash

__all__ = ["SIGMA_PROVIDER_TABLE", "ProviderSigma", "SigmaAccepted", "check_msg0"]

SIGMA_PROVIDER_TABLE: Mapping[tuple[State, Event], State] = {
    (State.NEW, Event.MSG1): State.STARTED,
    (State.STARTED, Event.MSG3): State.OPENED,
    (State.OPENED, Event.POSTPONE): State.STARTED,
    (State.OPENED, Event.ACCEPT): State.ESTABLISHED,
    (State.OPENED, Event.REFUSE): State.REFUSED,
}
_NO_GROUP = bytes(4)


@dataclass(frozen=True, slots=True)
class SigmaAccepted:
    """A session that may begin once it is stored: the msg4 to send, and both directions (their keys are secret)."""

    msg4: bytes
    receiver: SigmaReceiver = field(repr=False)
    sender: SigmaSender = field(repr=False)
    result: SigmaResult


def check_msg0(group: int) -> None:
    """Raises `Rejected(SIGMA_UNSUPPORTED)` for an extended EPID group."""
    if group:
        raise Rejected(Reason.SIGMA_UNSUPPORTED, expected="extended EPID group 0", found=group)


class ProviderSigma:
    """One handshake. After an error it is dead; the enclave begins another."""

    def __init__(self, key: ProviderKey, draw: Draw) -> None:
        self._machine = Machine(SIGMA_PROVIDER_TABLE)
        self._provider_key = key
        self._draw = draw
        self._msg1 = Msg1(b"")
        self._kdk = b""
        self._g_b = b""
        self._th = b""
        self.msg2 = b""
        """The answer to msg1."""
        self.evidence = b""
        """The quote of the msg3 that was opened; not appraised yet."""

    @property
    def state(self) -> State:
        return self._machine.state

    @property
    def th(self) -> bytes:
        """The transcript hash, once msg3 was opened."""
        return self._th

    @property
    def session(self) -> SessionId:
        return schedule.session_of(self._th)

    @property
    def report_data(self) -> ReportData:
        """What this handshake's quote must carry."""
        return schedule.report_data(self._kdk, self._msg1.g_a, self._g_b)

    def answer(self, msg1: Msg1) -> bytes:
        """msg2. Raises `Malformed` (a g_a off the curve) or `Rejected(SIGMA_UNSUPPORTED)`."""
        with self._machine.step(Event.MSG1):
            if msg1.gid != _NO_GROUP:
                raise Rejected(Reason.SIGMA_UNSUPPORTED, expected="EPID group 0", found=msg1.gid.hex())
            key = KeyPair.draw(self._draw)
            self._msg1, self._g_b = msg1, key.public
            self._kdk = schedule.secret_of(key.agree(msg1.g_a, "msg1.g_a"))
            signature = self._provider_key.sign(key.public + msg1.g_a)
            bare = Msg2(key.public, bytes(16), 1, KDF_CMAC, signature, b"")
            mac = schedule.cmac(self._smk, bare.signed)
            self.msg2 = Msg2(key.public, bytes(16), 1, KDF_CMAC, signature, mac).encode()
            return self.msg2

    def open(self, msg3: Msg3) -> None:
        """Proves that msg3 comes from whoever sent msg1, and keeps its quote for appraisal.

        Raises `Rejected` (SIGMA_HANDSHAKE, SIGMA_MAC, SIGMA_UNSUPPORTED, UNSUPPORTED_EVIDENCE) or `Malformed`.
        """
        with self._machine.step(Event.MSG3):
            if not hmac.compare_digest(msg3.g_a, self._msg1.g_a):
                raise Rejected(Reason.SIGMA_HANDSHAKE, expected=self._msg1.g_a.hex(), found=msg3.g_a.hex())
            schedule.check_mac(self._smk, msg3.signed, msg3.mac, "msg3")
            if msg3.ps_sec_prop.strip(b"\0"):
                raise Rejected(Reason.SIGMA_UNSUPPORTED, expected="no platform services", found="a ps_sec_prop")
            if classify(msg3.quote) != (Tee.SGX, Kind.ECDSA_QUOTE):
                raise Rejected(Reason.UNSUPPORTED_EVIDENCE, expected="an ECDSA quote of SGX")
            self.evidence = msg3.quote
            self._th = schedule.transcript(self._msg1.encode(), self.msg2, msg3.encode())

    def postpone(self) -> None:
        """No verdict could be reached; the same msg3 may come again, and brings its quote with it."""
        with self._machine.step(Event.POSTPONE):
            self.evidence, self._th = b"", b""

    def refuse(self) -> None:
        with self._machine.step(Event.REFUSE):
            self._kdk = b""

    def accept(self, verdict: Verdict, result: SigmaResult) -> SigmaAccepted:
        """Begins the session. Raises `LocalProtocolError` for any verdict but an accepted one of this quote."""
        with self._machine.step(Event.ACCEPT):
            self._check(verdict)
            kdk, self._kdk = self._kdk, b""
            plain = result.encode()
            head = head_of_msg4(self.session, len(plain))
            sealed = AESGCM(schedule.msg4_key(kdk, self._th)).encrypt(bytes(12), plain, head)
            up, down = (schedule.frame_key(kdk, direction, self._th) for direction in Direction)
            return SigmaAccepted(
                msg4=Msg4(self.session, sealed[-16:], sealed[:-16]).encode(),
                receiver=SigmaReceiver(self.session, Direction.UP, up),
                sender=SigmaSender(self.session, Direction.DOWN, down),
                result=result,
            )

    @property
    def _smk(self) -> bytes:
        return schedule.derive(self._kdk, b"SMK")

    def _check(self, verdict: Verdict) -> None:
        if verdict.decision is not Decision.ACCEPTED or verdict.genuine is not True or verdict.identity is None:
            raise LocalProtocolError("accept: the verdict does not accept")
        if not hmac.compare_digest(verdict.evidence_hash, evidence_hash(self.evidence)):
            raise LocalProtocolError("accept: the verdict is of other evidence")
        if not hmac.compare_digest(verdict.identity.report_data, self.report_data):
            raise LocalProtocolError("accept: the evidence is not bound to this handshake")
