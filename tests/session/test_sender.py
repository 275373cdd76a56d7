"""The sending side: numbers without gaps, limits of an epoch, and the order of its last frames."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from intaglio.errors import LocalProtocolError, Malformed
from intaglio.reasons import Reason
from intaglio.session.sender import EPOCH_FRAMES, Sender
from intaglio.types import Direction, SessionId
from intaglio.wire.content import Record
from intaglio.wire.frame import MAX_FRAME, parse_frame
from tests.session.world import HUNDRED, TERMS, Session, World, refused

SESSION = SessionId(bytes(16))


def test_numbers_run_without_gaps_through_rekeys(session: Session) -> None:
    up = session.enclave.up
    data = [session.enclave.farewell, up.protect([HUNDRED]), up.rekey(), up.protect([HUNDRED]), up.end()]
    heads = [parse_frame(frame) for frame in data]
    assert [(head.sequence, head.epoch) for head in heads] == [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2)]


def test_epoch_0_is_not_rekeyed_from_its_own_secret() -> None:
    """A thief of the offer key knows its secret; a host that asks for a rekey must not get epoch 1 from it."""
    handshake, _ = World().greet()
    with pytest.raises(LocalProtocolError):
        handshake.sender.rekey()
    assert (handshake.sender.epoch, handshake.sender.sequence) == (0, 0)
    assert handshake.sender.protect([HUNDRED])


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_epoch_0_stops_at_the_offers_limit_until_an_accept(limit: int) -> None:
    world = World(terms=replace(TERMS, epoch0_limit=limit))
    handshake, hello = world.greet()
    for _ in range(limit):
        handshake.sender.protect([HUNDRED])
    for _ in range(2):
        with refused(Reason.EPOCH_EXHAUSTED):
            handshake.sender.protect([HUNDRED])
    assert handshake.sender.sequence == limit
    channel = handshake.accept(world.accept(world.open(hello)).accept)
    assert parse_frame(channel.farewell).sequence == limit
    assert parse_frame(channel.up.protect([HUNDRED])).epoch == 1


def test_epoch_0_without_a_limit_has_the_limit_of_every_epoch() -> None:
    handshake, _ = World(terms=replace(TERMS, epoch0_limit=None)).greet()
    assert handshake.sender.left == EPOCH_FRAMES - 1


def test_an_epoch_keeps_its_last_frame_for_the_rekey() -> None:
    sender = Sender(SESSION, Direction.UP, 1, bytes(32), limit=2)
    sender.protect([HUNDRED])
    sender.protect([HUNDRED])
    with refused(Reason.EPOCH_EXHAUSTED):
        sender.protect([HUNDRED])
    sender.rekey()
    assert (sender.epoch, sender.left) == (2, EPOCH_FRAMES - 1)


def test_a_frame_that_was_not_made_costs_no_number() -> None:
    sender = Sender(SESSION, Direction.UP, 1, bytes(32))
    left = sender.left
    for bad in ([], [Record("", "a", b"")], [Record("a" * 256, "a", b"")], [Record("a", "a", bytes(MAX_FRAME))]):
        with pytest.raises(Malformed):
            sender.protect(bad)
    assert (sender.sequence, sender.left) == (0, left)


def test_a_name_that_is_no_text_is_malformed() -> None:
    with pytest.raises(Malformed):
        Sender(SESSION, Direction.UP, 1, bytes(32)).protect([Record("\ud800", "a", b"")])


def test_the_largest_frame_is_exactly_the_limit() -> None:
    sender = Sender(SESSION, Direction.UP, 1, bytes(32))
    room = MAX_FRAME - len(sender.protect([Record("a", "b", bytes(100_000))])) + 100_000
    assert len(sender.protect([Record("a", "b", bytes(room))])) == MAX_FRAME
    with pytest.raises(Malformed):
        sender.protect([Record("a", "b", bytes(room + 1))])


def test_nothing_follows_the_end(session: Session) -> None:
    up = session.enclave.up
    up.end()
    more_of: list[Callable[[], bytes]] = [lambda: up.protect([HUNDRED]), up.rekey, up.end]
    for more in more_of:
        with pytest.raises(LocalProtocolError):
            more()


def test_the_last_epoch_that_a_frame_can_name_is_not_left() -> None:
    sender = Sender(SESSION, Direction.UP, 2**32 - 1, bytes(32))
    with refused(Reason.EPOCH_EXHAUSTED):
        sender.rekey()
    assert parse_frame(sender.protect([HUNDRED])).sequence == 0


@pytest.mark.parametrize(("epoch", "signed"), [(0, False), (1, True)])
def test_epoch_0_and_no_other_is_signed(epoch: int, signed: bool) -> None:
    with pytest.raises(LocalProtocolError):
        Sender(SESSION, Direction.UP, epoch, bytes(32), sign=(lambda *_: bytes(64)) if signed else None)
