"""AMD SEV-SNP: reports, the certificate tables that come beside them, and what they are judged by."""

from intaglio.cli.formats.certificates import certificate_facts, optional_crl
from intaglio.cli.formats.facts import Facts
from intaglio.errors import Malformed
from intaglio.wire.snp import SNP_REPORT_SIZE, SnpReport
from intaglio.wire.snp_certs import CertificateTable
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.snp_parts import split_extended_report
from intaglio.wire.x509 import Certificate, decode_certificate

__all__ = [
    "is_certificate_table", "is_extended_report", "read_certificate_table", "read_extended_report",
    "read_snp_collateral", "read_snp_report",
]  # fmt: skip


def read_snp_report(data: bytes) -> Facts:
    report = SnpReport.parse(data)
    return {
        **report.to_json(),
        "signature": report.signature,
        "note": "what a report says is only true if `intaglio verify` says genuine",
    }


def is_extended_report(data: bytes) -> bool:
    return len(data) > SNP_REPORT_SIZE and bool(split_extended_report(data)[1])


def read_extended_report(data: bytes) -> Facts:
    report, table = split_extended_report(data)
    return {"report": read_snp_report(report), "certificate_table": read_certificate_table(table)}


def is_certificate_table(data: bytes) -> bool:
    """A table has no magic number: it is one if it reads as one and holds something that is known."""
    try:
        table = CertificateTable.parse(data)
    except Malformed:
        return False
    return any((table.vcek, table.vlek, table.ask, table.ark, table.crl))


def read_certificate_table(data: bytes) -> Facts:
    table = CertificateTable.parse(data)
    names = {"vcek": table.vcek, "vlek": table.vlek, "ask_or_asvk": table.ask, "ark": table.ark}
    facts: dict[str, object] = {name: _certificate(part) if part else "missing" for name, part in names.items()}
    return {
        **facts,
        "crl": optional_crl(table.crl),
        "other_entries": table.others,
        "note": "a host put these here; nothing is verified",
    }


def read_snp_collateral(data: bytes) -> Facts:
    collateral = SnpCollateral.parse_json(data)
    return {
        "vek": _certificate(collateral.vek),
        "ask": _certificate(collateral.ask),
        "ark": _certificate(collateral.ark),
        "crl": optional_crl(collateral.crl),
        "digest": collateral.digest,
        "note": "nothing here is verified",
    }


def _certificate(data: bytes) -> Facts:
    return certificate_facts(Certificate.parse(decode_certificate(data), serial_zero=True))
