"""The readers of every Sigma structure, fed in all four ways."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.sigma.curve import ProviderKey
from intaglio.sigma.frames import SigmaReceiver, parse_sigma_frame, split_sigma_frames
from intaglio.sigma.messages import MAX_MSG3, Msg1, Msg2, Msg3, Msg4, SigmaResult, parse_msg0
from intaglio.types import SessionId
from intaglio.wire.content import Record
from tests.feeding import feed, feed_garbage
from tests.sigma.world import RESULT, party

Reader = Callable[[bytes], object]


def _frame() -> bytes:
    return party().established()[0].up.protect([Record("get_size", "application/cbor", b"\x18\x64")])


def _receiver() -> bytes:
    return party().established()[1].receiver.encode()


def _encoded(reader: Callable[[bytes], "Msg1 | Msg2 | Msg3 | Msg4 | SigmaResult"]) -> Reader:
    return lambda data: reader(data).encode()


READERS: dict[str, tuple[Reader, Callable[[], bytes]]] = {
    "msg0": (parse_msg0, lambda: bytes(4)),
    "msg1": (_encoded(Msg1.parse), lambda: bytes(range(68))),
    "msg2": (_encoded(Msg2.parse), lambda: bytes(range(164)) + b"\5\0\0\0lists"),
    "msg4": (_encoded(Msg4.parse), lambda: Msg4(SessionId(bytes(range(16))), bytes(16), b"sealed").encode()),
    "result": (_encoded(SigmaResult.parse), RESULT.encode),
    "frame": (parse_sigma_frame, _frame),
    "receiver": (lambda data: SigmaReceiver.parse(data).encode(), _receiver),
    "provider key": (ProviderKey.parse, lambda: bytes(31) + b"\7"),
}


@pytest.mark.parametrize("name", READERS)
def test_every_reader_is_fed_in_all_four_ways(name: str) -> None:
    reader, good = READERS[name]
    feed(reader, good())


@pytest.mark.parametrize("name", ["msg1", "msg2", "msg4", "result", "receiver"])
def test_what_is_read_and_written_again_is_the_same_bytes(name: str) -> None:
    reader, good = READERS[name]
    data = good()
    assert reader(data) == data


def test_msg3_ends_with_its_quote() -> None:
    data = bytes(range(256)) + bytes(80) + b"quote"
    assert Msg3.parse(data).encode() == data
    assert Msg3.parse(data).quote == b"quote"
    for length in range(337):
        with pytest.raises(Malformed):
            Msg3.parse(data[:length])
    with pytest.raises(Malformed, match="at most"):
        Msg3.parse(bytes(MAX_MSG3 + 1))


@given(st.binary(max_size=400))
def test_garbage_is_malformed(garbage: bytes) -> None:
    for reader, _ in READERS.values():
        feed_garbage(reader, garbage)
    feed_garbage(Msg3.parse, garbage)
    feed_garbage(split_sigma_frames, b"ISF1" + garbage)


def test_a_body_is_split_at_its_frames() -> None:
    up = party().established()[0].up
    frames = [up.protect([Record("a", "b", bytes(n))]) for n in (0, 1, 1000)]
    assert split_sigma_frames(b"".join(frames)) == frames
    assert split_sigma_frames(b"") == []
    for cut in (1, 39, 40, 60, len(frames[0]) + 3):
        with pytest.raises(Malformed):
            split_sigma_frames(b"".join(frames)[:cut])


@pytest.mark.parametrize(
    ("at", "value", "field"),
    [
        (0, b"ISF2", "magic"),
        (4, b"\2", "direction"),
        (5, b"\1", "reserved"),
        (28, b"\1", "sequence"),
        (32, b"\0\0\0\x80", "size"),
        (36, b"\1", "reserved"),
    ],
)
def test_a_frames_field_out_of_bounds_is_named(at: int, value: bytes, field: str) -> None:
    data = _frame()
    with pytest.raises(Malformed, match=field):
        parse_sigma_frame(data[:at] + value + data[at + len(value) :])
