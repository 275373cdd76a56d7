"""A data centre that speaks the contract, and an enclave of this process, for the tests of relay and spool."""

from collections.abc import Iterator

import pytest

from tests.host.enclave import LocalEnclave, local_enclave
from tests.host.gateway import Gateway, serving


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def url(gateway: Gateway) -> Iterator[str]:
    with serving(gateway) as url:
        yield url


@pytest.fixture
def enclave(gateway: Gateway) -> Iterator[LocalEnclave]:
    with local_enclave(gateway.dc) as enclave:
        yield enclave
