"""Evidence that brings its own chain along, or needs none: Nitro documents, IAS reports, EPID quotes, local reports."""

from intaglio.cli.formats.certificates import certificate_facts
from intaglio.cli.formats.facts import Facts, When
from intaglio.wire.epid import EpidBody, EpidQuote
from intaglio.wire.ias import IasReport, SignedReport
from intaglio.wire.nitro import NitroDocument
from intaglio.wire.report_key import ReportKey
from intaglio.wire.sgx import REPORT_BODY_SIZE, LocalReport, ReportBody
from intaglio.wire.x509 import Certificate

__all__ = ["read_epid_quote", "read_ias_report", "read_nitro_document", "read_report_key", "read_sgx_report"]


def read_nitro_document(data: bytes) -> Facts:
    document = NitroDocument.parse(data)
    registers = {f"PCR{index}": value for index, value in sorted(document.pcrs.items()) if any(value)}
    return {
        "module_id": document.module_id,
        "made": When(document.timestamp // 1000),
        "digest": document.digest,
        "debug": document.debug,
        "registers": {**registers, "zero": f"{len(document.pcrs) - len(registers)} others"},
        "public_key": document.public_key,
        "user_data": document.user_data,
        "nonce": document.nonce,
        "certificates": [certificate_facts(Certificate.parse(der)) for der in _leaf_first(document)],
        "signature": document.signature,
        "note": "what a document says is only true if `intaglio verify` says genuine",
    }


def _leaf_first(document: NitroDocument) -> tuple[bytes, ...]:
    return document.certificate, *reversed(document.ca_bundle)


def read_ias_report(data: bytes) -> Facts:
    signed = SignedReport.parse(data)
    report = IasReport.parse(signed.body)
    return {
        "id": report.id,
        "made": When(report.timestamp),
        "version": report.version,
        "quote_status": report.status.value,
        "advisories": list(report.advisory_ids),
        "advisory_url": report.advisory_url,
        "tcb_evaluation_number": report.tcb_evaluation_number,
        "revocation_reason": report.revocation_reason,
        "platform_info": report.platform_info,
        "epid_pseudonym": report.epid_pseudonym,
        "pse_manifest_status": report.pse_manifest_status,
        "pse_manifest_hash": report.pse_manifest_hash,
        "nonce": report.nonce,
        "quote": _epid_body(report.quote),
        "certificates": [certificate_facts(Certificate.parse(der)) for der in signed.certificates],
        "signature": signed.signature or "missing: the body alone proves nothing",
        "note": f"to judge it as of its own time: intaglio verify FILE --at {report.timestamp + 1}",
    }


def read_epid_quote(data: bytes) -> Facts:
    quote = EpidQuote.parse(data)
    return {
        **_epid_body(quote.body),
        "signature": f"{len(quote.signature)} bytes, encrypted to Intel's attestation service",
        "note": "nobody can judge this since the service ended on 2 April 2025; look for the report that it made",
    }


def read_sgx_report(data: bytes) -> Facts:
    if len(data) == REPORT_BODY_SIZE:
        return {**ReportBody.parse(data).to_json(), "note": "a report body without a MAC proves nothing"}
    report = LocalReport.parse(data)
    return {
        **report.body.to_json(),
        "key_id": report.key_id,
        "mac": report.mac,
        "note": "it proves something to whoever has the report key of its target enclave, and to nobody else",
    }


def read_report_key(data: bytes) -> Facts:
    key = ReportKey.parse_json(data)
    return {"key_id": key.key_id, "digest": key.digest, "note": "the key itself is a secret and is not shown"}


def _epid_body(body: EpidBody) -> Facts:
    return {
        "version": body.version,
        "linkable": body.linkable,
        "epid_group": f"{body.group_id:#x}",
        "extended_group": body.extended_group_id,
        "qe_svn": body.qe_svn,
        "pce_svn": body.pce_svn,
        "basename": body.basename,
        "report": body.report.to_json(),
    }
