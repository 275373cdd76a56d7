"""Faults of the quote itself: edits by a host without keys, and what a stolen or made-up attestation key could
sign."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from intaglio.reasons import Reason
from intaglio.sim.draft import Draft, QuoteDraft
from intaglio.sim.faults.registry import fault, shared_fault
from intaglio.wire.dcap import CertificationData, CertificationType, PckIdentifier

# Offsets in a v3 quote: header 0, report body 48, length 432, signature 436, key 500, QE report 564, its signature 948.
_TEE_TYPE, _BODY, _LENGTH, _SIGNATURE, _KEY, _QE_REPORT, _QE_SIGNATURE = 4, 48, 432, 436, 500, 564, 948
_MR_ENCLAVE, _REPORT_DATA = _BODY + 64, _BODY + 320
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@fault(Reason.QUOTE_SIGNATURE)
def edited_measurement(draft: Draft) -> None:
    """the host writes another MRENCLAVE into a real quote"""
    draft.edits.append(_flip(_MR_ENCLAVE))


@fault(Reason.QUOTE_SIGNATURE)
def edited_report_data(draft: Draft) -> None:
    """the host writes its own session's report data into a real quote"""
    draft.edits.append(_flip(_REPORT_DATA))


@fault(Reason.QUOTE_SIGNATURE)
def flipped_quote_signature(draft: Draft) -> None:
    """one bit of the attestation key's signature is wrong"""
    draft.edits.append(_flip(_SIGNATURE + 40))


@fault(Reason.QUOTE_SIGNATURE)
def zero_quote_signature(draft: Draft) -> None:
    """r and s are zero, which a careless ECDSA implementation accepts for every message"""
    draft.edits.append(_write(_SIGNATURE, bytes(64)))


@fault(Reason.QUOTE_SIGNATURE)
def oversized_quote_signature(draft: Draft) -> None:
    """s is the order of the curve or more"""
    draft.edits.append(_write(_SIGNATURE + 32, _P256_ORDER.to_bytes(32, "big")))


@fault(Reason.QE_REPORT_SIGNATURE)
def edited_qe_report(draft: Draft) -> None:
    """the host makes the quoting enclave's report name a newer microcode"""
    draft.edits.append(_flip(_QE_REPORT))


@fault(Reason.QE_REPORT_SIGNATURE)
def flipped_qe_signature(draft: Draft) -> None:
    """one bit of the PCK key's signature is wrong"""
    draft.edits.append(_flip(_QE_SIGNATURE + 3))


@shared_fault(Reason.QE_REPORT_SIGNATURE)
def certificate_of_another_platform(draft: QuoteDraft[Any]) -> None:
    """a quote carries the genuine certificate of another platform"""
    other = ec.generate_private_key(ec.SECP256R1())
    facts_key, draft.pck_key = draft.pck_key, other
    draft.reissue(draft.pck_plan)
    draft.pck_key = facts_key


@shared_fault(Reason.QE_REPORT_DATA)
def other_attestation_key(draft: QuoteDraft[Any]) -> None:
    """the host signs the quote with a key of its own and keeps the quoting enclave's report about the real one"""
    draft.attestation_key = ec.generate_private_key(ec.SECP256R1())


@shared_fault(Reason.QE_REPORT_DATA)
def edited_qe_auth_data(draft: QuoteDraft[Any]) -> None:
    """the QE authentication data is not the one that the report binds"""
    draft.qe_auth_data = bytes(32)


@shared_fault(Reason.QE_REPORT_DATA)
def qe_report_data_tail(draft: QuoteDraft[Any]) -> None:
    """the second half of the QE's report data carries something: another program's report, used as a QE report"""
    draft.recertify(draft.qe_report.report_data[:32] + bytes(31) + b"\x01")


@fault(Reason.QUOTE_SIGNATURE)
def key_off_the_curve(draft: Draft) -> None:
    """the attestation key is no point of P-256, and the quoting enclave vouches for it"""
    point = bytes(31) + b"\x05" + bytes(31) + b"\x07"
    draft.recertify(sha256(point + draft.qe_auth_data).digest() + bytes(32))
    draft.edits.append(_write(_KEY, point))


@fault(Reason.MALFORMED_EVIDENCE)
def truncated_quote(draft: Draft) -> None:
    """the last bytes of the quote are missing"""
    draft.edits.append(lambda quote: quote[:-5])


@fault(Reason.MALFORMED_EVIDENCE)
def trailing_bytes(draft: Draft) -> None:
    """something that is not padding follows the quote, so that one quote has many hashes"""
    draft.edits.append(lambda quote: quote + b"\x00trailer")


@fault(Reason.MALFORMED_EVIDENCE)
def short_authentication_data(draft: Draft) -> None:
    """the declared length ends inside the certificate chain"""
    draft.edits.append(lambda quote: _write(_LENGTH, (_u32(quote, _LENGTH) - 9).to_bytes(4, "little"))(quote))


@fault(Reason.MALFORMED_EVIDENCE)
def unknown_version(draft: Draft) -> None:
    """a quote version that nobody has defined"""
    draft.edits.append(_write(0, b"\x06\x00"))


@fault(Reason.MALFORMED_EVIDENCE)
def tdx_in_version_3(draft: Draft) -> None:
    """version 3 has no TDX: a reader that believes the type reads the body at the wrong size"""
    draft.edits.append(_write(_TEE_TYPE, b"\x81\x00\x00\x00"))


@fault(Reason.MALFORMED_EVIDENCE)
def reserved_bytes_set(draft: Draft) -> None:
    """bytes of the report that every CPU leaves zero are not"""
    draft.edits.append(_write(_BODY + 96, b"\x01"))


@shared_fault(Reason.UNSUPPORTED_EVIDENCE)
def unknown_key_type(draft: QuoteDraft[Any]) -> None:
    """an attestation key type that Intel never used"""
    draft.header = replace(draft.header, attestation_key_type=3)


@shared_fault(Reason.PCK_CERTIFICATE_MISSING)
def encrypted_platform_id(draft: QuoteDraft[Any]) -> None:
    """the host's quote provider had no PCK certificate and put an encrypted platform id in its place"""
    facts = draft.machine.record.facts
    named = PckIdentifier(bytes(384), facts.cpu_svn, facts.pce_svn, int.from_bytes(facts.pce_id, "little"))
    draft.certification = CertificationData(CertificationType.PPID_RSA3072, named.encode())


@shared_fault(Reason.PCK_CERTIFICATE_MISSING)
def unknown_certification(draft: QuoteDraft[Any]) -> None:
    """certification data of a type that nobody has defined"""
    draft.certification = CertificationData(77, b"?")


@shared_fault(Reason.QE_VENDOR)
def unknown_qe_vendor(draft: QuoteDraft[Any]) -> None:
    """a quoting enclave of another vendor, by its own word"""
    draft.header = replace(draft.header, qe_vendor_id=bytes.fromhex("00112233445566778899aabbccddeeff"))


def _flip(offset: int) -> Callable[[bytes], bytes]:
    return lambda quote: quote[:offset] + bytes((quote[offset] ^ 1,)) + quote[offset + 1 :]


def _write(offset: int, content: bytes) -> Callable[[bytes], bytes]:
    return lambda quote: quote[:offset] + content + quote[offset + len(content) :]


def _u32(quote: bytes, offset: int) -> int:
    return int.from_bytes(quote[offset : offset + 4], "little")
