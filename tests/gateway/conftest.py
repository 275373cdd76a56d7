"""One lab for all tests of the gateway (its RSA keys are slow to draw), and a data centre for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from intaglio.sim.world import Lab
from tests.gateway.world import NOON, Dc, World


@pytest.fixture(scope="session")
def drawn_lab() -> Lab:
    return Lab.create(None, NOON)


@pytest.fixture
def world(tmp_path: Path, drawn_lab: Lab) -> World:
    return World.make(tmp_path, drawn_lab.copy())


@pytest.fixture
def dc(world: World) -> Iterator[Dc]:
    with world.gateway() as running:
        yield running
