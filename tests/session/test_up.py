"""Frames on their way up: what a host can do to them, and what the receiver says."""

import pytest

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session import schedule
from intaglio.session.channel import EPOCH_GRACE, MAX_EPOCHS_AHEAD, UpReceiver
from intaglio.session.sender import Sender
from intaglio.types import Direction, UnixTime
from intaglio.wire import cbor
from intaglio.wire.content import Kind
from intaglio.wire.frame import MAX_FRAME, Frame
from tests.feeding import feed
from tests.session.world import HUNDRED, NOON, Session, World, refused, value


def take(receiver: UpReceiver, frame: bytes, at: UnixTime = NOON) -> None:
    receiver.commit(receiver.open(frame), at)


def settled(session: Session) -> UpReceiver:
    """The receiver after the farewell: epoch 0 is over, epoch 1 is empty."""
    take(session.accepted.receiver, session.enclave.farewell)
    return session.accepted.receiver


def test_any_order_each_once(session: Session) -> None:
    up = session.enclave.up
    frames = [session.enclave.farewell, *(up.protect([value(n)]) for n in range(1, 6))]
    receiver = session.accepted.receiver
    for frame in (frames[4], frames[0], frames[5], frames[1], frames[3], frames[2]):
        take(receiver, frame)
        with refused(Reason.REPLAY):
            receiver.open(frame)
    assert receiver.seen.intervals == ((0, 5),)


def test_an_edit_of_any_byte_is_refused_and_changes_nothing(session: Session) -> None:
    receiver = settled(session)
    good = session.enclave.up.protect([HUNDRED])
    before = receiver.encode()
    for position in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            with pytest.raises((Malformed, Rejected)):
                receiver.open(bytes(bad))
    assert receiver.encode() == before
    assert receiver.open(good).records == (HUNDRED,)


def test_an_edited_value_fails_its_tag(session: Session) -> None:
    receiver = settled(session)
    good = session.enclave.up.protect([HUNDRED])
    with refused(Reason.FRAME_AUTHENTICATION):
        receiver.open(good[:-17] + bytes((good[-17] ^ 100 ^ 200,)) + good[-16:])


def test_what_is_dropped_is_named(session: Session) -> None:
    receiver = settled(session)
    frames = [session.enclave.up.protect([value(n)]) for n in range(1, 10)]
    for kept in (0, 3, 4, 8):
        take(receiver, frames[kept])
    assert receiver.seen.gaps == ((2, 3), (6, 8))
    assert receiver.seen.highest == 9


def test_a_frame_of_another_session_is_not_ours(session: Session) -> None:
    other = World(seed="another enclave").meet()
    with refused(Reason.SESSION_UNKNOWN):
        session.accepted.receiver.open(other.enclave.up.protect([HUNDRED]))


def _swap(frame: bytes, start: int, new: bytes) -> bytes:
    return frame[:start] + new + frame[start + len(new) :]


def test_a_frame_moved_to_our_session_fails_its_tag(session: Session) -> None:
    other = World(seed="another enclave").meet()
    moved = _swap(other.enclave.up.protect([HUNDRED]), 9, session.handshake.session)
    with refused(Reason.FRAME_AUTHENTICATION):
        settled(session).open(moved)


def test_a_frame_of_the_other_direction_is_refused_both_ways(session: Session) -> None:
    down = session.accepted.down_sender(session.handshake.session).protect([HUNDRED])
    up = session.enclave.up.protect([HUNDRED])
    with refused(Reason.SESSION_UNKNOWN):
        settled(session).open(down)
    with refused(Reason.SESSION_UNKNOWN):
        session.enclave.down.open(up)
    with refused(Reason.FRAME_AUTHENTICATION):
        settled(World().meet()).open(_swap(down, 25, b"\x00"))
    with refused(Reason.FRAME_AUTHENTICATION):
        session.enclave.down.open(_swap(_swap(up, 25, b"\x01"), 32, bytes(8)))


@pytest.mark.parametrize("epoch", [0, 2, 3])
def test_a_frame_moved_to_another_epoch_fails_its_tag(session: Session, epoch: int) -> None:
    up = session.enclave.up.protect([HUNDRED])
    with refused(Reason.FRAME_AUTHENTICATION):
        session.accepted.receiver.open(_swap(up, 26, epoch.to_bytes(4, "big")))


