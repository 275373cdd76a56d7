"""Records after msg4: one fixed layout, AES-128-GCM, one key and one sequence a direction (docs/sigma.md).

    magic "ISF1" 4 ‖ direction 1 ‖ reserved 3 ‖ session 16 ‖ sequence u64 ‖ size u32 ‖ reserved 4 ‖ tag 16 ‖ ciphertext

Integers are little-endian; the nonce is 0^4 ‖ sequence (8, little-endian), the associated data the 40 bytes before the
tag. The plaintext is records one after the other, each u16 ‖ u16 ‖ u32 (the lengths) ‖ name ‖ content type ‖ value.
"""

from collections.abc import Iterable
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session.channel import Opened
from intaglio.session.replay import SeenSet
from intaglio.types import Direction, SessionId, UnixTime
from intaglio.wire import cbor
from intaglio.wire.content import MAX_NAME, MAX_RECORDS, Kind, Record
from intaglio.wire.cursor import Cursor
from intaglio.wire.frame import MAX_FRAME, Frame

__all__ = ["MAX_FRAMES", "SESSION", "SigmaReceiver", "SigmaSender", "parse_sigma_frame", "split_sigma_frames"]

HEAD, TAG = 40, 16
SESSION = slice(8, 24)
"""Where a frame says which session it belongs to."""
MAX_FRAMES = 2**32
"""Under one key, the bound of NIST SP 800-38D §8.3; then a new handshake."""

_MAGIC = b"ISF1"
_HEAD = Struct("<4sB3x16sQI4x")
_LENGTHS = Struct("<HHI")
_LABEL = cbor.LABEL_PREFIX + "sigma-receiver"


class SigmaSender:
    """Protects records as frames of one direction, numbered from 0 without gaps."""

    def __init__(self, session: SessionId, direction: Direction, key: bytes) -> None:
        self.session = session
        self.direction = direction
        self.sequence = 0
        """The number that the next frame gets."""
        self._aead = AESGCM(key)

    def protect(self, records: Iterable[Record]) -> bytes:
        """One frame. Raises `Malformed` for records that don't fit, `Rejected(EPOCH_EXHAUSTED)` after `MAX_FRAMES`."""
        if self.sequence >= MAX_FRAMES:
            raise Rejected(Reason.EPOCH_EXHAUSTED, expected="a new handshake", found=f"sequence {self.sequence}")
        plaintext = _encode_records(records)
        if HEAD + TAG + len(plaintext) > MAX_FRAME:
            raise Malformed("frame", f"{len(plaintext)} bytes of records are too large for a frame")
        head = _HEAD.pack(_MAGIC, self.direction, self.session, self.sequence, len(plaintext))
        sealed = self._aead.encrypt(_nonce(self.sequence), plaintext, head)
        self.sequence += 1
        return head + sealed[-TAG:] + sealed[:-TAG]


class SigmaReceiver:
    """The other end: any order, each frame once. `open` proves and changes nothing, `commit` marks as seen.

    It stands where the main protocol's `UpReceiver` does. Its one epoch is 0; it has no rekey, so `changed` stays
    false and nothing is ever given up.
    """

    epochs = (0,)
    closing_since: UnixTime | None = None

    def __init__(self, session: SessionId, direction: Direction, key: bytes) -> None:
        self.session = session
        self.seen = SeenSet()
        self.changed = False
        self._direction = direction
        self._key = key
        self._aead = AESGCM(key)

    def open(self, data: bytes) -> Opened:
        """Raises `Malformed` or `Rejected` (SESSION_UNKNOWN, FRAME_AUTHENTICATION, REPLAY, REPLAY_STATE_FULL)."""
        frame = parse_sigma_frame(data)
        if frame.session != self.session or frame.direction is not self._direction:
            raise Rejected(Reason.SESSION_UNKNOWN, expected=self.session.hex(), found=frame.session.hex())
        sealed = data[HEAD + TAG :] + data[HEAD : HEAD + TAG]
        try:
            content = self._aead.decrypt(_nonce(frame.sequence), sealed, data[:HEAD])
        except InvalidTag as error:
            raise Rejected(Reason.FRAME_AUTHENTICATION, found=f"sequence {frame.sequence}") from error
        records = _parse_records(content)
        self.seen.check(frame.sequence)
        return Opened(frame.sequence, 0, Kind.RECORDS, records, content)

    def commit(self, opened: Opened, at: UnixTime) -> None:  # noqa: ARG002  # the shape of a receiver
        """Marks a stored frame as seen."""
        self.seen.add(opened.sequence)

    def give_up(self, at: UnixTime) -> tuple[tuple[int, int], ...]:  # noqa: ARG002  # the shape of a receiver
        return ()

    def encode(self) -> bytes:
        """The whole state, key included. Wrap it before it is stored."""
        return cbor.labelled("sigma-receiver", self.session, int(self._direction), self._key, self.seen.encode())

    @classmethod
    def parse(cls, data: bytes) -> "SigmaReceiver":
        """Reads `encode`'s bytes. Raises `Malformed`."""
        label, session, direction, key, seen = cbor.array(cbor.decode(data, "receiver"), "receiver", 5)
        if label != _LABEL:
            raise Malformed("receiver", "not a Sigma receiver's state")
        receiver = cls(
            SessionId(cbor.bstr(session, "receiver.session", 16)),
            Direction(cbor.uint(direction, "receiver.direction", limit=1)),
            cbor.bstr(key, "receiver.key", 16),
        )
        receiver.seen = SeenSet.parse(cbor.bstr(seen, "receiver.seen"))
        return receiver


