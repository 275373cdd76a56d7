"""What two enclaves say to each other once they have attested each other on one CPU (docs/local-attestation.md).

Intel's exchange ends with one key, AEK, for both ends. To use it both ways under one counter makes GCM's nonces repeat.
So each direction has a key of its own, derived from AEK and from everything the exchange said, and a sequence number
that nobody outside sets. Messages are taken strictly in order, each once.
"""

from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from intaglio.errors import LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session import schedule
from intaglio.wire import cbor
from intaglio.wire.cursor import Cursor

__all__ = ["MAX_MESSAGE", "MAX_MESSAGES", "LocalChannel", "Side"]

MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of plaintext: an enclave's memory is small, and a host hands in whatever it likes."""
MAX_MESSAGES = 2**32
"""In one direction: what GCM allows one key (NIST SP 800-38D, 8.3), far more than a local session needs."""

_SEQUENCE = 8
_TAG = 16
_KEY, _IV = 32, 12


class Side(Enum):
    """Who a direction begins at."""

    INITIATOR = "initiator"
    RESPONDER = "responder"

    @property
    def other(self) -> "Side":
        return Side.RESPONDER if self is Side.INITIATOR else Side.INITIATOR


class LocalChannel:
    """One end. A message is its sequence number (8 bytes, big-endian), then AES-256-GCM ciphertext and tag."""

    __slots__ = ("_ours", "_theirs", "received", "sent")

    def __init__(self, side: Side, aek: bytes, transcript: bytes) -> None:
        """`transcript`: the hash of all that the exchange said, 32 bytes. Only `intaglio.session.local` makes one: a
        second channel from the same key would use its nonces again."""
        secret = HKDF.extract(SHA256(), transcript, aek)
        self._ours, self._theirs = (_Key.of(secret, sender) for sender in (side, side.other))
        self.sent = 0
        """The number of our next message."""
        self.received = 0
        """The number that the peer's next message must have."""

    def protect(self, message: bytes) -> bytes:
        """Raises `LocalProtocolError` for too long a message, or after the last number."""
        if len(message) > MAX_MESSAGE:
            raise LocalProtocolError(f"local message: {len(message)} bytes, at most {MAX_MESSAGE}")
        if self.sent >= MAX_MESSAGES:
            raise LocalProtocolError("local message: this session is used up; begin another")
        number = self.sent
        self.sent += 1
        return self._ours.seal(number, message)

    def open(self, data: bytes) -> bytes:
        """The next message. Raises `Malformed`, or `Rejected` (REPLAY, OUT_OF_ORDER, FRAME_AUTHENTICATION), and still
        waits for the same number then: the host between the two can send garbage at will."""
        cur = Cursor(data, "local_message")
        number = int.from_bytes(cur.take(_SEQUENCE, "sequence"), "big")
        if not _TAG <= cur.left <= MAX_MESSAGE + _TAG:
            raise Malformed("local_message.ciphertext", f"need {_TAG} to {MAX_MESSAGE + _TAG} bytes, {cur.left} left")
        if number != self.received:
            reason = Reason.REPLAY if number < self.received else Reason.OUT_OF_ORDER
            raise Rejected(reason, expected=f"message {self.received}", found=f"message {number}")
        message = self._theirs.open(number, cur.rest())
        self.received += 1
        return message


@dataclass(frozen=True, slots=True, repr=False)
class _Key:
    cipher: AESGCM
    iv: int
    aad: bytes

    @classmethod
    def of(cls, secret: bytes, sender: Side) -> "_Key":
        material = schedule.expand(secret, _KEY + _IV, "local-channel", sender.value)
        aad = cbor.labelled("local-message", sender.value)
        return cls(AESGCM(material[:_KEY]), int.from_bytes(material[_KEY:], "big"), aad)

    def seal(self, number: int, message: bytes) -> bytes:
        return number.to_bytes(_SEQUENCE, "big") + self.cipher.encrypt(self._nonce(number), message, self.aad)

    def open(self, number: int, ciphertext: bytes) -> bytes:
        try:
            return self.cipher.decrypt(self._nonce(number), ciphertext, self.aad)
        except InvalidTag as error:
            raise Rejected(Reason.FRAME_AUTHENTICATION, found=f"local message {number}") from error

    def _nonce(self, number: int) -> bytes:
        return (self.iv ^ number).to_bytes(_IV, "big")