def test_a_frame_moved_to_another_number_fails_its_tag(session: Session) -> None:
    moved = _swap(session.enclave.up.protect([HUNDRED]), 32, (7).to_bytes(8, "big"))
    with refused(Reason.FRAME_AUTHENTICATION):
        settled(session).open(moved)


def test_a_forger_makes_us_derive_few_epochs_ahead(session: Session) -> None:
    receiver = settled(session)
    up = session.enclave.up.protect([HUNDRED])
    for epoch, reason in (
        (1 + MAX_EPOCHS_AHEAD, Reason.FRAME_AUTHENTICATION),
        (2 + MAX_EPOCHS_AHEAD, Reason.EPOCH_CLOSED),
        (2**32 - 1, Reason.EPOCH_CLOSED),
    ):
        with refused(reason):
            receiver.open(_swap(up, 26, epoch.to_bytes(4, "big")))
    assert receiver.epochs == (1,), "nothing that failed moves an epoch"


def test_epochs_ahead_open_before_their_rekeys_arrive(session: Session) -> None:
    receiver, up = settled(session), session.enclave.up
    rekeys = [up.rekey() for _ in range(MAX_EPOCHS_AHEAD)]
    late = up.protect([HUNDRED])
    take(receiver, late)
    for frame in reversed(rekeys):
        take(receiver, frame)
    assert receiver.epochs == (1 + MAX_EPOCHS_AHEAD,)
    assert receiver.seen.gaps == ()


def test_frames_beyond_the_epochs_ahead_open_once_the_rekeys_came(session: Session) -> None:
    receiver, up = settled(session), session.enclave.up
    rekeys = [up.rekey() for _ in range(MAX_EPOCHS_AHEAD + 1)]
    late = up.protect([HUNDRED])
    with refused(Reason.EPOCH_CLOSED):
        receiver.open(late)
    take(receiver, rekeys[0])
    assert receiver.open(late).records == (HUNDRED,)


def test_a_frame_above_the_limit_is_malformed_whatever_was_read_before(session: Session) -> None:
    receiver = settled(session)
    take(receiver, session.enclave.up.protect([HUNDRED]))  # from here on the receiver has a key at hand
    sender = Sender(session.handshake.session, Direction.UP, 1, b"")
    large = sender._key.seal(9, bytes(MAX_FRAME))
    with pytest.raises(Malformed, match="at most"):
        receiver.open(large)


def _sealed(receiver: UpReceiver, epoch: int, sequence: int, plaintext: bytes) -> bytes:
    """A frame with any plaintext, from a receiver's own key: an enclave that does not keep to the protocol."""
    key = receiver._key_of(Frame(receiver.session, Direction.UP, epoch, sequence, b""))
    return key.seal(sequence, plaintext)


@pytest.mark.parametrize("following", [0, 1, 3, 2**32])
def test_a_rekey_names_the_next_epoch_and_no_other(session: Session, following: int) -> None:
    receiver = settled(session)
    with pytest.raises(Malformed):
        receiver.open(_sealed(receiver, 1, 1, cbor.encode([1, following])))
    assert receiver.open(_sealed(receiver, 1, 1, cbor.encode([1, 2]))).kind is Kind.REKEY


def test_a_finished_epochs_key_is_gone_from_the_state(session: Session) -> None:
    receiver, up = settled(session), session.enclave.up
    keys = dict(receiver._material)[1]
    chain = receiver._chain
    old = up.protect([value(1)])
    take(receiver, old)
    missing = up.protect([value(2)])
    take(receiver, up.rekey())
    assert receiver.changed
    assert keys[:32] in receiver.encode(), "epoch 1 waits for its missing frame"
    assert chain not in receiver.encode(), "the secret from which all later epochs follow goes at once"
    take(receiver, missing)
    for secret in (keys[:32], keys[32:44], keys[44:]):
        assert secret not in receiver.encode()
    assert receiver.epochs == (2,)
    with refused(Reason.REPLAY):
        receiver.open(old)
    with refused(Reason.EPOCH_CLOSED):
        receiver.open(_swap(old, 32, (9).to_bytes(8, "big")))


