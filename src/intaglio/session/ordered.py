"""The receiver that takes one direction's frames strictly in order: an enclave's of what the data centre sends, and
both ends' between two enclaves. It holds one key at a time; there is no way back to an earlier epoch's.
"""

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session import schedule
from intaglio.session.channel import Opened
from intaglio.session.epoch import derived
from intaglio.types import Direction, SessionId
from intaglio.wire import frame as wire
from intaglio.wire.content import ContentReader, Kind

__all__ = ["OrderedReceiver"]


class OrderedReceiver:
    """The end of one direction that takes frames strictly in order, each once."""

    def __init__(self, session: SessionId, direction: Direction, secret: bytes) -> None:
        """`secret`: of epoch 1, where these directions begin."""
        self.session = session
        self.direction = direction
        self.epoch = 1
        self.sequence = 0
        """The number that must come next."""
        self._secret = secret
        self._key = derived(secret, session, direction, 1)
        self._reader = ContentReader()
        self._ended = False

    def open(self, data: bytes) -> Opened:
        """The next frame's content. Raises `Rejected` (OUT_OF_ORDER, FRAME_AUTHENTICATION, SESSION_ENDED,
        SESSION_UNKNOWN) or `Malformed`, and still waits for the same number then."""
        frame = wire.parse_frame(data)
        if frame.session != self.session or frame.direction is not self.direction:
            raise Rejected(Reason.SESSION_UNKNOWN, expected=self.session.hex(), found=frame.session.hex())
        if self._ended:
            raise Rejected(Reason.SESSION_ENDED, found=f"sequence {frame.sequence}")
        if frame.sequence != self.sequence or frame.epoch != self.epoch:
            raise Rejected(
                Reason.OUT_OF_ORDER,
                expected=f"epoch {self.epoch}, sequence {self.sequence}",
                found=f"epoch {frame.epoch}, sequence {frame.sequence}",
            )
        sequence, content = self._key.open(data)
        kind, body = self._reader.read(content)
        if kind is Kind.REKEY:
            if body != self.epoch + 1:
                raise Malformed("content.next_epoch", f"need {self.epoch + 1}, found {body!r}")
            self.epoch += 1
            self._secret = schedule.next_secret(self._secret, self.session, self.direction, self.epoch)
            self._key = derived(self._secret, self.session, self.direction, self.epoch)
        self._ended = kind is Kind.END
        self.sequence += 1
        return Opened(sequence, frame.epoch, kind, body, content)
