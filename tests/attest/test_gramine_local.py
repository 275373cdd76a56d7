"""Local attestation from within Gramine: what its pseudo-files are enough for, and what they are not."""

from os import urandom

import pytest

from intaglio.attest.errors import CannotAttest, Problem, WrongEvidence
from intaglio.attest.gramine import GramineFiles
from intaglio.attest.gramine_local import GramineLocal
from intaglio.session.local import Initiator, Responder
from intaglio.session.machine import State
from intaglio.sim.devices.gramine import GramineDevice
from intaglio.sim.devices.kernel import SimulatedKernel
from intaglio.verify.local_peer import PeerPolicy
from intaglio.wire.local_exchange import Variant
from intaglio.wire.sgx import LocalReport
from tests.attest.evidence import ASKED, OTHER


def test_a_report_for_a_neighbour(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    """The files' stand-in and the CPU agree on who we are, and the neighbour can check it."""
    platform = GramineLocal(GramineFiles(kernel))
    enclave = gramine.inside.enclave
    assert platform.target_info == enclave.target_info
    report = LocalReport.parse(platform.report(enclave.target_info, ASKED))
    assert report.body.report_data == ASKED
    assert enclave.accepts(report)


@pytest.mark.parametrize("variant", Variant)
def test_an_image_that_brings_egetkey_does_the_whole_exchange(
    gramine: GramineDevice, kernel: SimulatedKernel, variant: Variant
) -> None:
    enclave = gramine.inside.enclave
    platform = GramineLocal(GramineFiles(kernel), enclave.report_key)
    policy = PeerPolicy.enclaves(enclave.identity.mr_enclave)
    responder, initiator = Responder(platform, policy, urandom), Initiator(platform, policy, urandom, variant=variant)
    session = initiator.message3(responder.message2(initiator.message1(responder.message1())))
    assert responder.session.channel.open(session.channel.protect(b"hello")) == b"hello"


def test_without_it_a_neighbours_report_can_not_be_checked(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    enclave = gramine.inside.enclave
    policy = PeerPolicy.enclaves(enclave.identity.mr_enclave)
    responder = Responder(GramineLocal(GramineFiles(kernel)), policy, urandom)
    second = Initiator(enclave, policy, urandom).message1(responder.message1())
    with pytest.raises(CannotAttest, match="EGETKEY") as caught:
        responder.message2(second)
    assert caught.value.problem is Problem.NO_KEY
    assert responder.state is State.DEAD


def test_what_comes_back_is_not_believed(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    platform = GramineLocal(GramineFiles(kernel), lambda key_id: key_id)
    with pytest.raises(WrongEvidence, match="need 16 bytes, found 32"):
        platform.report_key(bytes(32))
    gramine.after_write = lambda device: device.save("user_report_data", OTHER)
    with pytest.raises(WrongEvidence, match="other report data"):
        platform.report(platform.target_info, ASKED)
    gramine.truncate = 511
    with pytest.raises(WrongEvidence, match="512 bytes"):
        _ = platform.target_info
