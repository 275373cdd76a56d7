"""Offers: published, renewed, answered while their key lives, and told apart afterwards."""

from dataclasses import replace

import pytest

from intaglio.gateway.keystore import Keystore
from intaglio.gateway.query import Reader
from intaglio.reasons import Reason
from intaglio.session.offers import read_offer
from tests.gateway.world import DAY, HOUR, NOON, Dc, World

SPOOL = 7 * DAY


def epochs(dc: Dc) -> int:
    return read_offer(dc.offer()).epoch


def test_the_same_offer_is_served_until_half_its_life_is_over(dc: Dc) -> None:
    first = dc.offer()
    dc.world.clock.now += HOUR // 2 - 1
    assert dc.offer() == first
    dc.world.clock.now += 1
    second = dc.offer()
    assert second != first
    assert read_offer(second).epoch > read_offer(first).epoch
    assert read_offer(second).not_before < read_offer(first).not_after


def test_an_offer_survives_a_restart(world: World) -> None:
    with world.gateway() as dc:
        offer = dc.offer()
    with world.gateway() as dc:
        assert dc.offer() == offer
        guest = world.guest(offer)
        assert dc.hello(guest.hello).status == 200


def test_epochs_never_fall(world: World) -> None:
    seen = []
    for step in (0, 4000, -90000, 0):
        world.clock.now += step
        (world.settings.folder / "x").parent.mkdir(exist_ok=True)
        with world.gateway() as dc:
            dc.gateway.turn()
            seen.append(epochs(dc))
    assert seen == sorted(seen)


def test_epochs_do_not_fall_when_an_old_keystore_is_restored(world: World) -> None:
    old = world.settings.keystore.read_bytes()
    with world.gateway() as dc:
        before = epochs(dc)
    world.settings.keystore.write_bytes(old)
    world.clock.now += 1
    with world.gateway() as dc:
        assert epochs(dc) > before


def test_another_policy_makes_another_offer(world: World) -> None:
    with world.gateway() as dc:
        first = dc.offer()
    world.settings.policy.write_text(world.settings.policy.read_text().replace("24h", "12h"))
    with world.gateway() as dc:
        assert read_offer(dc.offer()).policy_hash != read_offer(first).policy_hash
        assert dc.hello(world.guest(first).hello).status == 200


def test_a_hello_to_an_offer_that_was_never_ours(
    dc: Dc, world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = World.make(tmp_path_factory.mktemp("other"), world.lab)
    with other.gateway() as elsewhere:
        hello = elsewhere.guest().hello
    reply = dc.hello(hello)
    assert (reply.status, reply.json["reasons"]) == (403, ["OFFER_UNKNOWN"])
    assert "report" not in reply.json


def test_a_destroyed_key_is_gone_and_remembered(world: World) -> None:
    with world.gateway() as dc:
        guest = dc.guest()
        world.clock.now += HOUR + SPOOL
        dc.gateway.turn()
        assert dc.hello(guest.hello).json["reasons"] == ["OFFER_EXPIRED"]
        world.clock.now += 1
        # The key is refused from this second on, whether or not housekeeping was there already.
        assert dc.hello(guest.hello).json["reasons"] == ["OFFER_KEY_DESTROYED"]
        dc.gateway.turn()
        assert dc.hello(guest.hello).json["reasons"] == ["OFFER_KEY_DESTROYED"]
        offers = Keystore.open(world.settings.keystore, world.settings.secret).offers
        assert all(read_offer(offer.data).delete_after >= world.clock.now for offer in offers.values())
    with world.gateway() as dc:
        assert dc.hello(guest.hello).json["reasons"] == ["OFFER_KEY_DESTROYED"]


def test_a_crash_between_keystore_and_database_is_mended(world: World) -> None:
    with world.gateway() as dc:
        guest = dc.guest()
    keystore = Keystore.open(world.settings.keystore, world.settings.secret)
    keystore.destroy_offers(frozenset(keystore.offers))
    with world.gateway() as dc:
        assert dc.hello(guest.hello).json["reasons"] == ["OFFER_KEY_DESTROYED"]


def test_after_its_last_use_the_policy_decides(world: World) -> None:
    """max_offer_age is 2 h here, the offer's last use is after 1 h: what a host spooled in between is still taken."""
    with world.gateway() as dc:
        early, late = dc.guest(), dc.guest()
        world.clock.now = NOON + 2 * HOUR
        assert dc.hello(early.hello).status == 200
        world.clock.now += 1
        assert dc.hello(late.hello).json["reasons"] == ["OFFER_EXPIRED"]


def test_evidence_for_an_offer_too_old_for_the_policy(world: World) -> None:
    policy = world.settings.policy.read_text().replace('"2h"', '"10m"')
    world.settings.policy.write_text(policy)
    with world.gateway() as dc:
        guest = dc.guest()
        world.clock.now += 601
        reply = dc.hello(guest.hello)
        assert (reply.status, reply.json["reasons"]) == (403, [Reason.EVIDENCE_TOO_OLD.name])
        assert "report" in reply.json


def test_an_offer_of_the_future_is_for_later(world: World) -> None:
    with world.gateway() as dc:
        guest = dc.guest()
        world.clock.now -= 10
        reply = dc.hello(guest.hello)
        assert (reply.status, reply.json) == (503, {"error": "undecidable", "reasons": ["OFFER_NOT_YET_VALID"]})
        world.clock.now += 10
        assert dc.hello(guest.hello).status == 200


@pytest.mark.parametrize("limit", [0, 3, None])
def test_the_epoch_0_limit_is_the_settings(world: World, limit: int | None) -> None:
    world.settings = replace(world.settings, epoch0_limit=limit)
    with world.gateway() as dc:
        assert read_offer(dc.offer()).epoch0_limit == limit


def test_offers_stand_in_the_database_for_audits(world: World) -> None:
    with world.gateway() as dc:
        dc.session()
        with Reader(world.settings.database) as reader:
            (session,) = reader.sessions()
            assert session.offer
