"""The courier's outline of a message against the real readers: the same borders, the same sessions."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.host.outline import session_of_frame, session_of_hello, split_frames
from intaglio.session.sender import Sender
from intaglio.types import Direction, SessionId
from intaglio.wire import frame as wire
from intaglio.wire.content import Record
from intaglio.wire.hello import Hello
from tests.enclave.world import DataCentreSide
from tests.feeding import feed, feed_garbage
from tests.host.enclave import local_enclave

SIZES = (1, 200, 230, 65_000, 65_600, 1_000_000)


def frames() -> list[bytes]:
    sender = Sender(SessionId(os.urandom(16)), Direction.UP, 1, bytes(32))
    return [sender.protect([Record("a", "b", bytes(size))]) for size in SIZES]


def test_frames_of_every_size_are_split_as_the_data_centre_splits_them() -> None:
    made = frames()
    assert split_frames(b"".join(made)) == wire.split_frames(b"".join(made)) == made
    assert {session_of_frame(frame) for frame in made} == {wire.parse_frame(made[0]).session}


def test_every_cut_is_noticed() -> None:
    two = frames()[:2]
    feed(split_frames, two[0])
    message = b"".join(two)
    for cut in range(len(message)):
        if cut != len(two[0]):
            with pytest.raises(Malformed, match="message"):
                split_frames(message[:cut])


@given(st.binary(max_size=200))
def test_garbage_is_malformed_for_both(garbage: bytes) -> None:
    feed_garbage(split_frames, garbage)
    feed_garbage(split_frames, frames()[0][:41] + garbage)
    feed_garbage(session_of_hello, garbage)


def test_the_session_of_a_hello() -> None:
    dc = DataCentreSide()
    with local_enclave(dc) as enclave:
        hello = enclave.hello(dc.offer())
    assert session_of_hello(hello) == Hello.parse(hello).session
    for cut in range(70):
        with pytest.raises(Malformed, match="hello"):
            session_of_hello(hello[:cut])
    for at in (0, 1, 5, 17, 19, 20, 53):
        with pytest.raises(Malformed, match="hello"):
            session_of_hello(hello[:at] + bytes([hello[at] ^ 1]) + hello[at + 1 :])
