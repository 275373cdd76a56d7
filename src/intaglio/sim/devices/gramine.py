"""Gramine's /dev/attestation around a simulated enclave (Gramine, libos/src/fs/dev/attestation.c and
libos_fs_pseudo.c).

What matters here: the files are of the whole process; a file's content is made when it is opened; each write replaces
what the one before said, shorter ones are filled up with zeros and longer ones cut; what fails below is EACCES; `quote`
does not exist where the manifest says "none", and without SGX nearly nothing does.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from intaglio.errors import Malformed
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.devices.kernel import Content, Handle, Node, fail
from intaglio.sim.structures import KeyName, KeyPolicy, KeyRequest
from intaglio.types import ReportData
from intaglio.wire.sgx import AttributeFlag, Attributes
from intaglio.wire.target_info import TARGET_INFO_SIZE, TargetInfo

__all__ = ["GramineDevice"]

REPORT_DATA_SIZE = 64
_MASK = Attributes(AttributeFlag.INIT | AttributeFlag.DEBUG, 0)
_KEYS = {"_sgx_mrenclave": KeyPolicy.MRENCLAVE, "_sgx_mrsigner": KeyPolicy.MRSIGNER}


@dataclass
class GramineDevice:
    """The subtree. `make` replaces the quoting; `after_write` is called once when report data have been written: where
    a test lets somebody else write. `truncate`: at most so many bytes of each file arrive."""

    inside: SimulatedAttester
    attestation_type: str = "dcap"
    sgx: bool = True
    make: Callable[[bytes], bytes] | None = None
    truncate: int | None = None
    after_write: Callable[["GramineDevice"], None] | None = None
    report_data: bytes = bytes(REPORT_DATA_SIZE)
    target_info: bytes = bytes(TARGET_INFO_SIZE)

    def exists(self, name: str) -> bool:
        return name in ("", "keys") or name in self._names()

    def mkdir(self, name: str) -> None:
        raise fail(errno.EACCES, name)

    def rmdir(self, name: str) -> None:
        raise fail(errno.EACCES, name)

    def open(self, name: str, flags: int) -> Handle:
        if name not in self._names():
            raise fail(errno.ENOENT, name)
        if flags & (os.O_WRONLY | os.O_RDWR):
            if name not in ("user_report_data", "target_info"):
                raise fail(errno.EACCES, name)
            return _Writable(self, name)
        return Content(name, self._load(name)[: self.truncate], 512)

    def save(self, name: str, data: bytes) -> None:
        if name == "target_info":
            self.target_info = data[:TARGET_INFO_SIZE].ljust(TARGET_INFO_SIZE, b"\0")
            return
        self.report_data = data[:REPORT_DATA_SIZE].ljust(REPORT_DATA_SIZE, b"\0")
        if self.after_write is not None:
            then, self.after_write = self.after_write, None
            then(self)

    def _names(self) -> frozenset[str]:
        keys = frozenset(f"keys/{name}" for name in _KEYS)
        if not self.sgx:
            return frozenset(("keys/default",))
        names = keys | {"attestation_type", "my_target_info", "report", "user_report_data", "target_info"}
        return names if self.attestation_type == "none" else names | {"quote"}

    def _load(self, name: str) -> bytes:
        match name:
            case "attestation_type":
                return self.attestation_type.encode()
            case "my_target_info":
                return self.inside.enclave.target_info.encode()
            case "report":
                return self._report()
            case "quote":
                make = self.make or (lambda data: self.inside.evidence(ReportData(data)))
                return make(self.report_data)
            case "user_report_data" | "target_info":
                return b""  # nothing is loaded: these two are for writing
        own, policy = self.inside.enclave.identity, _KEYS[name.removeprefix("keys/")]
        return self.inside.enclave.get_key(
            KeyRequest(KeyName.SEAL, policy, isv_svn=own.isv_svn, attributes_mask=_MASK, misc_mask=0xFFFFFFFF)
        )

    def _report(self) -> bytes:
        try:
            target = TargetInfo.parse(self.target_info)
        except Malformed as error:  # EREPORT faults where reserved bytes are not zero
            raise fail(errno.EACCES, "report") from error
        return self.inside.enclave.report(target, ReportData(self.report_data))


class _Writable(Node):
    def __init__(self, device: GramineDevice, path: str) -> None:
        self._device = device
        self.path = path

    def write(self, data: bytes) -> int:
        self._device.save(self.path, data)
        return len(data)
