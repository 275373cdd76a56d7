"""Both suites, with and without operational keys."""

import pytest

from intaglio.wire.identity import Suite
from tests.session.world import Session, World


@pytest.fixture(params=[(suite, operational) for suite in Suite for operational in (False, True)], ids=str)
def world(request: pytest.FixtureRequest) -> World:
    suite, operational = request.param
    return World(suite, operational)


@pytest.fixture
def session() -> Session:
    """An established session of suite 1: frames do not depend on the suite."""
    return World().meet()


@pytest.fixture(params=list(Suite), ids=str)
def suite(request: pytest.FixtureRequest) -> Suite:
    return Suite(request.param)
