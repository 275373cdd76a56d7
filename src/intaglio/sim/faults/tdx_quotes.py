"""Faults of TDX quotes: fields that a host edits, and TDs and modules that are genuine but not what anybody wants."""

from collections.abc import Callable
from dataclasses import replace

from intaglio.reasons import Reason
from intaglio.sim.faults.registry import tdx_fault
from intaglio.sim.td import TdDraft
from intaglio.types import Measurement, ReportData
from intaglio.wire.tdx import TdAttribute

# Offsets in a v5 quote: header 0, body type 48, body size 50, body 54.
_TEE_TYPE, _USER_DATA, _BODY_TYPE, _BODY_SIZE, _BODY = 4, 28, 48, 50, 54

_EDITED_FIELDS = {
    "mr_seam": (16, "the host names another TDX module"),
    "mr_td": (136, "the host writes the measurement of other firmware into a real quote"),
    "xfam": (128, "the host claims another set of CPU features"),
    "mr_config_id": (184, "the host claims that the TD was started with another configuration"),
    "mr_owner": (232, "the host claims another owner"),
    "mr_owner_config": (280, "the host claims another configuration of the owner"),
    "rtmr0": (328, "the host hides the tables that it gave to the firmware"),
    "rtmr1": (376, "the host hides the kernel that it booted"),
    "rtmr2": (424, "the host hides the command line of the kernel"),
    "rtmr3": (472, "the host hides what the application extended"),
    "td_report_data": (520, "the host writes its own session's report data into a real TD quote"),
    "tee_tcb_svn": (0, "the host makes the module that launched the TD one SVN newer"),
    "tee_tcb_svn2": (584, "the host makes the module that runs now one SVN newer"),
    "mr_service_td": (600, "the host hides the service TD that is bound to this one"),
}


def _register_edits() -> None:
    for field, (offset, story) in _EDITED_FIELDS.items():

        def edit(draft: TdDraft, offset: int = offset) -> None:
            draft.edits.append(_flip(_BODY + offset))

        edit.__name__, edit.__doc__ = f"edited_{field}", story
        tdx_fault(Reason.QUOTE_SIGNATURE)(edit)


def _flip(offset: int, bit: int = 1) -> Callable[[bytes], bytes]:
    return lambda quote: quote[:offset] + bytes((quote[offset] ^ bit,)) + quote[offset + 1 :]


def _write(offset: int, content: bytes) -> Callable[[bytes], bytes]:
    return lambda quote: quote[:offset] + content + quote[offset + len(content) :]


_register_edits()


@tdx_fault(Reason.QUOTE_SIGNATURE)
def edited_debug_bit(draft: TdDraft) -> None:
    """the host clears the debug bit of a TD that it can look into"""
    draft.change(td_attributes=draft.body.td_attributes | TdAttribute.DEBUG)
    draft.edits.append(_flip(_BODY + 120))


@tdx_fault(Reason.QUOTE_SIGNATURE, also=(Reason.TDX_MODULE_MISMATCH,))
def edited_mr_signer_seam(draft: TdDraft) -> None:
    """the host names another signer of the TDX module"""
    draft.edits.append(_flip(_BODY + 64))


@tdx_fault(Reason.QUOTE_SIGNATURE, also=(Reason.TDX_MODULE_MISMATCH,))
def edited_seam_attributes(draft: TdDraft) -> None:
    """the host changes the attributes of the TDX module"""
    draft.edits.append(_flip(_BODY + 112))


@tdx_fault(Reason.QUOTE_SIGNATURE)
def edited_platform_id(draft: TdDraft) -> None:
    """the host writes the id of another platform into the header"""
    draft.edits.append(_flip(_USER_DATA))


@tdx_fault(Reason.MALFORMED_EVIDENCE)
def td_body_as_an_enclaves(draft: TdDraft) -> None:
    """the header says SGX: a reader that believes it reads a TD's report as an enclave's"""
    draft.edits.append(_write(_TEE_TYPE, bytes(4)))


@tdx_fault(Reason.MALFORMED_EVIDENCE)
def older_body_type(draft: TdDraft) -> None:
    """the body claims to be of TDX 1.0, so that nobody looks at the module that runs now"""
    draft.edits.append(_write(_BODY_TYPE, b"\2\0"))


@tdx_fault(Reason.MALFORMED_EVIDENCE)
def unknown_body_type(draft: TdDraft) -> None:
    """a body type that nobody has defined"""
    draft.edits.append(_write(_BODY_TYPE, b"\5\0"))


@tdx_fault(Reason.MALFORMED_EVIDENCE)
def lying_body_size(draft: TdDraft) -> None:
    """the declared size of the body is not that of its type"""
    draft.edits.append(_write(_BODY_SIZE, (647).to_bytes(4, "little")))


@tdx_fault(Reason.MALFORMED_EVIDENCE)
def td_in_version_3(draft: TdDraft) -> None:
    """version 3 has no TDX: a reader that believes the type reads the body at the wrong place"""
    draft.edits.append(_write(0, b"\3\0"))


@tdx_fault(Reason.TDX_MODULE_MISMATCH)
def module_of_another_vendor(draft: TdDraft) -> None:
    """a TDX module that somebody else signed, in a report that is genuine otherwise"""
    draft.change(mr_signer_seam=Measurement(b"\x01" * 48))


@tdx_fault(Reason.TDX_MODULE_MISMATCH)
def module_with_attributes(draft: TdDraft) -> None:
    """a TDX module in a special mode"""
    draft.change(seam_attributes=1)


