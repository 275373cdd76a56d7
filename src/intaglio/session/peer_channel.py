"""What two enclaves talk through once each has attested the other: strictly in order both ways, each frame once."""

from collections.abc import Iterable

from intaglio.session import schedule
from intaglio.session.channel import Opened
from intaglio.session.ordered import OrderedReceiver
from intaglio.session.sender import Sender
from intaglio.types import Direction, SessionId
from intaglio.verify.verdict import Verdict
from intaglio.wire.content import Record
from intaglio.wire.peer import PeerResult

__all__ = ["PeerChannel"]


class PeerChannel:
    """One end. Up is from initiator to responder; both directions begin in epoch 1."""

    __slots__ = ("_receiver", "_sender", "peer", "result", "session")

    def __init__(
        self, session: SessionId, ours: Direction, ck2: bytes, evidence: bytes, peer: Verdict, result: PeerResult
    ) -> None:
        """`ours`: the direction that we send in; `evidence`: the hash of the initiator's. Only `intaglio.session.peer`
        makes one: a second sender from the same ck2 would use its nonces again."""
        theirs = Direction.DOWN if ours is Direction.UP else Direction.UP
        secrets = {each: schedule.epoch_secret(ck2, session, each, 1, evidence) for each in Direction}
        self._sender = Sender(session, ours, 1, secrets[ours])
        self._receiver = OrderedReceiver(session, theirs, secrets[theirs])
        self.session = session
        self.peer = peer
        """Our verdict of the other end. No clock runs here: whoever learns that a time after its `valid_until` has
        come ends the session."""
        self.result = result
        """What the responder told the initiator."""

    @property
    def left(self) -> int:
        """Frames that may be sent before `rekey`."""
        return self._sender.left

    def protect(self, records: Iterable[Record]) -> bytes:
        """One frame. Raises as `Sender.protect`."""
        return self._sender.protect(records)

    def open(self, frame: bytes) -> Opened:
        """The peer's next frame. Raises `Malformed` or `Rejected` (OUT_OF_ORDER, FRAME_AUTHENTICATION, SESSION_ENDED,
        SESSION_UNKNOWN), and still waits for the same frame then."""
        return self._receiver.open(frame)

    def rekey(self) -> bytes:
        """The last frame of this epoch: the keys of what was sent so far are gone at both ends once it was opened."""
        return self._sender.rekey()

    def end(self) -> bytes:
        """The last frame of the session in our direction."""
        return self._sender.end()
