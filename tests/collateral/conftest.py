"""A lab whose PCS is the service that collateral is fetched from."""

import pytest

from intaglio.sim.world import DEFAULT_FMSPC, Lab
from intaglio.types import Tee, UnixTime
from intaglio.wire.collateral_request import DcapRequest

NOON = UnixTime(1_780_315_200)
"""2026-06-01T12:00:00Z."""

REQUEST = DcapRequest(Tee.SGX, DEFAULT_FMSPC, "platform")


@pytest.fixture(scope="session")
def drawn_lab() -> Lab:
    return Lab.create(None, NOON)


@pytest.fixture
def lab(drawn_lab: Lab) -> Lab:
    return drawn_lab.copy()
