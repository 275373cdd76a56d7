"""Keys of ended epochs, which a host would like to keep alive."""

import sqlite3

import pytest

from intaglio.gateway.keystore import Keystore
from intaglio.gateway.vault import Vault
from intaglio.session.channel import EPOCH_GRACE, UpReceiver
from intaglio.types import Direction, SessionId
from tests.gateway.test_frames import reasons
from tests.gateway.world import HOUR, HUNDRED, NOON, World, told


def epochs(world: World, session: bytes) -> tuple[int, ...]:
    """Whose keys the database still has."""
    vault = Vault(Keystore.open(world.settings.keystore, world.settings.secret), bytes)
    connection = sqlite3.connect(world.settings.database)
    ((epoch, state),) = connection.execute("SELECT up_epoch, up_state FROM sessions WHERE session = ?", (session,))
    connection.close()
    return UpReceiver.parse(vault.unwrap(SessionId(session), Direction.UP, epoch, state)).epochs


@pytest.mark.parametrize("restart", [False, True])
def test_a_rekey_held_back_keeps_no_key_alive(world: World, restart: bool) -> None:
    """docs/protocol.md §6.3: an epoch is closed 24 h after the first frame of a later one, too."""
    with world.gateway() as dc:
        _, channel = dc.session()
        held_back = channel.up.rekey()
        assert dc.frames(channel.farewell, channel.up.protect([HUNDRED])).json == told(stored=2)
        assert epochs(world, channel.up.session) == (1, 2)
        if not restart:
            world.clock.now += EPOCH_GRACE
            dc.gateway.turn()
    if restart:
        world.clock.now += EPOCH_GRACE
        with world.gateway() as dc:
            dc.gateway.turn()
    assert epochs(world, channel.up.session) == (2,)
    with world.gateway() as dc:
        assert dc.frames(held_back).status == 403
        assert reasons(dc) == {"EPOCH_CLOSED": 1}


def test_each_epoch_is_given_up_at_its_own_time(world: World) -> None:
    world.settings.policy.write_text(world.settings.policy.read_text().replace("24h", "90d"))
    world.source.issued = NOON
    with world.gateway() as dc:
        _, channel = dc.session()
        for _ in range(2):
            channel.up.protect([HUNDRED])  # lost on the way
            assert dc.frames(channel.up.rekey()).status == 200
            world.clock.now += 23 * HOUR
        assert dc.frames(channel.farewell).json == told(stored=1)
        assert epochs(world, channel.up.session) == (1, 2, 3)
        for moment, left in ((24, (2, 3)), (46, (2, 3)), (47, (3,))):
            world.clock.now = NOON + moment * HOUR
            dc.gateway.turn()
            assert epochs(world, channel.up.session) == left, moment


def test_sessions_that_can_not_be_read_back_do_not_keep_others_keys(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intaglio.gateway.live.GIVE_UP_ROWS", 1)
    with world.gateway() as dc:
        channels = [dc.session()[1] for _ in range(2)]
        for channel in channels:
            channel.up.protect([HUNDRED])  # lost on the way
            assert dc.frames(channel.up.rekey()).status == 200
    connection = sqlite3.connect(world.settings.database)
    connection.execute("UPDATE sessions SET up_state = zeroblob(100) WHERE id = 1")
    connection.commit()
    connection.close()
    world.clock.now += EPOCH_GRACE
    with world.gateway() as dc:
        for _ in range(2):
            dc.gateway.turn()
    assert epochs(world, channels[1].up.session) == (2,)
