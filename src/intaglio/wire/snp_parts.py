"""Certificates as people and hosts have them, put together: what AMD's service answers, one file each, or the
certificate table of an extended report.

`SnpParts` takes DER, PEM with one or several certificates, revocation lists, and certificate tables, in any order, and
finds the chain of each VCEK or VLEK by its names. Nothing is verified here.
"""

from intaglio.errors import Malformed
from intaglio.wire import der
from intaglio.wire.snp import SNP_REPORT_SIZE, SnpReport
from intaglio.wire.snp_certs import CertificateTable
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.x509 import Certificate, RevocationList, decode_crl, read_pem_chain

__all__ = ["SnpParts", "split_extended_report"]

MAX_PARTS = 256
"""Certificates and lists together: more than the files that anybody gives by hand."""

_PEM_CRL = b"-----BEGIN X509 CRL-----"
_PEM = b"-----BEGIN "


class SnpParts:
    """Certificates and revocation lists in which the collateral of some chips is looked for."""

    __slots__ = ("_certificates", "_lists")

    def __init__(self) -> None:
        self._certificates: dict[bytes, Certificate] = {}
        self._lists: list[tuple[RevocationList, bytes]] = []

    def __len__(self) -> int:
        return len(self._certificates) + len(self._lists)

    def add(self, data: bytes) -> None:
        """Reads one file. Raises `Malformed` for what is no certificate, list or certificate table."""
        if data.lstrip().startswith(_PEM_CRL):
            self._add_list(decode_crl(data))
        elif data.lstrip().startswith(_PEM):
            for certificate in read_pem_chain(data):
                self._add_certificate(certificate)
        elif data[:1] == bytes((der.SEQUENCE,)):
            self._add_der(data)
        else:
            self._add_table(_read_table(data))

    def collateral(self) -> list[SnpCollateral]:
        """One for each VCEK or VLEK certificate, in their order. Raises `Malformed`, naming what is missing."""
        leaves = [each for each in self._certificates.values() if not each.is_ca and each.subject != each.issuer]
        if not leaves:
            raise Malformed("certificates", "no VCEK or VLEK certificate among them")
        return [self._chain(leaf) for leaf in leaves]

    def _chain(self, leaf: Certificate) -> SnpCollateral:
        ask = self._issuer(leaf, "ASK or ASVK")
        ark = self._issuer(ask, "ARK")
        lists = [(crl.this_update, data) for crl, data in self._lists if crl.issuer == ark.subject]
        # Of several lists the newest: whoever keeps files keeps old ones too.
        return SnpCollateral(leaf.der, ask.der, ark.der, max(lists, key=lambda each: each[0])[1] if lists else b"")

    def _issuer(self, certificate: Certificate, role: str) -> Certificate:
        for each in self._certificates.values():
            if each.subject == certificate.issuer:
                return each
        raise Malformed("certificates", f"the {role} that issued {certificate.common_name!r} is missing")

    def _add_der(self, data: bytes) -> None:
        try:
            self._add_certificate(data)
        except Malformed as malformed:
            try:
                self._add_list(data)
            except Malformed:
                raise malformed from None

    def _add_certificate(self, data: bytes) -> None:
        self._room()
        self._certificates[data] = Certificate.parse(data, serial_zero=True)

    def _add_list(self, data: bytes) -> None:
        self._room()
        self._lists.append((RevocationList.parse(data), data))

    def _add_table(self, table: CertificateTable) -> None:
        for part in (table.vcek, table.vlek, table.ask, table.ark, table.crl):
            if part:
                # Hosts put in what somebody gave them: mostly DER, sometimes PEM.
                self.add(part if part[:1] in (b"\x30", b"-") else b"\x30")

    def _room(self) -> None:
        if len(self) == MAX_PARTS:
            raise Malformed("certificates", f"more than {MAX_PARTS}")


def _read_table(data: bytes) -> CertificateTable:
    try:
        return CertificateTable.parse(data)
    except Malformed as error:
        raise Malformed("certificates", f"no certificate or list, and no certificate table: {error}") from error


def split_extended_report(data: bytes) -> tuple[bytes, bytes]:
    """The report and the certificate table of what `SNP_GET_EXT_REPORT` returns: one behind the other.

    Everything else comes back whole, with no table; nothing is lost, and the report alone is evidence.
    """
    report, table = data[:SNP_REPORT_SIZE], data[SNP_REPORT_SIZE:]
    try:
        SnpReport.parse(report)
        CertificateTable.parse(table)
    except Malformed:
        return data, b""
    return report, table
