"""A local report with the key that it is checked by: what one enclave on a simulated processor makes for another.

A fault (`intaglio.sim.faults`) changes one thing. A host holds no key; whoever holds the report key can make reports.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.cmac import CMAC

from intaglio.sim.cpu import Enclave
from intaglio.types import ReportData, UnixTime
from intaglio.wire.endorsement import Collateral
from intaglio.wire.report_key import ReportKey
from intaglio.wire.sgx import LocalReport, ReportBody

__all__ = ["LocalDraft"]


@dataclass(slots=True)
class LocalDraft:
    """One report, still open to change. `edits` are applied to the finished bytes: what a host without a key can do."""

    at: UnixTime
    reporter: Enclave
    target: Enclave
    report: LocalReport
    collateral: Collateral | None
    edits: list[Callable[[bytes], bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, reporter: Enclave, target: Enclave, at: UnixTime, report_data: ReportData) -> Self:
        """The honest draft: made by EREPORT for `target`, which asked EGETKEY for the key."""
        report = LocalReport.parse(reporter.report(target.target_info, report_data))
        return cls(at, reporter, target, report, report_key(target, report.key_id))

    def forge(self, body: ReportBody) -> None:
        """The target, or whoever has its key, makes a report of its own."""
        mac = CMAC(AES128(report_key(self.target, self.report.key_id).report_key))
        mac.update(body.encode())
        self.report = LocalReport(body, self.report.key_id, mac.finalize())

    def build(self) -> bytes:
        report = self.report.encode()
        for edit in self.edits:
            report = edit(report)
        return report


def report_key(target: Enclave, key_id: bytes) -> ReportKey:
    """EGETKEY inside `target`."""
    return ReportKey(key_id, target.report_key(key_id))
