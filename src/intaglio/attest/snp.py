"""SEV-SNP guests: reports from either of Linux's interfaces, sealing keys from the firmware.

A guest's MRENCLAVE is its launch measurement. It has no MRSIGNER: a derived key can depend on the ids in the guest's ID
block, which any key may sign, and on nothing that names the signer.
"""

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from intaglio.attest.base import SealPolicy
from intaglio.attest.binding import OWN, bound
from intaglio.attest.errors import CannotAttest, Problem
from intaglio.attest.image import ImageFolder
from intaglio.attest.sev_guest import DEVICE, GuestField, SevGuest
from intaglio.errors import LocalProtocolError
from intaglio.types import ReportData, Tee
from intaglio.wire import cbor
from intaglio.wire.snp import SnpReport

__all__ = ["SnpAttester"]

_KEY_SIZE = 16
_SEALED: Final = GuestField.POLICY | GuestField.MEASUREMENT | GuestField.GUEST_SVN
"""The guest policy holds the debug bit. No TCB version: a firmware update must not close what was sealed before it."""
_MAX_SVN = 0xFFFF


class SnpAttester:
    """Implements `intaglio.attest.base.Attester`."""

    def __init__(
        self, report: Callable[[ReportData], bytes], source: str, keys: SevGuest | None, image: ImageFolder
    ) -> None:
        """`report` makes one, `source` says where in errors; `keys` None: there are no sealing keys. Raises
        `CannotAttest`, `WrongEvidence`."""
        self._report = report
        self._source = source
        self._keys = keys
        self._image = image
        self._own = bound(SnpReport.parse, report(OWN), OWN, source)

    @property
    def tee(self) -> Tee:
        return Tee.SNP

    def evidence(self, report_data: ReportData) -> bytes:
        evidence = self._report(report_data)
        bound(SnpReport.parse, evidence, report_data, self._source)
        return evidence

    @property
    def isv_svn(self) -> int:
        """GUEST_SVN of the guest's ID block, 0 without one."""
        return min(self._own.guest_svn, _MAX_SVN)

    @property
    def config_id(self) -> bytes:
        """HOST_DATA and 32 zero bytes. Where it is not zero it must be the hash of the pinned identity."""
        return self._own.host_data.ljust(64, b"\0")

    def seal_key(self, policy: SealPolicy, key_id: bytes, isv_svn: int) -> bytes:
        """From a key that the firmware derives for this launch measurement, guest policy and security version."""
        if policy is SealPolicy.MRSIGNER:
            raise CannotAttest(
                DEVICE, Problem.NO_KEY, "a key of SEV-SNP can't depend on who signed the guest",
                "seal under MRENCLAVE, which is the launch measurement here",
            )  # fmt: skip
        if policy is not SealPolicy.MRENCLAVE:
            raise LocalProtocolError(f"seal_key: need MRENCLAVE, found {policy!r}")
        if isv_svn > self.isv_svn:
            raise LocalProtocolError(f"seal_key: no key of GUEST_SVN {isv_svn} for a guest of {self.isv_svn}")
        if self._keys is None:
            raise CannotAttest(
                DEVICE, Problem.NO_KEY, "not there, and no other interface gives out keys",
                "modprobe sev-guest; in a container: --device /dev/sev-guest",
            )  # fmt: skip
        root = self._keys.derived_key(_SEALED, self._own.vmpl, isv_svn)
        info = cbor.labelled("snp-seal-key", int(policy), isv_svn)
        return HKDF(SHA256(), _KEY_SIZE, salt=key_id, info=info).derive(root)

    def trusted_file(self, name: str) -> bytes:
        """From the guest's file system: measured if the guest was built so (docs/enclave.md)."""
        return self._image.read(name)
