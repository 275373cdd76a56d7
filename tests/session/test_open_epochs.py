"""A host that holds one frame back and has its enclave rekey for ever: what waits is bounded, and nothing is lost."""

import pytest

from intaglio.reasons import Reason
from intaglio.session.channel import EPOCH_GRACE, MAX_OPEN_EPOCHS, UpReceiver
from intaglio.types import UnixTime
from tests.session.world import HUNDRED, NOON, Session, refused


def take(receiver: UpReceiver, frame: bytes) -> None:
    receiver.commit(receiver.open(frame), NOON)


def full(session: Session) -> tuple[UpReceiver, bytes, list[bytes]]:
    """A receiver with as many open epochs as it takes, the frame that they wait for, and rekeys beyond."""
    receiver, up = session.accepted.receiver, session.enclave.up
    take(receiver, session.enclave.farewell)
    held = up.protect([HUNDRED])
    for _ in range(MAX_OPEN_EPOCHS - 1):
        take(receiver, up.rekey())
    assert len(receiver.epochs) == MAX_OPEN_EPOCHS
    return receiver, held, [up.rekey() for _ in range(3)]


def test_open_epochs_are_bounded(session: Session) -> None:
    receiver, _, beyond = full(session)
    before = receiver.encode()
    for frame in (*beyond, session.enclave.up.protect([HUNDRED])):
        with refused(Reason.REPLAY_STATE_FULL):
            receiver.open(frame)
    assert receiver.encode() == before
    assert len(before) < 10_000


def test_a_frame_of_a_later_epoch_needs_room_too(session: Session) -> None:
    """Its rekey is held back, and the frame alone would open the epoch."""
    receiver, held, _ = full(session)
    frame = session.enclave.up.protect([HUNDRED])
    with refused(Reason.REPLAY_STATE_FULL):
        receiver.open(frame)
    take(receiver, held)
    take(receiver, frame)


@pytest.mark.parametrize("given_up", [False, True])
def test_there_is_room_again_once_the_frame_came_or_was_given_up(session: Session, given_up: bool) -> None:
    receiver, held, beyond = full(session)
    again = UpReceiver.parse(receiver.encode())
    if given_up:
        assert again.give_up(UnixTime(NOON + EPOCH_GRACE)) == ((1, 1),)
    else:
        take(again, held)
    assert len(again.epochs) == 1
    for frame in beyond:
        take(again, frame)
    assert len(again.epochs) == 1
