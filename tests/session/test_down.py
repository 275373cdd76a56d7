"""Frames on their way down: strictly in order, each once."""

import pytest

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.wire.content import Kind
from tests.session.world import HUNDRED, Session, refused, value


def test_in_order_through_rekeys_to_the_end(session: Session) -> None:
    sender, down = session.accepted.down_sender(session.handshake.session), session.enclave.down
    assert down.open(sender.protect([value(0), value(1)])).records == (value(0), value(1))
    for epoch in (2, 3):
        opened = down.open(sender.rekey())
        assert (opened.kind, opened.body, opened.epoch) == (Kind.REKEY, epoch, epoch - 1)
        assert down.open(sender.protect([HUNDRED])).epoch == epoch
    last = sender.end()
    assert down.open(last).kind is Kind.END
    with refused(Reason.SESSION_ENDED):
        down.open(last)


def test_out_of_order_is_refused_and_the_right_frame_still_fits(session: Session) -> None:
    sender, down = session.accepted.down_sender(session.handshake.session), session.enclave.down
    frames = [sender.protect([value(n)]) for n in range(4)]
    for wrong in (1, 2, 3):
        with refused(Reason.OUT_OF_ORDER):
            down.open(frames[wrong])
    down.open(frames[0])
    for wrong in (0, 2, 3):
        with refused(Reason.OUT_OF_ORDER):
            down.open(frames[wrong])
    assert down.open(frames[1]).records == (value(1),)


def test_a_frame_behind_a_rekey_that_was_dropped_is_refused(session: Session) -> None:
    sender, down = session.accepted.down_sender(session.handshake.session), session.enclave.down
    rekey, frame = sender.rekey(), sender.protect([HUNDRED])
    with refused(Reason.OUT_OF_ORDER):
        down.open(frame)
    down.open(rekey)
    assert down.open(frame).records == (HUNDRED,)


def test_an_edit_of_any_byte_is_refused_and_changes_nothing(session: Session) -> None:
    sender, down = session.accepted.down_sender(session.handshake.session), session.enclave.down
    good = sender.rekey()
    for position in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            with pytest.raises((Malformed, Rejected)):
                down.open(bytes(bad))
    assert (down.sequence, down.epoch) == (0, 1)
    assert down.open(good).kind is Kind.REKEY


def test_a_frame_before_an_accept_exists_opens_nowhere(session: Session) -> None:
    """Nothing travels down in epoch 0: a frame that says so is out of order."""
    sender, down = session.accepted.down_sender(session.handshake.session), session.enclave.down
    frame = sender.protect([HUNDRED])
    with refused(Reason.OUT_OF_ORDER):
        down.open(frame[:26] + bytes(4) + frame[30:])