def parse_sigma_frame(data: bytes) -> Frame:
    """A frame's head, nothing authenticated yet. Raises `Malformed` for anything but the one layout."""
    cur = Cursor(data, "frame")
    size = _read_head(cur)[-1]
    cur.take(TAG, "tag")
    cur.take(size, "ciphertext")
    cur.end()
    _, direction, session, sequence, _ = _HEAD.unpack_from(data)
    return Frame(SessionId(session), Direction(direction), 0, sequence, data)


def split_sigma_frames(data: bytes) -> list[bytes]:
    """The frames of a body, one after the other. Raises `Malformed`, naming the frame, where one does not fit."""
    frames: list[bytes] = []
    cur = Cursor(data, "frames")
    while cur.left:
        start = cur.position
        size = _read_head(cur)[-1]
        cur.take(TAG + size, f"frame[{len(frames)}]")
        frames.append(data[start : cur.position])
    return frames


def _read_head(cur: Cursor) -> tuple[int, int]:
    """Direction and size of the ciphertext. Raises `Malformed`."""
    if cur.take(4, "magic") != _MAGIC:
        raise Malformed("frame.magic", "not a frame of this profile")
    direction = cur.u8("direction")
    if direction > 1:
        raise Malformed("frame.direction", f"need 0 or 1, found {direction}")
    cur.zeros(3, "reserved")
    cur.take(16, "session")
    if cur.u64("sequence") >= MAX_FRAMES:
        raise Malformed("frame.sequence", f"need less than {MAX_FRAMES}")
    size = cur.u32("size")
    cur.zeros(4, "reserved")
    if HEAD + TAG + size > MAX_FRAME:
        raise Malformed("frame.size", f"a frame has at most {MAX_FRAME} bytes")
    return direction, size


def _nonce(sequence: int) -> bytes:
    return bytes(4) + sequence.to_bytes(8, "little")


def _encode_records(records: Iterable[Record]) -> bytes:
    """Raises `Malformed` for no records, too many, or names out of bounds."""
    parts: list[bytes] = []
    for record in records:
        name, kind = record.name.encode(), record.content_type.encode()
        for raw, field in ((name, "record.name"), (kind, "record.content_type")):
            if not 0 < len(raw) <= MAX_NAME:
                raise Malformed(field, f"need 1 to {MAX_NAME} bytes, found {len(raw)}")
        parts.append(_LENGTHS.pack(len(name), len(kind), len(record.value)) + name + kind + record.value)
    if not 0 < len(parts) <= MAX_RECORDS:
        raise Malformed("records", f"need 1 to {MAX_RECORDS}, found {len(parts)}")
    return b"".join(parts)


def _parse_records(plaintext: bytes) -> tuple[Record, ...]:
    cur = Cursor(plaintext, "record")
    records: list[Record] = []
    while cur.left and len(records) < MAX_RECORDS:
        name, kind, value = cur.u16("name_size"), cur.u16("content_type_size"), cur.u32("value_size")
        records.append(Record(_text(cur, name, "name"), _text(cur, kind, "content_type"), cur.take(value, "value")))
    cur.end()
    if not records:
        raise Malformed("records", "need at least one")
    return tuple(records)


def _text(cur: Cursor, size: int, field: str) -> str:
    if not 0 < size <= MAX_NAME:
        raise Malformed(f"record.{field}", f"need 1 to {MAX_NAME} bytes, found {size}")
    try:
        return cur.take(size, field).decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"record.{field}", "not UTF-8") from error
