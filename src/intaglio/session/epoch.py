"""One epoch's key in one direction: what seals a frame and opens it (docs/protocol.md §6)."""

import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session import schedule
from intaglio.types import Direction, SessionId
from intaglio.wire import cbor
from intaglio.wire import frame as wire

__all__ = ["EpochKey", "derived", "epoch0_body"]

_NONCE = struct.Struct(">IQ")
_AFTER_PREFIX = struct.Struct(">QBBB")
"""Sequence, unprotected map, and the first two bytes of the ciphertext's head."""


def epoch0_body(th: bytes, evidence: bytes, direction: Direction, epoch: int, sequence: int, content: bytes) -> bytes:
    """What G signs in every epoch-0 frame: without it a thief of the offer key could forge the enclave's output."""
    return cbor.labelled("epoch0", th, evidence, int(direction), epoch, sequence, cbor.digest("content", content))


class EpochKey:
    """The key and IV of one epoch and direction, from `schedule.epoch_keys` (76 bytes).

    `seal` and `open` run for every message and are written for speed: one `struct` call each way, no copies beyond
    what AES-GCM needs.
    """

    __slots__ = ("_aad", "_decrypt", "_encrypt", "_iv_high", "_iv_low", "_salt", "epoch", "prefix")

    def __init__(self, keys: bytes, session: SessionId, direction: Direction, epoch: int) -> None:
        aead = AESGCM(keys[:32])
        self._encrypt, self._decrypt = aead.encrypt, aead.decrypt
        self._iv_high, self._iv_low = _NONCE.unpack(keys[32:44])
        self.epoch = epoch
        self._salt = hmac.new(keys[44:], digestmod="sha256")
        self.prefix = wire.head_prefix(session, direction, epoch)
        """The first 32 bytes of this key's frames."""
        self._aad = wire.aad_prefix(self.prefix)

    def seal(self, sequence: int, plaintext: bytes) -> bytes:
        """The frame with this number. Its nonce is IV xor (0^32 ‖ sequence): RFC 9052 §3.1, Partial IV."""
        number = sequence.to_bytes(8, "big")
        nonce = _NONCE.pack(self._iv_high, self._iv_low ^ sequence)
        ciphertext = self._encrypt(nonce, plaintext, self._aad + number + wire.AAD_END)
        return b"".join((self.prefix, number, b"\xa0", cbor.bytes_head(len(ciphertext)), ciphertext))

    def salt(self, sequence: int) -> bytes:
        """HMAC-SHA-256(k_leaf, sequence), which hides a frame behind its leaf (docs/protocol.md §8). The keyed state is
        made once: `hmac.digest` takes half as long again."""
        salt = self._salt.copy()
        salt.update(sequence.to_bytes(8, "big"))
        return salt.digest()

    def open(self, data: bytes) -> tuple[int, bytes]:
        """The number and plaintext of a frame that begins with `prefix`. Raises `Malformed` or
        `Rejected(FRAME_AUTHENTICATION)`."""
        try:
            sequence, unprotected, head, size = _AFTER_PREFIX.unpack_from(data, 32)
        except struct.error as error:
            raise Malformed("frame", f"{len(data)} bytes are too few") from error
        small = head == 0x58 and 24 <= size == len(data) - 43  # 24 to 255 bytes: nearly every single record
        ciphertext = data[43:] if small else wire.ciphertext_of(data)
        if unprotected != 0xA0:
            raise Malformed("frame.head", "not a frame of protocol version 1")
        nonce = _NONCE.pack(self._iv_high, self._iv_low ^ sequence)
        try:
            return sequence, self._decrypt(nonce, ciphertext, self._aad + data[32:40] + wire.AAD_END)
        except InvalidTag as error:
            raise Rejected(Reason.FRAME_AUTHENTICATION, found=f"sequence {sequence}") from error


def derived(secret: bytes, session: SessionId, direction: Direction, epoch: int) -> EpochKey:
    """The key of an epoch whose secret (32 bytes) is known."""
    return EpochKey(schedule.epoch_keys(secret, session, direction, epoch), session, direction, epoch)
