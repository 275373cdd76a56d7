"""Frames in one direction, at their sending end: numbered without gaps, epoch after epoch."""

from collections.abc import Callable, Iterable

from intaglio.errors import LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session import schedule
from intaglio.session.epoch import derived
from intaglio.session.ledger import Ledger
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
        ledger: Ledger | None = None,
    ) -> None:
        """`sign` and `limit` (frames of records, None for no limit) belong to epoch 0. `sequence`: in an epoch that
        began at 0, where an earlier sender stopped. One number under one key twice gives both plaintexts away: a
        caller keeps on disk what it has sent, before it sends it. `ledger`: of an enclave, which makes checkpoints of
        what it sends up; one that does so asks `checkpoint_due` after each frame."""
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
        self._ledger = ledger
        self._limit = EPOCH_FRAMES if limit is None else limit
        self._room = EPOCH_FRAMES - 1 - sequence
        self._ended = False

    @property
    def left(self) -> int:
        """Frames of records that this epoch still takes before its rekey."""
        return min(self._limit, self._room)

    @property
    def checkpoint_due(self) -> bool:
        """Whether the next frame must be a checkpoint (a rekey before it, where the epoch is full)."""
        return self._ledger is not None and self._room > 0 and self._ledger.due

    @property
    def unproven(self) -> bool:
        """Whether a checkpoint would say more than that nothing happened, and there is room for it."""
        return self._ledger is not None and self._room > 0 and self._ledger.unproven

    def protect(self, records: Iterable[Record]) -> bytes:
        """One frame holding `records`. Raises `Rejected(EPOCH_EXHAUSTED)` at the epoch's limit, `Malformed` for no
        records or a frame too large."""
        if self._limit <= 0 or self._room <= 0:
            raise Rejected(Reason.EPOCH_EXHAUSTED, expected="a rekey or an Accept", found=f"epoch {self.epoch}")
        data = self._seal(contents.encode_records(records))
        self._limit -= 1
        return data

    def checkpoint(self) -> bytes:
        """One frame with a checkpoint of what was sent since the last one, or with nothing new: a heartbeat. It does
        not count towards the limit of epoch 0. Raises `Rejected(EPOCH_EXHAUSTED)` where the epoch has room for its
        rekey alone, `LocalProtocolError` before the first frame."""
        if self._ledger is None or self._ended:
            raise LocalProtocolError("checkpoint: this direction has none, or has ended")
        if self._room <= 0:
            raise Rejected(Reason.EPOCH_EXHAUSTED, expected="a rekey or an Accept", found=f"epoch {self.epoch}")
        return self._seal(contents.encode_control(Kind.CHECKPOINT, self._ledger.close()), checkpoint=True)

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
        self._limit, self._room = EPOCH_FRAMES, EPOCH_FRAMES - 1
        return data

    def end(self) -> bytes:
        """The last frame of the session in this direction; after it nothing can be sent."""
        data = self._seal(contents.encode_control(Kind.END, None))
        self._ended = True
        return data

    def _seal(self, content: bytes, *, checkpoint: bool = False) -> bytes:
        if self._ended:
            raise LocalProtocolError("send: this direction has ended")
        plaintext = content
        if self._sign is not None:
            plaintext = contents.encode_content(content, self._sign(self.sequence, content))
        if len(plaintext) + wire.HEAD + 5 + wire.TAG > wire.MAX_FRAME:
            raise Malformed("frame", f"content of {len(plaintext)} bytes is too large for a frame")
        data = self._key.seal(self.sequence, plaintext)
        if self._ledger is not None:
            self._ledger.add(self.epoch, self.sequence, self._key.salt(self.sequence), content, checkpoint=checkpoint)
        self.sequence += 1
        self._room -= 1
        return data
