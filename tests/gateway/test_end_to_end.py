"""From `get_size()` in a simulated enclave to a record in the data centre, over HTTP, and back out of the API."""

from pathlib import Path

import pytest

from intaglio.session.offers import check_offer
from intaglio.sim.world import Lab
from intaglio.wire.content import Record
from intaglio.wire.identity import Suite
from tests.gateway.world import HUNDRED, NOON, Dc, World, told


@pytest.mark.parametrize("suite", Suite)
def test_a_hundred_arrives_as_a_hundred(tmp_path: Path, drawn_lab: Lab, suite: Suite) -> None:
    with World.make(tmp_path, drawn_lab.copy(), suite).gateway() as dc:
        guest = dc.guest()
        accept = dc.hello(guest.hello)
        assert accept.status == 200
        assert accept.headers["content-type"] == "application/cbor"
        early = guest.early()
        channel = guest.accept(accept.body)
        assert channel.result.workload == "meter"
        assert channel.result.expires == NOON + 86400
        reply = dc.frames(
            early, channel.farewell, channel.up.protect([HUNDRED, Record("get_name", "text/plain", b"m")])
        )
        assert (reply.status, reply.json) == (200, told(stored=3))
        records = dc.api("records").json["records"]
        assert isinstance(records, list)
        assert [(r["name"], r["value"], r["sequence"], r["position"], r["epoch"]) for r in records] == [
            ("get_size", 100, 0, 0, 0),
            ("get_size", 100, 2, 0, 1),
            ("get_name", "m", 2, 1, 1),
        ]
        for record in records:
            assert record["session"] == guest.session.hex()
            assert (record["status"], record["simulated"], record["workload"]) == ("ACCEPTED", True, "meter")


def test_frames_may_come_in_any_order_and_each_counts_once(dc: Dc) -> None:
    guest, channel = dc.session()
    frames = [channel.farewell, *(channel.up.protect([HUNDRED]) for _ in range(5)), channel.up.rekey()]
    frames += [channel.up.protect([HUNDRED]), channel.up.end()]
    shuffled = [frames[i] for i in (7, 3, 0, 8, 5, 6, 1, 2, 4)]
    assert dc.frames(*shuffled).json == told(stored=9)
    assert dc.frames(*frames).json == told(duplicate=9)
    with dc.world.reader() as reader:
        session = reader.session(guest.handshake.session)
        assert session is not None
        assert (session.frames, session.records, session.replays, session.missing) == (9, 6, 9, 0)
        assert session.ended_at == NOON
        assert len(reader.records()) == 6


def test_the_offer_is_what_an_enclave_believes(dc: Dc) -> None:
    reply = dc.ask("GET", "/v1/offer")
    assert reply.headers["cache-control"] == "public, max-age=3600"
    offer = check_offer(dc.world.pin, reply.body)
    assert offer.body.not_before == NOON
    assert offer.body.delete_after == NOON + 3600 + 7 * 86400