def test_what_an_ended_epoch_misses_is_given_up_and_named(session: Session) -> None:
    receiver, up = settled(session), session.enclave.up
    frames = [up.protect([value(n)]) for n in range(1, 6)]
    take(receiver, frames[0])
    take(receiver, frames[3])
    take(receiver, up.rekey())
    assert receiver.give_up(UnixTime(NOON + EPOCH_GRACE - 1)) == ()
    assert receiver.epochs == (1, 2)
    keys = receiver._material[1]
    receiver.changed = False
    assert receiver.give_up(UnixTime(NOON + EPOCH_GRACE)) == ((2, 3), (5, 5))
    assert receiver.changed
    assert keys[:32] not in receiver.encode()
    with refused(Reason.EPOCH_CLOSED):
        receiver.open(frames[1])
    assert receiver.give_up(UnixTime(NOON + 9 * EPOCH_GRACE)) == (), "each loss is named once"


def test_a_host_that_holds_a_rekey_back_keeps_no_key_alive(session: Session) -> None:
    """Otherwise it could wait for a theft of the store with every past epoch still in it."""
    receiver, up = settled(session), session.enclave.up
    take(receiver, up.protect([value(1)]))
    up.rekey()
    keys = receiver._material[1]
    take(receiver, up.protect([value(3)]))
    later = UnixTime(NOON + EPOCH_GRACE)
    assert receiver.give_up(later) == ((2, 2),)
    assert keys[:32] not in receiver.encode()


def test_a_loss_does_not_keep_later_epochs_open(session: Session) -> None:
    receiver, up = settled(session), session.enclave.up
    up.protect([value(1)])
    take(receiver, up.rekey())
    receiver.give_up(UnixTime(NOON + EPOCH_GRACE))
    receiver = UpReceiver.parse(receiver.encode())
    take(receiver, up.protect([value(3)]))
    take(receiver, up.rekey())
    assert receiver.epochs == (3,), "epoch 2 was complete, whatever was lost of epoch 1"


def test_an_epoch_that_waited_only_for_what_is_given_up_goes_with_it(session: Session) -> None:
    receiver, up = session.accepted.receiver, session.enclave.up
    take(receiver, up.rekey(), NOON)  # the farewell of epoch 0 is missing
    take(receiver, up.rekey(), UnixTime(NOON + 10))
    assert 0 in receiver.epochs
    assert receiver.give_up(UnixTime(NOON + EPOCH_GRACE)) == ((0, 0),)
    assert receiver.epochs == (3,)


def test_an_epoch_that_still_waits_is_not_reported_lost_with_a_later_one(session: Session) -> None:
    receiver, up = settled(session), session.enclave.up
    missing = up.protect([value(1)])
    first = up.rekey()
    up.protect([value(3)])
    take(receiver, up.rekey(), NOON)
    take(receiver, first, UnixTime(NOON + 10))
    take(receiver, missing, UnixTime(NOON + 20))
    assert receiver.epochs == (2, 3)
    assert receiver.give_up(UnixTime(NOON + EPOCH_GRACE)) == ((3, 3),)


def test_the_end_is_a_frame_like_any_other(session: Session) -> None:
    receiver = settled(session)
    missing, end = session.enclave.up.protect([HUNDRED]), session.enclave.up.end()
    opened = receiver.open(end)
    assert (opened.kind, opened.body, opened.records) == (Kind.END, None, ())
    receiver.commit(opened, NOON)
    assert receiver.seen.gaps == ((1, 1),)
    take(receiver, missing)


def test_a_frame_opened_twice_is_committed_once(session: Session) -> None:
    receiver = settled(session)
    frame = session.enclave.up.protect([HUNDRED])
    first, second = receiver.open(frame), receiver.open(frame)
    receiver.commit(first, NOON)
    with refused(Reason.REPLAY):
        receiver.commit(second, NOON)
    assert receiver.seen.intervals == ((0, 1),)


def test_the_state_names_every_part_it_can_not_read(session: Session) -> None:
    receiver = settled(session)
    take(receiver, session.enclave.up.protect([HUNDRED]))
    session.enclave.up.protect([HUNDRED])
    take(receiver, session.enclave.up.rekey())
    feed(UpReceiver.parse, receiver.encode())


def test_epochs_derive_as_the_schedule_says(session: Session) -> None:
    receiver, up = settled(session), session.enclave.up
    second = schedule.next_secret(receiver._chain, receiver.session, Direction.UP, 2)
    take(receiver, up.rekey())
    assert receiver._material == {2: schedule.epoch_keys(second, receiver.session, Direction.UP, 2)}
