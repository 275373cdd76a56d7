"""Frames in one direction, at their sending end: numbered without gaps, epoch after epoch."""

from collections.abc import Callable, Iterable

from intaglio.errors import LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session import schedule
from intaglio.session.epoch import derived
from intaglio.types import Direction, SessionId
from intaglio.wire import content as contents
from intaglio.wire import frame as wire
from intaglio.wire.content import Kind, Record

__all__ = ["EPOCH_FRAMES", "Sender"]

EPOCH_FRAMES = 2**24
"""Frames under one AES-256-GCM key: far below NIST SP 800-38D's 2**32, and a key's loss exposes at most these."""

_LAST_EPOCH = 2**32 - 1

Sign = Callable[[int, bytes], bytes]
"""(sequence, signed part) -> 64-byte signature by G over `epoch0_body`."""


class Sender:
    """Protects contents as frames of one direction, numbered from 0 without gaps."""

    def __init__(
        self,
        session: SessionId,
        direction: Direction,
        epoch: int,
        secret: bytes,
        *,
        sign: Sign | None = None,
        limit: int | None = None,
        sequence: int = 0,
    ) -> None:
        """`sign` and `limit` (frames of records, None for no limit) belong to epoch 0. `sequence`: in an epoch that
        began at 0, where an earlier sender stopped. One number under one key twice gives both plaintexts away: a
        caller keeps on disk what it has sent, before it sends it."""
        if (epoch == 0) != (sign is not None):
            raise LocalProtocolError("epoch 0, and no other, is signed")
        self.session = session
        self.direction = direction
        self.epoch = epoch
        self.sequence = sequence
        """The number that the next frame gets."""
        self._secret = secret
        self._key = derived(secret, session, direction, epoch)
        self._sign = sign
        self._left = EPOCH_FRAMES - 1 - sequence if limit is None else min(limit, EPOCH_FRAMES - 1 - sequence)
        self._ended = False

    @property
    def left(self) -> int:
        """Frames that this epoch still takes before its rekey."""
        return self._left

    def protect(self, records: Iterable[Record]) -> bytes:
        """One frame holding `records`. Raises `Rejected(EPOCH_EXHAUSTED)` at the epoch's limit, `Malformed` for no
        records or a frame too large."""
        if self._left <= 0:
            raise Rejected(Reason.EPOCH_EXHAUSTED, expected="a rekey or an Accept", found=f"epoch {self.epoch}")
        data = self._seal(contents.encode_records(records))
        self._left -= 1
        return data

    def rekey(self) -> bytes:
        """The last frame of this epoch; the next frame is of the next. Raises `LocalProtocolError` in epoch 0: its
        successor comes from an Accept (`advance`), not from the secret that the offer key opens."""
        if self._sign is not None:
            raise LocalProtocolError("rekey: epoch 0 ends with an Accept")
        return self.advance(schedule.next_secret(self._secret, self.session, self.direction, self.epoch + 1))

    def advance(self, secret: bytes) -> bytes:
        """The last frame of this epoch; `secret` is the next epoch's. Raises `Rejected(EPOCH_EXHAUSTED)` where the
        frame's four bytes can't name another epoch."""
        if self.epoch >= _LAST_EPOCH:
            raise Rejected(Reason.EPOCH_EXHAUSTED, expected="a new session", found=f"epoch {self.epoch}")
        data = self._seal(contents.encode_control(Kind.REKEY, self.epoch + 1))
        self.epoch += 1
        self._secret = secret
        self._key = derived(secret, self.session, self.direction, self.epoch)
        self._sign = None
        self._left = EPOCH_FRAMES - 1
        return data

    def end(self) -> bytes:
        """The last frame of the session in this direction; after it nothing can be sent."""
        data = self._seal(contents.encode_control(Kind.END, None))
        self._ended = True
        return data

    def _seal(self, content: bytes) -> bytes:
        if self._ended:
            raise LocalProtocolError("send: this direction has ended")
        if self._sign is not None:
            content = contents.encode_content(content, self._sign(self.sequence, content))
        if len(content) + wire.HEAD + 5 + wire.TAG > wire.MAX_FRAME:
            raise Malformed("frame", f"content of {len(content)} bytes is too large for a frame")
        data = self._key.seal(self.sequence, content)
        self.sequence += 1
        return data
