"""Faults of SEV-SNP reports: fields edited by a host, and what genuine firmware would not say."""

from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec

from intaglio.reasons import Reason
from intaglio.sim.faults.snp_registry import snp_fault
from intaglio.sim.snp import SnpDraft
from intaglio.wire.snp import SigningKey
from intaglio.wire.snp_fields import GuestPolicy, PlatformInfo

_SIGNED_FIELDS = {
    "guest_svn": 0x004, "policy_debug": 0x00A, "family_id": 0x010, "image_id": 0x020, "vmpl": 0x030,
    "current_tcb": 0x038, "platform_info": 0x040, "author_key_en": 0x048, "report_data": 0x050, "measurement": 0x090,
    "host_data": 0x0C0, "id_key_digest": 0x0E0, "author_key_digest": 0x110, "report_id": 0x140, "report_id_ma": 0x160,
    "cpuid_step": 0x18A, "committed_tcb": 0x1E0, "current_version": 0x1E8, "committed_version": 0x1EC,
    "launch_tcb": 0x1F0,
}  # fmt: skip
"""Where the fields begin whose change breaks nothing but the signature."""


def _edited(name: str, offset: int, bit: int) -> Callable[[SnpDraft], None]:
    def change(draft: SnpDraft) -> None:
        draft.edit(offset, bit)

    change.__name__ = f"edited_{name}"
    change.__doc__ = f"the host changes {name.replace('_', ' ')} in the finished report"
    return change


for _name, _offset in _SIGNED_FIELDS.items():
    snp_fault(Reason.REPORT_SIGNATURE)(_edited(_name, _offset, 8 if _name == "policy_debug" else 1))


@snp_fault(Reason.TCB_MISMATCH, also=(Reason.REPORT_SIGNATURE,))
def edited_reported_tcb(draft: SnpDraft) -> None:
    """the host makes its platform look newer than it is"""
    draft.edit(0x180, 1)


@snp_fault(Reason.COLLATERAL_MISMATCH, also=(Reason.REPORT_SIGNATURE,))
def edited_chip_id(draft: SnpDraft) -> None:
    """the host claims to be another chip"""
    draft.edit(0x1A0)


@snp_fault(Reason.REPORT_SIGNATURE)
def edited_signature_r(draft: SnpDraft) -> None:
    """one bit of the signature's first number"""
    draft.edit(0x2A0)


@snp_fault(Reason.REPORT_SIGNATURE)
def edited_signature_s(draft: SnpDraft) -> None:
    """one bit of the signature's second number"""
    draft.edit(0x2A0 + 72)


@snp_fault(Reason.REPORT_SIGNATURE)
def zero_signature(draft: SnpDraft) -> None:
    """no signature at all, under a report that claims one"""
    draft.edits.append(lambda report: report[:0x2A0] + bytes(512))


@snp_fault(Reason.REPORT_SIGNATURE)
def another_key(draft: SnpDraft) -> None:
    """the report is signed by a key of the attacker's"""
    draft.key = ec.generate_private_key(ec.SECP384R1())


@snp_fault(Reason.MALFORMED_EVIDENCE)
def cut_short(draft: SnpDraft) -> None:
    """the last byte is missing"""
    draft.edits.append(lambda report: report[:-1])


@snp_fault(Reason.MALFORMED_EVIDENCE)
def padded(draft: SnpDraft) -> None:
    """a zero byte follows"""
    draft.edits.append(lambda report: report + b"\0")


@snp_fault(Reason.MALFORMED_EVIDENCE)
def unknown_version(draft: SnpDraft) -> None:
    """a version that does not exist"""
    draft.edits.append(lambda report: b"\x09" + report[1:])


@snp_fault(Reason.MALFORMED_EVIDENCE)
def reserved_byte(draft: SnpDraft) -> None:
    """something stands where the layout is reserved"""
    draft.edit(0x210)


@snp_fault(Reason.MALFORMED_EVIDENCE)
def long_signature(draft: SnpDraft) -> None:
    """a signature of more than 48 bytes a number"""
    draft.edit(0x2A0 + 48)


@snp_fault(Reason.MALFORMED_EVIDENCE)
def policy_without_its_one(draft: SnpDraft) -> None:
    """bit 17 of the guest policy is zero, which no firmware accepts"""
    draft.report = replace(draft.report, policy=GuestPolicy(0x10000))


@snp_fault(Reason.UNSUPPORTED_EVIDENCE)
def other_algorithm(draft: SnpDraft) -> None:
    """a signature algorithm that AMD has not defined"""
    draft.report = replace(draft.report, signature_algo=2)


@snp_fault(Reason.UNSUPPORTED_EVIDENCE)
def reserved_signing_key(draft: SnpDraft) -> None:
    """a kind of signing key that AMD has not defined"""
    draft.report = replace(draft.report, flags=2 << 2)


@snp_fault(Reason.UNSUPPORTED_EVIDENCE)
def unknown_policy_bit(draft: SnpDraft) -> None:
    """a bit of the guest policy whose meaning nobody here knows, as future firmware may define it"""
    draft.report = replace(draft.report, policy=GuestPolicy(1 << 40 | 0x30000))


@snp_fault(Reason.UNSUPPORTED_EVIDENCE)
def unknown_platform_bit(draft: SnpDraft) -> None:
    """a bit of the platform's information whose meaning nobody here knows"""
    draft.report = replace(draft.report, platform_info=PlatformInfo(1 << 6))


@snp_fault(Reason.UNSUPPORTED_EVIDENCE)
def unknown_flag(draft: SnpDraft) -> None:
    """a flag beside the signing key whose meaning nobody here knows"""
    draft.report = replace(draft.report, flags=1 << 5)


@snp_fault(Reason.REPORT_UNSIGNED)
def no_signing_key(draft: SnpDraft) -> None:
    """the report says that nothing signed it, and is signed all the same"""
    draft.report = replace(draft.report, flags=SigningKey.NONE << 2)


@snp_fault(Reason.REPORT_UNSIGNED, also=(Reason.REPORT_SIGNATURE,))
def masked_chip_key(draft: SnpDraft) -> None:
    """the platform masks its chip's key, and the report has no signature"""
    draft.report = replace(draft.report, flags=2)
    draft.edits.append(lambda report: report[:0x2A0] + bytes(512))


@snp_fault(Reason.UNSUPPORTED_EVIDENCE)
def unknown_processor(draft: SnpDraft) -> None:
    """a processor that this release does not know"""
    cpuid = (draft.report.cpuid or (0, 0, 0))[0], 0x70, 0
    draft.report = replace(draft.report, cpuid=cpuid)
