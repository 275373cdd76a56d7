"""configfs-tsm with the kernel's semantics: both providers, races, refusals, and a folder that never stays behind."""

import errno
from collections.abc import Callable

import pytest

from intaglio.attest.configfs_tsm import FOLDER, ConfigfsTsm
from intaglio.attest.errors import CannotAttest, Problem, WrongEvidence
from intaglio.attest.probe import find_attester
from intaglio.attest.tdx_guest import DEVICE
from intaglio.errors import ProtocolError
from intaglio.sim.devices.configfs import ConfigfsTsmDevice, Made, Provider
from intaglio.sim.devices.kernel import SimulatedKernel, fail
from intaglio.sim.devices.tdx_guest import TdxGuestDevice
from intaglio.types import ReportData, Tee
from intaglio.wire.dcap import Quote
from intaglio.wire.snp import SnpReport
from intaglio.wire.snp_certs import CertificateTable
from tests.attest.evidence import ASKED, OTHER, snp_report, td_quote
from tests.conftest import missing, vector_cases

TABLE = CertificateTable(vcek=b"certificate").encode()


def tdx(make: Callable[[bytes], bytes] = td_quote) -> ConfigfsTsmDevice:
    return ConfigfsTsmDevice(Provider("tdx_guest", lambda data, _: Made(make(data))))


def snp(make: Callable[[bytes, int], bytes] = snp_report, floor: int = 0) -> ConfigfsTsmDevice:
    return ConfigfsTsmDevice(Provider("sev_guest", lambda data, level: Made(make(data, level), TABLE), floor))


def mounted(kernel: SimulatedKernel, device: ConfigfsTsmDevice) -> ConfigfsTsmDevice:
    kernel.mount(FOLDER, device)
    return device


def refused(kernel: SimulatedKernel, device: ConfigfsTsmDevice, problem: Problem, *says: str) -> CannotAttest:
    mounted(kernel, device)
    with pytest.raises(CannotAttest) as caught:
        ConfigfsTsm(kernel).report(ASKED)
    assert caught.value.problem is problem
    assert all(text in str(caught.value) for text in says), str(caught.value)
    assert caught.value.remedy
    assert (device.items, kernel.open_files) == ({}, 0)
    return caught.value


def test_a_tdx_guest(kernel: SimulatedKernel) -> None:
    device = mounted(kernel, tdx())
    made = find_attester("/app", "configfs-tsm", system=kernel)
    assert made.tee is Tee.TDX
    assert made.isv_svn == 0
    assert made.config_id == b"\xc1" * 48 + bytes(16)
    assert Quote.parse(made.evidence(ASKED)).body.report_data == ASKED
    assert (device.items, device.made, kernel.open_files) == ({}, 2, 0)


@pytest.mark.parametrize("denied", [None, errno.EACCES])
def test_a_tdx_guest_whose_host_answers_with_another_tds_quote(kernel: SimulatedKernel, denied: int | None) -> None:
    """Where the device is there and may be used, the TDX module says what this TD is; else the quote does."""
    mounted(kernel, tdx())
    kernel.mount(DEVICE, TdxGuestDevice(mr_config_id=b"\xee" * 48))
    if denied:
        kernel.denied[DEVICE] = denied
        assert find_attester("/app", "configfs-tsm", system=kernel).config_id[:48] == b"\xc1" * 48
    else:
        with pytest.raises(WrongEvidence, match="a quote of another TD"):
            find_attester("/app", "configfs-tsm", system=kernel)


def test_an_snp_guest(kernel: SimulatedKernel) -> None:
    device = mounted(kernel, snp())
    made = find_attester("/app", "configfs-tsm", system=kernel)
    assert made.tee is Tee.SNP
    assert made.config_id == b"\x0d" * 32 + bytes(32)
    assert SnpReport.parse(made.evidence(ASKED)).report_data == ASKED
    assert device.items == {}
    report = ConfigfsTsm(kernel).report(ASKED)
    assert CertificateTable.parse(report.auxblob).vcek == b"certificate"


@pytest.mark.parametrize(("floor", "asked", "level"), [(0, None, 0), (2, None, 2), (1, 3, 3), (0, 2, 2)])
def test_privilege_levels(kernel: SimulatedKernel, floor: int, asked: int | None, level: int) -> None:
    mounted(kernel, snp(floor=floor))
    report = ConfigfsTsm(kernel, asked).report(ASKED)
    assert SnpReport.parse(report.outblob).vmpl == level


@pytest.mark.parametrize(("floor", "asked"), [(1, 0), (0, 4), (0, -1), (4, None)])
def test_a_privilege_level_that_nobody_may_ask_for(kernel: SimulatedKernel, floor: int, asked: int | None) -> None:
    device = mounted(kernel, snp(floor=floor))
    with pytest.raises(CannotAttest, match="can't be asked for") as caught:
        ConfigfsTsm(kernel, asked).report(ASKED)
    assert caught.value.problem is Problem.UNCONFIGURED
    assert device.items == {}


def test_no_driver(kernel: SimulatedKernel) -> None:
    refused(kernel, ConfigfsTsmDevice(None), Problem.UNCONFIGURED, "no provider", "modprobe tdx_guest")


def test_a_provider_that_nobody_knows(kernel: SimulatedKernel) -> None:
    device = ConfigfsTsmDevice(Provider("arm_cca_guest", lambda data, _: Made(data)))
    refused(kernel, device, Problem.UNCONFIGURED, "arm_cca_guest")


def test_no_configfs(kernel: SimulatedKernel) -> None:
    with pytest.raises(CannotAttest, match="mount -t configfs") as caught:
        ConfigfsTsm(kernel).report(ASKED)
    assert caught.value.problem is Problem.MISSING


