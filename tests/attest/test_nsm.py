"""/dev/nsm: an attestation document through one ioctl, and every answer that is none."""

import ctypes
import errno

import cbor2
import pytest

from intaglio.attest import nsm
from intaglio.attest.base import SealPolicy
from intaglio.attest.errors import CannotAttest, Problem, WrongEvidence
from intaglio.attest.nsm import DEVICE, Nsm, NsmAttester
from intaglio.sim.devices.kernel import SimulatedKernel
from intaglio.sim.devices.nsm import NsmDevice
from intaglio.types import Tee
from intaglio.wire.nitro import NitroDocument
from tests.attest.evidence import ASKED, OTHER, nitro_document
from tests.conftest import missing, vector_cases


@pytest.fixture
def device(kernel: SimulatedKernel) -> NsmDevice:
    device = NsmDevice(nitro_document)
    kernel.mount(DEVICE, device)
    return device


def test_the_structure_has_the_kernels_size() -> None:
    assert ctypes.sizeof(nsm.Exchange) == 32


def test_a_document(device: NsmDevice, kernel: SimulatedKernel) -> None:
    made = NsmAttester("/app", kernel)
    assert NitroDocument.parse(made.evidence(ASKED)).user_data == ASKED
    assert (made.tee, made.isv_svn, made.config_id) == (Tee.NITRO, 0, bytes(64))
    with pytest.raises(CannotAttest, match="no sealing key") as caught:
        made.seal_key(SealPolicy.MRENCLAVE, bytes(32), 0)
    assert caught.value.problem is Problem.NO_KEY
    kernel.mount_files("/app", {"dc.pub": b"pinned"})
    assert made.trusted_file("dc.pub") == b"pinned"
    assert kernel.open_files == 0


def test_both_spellings_of_a_response(device: NsmDevice, kernel: SimulatedKernel) -> None:
    document = nitro_document(ASKED)
    whole = cbor2.dumps("document") + cbor2.dumps(document)
    for answer in (b"\xa1" + cbor2.dumps("Attestation") + b"\xa1" + whole,
                   b"\xbf" + cbor2.dumps("Attestation") + b"\xbf" + whole + b"\xff\xff"):  # fmt: skip
        device.answer = answer
        assert Nsm(kernel).document(ASKED) == document


@pytest.mark.parametrize("name", ["InvalidArgument", "InputTooLarge", "InternalError"])
def test_an_error_by_name(device: NsmDevice, kernel: SimulatedKernel, name: str) -> None:
    device.answer = cbor2.dumps({"Error": name})
    with pytest.raises(CannotAttest, match=f"answers {name}") as caught:
        Nsm(kernel).document(ASKED)
    assert caught.value.problem is Problem.REFUSED


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"\xa1", b"\xff", cbor2.dumps({}), cbor2.dumps({"Attestation": {}}), cbor2.dumps("Attestation"),
        cbor2.dumps({"Attestation": {"document": "text"}}), cbor2.dumps({"Attestation": {"document": b""}}),
        cbor2.dumps({"DescribePCR": {"lock": True}}), cbor2.dumps({"Attestation": {"document": b"1"}}) + b"\0",
        cbor2.dumps({"Error": 3}), cbor2.dumps({"Attestation": {"document": bytes(9), "more": 1}}),
        bytes(0x4000), b"\xa1" * 0x4000,
    ],
)  # fmt: skip
def test_what_is_no_response(device: NsmDevice, kernel: SimulatedKernel, answer: bytes) -> None:
    device.answer = answer
    with pytest.raises(WrongEvidence, match="not a response"):
        Nsm(kernel).document(ASKED)


def test_truncated_responses(device: NsmDevice, kernel: SimulatedKernel) -> None:
    whole = cbor2.dumps({"Attestation": {"document": nitro_document(ASKED)}})
    for length in range(0, len(whole), 97):
        device.answer = whole[:length]
        with pytest.raises(WrongEvidence):
            Nsm(kernel).document(ASKED)


def test_a_document_for_other_data(device: NsmDevice, kernel: SimulatedKernel) -> None:
    made = NsmAttester("/app", kernel)
    device.make = lambda _: nitro_document(OTHER)
    with pytest.raises(WrongEvidence, match="other report data"):
        made.evidence(ASKED)
    device.make = lambda _: b"no document"
    with pytest.raises(WrongEvidence, match="no complete evidence"):
        made.evidence(ASKED)


def test_real_documents_are_not_ours(device: NsmDevice, kernel: SimulatedKernel) -> None:
    cases = vector_cases("nitro")
    if not cases:
        missing("real Nitro documents")
    made = NsmAttester("/app", kernel)
    served = [b""]
    device.make = lambda _: served[0]
    for case in cases:
        served[0] = (case / "attestation_doc.cbor").read_bytes()
        with pytest.raises(WrongEvidence, match=r"other report data|no complete evidence"):
            made.evidence(ASKED)


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.ENOENT, Problem.MISSING), (errno.EACCES, Problem.FORBIDDEN), (errno.ETIMEDOUT, Problem.TIMEOUT),
        (errno.EMSGSIZE, Problem.TOO_LARGE), (errno.EIO, Problem.REFUSED),
    ],
)  # fmt: skip
def test_what_the_kernel_says(device: NsmDevice, kernel: SimulatedKernel, number: int, problem: Problem) -> None:
    kernel.denied[DEVICE] = number
    with pytest.raises(CannotAttest) as caught:
        NsmAttester("/app", kernel)
    assert caught.value.problem is problem
    assert errno.errorcode[number] in str(caught.value)
