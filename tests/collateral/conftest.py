"""A lab whose PCS is the service that collateral is fetched from."""

import pytest

from intaglio.sim.world import Lab
from intaglio.types import UnixTime

NOON = UnixTime(1_780_315_200)
"""2026-06-01T12:00:00Z."""


@pytest.fixture(scope="session")
def drawn_lab() -> Lab:
    return Lab.create(None, NOON)


@pytest.fixture
def lab(drawn_lab: Lab) -> Lab:
    return drawn_lab.copy()
