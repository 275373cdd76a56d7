"""One lab for all tests of the simulator: its RSA keys are slow to draw, everything else is copied for each test."""

import pytest

from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.world import Lab
from intaglio.types import UnixTime

NOON = UnixTime(1_780_315_200)
"""2026-06-01T12:00:00Z."""

IMAGE = Image((TrustedFile("meter.py", b"def get_size():\n    return 100\n" * 300), TrustedFile("dc.pub", b"pinned\n")))


@pytest.fixture(scope="session")
def drawn_lab() -> Lab:
    return Lab.create(None, NOON)


@pytest.fixture
def lab(drawn_lab: Lab) -> Lab:
    """A lab that the test may change."""
    return drawn_lab.copy()
