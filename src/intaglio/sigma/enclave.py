"""The enclave's side of Sigma.

    NEW --msg1--> STARTED --msg3--> OPENED --msg4--> ESTABLISHED              any error --> DEAD

SK and MK are not derived before msg4 came and opened: an enclave that nobody has attested yet has no key to send with.
The provider's key is pinned by whoever builds the enclave; handing it in from the host would pin nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from intaglio.errors import LocalProtocolError, Rejected
from intaglio.reasons import Reason
from intaglio.session.machine import Event, Machine, State
from intaglio.sigma import schedule
from intaglio.sigma.curve import KeyPair, check_point, check_signature
from intaglio.sigma.frames import SigmaReceiver, SigmaSender
from intaglio.sigma.messages import KDF_CMAC, Msg1, Msg2, Msg3, Msg4, SigmaResult
from intaglio.types import Direction, Draw, ReportData
from intaglio.wire.dcap import Quote

__all__ = ["SIGMA_ENCLAVE_TABLE", "EnclaveSigma", "SigmaChannel"]

SIGMA_ENCLAVE_TABLE: Mapping[tuple[State, Event], State] = {
    (State.NEW, Event.MSG1): State.STARTED,
    (State.STARTED, Event.MSG3): State.OPENED,
    (State.OPENED, Event.MSG4): State.ESTABLISHED,
}
_QUOTE_TYPES = (0, 1)
"""Unlinkable and linkable: without meaning for ECDSA quotes."""


@dataclass(frozen=True, slots=True)
class SigmaChannel:
    """An accepted session inside the enclave."""

    up: SigmaSender
    down: SigmaReceiver
    result: SigmaResult


class EnclaveSigma:
    """One attempt at a session. After an error it is dead; make another."""

    def __init__(self, provider_key: bytes, draw: Draw) -> None:
        """`provider_key`: the pinned point, x ‖ y little-endian (`g_sp_pub_key`). Raises `Malformed` for no point."""
        check_point(provider_key, "provider_key")
        self._machine = Machine(SIGMA_ENCLAVE_TABLE)
        self._provider_key = provider_key
        self._draw = draw
        self._key: KeyPair | None = None
        self._proven: _Proven | None = None

    @property
    def state(self) -> State:
        return self._machine.state

    def msg1(self) -> bytes:
        with self._machine.step(Event.MSG1):
            self._key = KeyPair.draw(self._draw)
            return Msg1(self._key.public).encode()

    def msg3(self, msg2: bytes, quote: Callable[[ReportData], bytes]) -> bytes:
        """Checks msg2, gets a quote over this handshake's report data, and answers. The host picks none of it.

        Raises `Malformed`, `Rejected` (SIGMA_HANDSHAKE, SIGMA_UNSUPPORTED, PROVIDER_SIGNATURE, SIGMA_MAC, REPORT_DATA)
        and what `quote` raises.
        """
        with self._machine.step(Event.MSG3):
            key, self._key = self._key, None
            if key is None:
                raise LocalProtocolError("msg3: no msg1 has been made")
            message = Msg2.parse(msg2)
            _check_profile(message)
            if message.g_b == key.public:
                raise Rejected(Reason.SIGMA_HANDSHAKE, expected="another key than our own", found=message.g_b.hex())
            kdk = schedule.secret_of(key.agree(message.g_b, "msg2.g_b"))
            check_signature(self._provider_key, message.signature, message.g_b + key.public)
            smk = schedule.derive(kdk, b"SMK")
            schedule.check_mac(smk, message.signed, message.mac, "msg2")
            evidence = _quoted(quote, schedule.report_data(kdk, key.public, message.g_b))
            unsigned = Msg3(b"", key.public, bytes(256), evidence)
            msg3 = Msg3(schedule.cmac(smk, unsigned.signed), key.public, bytes(256), evidence).encode()
            self._proven = _Proven(kdk, schedule.transcript(Msg1(key.public).encode(), msg2, msg3))
            return msg3

    def msg4(self, data: bytes) -> SigmaChannel:
        """The provider accepted our evidence. Raises `Malformed` or `Rejected` (SIGMA_HANDSHAKE, SIGMA_MAC)."""
        with self._machine.step(Event.MSG4):
            proven, self._proven = self._proven, None
            if proven is None:
                raise LocalProtocolError("msg4: no msg3 has been made")
            message = Msg4.parse(data)
            session = schedule.session_of(proven.th)
            if message.session != session:
                raise Rejected(Reason.SIGMA_HANDSHAKE, expected=session.hex(), found=message.session.hex())
            aead = AESGCM(schedule.msg4_key(proven.kdk, proven.th))
            try:
                # A zero nonce is safe: this key seals one message.
                plain = aead.decrypt(bytes(12), message.sealed + message.tag, message.head)
            except InvalidTag as error:
                raise Rejected(Reason.SIGMA_MAC, expected="msg4 under this handshake's key") from error
            up, down = (schedule.frame_key(proven.kdk, direction, proven.th) for direction in Direction)
            return SigmaChannel(
                SigmaSender(session, Direction.UP, up),
                SigmaReceiver(session, Direction.DOWN, down),
                SigmaResult.parse(plain),
            )


@dataclass(frozen=True, slots=True, repr=False)
class _Proven:
    """What is kept between msg3 and msg4."""

    kdk: bytes
    th: bytes


def _check_profile(message: Msg2) -> None:
    """Raises `Rejected(SIGMA_UNSUPPORTED)`."""
    if message.kdf_id != KDF_CMAC:
        raise Rejected(Reason.SIGMA_UNSUPPORTED, expected=f"kdf_id {KDF_CMAC}", found=message.kdf_id)
    if message.quote_type not in _QUOTE_TYPES:
        raise Rejected(Reason.SIGMA_UNSUPPORTED, expected=f"quote_type of {_QUOTE_TYPES}", found=message.quote_type)
    if message.sig_rl:
        raise Rejected(Reason.SIGMA_UNSUPPORTED, expected="no sig_rl", found=f"{len(message.sig_rl)} bytes of it")


def _quoted(quote: Callable[[ReportData], bytes], wanted: ReportData) -> bytes:
    """The quote that was asked for. Intel's library proves it by the quoting enclave's report over a nonce; that report
    does not leave the machine, so what is compared here is the report data that the quote itself states."""
    evidence = quote(wanted)
    found = Quote.parse(evidence).body.report_data
    if found != wanted:
        raise Rejected(Reason.REPORT_DATA, expected=wanted.hex(), found=found.hex())
    return evidence