@tdx_fault(Reason.TDX_MODULE_MISMATCH)
def module_of_unknown_version(draft: TdDraft) -> None:
    """a version of the module that the TCB info does not describe"""
    svn = draft.body.tee_tcb_svn
    draft.change(tee_tcb_svn=svn[:1] + b"\x7f" + svn[2:])


@tdx_fault(Reason.UNSUPPORTED_EVIDENCE)
def unknown_attribute(draft: TdDraft) -> None:
    """the TD has an attribute that this release has no name for"""
    draft.change(td_attributes=draft.body.td_attributes | 1 << 40)


@tdx_fault(Reason.QE_IDENTITY_MISMATCH)
def quoted_by_the_enclave_for_sgx(draft: TdDraft) -> None:
    """the platform's quoting enclave for SGX, which can't check a TD's report, vouches for the key of a TDX quote"""
    draft.qe_report = draft.machine.quoting.certification[0]
    draft.recertify()


@tdx_fault(Reason.QE_IDENTITY_MISMATCH)
def debug_quoting_enclave_for_tds(draft: TdDraft) -> None:
    """a quoting enclave for TDs whose memory the host can read"""
    attributes = draft.qe_report.attributes
    draft.qe_report = replace(draft.qe_report, attributes=replace(attributes, flags=attributes.flags | 2))


@tdx_fault(Reason.TCB_STATUS, by_policy=True, also=(Reason.ADVISORY,))
def outdated_module(draft: TdDraft) -> None:
    """the TD was launched by an outdated TDX module that still runs"""
    draft.change(tee_tcb_svn=_with_svn(draft, 3), tee_tcb_svn2=_with_svn(draft, 3))


@tdx_fault(Reason.TCB_STATUS, by_policy=True, also=(Reason.ADVISORY,))
def module_updated_under_the_td(draft: TdDraft) -> None:
    """the TDX module was updated, but the TD still has the state of the outdated one that launched it"""
    draft.change(tee_tcb_svn=_with_svn(draft, 3))


@tdx_fault(Reason.TCB_STATUS, by_policy=True)
def module_below_every_level(draft: TdDraft) -> None:
    """an SVN of the module that Intel never published a status for"""
    draft.change(tee_tcb_svn=_with_svn(draft, 1), tee_tcb_svn2=_with_svn(draft, 1))


@tdx_fault(Reason.TCB_STATUS, by_policy=True)
def current_module_of_unknown_version(draft: TdDraft) -> None:
    """the module that runs now is of a version that the TCB info does not describe"""
    svn = draft.body.tee_tcb_svn
    draft.change(tee_tcb_svn2=svn[:1] + b"\x7f" + svn[2:])


@tdx_fault(Reason.TCB_STATUS, by_policy=True, also=(Reason.ADVISORY,))
def old_microcode_under_a_new_module(draft: TdDraft) -> None:
    """the module is current, a component behind it is not: a matcher that stops at the module's bytes misses it"""
    svn = draft.body.tee_tcb_svn
    old = svn[:2] + b"\6" + svn[3:]
    draft.change(tee_tcb_svn=old, tee_tcb_svn2=old)


@tdx_fault(Reason.DEBUG_ENCLAVE, by_policy=True)
def debug_td(draft: TdDraft) -> None:
    """the host can read and write this TD's memory"""
    draft.change(td_attributes=draft.body.td_attributes | TdAttribute.DEBUG)


@tdx_fault(Reason.DEBUG_ENCLAVE, by_policy=True)
def profiled_td(draft: TdDraft) -> None:
    """the host profiles this TD, which counts as debugging it"""
    draft.change(td_attributes=draft.body.td_attributes | TdAttribute.PERF_PROF)


@tdx_fault(Reason.SEPT_VE_ENABLED, by_policy=True)
def sept_ve_enabled(draft: TdDraft) -> None:
    """the host can raise exceptions in this TD by taking its pages away"""
    draft.change(td_attributes=0)


@tdx_fault(Reason.MIGRATABLE_GUEST, by_policy=True)
def migratable_td(draft: TdDraft) -> None:
    """the TD may be moved to a machine that nobody judged"""
    draft.change(td_attributes=draft.body.td_attributes | TdAttribute.MIGRATABLE)


@tdx_fault(Reason.WRONG_MEASUREMENT, by_policy=True)
def other_firmware(draft: TdDraft) -> None:
    """a TD with other firmware"""
    draft.change(mr_td=Measurement(b"\x01" * 48))


@tdx_fault(Reason.WRONG_MEASUREMENT, by_policy=True)
def other_kernel(draft: TdDraft) -> None:
    """the right firmware booted another kernel"""
    draft.change(rtmr1=Measurement(b"\x01" * 48))


@tdx_fault(Reason.WRONG_MEASUREMENT, by_policy=True)
def other_command_line(draft: TdDraft) -> None:
    """the right kernel was booted with another command line"""
    draft.change(rtmr2=Measurement(b"\x01" * 48))


@tdx_fault(Reason.WRONG_CONFIGURATION, by_policy=True)
def service_td(draft: TdDraft) -> None:
    """a service TD of the host's is bound to this one"""
    draft.change(mr_service_td=Measurement(b"\x01" * 48))


@tdx_fault(Reason.REPORT_DATA, by_policy=True)
def td_of_another_session(draft: TdDraft) -> None:
    """a genuine TD quote that was made for another session"""
    draft.change(report_data=ReportData(bytes(63) + b"\x01"))


def _with_svn(draft: TdDraft, svn: int) -> bytes:
    return bytes((svn,)) + draft.body.tee_tcb_svn[1:]
