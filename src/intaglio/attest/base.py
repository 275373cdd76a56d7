"""What every way of making evidence looks like from the enclave SDK. Nothing here chooses report data."""

from enum import IntFlag
from typing import Protocol

from intaglio.types import ReportData, Tee

__all__ = ["Attester", "SealPolicy"]


class SealPolicy(IntFlag):
    """What a sealing key depends on, beside the CPU: Intel's KEYPOLICY bits (SDM, EGETKEY)."""

    MRENCLAVE = 0x01
    """This very enclave only: sealed data does not survive an update."""
    MRSIGNER = 0x02
    """Any enclave of this signer and product with an ISVSVN at least as high as at sealing time."""


class Attester(Protocol):
    """One trusted execution environment, seen from inside.

    An attester quotes what the SDK gives it and nothing else: there is exactly one caller of `evidence` in the whole
    enclave (`intaglio.session.handshake`), and the report data it passes is a hash with Intaglio's label.
    """

    @property
    def tee(self) -> Tee:
        """Which kind this is; part of what the report data binds."""
        ...

    def evidence(self, report_data: ReportData) -> bytes:
        """Evidence (a quote, report or document) whose report data are these 64 bytes.

        Raises `Unavailable` where the platform can't quote now, `ProtocolError` where what came back does not hold
        the report data asked for (a race on a process-global interface).
        """
        ...

    @property
    def isv_svn(self) -> int:
        """This enclave's own security version (ISVSVN, 0 to 65535); 0 where the TEE has none."""
        ...

    @property
    def config_id(self) -> bytes:
        """CONFIGID, 64 bytes that the host chose when it launched this enclave and that its evidence states. Zeros
        where the TEE has none."""
        ...

    def seal_key(self, policy: SealPolicy, key_id: bytes, isv_svn: int) -> bytes:
        """A 16-byte sealing key of this platform and enclave under `policy`, a 32-byte `key_id` and `isv_svn`, that of
        the enclave which sealed: our own or a lower one, never a higher.

        Raises `Unavailable` where the TEE has no sealing key (AWS Nitro, TDX 1.5), or none of a lower version.
        """
        ...

    def trusted_file(self, name: str) -> bytes:
        """The measured content of a file that is part of this enclave's image. Raises FileNotFoundError otherwise:
        what is not measured is not trusted."""
        ...
