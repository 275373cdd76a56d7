"""Intel SGX under Gramine: its pseudo-files below /dev/attestation (Gramine, Documentation/attestation.rst).

The files belong to the whole process and are not made for threads: report data are written into one, and the quote is
read from another. So there is one lock, and what was quoted is compared with what was asked for. A write replaces what
the write before it said, which is why 64 bytes go in one. Gramine answers EACCES to nearly everything that fails below.
"""

import errno
import threading
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from intaglio.attest.base import SealPolicy
from intaglio.attest.binding import OWN, bound, sgx_body
from intaglio.attest.errors import CannotAttest, Problem, Remedies, WrongEvidence, from_os
from intaglio.attest.image import ImageFolder
from intaglio.attest.system import KERNEL, System, read_all, write_once
from intaglio.errors import LocalProtocolError
from intaglio.types import ReportData, Tee
from intaglio.wire import cbor
from intaglio.wire.dcap import MAX_QUOTE_SIZE
from intaglio.wire.sgx import LOCAL_REPORT_SIZE, LocalReport, ReportBody
from intaglio.wire.target_info import TARGET_INFO_SIZE

__all__ = ["FOLDER", "GramineAttester", "GramineFiles"]

FOLDER: Final = "/dev/attestation"
_KEY_SIZE = 16
_MAX_SMALL = 4096
_KEYS = {SealPolicy.MRENCLAVE: "_sgx_mrenclave", SealPolicy.MRSIGNER: "_sgx_mrsigner"}

_MANIFEST = 'write sgx.remote_attestation = "dcap" into the manifest, sign it again, and measure it again'
_QUOTING = "see that aesmd and Intel's quote provider run on the host (intaglio doctor there says what is missing)"
_ANY_FAILURE: Remedies = {
    errno.EACCES: (Problem.REFUSED, "Gramine could not make it", _QUOTING),
    errno.EPERM: (Problem.REFUSED, "Gramine could not make it", _QUOTING),
}
_NO_FILE: Remedies = {
    errno.ENOENT: (Problem.MISSING, "no such pseudo-file", "run a current Gramine, with gramine-sgx"),
    **_ANY_FAILURE,
}

_LOCK = threading.Lock()
"""One for the process, as the files are."""


class GramineFiles:
    """The pseudo-files, one use at a time."""

    def __init__(self, system: System = KERNEL, folder: str = FOLDER) -> None:
        self._system = system
        self._folder = folder

    @property
    def attestation_type(self) -> str:
        """ "none", "epid" or "dcap", as the manifest says it. Raises `CannotAttest`."""
        path = self._path("attestation_type")
        direct: Remedies = {
            errno.ENOENT: (
                Problem.UNCONFIGURED,
                "Gramine without SGX can't prove anything",
                "start it with gramine-sgx",
            )
        }
        return self._read(path, _MAX_SMALL, direct).decode("ascii", "replace").strip("\0\n ")

    def quote(self, report_data: ReportData) -> bytes:
        """A quote over these 64 bytes. Raises `CannotAttest`, `WrongEvidence`."""
        path = self._path("quote")
        with _LOCK:
            self._write("user_report_data", report_data)
            quote = self._read(path, MAX_QUOTE_SIZE, _NO_FILE)
        bound(sgx_body, quote, report_data, path)
        return quote

    def target_info(self) -> bytes:
        """To whom another enclave on this CPU addresses a report for us: TARGETINFO, 512 bytes."""
        path = self._path("my_target_info")
        return _sized(self._read(path, _MAX_SMALL, _NO_FILE), TARGET_INFO_SIZE, path)

    def report(self, target_info: bytes, report_data: ReportData) -> LocalReport:
        """EREPORT: a local report of this enclave, addressed to `target_info`. Raises `CannotAttest`,
        `WrongEvidence`."""
        path = self._path("report")
        with _LOCK:
            self._write("target_info", target_info)
            self._write("user_report_data", report_data)
            data = self._read(path, _MAX_SMALL, _NO_FILE)
        _sized(data, LOCAL_REPORT_SIZE, path)
        bound(lambda report: LocalReport.parse(report).body, data, report_data, path)
        return LocalReport.parse(data)

    def sealing_root(self, policy: SealPolicy) -> bytes:
        """16 bytes: EGETKEY's sealing key with a key id of zero, so the same in every instance of this enclave (or
        signer) on this CPU. Raises `CannotAttest`, `WrongEvidence`."""
        path = self._path(f"keys/{_KEYS[policy]}")
        remedies: Remedies = {
            errno.ENOENT: (Problem.NO_KEY, "no such key", "run a current Gramine, with gramine-sgx"),
            errno.EACCES: (Problem.NO_KEY, "Gramine has not got it from the CPU", "run a current Gramine"),
        }
        return _sized(self._read(path, _MAX_SMALL, remedies), _KEY_SIZE, path)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _read(self, path: str, limit: int, remedies: Remedies) -> bytes:
        try:
            return read_all(self._system, path, limit)
        except OSError as error:
            raise from_os(error, path, remedies) from error

    def _write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        try:
            write_once(self._system, path, data)
        except OSError as error:
            raise from_os(error, path, _NO_FILE) from error


