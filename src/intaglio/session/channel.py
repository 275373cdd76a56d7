"""Frames in one direction, at their receiving end: `UpReceiver` opens those that may come in any order, each once.

`intaglio.session.ordered` has the receiver that takes them strictly in order. Keys of an epoch live until all its
frames are there (or the data centre gives them up, at the latest after `EPOCH_GRACE` seconds); there is no way back to
them.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session import schedule
from intaglio.session.epoch import EpochKey, derived, epoch0_body
from intaglio.session.replay import SeenSet
from intaglio.types import Direction, SessionId, UnixTime
from intaglio.wire import cbor
from intaglio.wire import content as contents
from intaglio.wire import frame as wire
from intaglio.wire.checkpoint import Checkpoint
from intaglio.wire.content import Body, ContentReader, Kind, Record
from intaglio.wire.frame import Frame

__all__ = [
    "EPOCH_GRACE",
    "MAX_EPOCHS_AHEAD",
    "MAX_OPEN_EPOCHS",
    "Opened",
    "UpReceiver",
]

EPOCH_GRACE = 24 * 3600
"""Seconds for which the data centre waits for an ended epoch's missing frames before it destroys its key."""

MAX_EPOCHS_AHEAD = 4
"""Epochs beyond the newest proven one that a frame may name: each costs a derivation that a forger could make us do."""

MAX_OPEN_EPOCHS = 64
"""Epochs that may wait for missing frames at once, 100 bytes each in memory and in the store: a host that holds one
frame back and has its enclave rekey for ever must not fill them."""

_REKEY = Kind.REKEY
_CHECKPOINT = Kind.CHECKPOINT


class Opened:
    """An authentic frame. Nothing is marked as seen before `commit`.

    `body` by kind: the records, the next epoch, a checkpoint's bytes, or None. `content` is the encoding of
    [kind, body]: what epoch 0's signature covers. (A plain class with slots: making one costs half of a named tuple.)
    """

    __slots__ = ("_key", "body", "content", "epoch", "kind", "sequence")

    def __init__(
        self, sequence: int, epoch: int, kind: Kind, body: Body, content: bytes, key: EpochKey | None = None
    ) -> None:
        self.sequence = sequence
        self.epoch = epoch
        self.kind = kind
        self.body = body
        self.content = content
        self._key = key

    @property
    def salt(self) -> bytes | None:
        """What hides an upward frame behind its leaf (docs/protocol.md §8), 32 bytes; None where there are no
        checkpoints."""
        return None if self._key is None else self._key.salt(self.sequence)

    @property
    def records(self) -> tuple[Record, ...]:
        """The records, or () for a control frame."""
        return self.body if isinstance(self.body, tuple) else ()


