"""Finding the TEE: the first interface that works, each that does not says why, and the names that can be asked for."""

import errno

import pytest

from intaglio.attest.configfs_tsm import FOLDER
from intaglio.attest.errors import CannotAttest, Problem
from intaglio.attest.probe import INTERFACES, find_attester
from intaglio.sim.devices.configfs import ConfigfsTsmDevice
from intaglio.sim.devices.gramine import GramineDevice
from intaglio.sim.devices.kernel import SimulatedKernel
from intaglio.sim.devices.nsm import NsmDevice
from intaglio.sim.devices.sev_guest import SevGuestDevice
from intaglio.types import Tee
from tests.attest.evidence import nitro_document, snp_guest, snp_report


def test_without_a_tee_all_that_was_looked_for_is_named(kernel: SimulatedKernel) -> None:
    with pytest.raises(CannotAttest, match="not inside a TEE") as caught:
        find_attester("/app", system=kernel)
    assert caught.value.problem is Problem.MISSING
    assert all(interface.path in str(caught.value) for interface in INTERFACES.values())
    assert "intaglio.sim.run" in str(caught.value)


@pytest.mark.parametrize("name", INTERFACES)
def test_a_named_interface_that_is_not_there(kernel: SimulatedKernel, name: str) -> None:
    with pytest.raises(CannotAttest):
        find_attester("/app", name, system=kernel)


def test_an_interface_that_does_not_work_is_passed_over_for_one_that_does(kernel: SimulatedKernel) -> None:
    kernel.mount(FOLDER, ConfigfsTsmDevice(None))
    kernel.mount("/dev/sev-guest", SevGuestDevice(snp_report, snp_guest()))
    assert find_attester("/app", system=kernel).tee is Tee.SNP


def test_each_that_does_not_work_says_why(kernel: SimulatedKernel) -> None:
    kernel.mount(FOLDER, ConfigfsTsmDevice(None))
    with pytest.raises(CannotAttest, match="no provider"):
        find_attester("/app", system=kernel)
    kernel.mount("/dev/nsm", NsmDevice(nitro_document))
    kernel.denied["/dev/nsm"] = errno.EACCES
    with pytest.raises(CannotAttest) as caught:
        find_attester("/app", system=kernel)
    assert "no provider" in str(caught.value)
    assert "chmod the device" in str(caught.value)


def test_gramine_is_asked_first(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    kernel.mount("/dev/nsm", NsmDevice(nitro_document))
    assert find_attester("/app", system=kernel).tee is Tee.SGX
    assert find_attester("/app", "nsm", system=kernel).tee is Tee.NITRO
