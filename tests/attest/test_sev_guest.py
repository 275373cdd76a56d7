"""/dev/sev-guest: reports, certificates and derived keys through structures full of addresses."""

import ctypes
import errno

import pytest

from intaglio.attest import sev_guest
from intaglio.attest.base import SealPolicy
from intaglio.attest.configfs_tsm import FOLDER
from intaglio.attest.errors import CannotAttest, Problem, WrongEvidence
from intaglio.attest.probe import find_attester
from intaglio.attest.sev_guest import DEVICE, GuestField, SevGuest
from intaglio.enclave.sealing import seal, unseal
from intaglio.errors import LocalProtocolError
from intaglio.sim.devices.configfs import ConfigfsTsmDevice, Made, Provider
from intaglio.sim.devices.kernel import SimulatedKernel
from intaglio.sim.devices.sev_guest import SevGuestDevice
from intaglio.types import Tee
from intaglio.wire.snp import SnpReport
from intaglio.wire.snp_certs import CertificateTable
from tests.attest.evidence import ASKED, OTHER, snp_guest, snp_report

TABLE = CertificateTable(vcek=b"certificate").encode()


@pytest.fixture
def device(kernel: SimulatedKernel) -> SevGuestDevice:
    device = SevGuestDevice(snp_report, snp_guest())
    kernel.mount(DEVICE, device)
    return device


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (sev_guest.GuestRequest, 32), (sev_guest.ReportRequest, 96), (sev_guest.ExtendedReportRequest, 112),
        (sev_guest.DerivedKeyRequest, 32),
    ],
)  # fmt: skip
def test_structures_have_the_kernels_sizes(kind: type[ctypes.Structure], size: int) -> None:
    assert ctypes.sizeof(kind) == size


def test_a_report(device: SevGuestDevice, kernel: SimulatedKernel) -> None:
    made = find_attester("/app", "sev-guest", system=kernel)
    assert SnpReport.parse(made.evidence(ASKED)).report_data == ASKED
    assert (made.tee, made.isv_svn) == (Tee.SNP, 3)
    assert kernel.open_files == 0


def test_certificates_beside_a_report(device: SevGuestDevice, kernel: SimulatedKernel) -> None:
    assert SevGuest(kernel).extended_report(ASKED)[1] == b""
    device.certificates = TABLE
    report, table = SevGuest(kernel).extended_report(ASKED)
    assert SnpReport.parse(report).report_data == ASKED
    assert CertificateTable.parse(table).vcek == b"certificate"


def test_more_certificates_than_fit_cost_the_certificates_only(device: SevGuestDevice, kernel: SimulatedKernel) -> None:
    device.certificates = bytes(20_000)
    report, table = SevGuest(kernel).extended_report(ASKED)
    assert SnpReport.parse(report).report_data == ASKED
    assert table == b""


def test_other_report_data(device: SevGuestDevice, kernel: SimulatedKernel) -> None:
    made = find_attester("/app", system=kernel)
    device.make = lambda _, vmpl: snp_report(OTHER, vmpl)
    with pytest.raises(WrongEvidence, match="other report data"):
        made.evidence(ASKED)


@pytest.mark.parametrize("report", [b"", b"\2" + bytes(100), bytes(1184), bytes(4000)])
def test_what_is_no_report(device: SevGuestDevice, kernel: SimulatedKernel, report: bytes) -> None:
    made = find_attester("/app", system=kernel)
    device.make = lambda *_: report
    with pytest.raises(WrongEvidence):
        made.evidence(ASKED)


def test_the_firmware_says_no(device: SevGuestDevice, kernel: SimulatedKernel) -> None:
    device.vmpl = 1
    with pytest.raises(CannotAttest, match="invalid parameters") as caught:
        find_attester("/app", "sev-guest", system=kernel)
    assert caught.value.problem is Problem.REFUSED
    assert "VMPL" in caught.value.remedy
    assert find_attester("/app", "sev-guest", vmpl=1, system=kernel).evidence(ASKED)
    device.status = 0x27
    with pytest.raises(CannotAttest, match="no key of this kind"):
        SevGuest(kernel, 1).report(ASKED)


def test_after_a_failure_the_device_is_dead(device: SevGuestDevice, kernel: SimulatedKernel) -> None:
    device.broken = True
    for says in ("firmware or the host refused", "given up its key"):
        with pytest.raises(CannotAttest, match=says) as caught:
            SevGuest(kernel).report(ASKED)
        assert caught.value.problem is Problem.REFUSED


@pytest.mark.parametrize(("number", "problem"), [(errno.EACCES, Problem.FORBIDDEN), (errno.ENOENT, Problem.MISSING)])
def test_no_device_or_no_permission(
    device: SevGuestDevice, kernel: SimulatedKernel, number: int, problem: Problem
) -> None:
    kernel.denied[DEVICE] = number
    with pytest.raises(CannotAttest) as caught:
        find_attester("/app", "sev-guest", system=kernel)
    assert caught.value.problem is problem


def test_keys_depend_on_guest_version_and_level(device: SevGuestDevice, kernel: SimulatedKernel) -> None:
    guest = SevGuest(kernel)
    fields = GuestField.MEASUREMENT | GuestField.GUEST_SVN
    keys = {
        guest.derived_key(fields, 0, 3), guest.derived_key(fields, 0, 2), guest.derived_key(fields, 1, 3),
        guest.derived_key(fields | GuestField.POLICY, 0, 3),
    }  # fmt: skip
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}
    with pytest.raises(CannotAttest, match="invalid parameters"):
        guest.derived_key(fields, 0, 4)


@pytest.mark.parametrize("interface", ["sev-guest", "configfs-tsm"])
def test_sealing(device: SevGuestDevice, kernel: SimulatedKernel, interface: str) -> None:
    provider = Provider("sev_guest", lambda data, level: Made(snp_report(data, level)))
    kernel.mount(FOLDER, ConfigfsTsmDevice(provider))
    made = find_attester("/app", interface, system=kernel)
    assert unseal(made, seal(made, b"state", SealPolicy.MRENCLAVE)) == b"state"
    assert made.seal_key(SealPolicy.MRENCLAVE, bytes(32), 2) != made.seal_key(SealPolicy.MRENCLAVE, bytes(32), 3)
    with pytest.raises(CannotAttest, match="who signed") as caught:
        made.seal_key(SealPolicy.MRSIGNER, bytes(32), 3)
    assert caught.value.problem is Problem.NO_KEY
    for policy, svn in ((SealPolicy.MRENCLAVE, 4), (SealPolicy(0), 3)):
        with pytest.raises(LocalProtocolError):
            made.seal_key(policy, bytes(32), svn)


def test_no_keys_without_the_device(kernel: SimulatedKernel) -> None:
    provider = Provider("sev_guest", lambda data, level: Made(snp_report(data, level)))
    kernel.mount(FOLDER, ConfigfsTsmDevice(provider))
    with pytest.raises(CannotAttest, match="modprobe sev-guest") as caught:
        find_attester("/app", system=kernel).seal_key(SealPolicy.MRENCLAVE, bytes(32), 3)
    assert caught.value.problem is Problem.NO_KEY
