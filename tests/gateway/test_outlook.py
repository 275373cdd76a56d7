"""The gateway says when its collateral ends: in its status, and as a metric in days."""

from dataclasses import replace
from pathlib import Path

import pytest

from intaglio.collateral.cache import CachedSource
from intaglio.gateway.outlook import SECONDS, CollateralOutlook
from intaglio.sim.world import DEFAULT_FMSPC, Lab
from intaglio.types import Tee, UnixTime
from intaglio.wire.collateral_request import DcapRequest
from tests.collateral.test_cache import Service
from tests.gateway.world import DAY, NOON, LabSource, World

REQUEST = DcapRequest(Tee.SGX, DEFAULT_FMSPC, "platform")
LINE = f'intaglio_collateral_expiry_days{{ca="platform",fmspc="{DEFAULT_FMSPC}",tee="sgx",update="standard"}}'


@pytest.fixture
def cached(world: World, tmp_path: Path) -> World:
    source = CachedSource((Service(world.lab),), tmp_path / "collateral")
    source.get(REQUEST, NOON)
    return replace(world, settings=replace(world.settings, collateral=(source,)))


def test_status_and_metric_say_when_collateral_ends(cached: World) -> None:
    with cached.gateway() as dc:
        token = {"Authorization": f"Bearer {dc.gateway.settings.token_file.read_text().strip()}"}
        (held,) = dc.ask("GET", "/api/v1/status", None, token).json["collateral"]
        assert dc.ask("GET", "/metrics", None, {}).status == 401
        metrics = dc.ask("GET", "/metrics", None, token)
        assert held["request"] == REQUEST.to_json()
        assert held["source"] == "http://pcs.example"
        assert held["days"] == 29.5
        assert held["tcb_evaluation_number"] == 19
        assert f"{LINE} 29.5\n" in metrics.body.decode()
        cached.clock.now += 31 * DAY
        assert f"{LINE} -1.5\n" in dc.ask("GET", "/metrics", None, token).body.decode()


def test_the_folder_is_not_read_for_every_request(lab: Lab, tmp_path: Path) -> None:
    source = CachedSource((Service(lab),), tmp_path)
    outlook = CollateralOutlook((source, LabSource(lab)))
    assert outlook(NOON) == ()
    source.get(REQUEST, NOON)
    assert outlook(UnixTime(NOON + SECONDS - 1)) == ()
    assert len(outlook(UnixTime(NOON + SECONDS))) == 1


@pytest.fixture
def lab(drawn_lab: Lab) -> Lab:
    return drawn_lab.copy()