class GramineAttester:
    """Implements `intaglio.attest.base.Attester`."""

    def __init__(self, folder: str, system: System = KERNEL) -> None:
        """`folder`: the script's, whose trusted files are read. Raises `CannotAttest`, `WrongEvidence`."""
        self._files = GramineFiles(system)
        self._image = ImageFolder(system, folder)
        _check_type(self._files.attestation_type)
        # EREPORT needs no service, so what we are is known even where nobody can quote; then a quote shows that
        # somebody can, before the script runs.
        self._own: ReportBody = self._files.report(self._files.target_info(), OWN).body
        self._files.quote(OWN)

    @property
    def tee(self) -> Tee:
        return Tee.SGX

    def evidence(self, report_data: ReportData) -> bytes:
        return self._files.quote(report_data)

    @property
    def isv_svn(self) -> int:
        return self._own.isv_svn

    @property
    def config_id(self) -> bytes:
        return self._own.config_id

    def seal_key(self, policy: SealPolicy, key_id: bytes, isv_svn: int) -> bytes:
        """Derived from Gramine's key, which exists for the current ISVSVN and CPUSVN only: what an older version or an
        older microcode sealed stays closed."""
        if policy not in _KEYS:
            raise LocalProtocolError(f"seal_key: need MRENCLAVE or MRSIGNER, found {policy!r}")
        if isv_svn > self.isv_svn:
            raise LocalProtocolError(f"seal_key: no key of ISVSVN {isv_svn} for an enclave of {self.isv_svn}")
        if isv_svn < self.isv_svn:
            raise CannotAttest(
                FOLDER, Problem.NO_KEY, f"Gramine has no key of ISVSVN {isv_svn}, only of {self.isv_svn}",
                "let the old version send its state to the data centre, or open it there before the update",
            )  # fmt: skip
        info = cbor.labelled("gramine-seal-key", int(policy), isv_svn)
        return HKDF(SHA256(), _KEY_SIZE, salt=key_id, info=info).derive(self._files.sealing_root(policy))

    def trusted_file(self, name: str) -> bytes:
        """Through Gramine, which opens a trusted file only where it is what the measured manifest says."""
        return self._image.read(name)


def _check_type(kind: str) -> None:
    if kind == "dcap":
        return
    source = f"{FOLDER}/attestation_type"
    if kind == "none":
        raise CannotAttest(source, Problem.UNCONFIGURED, "Gramine without remote attestation", _MANIFEST)
    if kind == "epid":
        raise CannotAttest(
            source,
            Problem.UNCONFIGURED,
            "EPID quotes, which nobody can verify since Intel ended its service",
            _MANIFEST,
        )
    raise CannotAttest(source, Problem.UNCONFIGURED, f"an unknown type of attestation, {kind[:32]!r}", _MANIFEST)


def _sized(data: bytes, size: int, path: str) -> bytes:
    if len(data) != size:
        raise WrongEvidence(f"{path}: need {size} bytes, found {len(data)}; run a current Gramine")
    return data
