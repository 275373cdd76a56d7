"""What Prometheus is told: counts from the store, days of collateral, times of answers; and that it reads it."""

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from intaglio.collateral.freshness import Forecast, freshness
from intaglio.gateway.metrics import AnswerTimes, metrics_text
from intaglio.gateway.query import Status
from intaglio.sim.world import DEFAULT_FMSPC, Lab
from intaglio.types import Tee
from intaglio.wire.collateral_bundle import Entry
from intaglio.wire.collateral_request import DcapRequest, SnpRequest, TcbUpdate
from intaglio.wire.snp_fields import Product, TcbVersion
from tests.collateral.test_cache import Service
from tests.gateway.world import HOUR, HUNDRED, NOON, Dc, told

REQUEST = DcapRequest(Tee.SGX, DEFAULT_FMSPC, "platform")
NOTHING = Status(0, 0, 0, 0, 0, 0, 0, None, None, {}, simulated=False)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """As the official parser reads them: by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(dc: Dc) -> Samples:
    token = {"Authorization": f"Bearer {dc.gateway.settings.token_file.read_text().strip()}"}
    reply = dc.ask("GET", "/metrics", None, token)
    assert reply.status == 200
    return samples(reply.body.decode())


def test_what_came_what_was_refused_and_what_is_missing(dc: Dc) -> None:
    _, channel = dc.session()
    first, lost, last = channel.farewell, channel.up.protect([HUNDRED]), channel.up.protect([HUNDRED, HUNDRED])
    assert dc.frames(first, last).json == told(stored=2)
    assert dc.frames(last).json == told(duplicate=1)
    assert dc.frames(lost[:-1] + bytes([lost[-1] ^ 1])).status == 403
    dc.world.clock.now += HOUR
    found = scraped(dc)
    assert found["intaglio_sessions_accepted_total", ()] == 1
    assert found["intaglio_sessions_live", ()] == 1
    assert found["intaglio_session_oldest_seconds", ()] == HOUR
    assert found["intaglio_frames_total", ()] == 2
    assert found["intaglio_records_total", ()] == 2
    assert found["intaglio_replays_total", ()] == 1
    assert found["intaglio_frames_missing", ()] == 1
    assert found["intaglio_refused_total", (("reason", "FRAME_AUTHENTICATION"),)] == 1
    assert found["intaglio_last_frame_timestamp_seconds", ()] == NOON
    assert found["intaglio_simulated", ()] == 1
    assert dc.frames(lost).json == told(stored=1)
    assert scraped(dc)["intaglio_frames_missing", ()] == 0


def test_answers_are_timed_by_route_and_status(dc: Dc) -> None:
    dc.session()
    assert dc.frames(b"\x00").status == 400
    dc.ask("GET", "/v1/nowhere")
    dc.ask("GET", "/v1/offer/../made-up-by-a-peer")
    counts = {labels: value for (name, labels), value in scraped(dc).items() if name == "intaglio_answer_seconds_count"}
    assert counts == {
        (("route", "/v1/offer"), ("status", "200")): 1,
        (("route", "/v1/hello"), ("status", "200")): 1,
        (("route", "/v1/frames"), ("status", "400")): 1,
    }


def test_an_answer_falls_into_its_bucket() -> None:
    times = AnswerTimes()
    for seconds in (0.0004, 0.02, 60):
        times.observe("/v1/hello", 200, seconds)
    found = samples(times.text())
    of = (("route", "/v1/hello"), ("status", "200"))
    assert found["intaglio_answer_seconds_sum", of] == pytest.approx(60.0204)
    bucket = {labels[0][1]: value for (name, labels), value in found.items() if name.endswith("_bucket")}
    assert (bucket["0.0005"], bucket["0.01"], bucket["0.025"], bucket["10.0"], bucket["+Inf"]) == (1, 1, 2, 2, 3)


def test_of_a_fleets_chips_the_least_counts(lab: Lab) -> None:
    collateral = Service(lab).collateral(DEFAULT_FMSPC, "platform")
    facts = freshness(collateral)
    chips = [SnpRequest(Product.MILAN, bytes([n]) * 64, TcbVersion(3, 0, 8, 115)) for n in (1, 2)]
    late = replace(
        facts, documents={**facts.documents, "pck_crl": replace(facts.documents["pck_crl"], next_update=NOON)}
    )
    found = [
        Forecast(Entry(request, NOON, "x", collateral), each)
        for request, each in zip(chips, (facts, late), strict=True)
    ]
    early = Forecast(Entry(replace(REQUEST, update=TcbUpdate.EARLY), NOON, "x", collateral), facts)
    lines = metrics_text(NOTHING, [*found, early], NOON).splitlines()
    assert [line for line in lines if line.startswith("intaglio_collateral")] == [
        'intaglio_collateral_expiry_days{ca="platform",fmspc="00a0dedede00",tee="sgx",update="early"} 29.5',
        'intaglio_collateral_expiry_days{product="Milan",signing_key="vcek",tee="snp"} 0.0',
    ]


@pytest.fixture
def lab(drawn_lab: Lab) -> Lab:
    return drawn_lab.copy()
