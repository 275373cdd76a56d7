"""The sending side: numbers without gaps, limits of an epoch, and the order of its last frames."""

import pytest

from intaglio.errors import LocalProtocolError
from tests.session.world import HUNDRED, World


def test_epoch_0_is_not_rekeyed_from_its_own_secret() -> None:
    """A thief of the offer key knows its secret; a host that asks for a rekey must not get epoch 1 from it."""
    handshake, _ = World().greet()
    with pytest.raises(LocalProtocolError):
        handshake.sender.rekey()
    assert (handshake.sender.epoch, handshake.sender.sequence) == (0, 0)
    assert handshake.sender.protect([HUNDRED])
