"""The attester for Gramine, over pseudo-files with Gramine's semantics: what it gives and what it does not believe."""

import errno
import threading
from collections.abc import Callable

import pytest

from intaglio.attest.base import SealPolicy
from intaglio.attest.errors import CannotAttest, Problem, WrongEvidence
from intaglio.attest.gramine import FOLDER, GramineAttester, GramineFiles
from intaglio.enclave.sealing import seal, unseal
from intaglio.errors import LocalProtocolError, ProtocolError, Rejected
from intaglio.reasons import Reason
from intaglio.sim.devices.gramine import GramineDevice
from intaglio.sim.devices.kernel import SimulatedKernel, fail
from intaglio.sim.world import Lab
from intaglio.types import ReportData, Tee
from intaglio.wire.dcap import Quote
from tests.attest.conftest import CONFIG_ID, under_gramine
from tests.attest.evidence import ASKED, OTHER, td_quote
from tests.conftest import missing, vector_cases


def attester(kernel: SimulatedKernel) -> GramineAttester:
    return GramineAttester("/app", kernel)


def test_a_quote_over_what_was_asked_for(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    made = attester(kernel)
    body = Quote.parse(made.evidence(ASKED)).body
    assert body.report_data == ASKED
    assert (made.tee, made.isv_svn, made.config_id) == (Tee.SGX, 3, CONFIG_ID)
    assert kernel.open_files == 0


def test_threads_take_turns(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    made = attester(kernel)
    wanted = [ReportData(bytes([number] * 64)) for number in range(8)]
    got: dict[bytes, bytes] = {}

    def ask(report_data: ReportData) -> None:
        for _ in range(5):
            got[report_data] = Quote.parse(made.evidence(report_data)).body.report_data

    threads = [threading.Thread(target=ask, args=(each,)) for each in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {each: each for each in wanted}


def test_somebody_else_writes_between(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    """Another library in this process, which knows nothing of our lock."""
    made = attester(kernel)
    gramine.after_write = lambda device: device.save("user_report_data", OTHER)
    with pytest.raises(WrongEvidence, match="other report data") as caught:
        made.evidence(ASKED)
    assert isinstance(caught.value, ProtocolError)
    assert OTHER.hex() in str(caught.value)
    assert made.evidence(ASKED)


def test_a_real_quote_is_not_ours(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    cases = vector_cases("sgx")
    if not cases:
        missing("real SGX quotes")
    made = attester(kernel)
    for case in cases:
        quote = (case / "quote.bin").read_bytes()
        gramine.make = lambda _, quote=quote: quote
        with pytest.raises(WrongEvidence, match=r"other report data|no complete evidence"):
            made.evidence(ASKED)


def test_a_real_quote_is_read_to_its_end(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    cases = [case for case in vector_cases("sgx") if not case.name.startswith("NEG-")]
    if not cases:
        missing("real SGX quotes")
    made = attester(kernel)
    quote = (cases[0] / "quote.bin").read_bytes()
    gramine.make = lambda _: quote
    assert made.evidence(Quote.parse(quote).body.report_data) == quote
    for length in (0, 1, 47, 431, 432, 500, len(quote.rstrip(b"\0")) - 1):
        gramine.make = lambda _, length=length: quote[:length]
        with pytest.raises(WrongEvidence, match="no complete evidence"):
            made.evidence(Quote.parse(quote).body.report_data)


def test_a_quote_of_another_tee(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    made = attester(kernel)
    gramine.make = td_quote
    with pytest.raises(WrongEvidence, match="need one of SGX"):
        made.evidence(ASKED)


@pytest.mark.parametrize(
    ("kind", "says"),
    [("none", "without remote attestation"), ("epid", "nobody can verify"), ("tdx", "unknown type"), ("", "unknown")],
)
def test_another_type_of_attestation(gramine: GramineDevice, kernel: SimulatedKernel, kind: str, says: str) -> None:
    gramine.attestation_type = kind
    with pytest.raises(CannotAttest, match=says) as caught:
        attester(kernel)
    assert caught.value.problem is Problem.UNCONFIGURED
    assert 'sgx.remote_attestation = "dcap"' in caught.value.remedy


def test_gramine_without_sgx(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    gramine.sgx = False
    with pytest.raises(CannotAttest, match="gramine-sgx") as caught:
        attester(kernel)
    assert caught.value.problem is Problem.UNCONFIGURED


def test_quoting_that_fails_below(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    def fails(_: bytes) -> bytes:
        raise fail(errno.EACCES, FOLDER)

    gramine.make = fails
    with pytest.raises(CannotAttest, match="aesmd") as caught:
        attester(kernel)
    assert caught.value.problem is Problem.REFUSED
    assert kernel.open_files == 0


@pytest.mark.parametrize("length", [0, 1, 3])
def test_truncated_files(gramine: GramineDevice, kernel: SimulatedKernel, length: int) -> None:
    gramine.truncate = length
    with pytest.raises((CannotAttest, WrongEvidence)) as caught:
        attester(kernel)
    assert "manifest" in str(caught.value)  # attestation_type is the first


@pytest.mark.parametrize(
    "ask", [lambda files: files.report(bytes(512), ASKED), lambda files: files.sealing_root(SealPolicy.MRENCLAVE)]
)
def test_a_truncated_answer(
    gramine: GramineDevice, kernel: SimulatedKernel, ask: Callable[[GramineFiles], object]
) -> None:
    gramine.truncate = 15
    with pytest.raises(WrongEvidence, match="found 15"):
        ask(GramineFiles(kernel))


def test_without_permission(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    made = attester(kernel)
    kernel.denied[f"{FOLDER}/user_report_data"] = errno.EROFS
    with pytest.raises(CannotAttest, match="read-only") as caught:
        made.evidence(ASKED)
    assert caught.value.problem is Problem.FORBIDDEN


def test_keys_differ_by_policy_id_and_enclave(drawn_lab: Lab, gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    made, newer = attester(kernel), SimulatedKernel()
    under_gramine(drawn_lab, newer, isv_svn=4)
    keys = [
        made.seal_key(SealPolicy.MRENCLAVE, bytes(32), 3),
        made.seal_key(SealPolicy.MRENCLAVE, b"\1" * 32, 3),
        made.seal_key(SealPolicy.MRSIGNER, bytes(32), 3),
        attester(newer).seal_key(SealPolicy.MRSIGNER, bytes(32), 4),
        GramineFiles(kernel).sealing_root(SealPolicy.MRENCLAVE),
    ]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {16}
    assert made.seal_key(SealPolicy.MRENCLAVE, bytes(32), 3) == keys[0]


def test_no_key_for_another_version(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    made = attester(kernel)
    with pytest.raises(CannotAttest, match="no key of ISVSVN 2, only of 3") as caught:
        made.seal_key(SealPolicy.MRSIGNER, bytes(32), 2)
    assert caught.value.problem is Problem.NO_KEY
    with pytest.raises(LocalProtocolError):
        made.seal_key(SealPolicy.MRSIGNER, bytes(32), 4)
    with pytest.raises(LocalProtocolError):
        made.seal_key(SealPolicy(0), bytes(32), 3)


def test_sealed_data_opens_again_and_not_elsewhere(
    drawn_lab: Lab, gramine: GramineDevice, kernel: SimulatedKernel
) -> None:
    blob = seal(attester(kernel), b"state", SealPolicy.MRENCLAVE)
    assert unseal(attester(kernel), blob) == b"state"
    with pytest.raises(Rejected) as caught:
        unseal(attester(kernel), blob[:-1] + bytes((blob[-1] ^ 1,)))
    assert caught.value.reason is Reason.SEAL_AUTHENTICATION


def test_a_local_report_is_for_its_target(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    files = GramineFiles(kernel)
    report = files.report(files.target_info(), ASKED)
    assert report.body.report_data == ASKED
    assert gramine.inside.enclave.accepts(report)
    assert not gramine.inside.enclave.accepts(files.report(bytes(512), ASKED))


def test_files_of_the_image(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    kernel.mount_files("/app", {"meter.py": b"script\n"}, absent=errno.EACCES)
    made = attester(kernel)
    assert made.trusted_file("meter.py") == b"script\n"
    for name in ("other.py", "", ".", "..", "../etc/passwd", "a/b", "a\0b"):
        with pytest.raises(FileNotFoundError):
            made.trusted_file(name)


def test_a_disk_that_fails_is_not_an_absent_file(gramine: GramineDevice, kernel: SimulatedKernel) -> None:
    kernel.denied["/app/meter.py"] = errno.EIO
    with pytest.raises(OSError) as caught:
        attester(kernel).trusted_file("meter.py")
    assert caught.value.errno == errno.EIO
