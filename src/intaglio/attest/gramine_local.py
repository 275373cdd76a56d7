"""Local attestation under Gramine: EREPORT through its pseudo-files, and EGETKEY through whatever the image brings.

Gramine has pseudo-files to make a report and none to check one. EGETKEY is an instruction that any code in an enclave
may execute, but it takes native code; an image that has such a function hands it in, and it must be a trusted file.
"""

from collections.abc import Callable

from intaglio.attest.errors import CannotAttest, Problem, WrongEvidence
from intaglio.attest.gramine import FOLDER, GramineFiles
from intaglio.errors import Malformed
from intaglio.types import ReportData
from intaglio.wire.target_info import TargetInfo

__all__ = ["GramineLocal"]

_KEY_SIZE = 16

GetReportKey = Callable[[bytes], bytes]
"""EGETKEY with KEYNAME 3 (report key) and these 32 bytes as KEYID: 16 bytes."""


class GramineLocal:
    """Implements `intaglio.session.local.LocalPlatform`."""

    def __init__(self, files: GramineFiles, get_report_key: GetReportKey | None = None) -> None:
        self._files = files
        self._get_report_key = get_report_key

    @property
    def target_info(self) -> TargetInfo:
        """Raises `CannotAttest`, `WrongEvidence`."""
        try:
            return TargetInfo.parse(self._files.target_info())
        except Malformed as error:
            raise WrongEvidence(f"{FOLDER}/my_target_info: {error}; run a current Gramine") from error

    def report(self, target: TargetInfo, report_data: ReportData) -> bytes:
        """Raises `CannotAttest`, `WrongEvidence`."""
        return self._files.report(target.encode(), report_data).encode()

    def report_key(self, key_id: bytes) -> bytes:
        """Raises `CannotAttest` where the image brings no EGETKEY, `WrongEvidence` where it gives no key."""
        if self._get_report_key is None:
            raise CannotAttest(
                FOLDER, Problem.NO_KEY, "Gramine gives no report key, so a neighbour's report can't be checked",
                "bring a native function for EGETKEY among the trusted files, or let the two enclaves use quotes",
            )  # fmt: skip
        key = self._get_report_key(key_id)
        if len(key) != _KEY_SIZE:
            raise WrongEvidence(f"EGETKEY: need {_KEY_SIZE} bytes, found {len(key)}")
        return key
