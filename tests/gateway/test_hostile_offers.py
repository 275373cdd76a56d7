"""Offers and their keys while clocks jump and disks fail."""

from concurrent.futures import Future

import pytest

from intaglio.errors import Unavailable
from intaglio.gateway import sealed_file
from intaglio.gateway.keystore import Keystore
from intaglio.session.offers import read_offer
from tests.gateway.world import DAY, HOUR, NOON, World, told


def test_a_clock_that_was_ahead_for_a_moment_does_not_close_the_door(world: World) -> None:
    """A machine that boots in 2038 and hears the time a minute later: what it offered then is valid in twelve years."""
    with world.gateway() as dc:
        _, before = dc.session()
        world.clock.now = NOON + 4000 * DAY
        dc.gateway.turn()
        ahead = read_offer(dc.offer())
    world.clock.now = NOON + 60
    with world.gateway() as dc:
        offer = read_offer(dc.offer())
        assert offer.not_before == NOON + 60
        assert offer.epoch > ahead.epoch
        _, channel = dc.session()
        assert dc.frames(channel.farewell).json == told(stored=1)
        world.clock.now = NOON + DAY + 60
        dc.gateway.turn()
        (key,) = Keystore.open(world.settings.keystore, world.settings.secret).wrapping
        assert key.made == NOON + DAY + 60, "session keys are wrapped anew daily whatever the clock once said"
    assert before.result.expires == NOON + DAY


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_without_room_for_a_new_key_the_old_offer_serves_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.gateway() as dc:
        first = dc.offer()
        with monkeypatch.context() as patch:
            patch.setattr(sealed_file, "replace_private", full)
            world.clock.now = NOON + HOUR // 2
            assert dc.offer() == first
            world.clock.now = NOON + HOUR + 1
            reply = dc.ask("GET", "/v1/offer")
            assert (reply.status, reply.json["error"]) == (503, "unavailable")
            assert "retry-after" in reply.headers
        assert dc.offer() != first


def test_an_outage_of_the_store_fills_no_keystore(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request for an offer made a key and kept it, until the keystore took no more for a week."""
    with world.gateway() as dc:
        dc.offer()
        world.clock.now = NOON + HOUR + 1
        with monkeypatch.context() as patch:

            def failing(*_: object) -> Future[None]:
                future: Future[None] = Future()
                future.set_exception(Unavailable("the store failed", retry_after=5))
                return future

            patch.setattr("intaglio.gateway.store.writer.Writer.submit", failing)
            for _ in range(5):
                assert dc.ask("GET", "/v1/offer").status == 503
        dc.offer()
    assert len(Keystore.open(world.settings.keystore, world.settings.secret).offers) == 2
