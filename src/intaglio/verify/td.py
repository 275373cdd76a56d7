"""What is judged of a trust domain and of nothing else: its TDX module, its relaunch, its attributes (checks 25 to 31).

The TCB of an enclave is that of its platform and quoting enclave, and known before any report is read. A TD adds the
module that runs it, named in its own report, and so each state of that module is evaluated where a report first shows
it.
"""

from intaglio.reasons import Reason
from intaglio.verify.ledger import Ledger
from intaglio.verify.procedure import LEVEL, MERGED, MODULE, RELAUNCH, STATUS, TD_ATTRIBUTES
from intaglio.verify.tcb import Tcb, check_module, evaluate_td, module_of, relaunch
from intaglio.verify.verdict import TcbEvaluation
from intaglio.wire.collateral import EnclaveTcbLevel, TcbInfo
from intaglio.wire.pck import PckExtension
from intaglio.wire.tdx import TdReport

__all__ = ["check_attributes", "judge_td", "module_state"]


def module_state(report: TdReport) -> bytes:
    """Everything in a report that `judge_td` looks at: TDs that share it share its result."""
    attributes = report.seam_attributes.to_bytes(8, "little")
    return b"".join((report.tee_tcb_svn, report.mr_signer_seam, attributes, report.tee_tcb_svn2 or b""))


def judge_td(
    report: TdReport, extension: PckExtension, info: TcbInfo, enclave: EnclaveTcbLevel | None, ledger: Ledger
) -> Tcb:
    """Checks 25 to 29. `enclave` is the level of the quoting enclave, None where it is below every level."""
    ledger.run(MODULE, lambda: check_module(report, module_of(info, report.tee_tcb_svn)))
    launch = evaluate_td("launch", report.tee_tcb_svn, extension, info, enclave)
    current: TcbEvaluation | None = None
    if report.tee_tcb_svn2 is not None:
        current = evaluate_td("current", report.tee_tcb_svn2, extension, info, enclave)
    tcb = relaunch(launch, current)
    each = tcb.evaluations
    ledger.ok(LEVEL, [f"{one.of} {one.platform.value}" for one in each])
    ledger.ok(MERGED, [_merged(one) for one in each])
    ledger.ok(RELAUNCH, tcb.status.value if current else "a report of TDX 1.0 has one state")
    ledger.ok(STATUS, tcb.status.value)
    return tcb


def check_attributes(report: TdReport, ledger: Ledger) -> None:
    """Check 31. A bit without a name may come from a newer module and weaken the TD, so nothing is decided."""
    if report.unknown_attributes:
        found = report.unknown_attributes.to_bytes(8, "little")
        ledger.undecidable(TD_ATTRIBUTES, Reason.UNSUPPORTED_EVIDENCE, found)
    else:
        ledger.ok(TD_ATTRIBUTES)


def _merged(one: TcbEvaluation) -> str:
    module = f", module {one.module.value}" if one.module else ""
    return f"{one.of}: QE {one.enclave.value}{module}, merged {one.status.value}"
