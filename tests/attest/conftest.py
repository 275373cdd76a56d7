"""One lab for the enclaves under Gramine, and a kernel for each test."""

import pytest

from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.cpu import LaunchOptions
from intaglio.sim.devices.gramine import GramineDevice
from intaglio.sim.devices.kernel import SimulatedKernel
from intaglio.sim.draft import launch
from intaglio.sim.signing import EnclaveTerms
from intaglio.sim.world import Lab
from intaglio.wire.sgx import AttributeFlag
from tests.attest.evidence import IMAGE, NOON

CONFIG_ID = bytes(range(100, 164))


@pytest.fixture(scope="session")
def drawn_lab() -> Lab:
    return Lab.create(None, NOON)


@pytest.fixture
def kernel() -> SimulatedKernel:
    return SimulatedKernel()


@pytest.fixture
def gramine(drawn_lab: Lab, kernel: SimulatedKernel) -> GramineDevice:
    """An enclave of ISVSVN 3 with a CONFIGID, under Gramine."""
    return under_gramine(drawn_lab, kernel)


def under_gramine(lab: Lab, kernel: SimulatedKernel, isv_svn: int = 3) -> GramineDevice:
    machine = lab.machine()
    terms = EnclaveTerms(isv_svn=isv_svn, flags=AttributeFlag.MODE64 | AttributeFlag.KSS)
    enclave = launch(lab, machine, IMAGE, NOON, terms, LaunchOptions(config_id=CONFIG_ID))
    device = GramineDevice(SimulatedAttester(machine, enclave))
    kernel.mount("/dev/attestation", device)
    return device