class UpReceiver:
    """The data centre's end of the upward direction: any order, each frame once.

    `open` proves a frame and changes nothing; `commit` marks it as seen and moves epochs, after the caller has stored
    it. `encode` gives the state for the store (secret: wrap it); `changed` tells whether keys moved since. Only the
    newest epoch keeps the secret from which later ones follow; an older one that still waits for frames keeps its
    frame key alone, so what is stored never opens an epoch that was destroyed.
    """

    def __init__(self, session: SessionId, th: bytes, evidence: bytes, signing_key: bytes) -> None:
        """th and evidence (its hash): 32 bytes; signing_key: G, 32 bytes (Ed25519)."""
        self.session = session
        self.seen = SeenSet()
        self.changed = False
        self._th = th
        self._evidence = evidence
        self._signing_key = signing_key
        self._verify: Ed25519PublicKey | None = None
        self._material: dict[int, bytes] = {}
        self._hot: EpochKey | None = None
        self._closing: dict[int, tuple[int, UnixTime]] = {}  # epoch: its highest possible number, and since when
        self._settled = 0  # nothing is waited for below it: all came or was given up
        self._newest = 0
        self._chain = b""
        self._reader = ContentReader()

    @classmethod
    def begin(
        cls, session: SessionId, th: bytes, evidence: bytes, signing_key: bytes, epoch0: bytes, epoch1: bytes
    ) -> "UpReceiver":
        """A fresh session: the secrets of epoch 0 (from ck1) and epoch 1 (from ck2)."""
        receiver = cls(session, th, evidence, signing_key)
        receiver._material = {
            0: schedule.epoch_keys(epoch0, session, Direction.UP, 0),
            1: schedule.epoch_keys(epoch1, session, Direction.UP, 1),
        }
        receiver._newest, receiver._chain = 1, epoch1
        return receiver

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs whose frames can still be opened without deriving ahead."""
        return tuple(sorted(self._material))

    @property
    def closing_since(self) -> UnixTime | None:
        """Since when the longest-ended epoch waits for missing frames: `give_up` has work `EPOCH_GRACE` later."""
        return min((since for _, since in self._closing.values()), default=None)

    def open(self, data: bytes) -> Opened:
        """Proves a frame (its bytes). Raises `Malformed` or `Rejected` (FRAME_AUTHENTICATION, FRAME_SIGNATURE,
        CHECKPOINT_SIGNATURE, EPOCH_CLOSED, REPLAY, REPLAY_STATE_FULL, SESSION_UNKNOWN). A frame that was already stored
        is a REPLAY only if it is authentic or its key is gone."""
        key = self._hot
        if key is None or not data.startswith(key.prefix):
            key = self._key_of(wire.parse_frame(data))
        sequence, content = key.open(data)
        if key.epoch == 0:
            content, signature = contents.split_signature(content)
            self._check_signature(sequence, signature, content)
        kind, body = self._reader.read(content)
        if kind is _REKEY:
            if body != key.epoch + 1:
                raise Malformed("content.next_epoch", f"need {key.epoch + 1}, found {body!r}")
            self._check_room(key.epoch + 1)
        elif key.epoch > self._newest:
            self._check_room(key.epoch)
        if kind is _CHECKPOINT and isinstance(body, bytes):
            self._check_checkpoint(sequence, body)
        if sequence != self.seen.next:
            self.seen.check(sequence)
        return Opened(sequence, key.epoch, kind, body, content, key)

    def commit(self, opened: Opened, at: UnixTime) -> None:
        """Marks a stored frame as seen. An epoch ends with its rekey or, should a host hold that back, with the first
        frame of a later epoch; once it is complete, its key is destroyed."""
        self.seen.add(opened.sequence)
        if opened.epoch > self._newest:
            self._advance(opened.epoch)
        if opened.kind is _REKEY:
            self._advance(opened.epoch + 1)
        if len(self._material) > 1:
            self._close(opened, at)

    def give_up(self, at: UnixTime) -> tuple[tuple[int, int], ...]:
        """Destroys the keys of epochs that ended `EPOCH_GRACE` seconds ago, and names the runs of numbers that are
        lost with them, each once. Where an epoch's rekey is among them, so are numbers of the next epoch, which may
        still arrive."""
        lost: list[tuple[int, int]] = []
        for epoch, (last, since) in sorted(self._closing.items()):
            if at - since < EPOCH_GRACE:
                break
            lost += (gap for gap in self.seen.gaps if self._settled <= gap[0] <= last)
            self._destroy(epoch, last)
        self._destroy_complete()
        return tuple(lost)

    def encode(self) -> bytes:
        """The whole state, keys included. Wrap it before it is stored."""
        fixed: list[cbor.Value] = [self.session, self._th, self._evidence, self._signing_key]
        material: list[cbor.Value] = [[epoch, keys] for epoch, keys in sorted(self._material.items())]
        closing: list[cbor.Value] = [[e, last, since] for e, (last, since) in sorted(self._closing.items())]
        seen: list[cbor.Value] = [self._settled, self.seen.encode()]
        return cbor.labelled("up-receiver", *fixed, self._newest, self._chain, material, closing, *seen)

    @classmethod
    def parse(cls, data: bytes) -> "UpReceiver":
        """Reads `encode`'s bytes. Raises `Malformed`."""
        items = cbor.array(cbor.decode(data, "receiver"), "receiver", 11)
        label, session, th, evidence, signing_key, newest, chain, material, closing, settled, seen = items
        if (
            label != cbor.LABEL_PREFIX + "up-receiver"
            or not isinstance(material, list)
            or not isinstance(closing, list)
        ):
            raise Malformed("receiver", "not a receiver's state")
        receiver = cls(
            SessionId(cbor.bstr(session, "receiver.session", 16)),
            cbor.bstr(th, "receiver.th", 32),
            cbor.bstr(evidence, "receiver.evidence", 32),
            cbor.bstr(signing_key, "receiver.signing_key", 32),
        )
        for row in material:
            number, keys = cbor.array(row, "receiver.keys", 2)
            receiver._material[cbor.uint(number, "receiver.epoch")] = cbor.bstr(
                keys, "receiver.keys", schedule.EPOCH_KEYS
            )
        for row in closing:
            epoch, last, since = (
                cbor.uint(item, "receiver.closing") for item in cbor.array(row, "receiver.closing", 3)
            )
            receiver._closing[epoch] = (last, UnixTime(since))
        receiver._newest = cbor.uint(newest, "receiver.newest")
        receiver._chain = cbor.bstr(chain, "receiver.chain", 32)
        receiver._settled = cbor.uint(settled, "receiver.settled")
        receiver.seen = SeenSet.parse(cbor.bstr(seen, "receiver.seen"))
        return receiver

    def _key_of(self, frame: Frame) -> EpochKey:
        """The key of a frame's epoch; one that no frame has proven yet is derived ahead and not kept."""
        if frame.session != self.session or frame.direction is not Direction.UP:
            raise Rejected(Reason.SESSION_UNKNOWN, expected=self.session.hex(), found=frame.session.hex())
        material = self._material.get(frame.epoch)
        if material is not None:
            self._hot = EpochKey(material, self.session, Direction.UP, frame.epoch)
            return self._hot
        if self._newest < frame.epoch <= self._newest + MAX_EPOCHS_AHEAD:
            secret = self._chain
            for epoch in range(self._newest + 1, frame.epoch + 1):
                secret = schedule.next_secret(secret, self.session, Direction.UP, epoch)
            return derived(secret, self.session, Direction.UP, frame.epoch)
        if frame.sequence in self.seen:
            raise Rejected(Reason.REPLAY, expected="a new sequence number", found=frame.sequence)
        raise Rejected(Reason.EPOCH_CLOSED, expected=f"epochs {self.epochs}", found=frame.epoch)

    def _check_room(self, epoch: int) -> None:
        """Whether the epochs up to this one may be open beside those that still are."""
        count = len(self._material) + epoch - self._newest
        if epoch > self._newest and count > MAX_OPEN_EPOCHS:
            raise Rejected(Reason.REPLAY_STATE_FULL, expected=f"at most {MAX_OPEN_EPOCHS} open epochs", found=count)

    def _advance(self, epoch: int) -> None:
        while self._newest < epoch:
            self._newest += 1
            self._chain = schedule.next_secret(self._chain, self.session, Direction.UP, self._newest)
            self._material[self._newest] = schedule.epoch_keys(self._chain, self.session, Direction.UP, self._newest)
            self.changed = True

    def _close(self, opened: Opened, at: UnixTime) -> None:
        """Ends the epochs before this frame's, and its own where it is a rekey; destroys those that are complete."""
        for epoch in self._material:
            if epoch < opened.epoch or (epoch == opened.epoch and opened.kind is _REKEY):
                bound = opened.sequence if epoch == opened.epoch else max(opened.sequence - 1, 0)
                last, since = self._closing.get(epoch, (None, at))
                if last is None or bound < last:
                    self._closing[epoch] = (bound, since)
                    self.changed = True
        self._destroy_complete()

    def _destroy_complete(self) -> None:
        for epoch, (last, _) in sorted(self._closing.items()):
            if not self.seen.covers(self._settled, last):
                break
            self._destroy(epoch, last)

    def _destroy(self, epoch: int, last: int) -> None:
        self._settled = max(self._settled, last + 1)
        self._closing.pop(epoch, None)
        self._material.pop(epoch, None)
        if self._hot is not None and self._hot.epoch == epoch:
            self._hot = None
        self.changed = True

    def _check_signature(self, sequence: int, signature: bytes, content: bytes) -> None:
        body = epoch0_body(self._th, self._evidence, Direction.UP, 0, sequence, content)
        try:
            self._by_g.verify(signature, body)
        except InvalidSignature as error:
            raise Rejected(Reason.FRAME_SIGNATURE, found=f"sequence {sequence}") from error

    def _check_checkpoint(self, sequence: int, data: bytes) -> None:
        """By itself: whether it fits the ones before it is seen where they are stored."""
        checkpoint = Checkpoint.parse(data)
        if checkpoint.last >= sequence:
            raise Malformed("checkpoint.last", f"need a frame before {sequence}, found {checkpoint.last}")
        try:
            self._by_g.verify(checkpoint.signature, checkpoint.to_be_signed(self._th))
        except InvalidSignature as error:
            raise Rejected(Reason.CHECKPOINT_SIGNATURE, found=f"sequence {sequence}") from error

    @property
    def _by_g(self) -> Ed25519PublicKey:
        if self._verify is None:
            self._verify = Ed25519PublicKey.from_public_bytes(self._signing_key)
        return self._verify
