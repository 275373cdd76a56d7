"""Faults of local reports: the target enclave has the key, the host has none."""

from collections.abc import Callable
from dataclasses import replace

from intaglio.reasons import Reason
from intaglio.sim.cpu import Processor
from intaglio.sim.faults.ias_registry import local_fault
from intaglio.sim.local_report import LocalDraft, report_key
from intaglio.wire.sgx import REPORT_BODY_SIZE, AttributeFlag, Attributes, LocalReport
from intaglio.wire.snp_collateral import SnpCollateral


def _flip(offset: int) -> Callable[[bytes], bytes]:
    return lambda report: report[:offset] + bytes((report[offset] ^ 1,)) + report[offset + 1 :]


@local_fault(Reason.REPORT_MAC)
def edited_measurement(draft: LocalDraft) -> None:
    """the host writes another measurement into the report"""
    draft.edits.append(_flip(64))


@local_fault(Reason.REPORT_MAC)
def edited_report_data(draft: LocalDraft) -> None:
    """the host writes other report data into the report"""
    draft.edits.append(_flip(320))


@local_fault(Reason.REPORT_MAC)
def flipped_mac(draft: LocalDraft) -> None:
    """one bit of the MAC is wrong"""
    draft.edits.append(_flip(431))


@local_fault(Reason.REPORT_MAC)
def made_for_another_enclave(draft: LocalDraft) -> None:
    """a report for another enclave, given to this one: nobody but its target can check it"""
    made = LocalReport.parse(draft.reporter.report(draft.reporter.target_info, draft.report.body.report_data))
    draft.report, draft.collateral = made, report_key(draft.target, made.key_id)


@local_fault(Reason.REPORT_MAC)
def made_on_another_processor(draft: LocalDraft) -> None:
    """the same enclave on another machine, for the same target"""
    other = replace(draft.reporter, processor=Processor(bytes(32), draft.reporter.identity.cpu_svn))
    made = LocalReport.parse(other.report(draft.target.target_info, draft.report.body.report_data))
    draft.report, draft.collateral = made, report_key(draft.target, made.key_id)


@local_fault(Reason.ENCLAVE_NOT_INITIALISED)
def uninitialised(draft: LocalDraft) -> None:
    """whoever has the key makes a report of an enclave that was never initialised"""
    draft.forge(replace(draft.report.body, attributes=Attributes(AttributeFlag.MODE64, 3)))


@local_fault(Reason.COLLATERAL_MISMATCH)
def key_of_another_report(draft: LocalDraft) -> None:
    """the report key for another key id"""
    draft.collateral = report_key(draft.target, bytes(32))


@local_fault(Reason.COLLATERAL_MISMATCH)
def edited_key_id(draft: LocalDraft) -> None:
    """the host writes another key id into the report"""
    draft.edits.append(_flip(REPORT_BODY_SIZE))


@local_fault(Reason.COLLATERAL_MISMATCH)
def certificates_instead_of_a_key(draft: LocalDraft) -> None:
    """collateral of another kind of TEE"""
    draft.collateral = SnpCollateral(b"vek", b"ask", b"ark")


@local_fault(Reason.REPORT_KEY_MISSING)
def no_key(draft: LocalDraft) -> None:
    """nobody but the target has the key, and it was not given"""
    draft.collateral = None


@local_fault(Reason.MALFORMED_EVIDENCE)
def reserved_bytes_set(draft: LocalDraft) -> None:
    """bytes of the report that every CPU leaves zero are not"""
    draft.edits.append(_flip(100))


@local_fault(Reason.MALFORMED_EVIDENCE)
def truncated_report(draft: LocalDraft) -> None:
    """the last byte of the MAC is missing"""
    draft.edits.append(lambda report: report[:-1])


@local_fault(Reason.UNSUPPORTED_EVIDENCE)
def body_alone(draft: LocalDraft) -> None:
    """a report body without key id and MAC, which anybody can write"""
    draft.edits.append(lambda report: report[:REPORT_BODY_SIZE])