@pytest.mark.parametrize(
    ("number", "problem"),
    [(errno.EACCES, Problem.FORBIDDEN), (errno.EPERM, Problem.FORBIDDEN), (errno.EROFS, Problem.FORBIDDEN)],
)
def test_no_permission(kernel: SimulatedKernel, number: int, problem: Problem) -> None:
    kernel.denied[FOLDER] = number
    refused(kernel, tdx(), problem)


def test_somebody_writes_into_our_request(kernel: SimulatedKernel) -> None:
    device = mounted(kernel, tdx())
    device.after_write = lambda folder: device.take(folder, inblob=bytes(OTHER))
    with pytest.raises(WrongEvidence, match="generation 2 after 1 writes from 0") as caught:
        ConfigfsTsm(kernel).report(ASKED)
    assert isinstance(caught.value, ProtocolError)
    assert device.items == {}


def test_a_write_that_the_kernel_does_not_take_is_noticed(kernel: SimulatedKernel) -> None:
    """The kernel ignores what goes wrong when `inblob` is closed."""
    device = mounted(kernel, tdx())

    def undo(folder: str) -> None:
        device.items[folder].written -= 1

    device.after_write = undo
    with pytest.raises(WrongEvidence, match="generation 0 after 1 writes"):
        ConfigfsTsm(kernel).report(ASKED)


def test_busy_is_tried_again_and_not_for_ever(kernel: SimulatedKernel) -> None:
    answers = [errno.EBUSY, errno.EINTR, errno.EBUSY]

    def make(data: bytes) -> bytes:
        if answers:
            raise fail(answers.pop())
        return td_quote(data)

    device = mounted(kernel, tdx(make))
    assert ConfigfsTsm(kernel).report(ASKED).tee is Tee.TDX
    assert (kernel.slept, device.items) == (3.0, {})
    answers.extend([errno.EBUSY] * 100)
    refused(kernel, device, Problem.BUSY, "EBUSY")
    assert len(answers) == 95


@pytest.mark.parametrize(
    ("number", "problem", "says"),
    [
        (errno.EINVAL, Problem.REFUSED, "privilege level"),
        (errno.EIO, Problem.REFUSED, "qgsd"),
        (errno.ENXIO, Problem.REFUSED, "dmesg"),
        (errno.ETIMEDOUT, Problem.TIMEOUT, "quoting service"),
        (errno.EFBIG, Problem.TOO_LARGE, "newer kernel"),
        (errno.ENOMEM, Problem.REFUSED, "ENOMEM"),
    ],
)
def test_what_the_driver_says(kernel: SimulatedKernel, number: int, problem: Problem, says: str) -> None:
    def make(_: bytes) -> bytes:
        raise fail(number)

    refused(kernel, tdx(make), problem, says)


def test_evidence_too_large_for_the_kernel(kernel: SimulatedKernel) -> None:
    refused(kernel, tdx(lambda _: bytes(32 * 1024 + 1)), Problem.TOO_LARGE, "DICE")


def test_an_empty_quote_is_the_hosts_failure(kernel: SimulatedKernel) -> None:
    refused(kernel, tdx(lambda _: b""), Problem.REFUSED, "empty", "qgsd")


def test_the_kernel_wants_64_bytes(kernel: SimulatedKernel) -> None:
    device = mounted(kernel, tdx())
    with pytest.raises(CannotAttest, match="EINVAL"):
        ConfigfsTsm(kernel).report(ReportData(ASKED[:63]))
    with pytest.raises(CannotAttest, match="EFBIG"):
        ConfigfsTsm(kernel).report(ReportData(ASKED + b"\0"))
    assert device.items == {}


@pytest.mark.parametrize("tee", ["tdx", "snp"])
def test_real_evidence_is_not_ours(kernel: SimulatedKernel, tee: str) -> None:
    name = {"tdx": "quote.bin", "snp": "report.bin"}[tee]
    cases = vector_cases(tee)
    if not cases:
        missing(f"real {tee} evidence")
    served: list[bytes] = []
    device = (
        snp(lambda data, level: served[0] if served else snp_report(data, level))
        if tee == "snp"
        else tdx(lambda data: served[0] if served else td_quote(data))
    )
    mounted(kernel, device)
    made = find_attester("/app", system=kernel)
    for case in cases:
        served[:] = [(case / name).read_bytes()]
        with pytest.raises(WrongEvidence, match=r"other report data|no complete evidence"):
            made.evidence(ASKED)


def test_real_evidence_that_was_asked_for(kernel: SimulatedKernel) -> None:
    real = [case for case in vector_cases("tdx") if not case.name.startswith("NEG-")]
    if not real:
        missing("real TDX quotes")
    served: list[bytes] = []
    mounted(kernel, tdx(lambda data: served[0] if served else td_quote(data)))
    made = find_attester("/app", system=kernel)
    for case in real:
        quote = (case / "quote.bin").read_bytes()
        served[:] = [quote]
        assert made.evidence(Quote.parse(quote).body.report_data) == quote


def test_truncated_evidence(kernel: SimulatedKernel) -> None:
    whole = snp_report(ASKED)
    cut = [len(whole)]
    mounted(kernel, snp(lambda data, level: snp_report(data, level)[: cut[0]]))
    made = find_attester("/app", system=kernel)
    for cut[0] in (1, 100, len(whole) - 1):
        with pytest.raises(WrongEvidence, match="no complete evidence"):
            made.evidence(ASKED)


def test_nonsense_for_a_number(kernel: SimulatedKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted(kernel, tdx())
    monkeypatch.setattr(ConfigfsTsmDevice, "_text", lambda *_: b"tdx_guest\n")
    with pytest.raises(WrongEvidence, match="need a number"):
        ConfigfsTsm(kernel).report(ASKED)
