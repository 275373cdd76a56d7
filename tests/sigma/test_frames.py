"""Frames after msg4: order, replay, direction, limits."""

import pytest

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.sigma.frames import MAX_FRAMES, SigmaReceiver, SigmaSender
from intaglio.types import Direction, SessionId, UnixTime
from intaglio.wire.content import Record

SESSION = SessionId(bytes(range(16)))
KEY = bytes(range(16))
ONE = Record("get_size", "application/cbor", b"\x18\x64")
AT = UnixTime(0)


def pair() -> tuple[SigmaSender, SigmaReceiver]:
    return SigmaSender(SESSION, Direction.UP, KEY), SigmaReceiver(SESSION, Direction.UP, KEY)


def refused(reason: Reason, receiver: SigmaReceiver, frame: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        receiver.open(frame)
    assert caught.value.reason is reason


def test_any_order_each_once() -> None:
    sender, receiver = pair()
    frames = [sender.protect([replace_value(n)]) for n in range(6)]
    for n in (3, 0, 5, 1, 2, 4):
        opened = receiver.open(frames[n])
        assert opened.records == (replace_value(n),)
        receiver.commit(opened, AT)
        refused(Reason.REPLAY, receiver, frames[n])
    assert receiver.seen.intervals == ((0, 5),)
    restored = SigmaReceiver.parse(receiver.encode())
    refused(Reason.REPLAY, restored, frames[3])


def replace_value(n: int) -> Record:
    return ONE._replace(value=bytes((n,)))


def test_opening_changes_nothing_before_commit() -> None:
    sender, receiver = pair()
    frame = sender.protect([ONE])
    assert receiver.open(frame).records == receiver.open(frame).records
    assert receiver.seen.next == 0


def test_every_altered_bit_of_a_frame_is_refused() -> None:
    sender, receiver = pair()
    frame = sender.protect([ONE])
    for at in range(len(frame)):
        for bit in (1, 128):
            altered = frame[:at] + bytes((frame[at] ^ bit,)) + frame[at + 1 :]
            with pytest.raises((Malformed, Rejected)):
                receiver.open(altered)


def test_a_frame_is_of_one_direction_and_session() -> None:
    sender, receiver = pair()
    down = SigmaSender(SESSION, Direction.DOWN, KEY)
    refused(Reason.SESSION_UNKNOWN, receiver, down.protect([ONE]))
    other = SigmaSender(SessionId(bytes(16)), Direction.UP, KEY)
    refused(Reason.SESSION_UNKNOWN, receiver, other.protect([ONE]))
    relabelled = bytearray(down.protect([ONE]))
    relabelled[4] = Direction.UP
    refused(Reason.FRAME_AUTHENTICATION, receiver, bytes(relabelled))
    frame = sender.protect([ONE])
    refused(Reason.FRAME_AUTHENTICATION, receiver, frame[:24] + b"\7" + frame[25:])


def test_a_key_takes_so_many_frames_and_no_more() -> None:
    sender, _ = pair()
    sender.sequence = MAX_FRAMES
    with pytest.raises(Rejected) as caught:
        sender.protect([ONE])
    assert caught.value.reason is Reason.EPOCH_EXHAUSTED


@pytest.mark.parametrize(
    "records",
    [
        [],
        [ONE._replace(name="")],
        [ONE._replace(name="x" * 256)],
        [ONE._replace(content_type="")],
        [ONE._replace(value=bytes(1 << 20))],
    ],
)
def test_records_that_do_not_fit_are_not_sent(records: list[Record]) -> None:
    sender, _ = pair()
    with pytest.raises(Malformed):
        sender.protect(records)
    assert sender.sequence == 0


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"\0" * 8,
        b"\1\0\1\0\0\0\0\0a",
        b"\1\0\1\0\1\0\0\0ab",
        b"\1\0\1\0\0\0\0\0\xffb",
        b"\1\0\0\1\0\0\0\0" + b"a" * 257,
    ],
)
def test_authentic_records_that_are_none_are_malformed(plaintext: bytes) -> None:
    sender, receiver = pair()
    frame = sealed(sender, plaintext)
    with pytest.raises(Malformed):
        receiver.open(frame)


def sealed(sender: SigmaSender, plaintext: bytes) -> bytes:
    head = b"ISF1" + bytes(4) + SESSION + bytes(8) + len(plaintext).to_bytes(4, "little") + bytes(4)
    data = sender._aead.encrypt(bytes(12), plaintext, head)
    return head + data[-16:] + data[:-16]


def test_a_state_of_another_kind_is_malformed() -> None:
    _, receiver = pair()
    with pytest.raises(Malformed):
        SigmaReceiver.parse(receiver.encode().replace(b"sigma-receiver", b"other-receiver"))
