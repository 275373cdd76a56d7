"""/dev/tdx_guest with Intel's quoting service on a vsock: a hostile host sits at the other end of it."""

import ctypes
import errno
import socket
from collections.abc import Callable

import pytest

from intaglio.attest import tdx_guest
from intaglio.attest.base import SealPolicy
from intaglio.attest.errors import CannotAttest, Problem, WrongEvidence
from intaglio.attest.probe import find_attester
from intaglio.attest.tdx_guest import CONFIGURATION, DEVICE, TdxGuest
from intaglio.sim.devices.kernel import SimulatedKernel
from intaglio.sim.devices.tdx_guest import QuoteService, TdxGuestDevice
from intaglio.types import Tee
from intaglio.wire.dcap import Quote
from tests.attest.evidence import ASKED, OTHER, td_quote

PORT = (2, 4050)
OURS = b"\xc1" * 48


@pytest.fixture
def service(kernel: SimulatedKernel) -> QuoteService:
    kernel.mount(DEVICE, TdxGuestDevice(mr_config_id=OURS))
    configure(kernel, b"# comment\n port = 4050 \n")
    service = QuoteService(td_quote)
    kernel.services[PORT] = service
    return service


def configure(kernel: SimulatedKernel, text: bytes | None) -> None:
    folder, _, name = CONFIGURATION.rpartition("/")
    kernel.mount_files(folder, {} if text is None else {name: text})


def test_the_structure_has_the_kernels_size() -> None:
    assert ctypes.sizeof(tdx_guest.TdReportRequest) == 1088


def test_a_quote(service: QuoteService, kernel: SimulatedKernel) -> None:
    made = find_attester("/app", system=kernel)
    assert made.tee is Tee.TDX
    assert Quote.parse(made.evidence(ASKED)).body.report_data == ASKED
    assert made.config_id[:48] == b"\xc1" * 48
    with pytest.raises(CannotAttest, match="no sealing key") as caught:
        made.seal_key(SealPolicy.MRENCLAVE, bytes(32), 0)
    assert caught.value.problem is Problem.NO_KEY


@pytest.mark.parametrize("text", [None, b"", b"# port = 4050\n", b"port = many", b"port = 0", b"port = 4294967296"])
def test_a_td_report_alone_is_no_quote(service: QuoteService, kernel: SimulatedKernel, text: bytes | None) -> None:
    configure(kernel, text)
    with pytest.raises(CannotAttest, match="a TDREPORT is no quote") as caught:
        TdxGuest(kernel).quote(ASKED)
    assert caught.value.problem is Problem.UNCONFIGURED
    assert "configfs-tsm" in caught.value.remedy


def test_nobody_listens(service: QuoteService, kernel: SimulatedKernel) -> None:
    kernel.services = {(2, 1): service}
    with pytest.raises(CannotAttest, match="no quoting service answers") as caught:
        TdxGuest(kernel).quote(ASKED)
    assert caught.value.problem is Problem.MISSING
    assert "qgsd" in caught.value.remedy


def test_the_service_says_no(service: QuoteService, kernel: SimulatedKernel) -> None:
    service.error = 0x11001
    with pytest.raises(CannotAttest, match="error 0x11001") as caught:
        TdxGuest(kernel).quote(ASKED)
    assert caught.value.problem is Problem.REFUSED


@pytest.mark.parametrize(
    "edit",
    [
        lambda _: b"",
        lambda framed: framed[:3],
        lambda framed: framed[:-1],
        lambda framed: b"\0\0\0\0" + framed[4:],
        lambda framed: b"\xff\xff\xff\xff" + framed[4:],
        lambda framed: framed[:4] + b"\2" + framed[5:],
        lambda framed: framed[:8] + b"\0" + framed[9:],
        lambda framed: framed[:12] + b"\xff\xff\xff\xff" + framed[16:],
        lambda framed: framed[:20] + b"\xff\xff\xff\xff" + framed[24:],
        lambda framed: framed[:24] + b"\1\0\0\0" + framed[28:],
        lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_a_hostile_service(service: QuoteService, kernel: SimulatedKernel, edit: Callable[[bytes], bytes]) -> None:
    service.edit = edit
    with pytest.raises(WrongEvidence, match="vsock 2:4050"):
        TdxGuest(kernel).quote(ASKED)


def test_a_service_that_never_answers(
    service: QuoteService, kernel: SimulatedKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tdx_guest, "TIMEOUT", 0.01)

    def silent(stream: socket.socket) -> None:
        while stream.recv(4096):
            pass

    kernel.services[PORT] = silent
    with pytest.raises(CannotAttest, match="no answer in time") as caught:
        TdxGuest(kernel).quote(ASKED)
    assert caught.value.problem is Problem.TIMEOUT


def test_a_quote_for_other_report_data(service: QuoteService, kernel: SimulatedKernel) -> None:
    made = find_attester("/app", system=kernel)
    service.make = lambda _: td_quote(OTHER)
    with pytest.raises(WrongEvidence, match="other report data"):
        made.evidence(ASKED)


def test_a_quote_does_not_say_what_this_td_is(service: QuoteService, kernel: SimulatedKernel) -> None:
    """The host launched the TD under one MRCONFIGID and answers with a quote that states another: the SDK would take
    the pin that it must refuse."""
    kernel.mount(DEVICE, TdxGuestDevice(mr_config_id=b"\xee" * 48))
    with pytest.raises(WrongEvidence, match="a quote of another TD"):
        find_attester("/app", "tdx-guest", system=kernel)


def test_a_td_report_for_other_report_data(service: QuoteService, kernel: SimulatedKernel) -> None:
    kernel.mount(DEVICE, TdxGuestDevice(replace=bytes(OTHER)))
    with pytest.raises(WrongEvidence, match="TDREPORT over other report data"):
        TdxGuest(kernel).td_report(ASKED)


@pytest.mark.parametrize(("number", "problem"), [(errno.EACCES, Problem.FORBIDDEN), (errno.ENODEV, Problem.MISSING)])
def test_no_device_or_no_permission(
    service: QuoteService, kernel: SimulatedKernel, number: int, problem: Problem
) -> None:
    kernel.denied[DEVICE] = number
    with pytest.raises(CannotAttest) as caught:
        find_attester("/app", "tdx-guest", system=kernel)
    assert caught.value.problem is problem


def test_a_configuration_that_nobody_may_read(service: QuoteService, kernel: SimulatedKernel) -> None:
    kernel.denied[CONFIGURATION] = errno.EACCES
    with pytest.raises(CannotAttest, match="permission denied"):
        TdxGuest(kernel).quote(ASKED)
