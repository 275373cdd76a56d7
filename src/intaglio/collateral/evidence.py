"""Which collateral a piece of evidence wants. Nothing here is verified: whoever must not be made to ask about
platforms that a stranger invented lets `intaglio.verify` look first.
"""

from intaglio.errors import Malformed
from intaglio.verify.evidence import Kind, classify
from intaglio.wire.collateral_request import CollateralRequest, DcapRequest, SnpRequest, TcbUpdate
from intaglio.wire.dcap import CertificationType, Quote
from intaglio.wire.pck import PckExtension
from intaglio.wire.snp import SigningKey, SnpReport
from intaglio.wire.snp_fields import Product
from intaglio.wire.x509 import Certificate, read_pem_chain

__all__ = ["requests_for"]


def requests_for(evidence: bytes, update: TcbUpdate = TcbUpdate.STANDARD) -> tuple[CollateralRequest, ...]:
    """What to ask for, raw evidence given: one request, or several of which one will do, the likeliest first (a report
    of version 2 does not say which processor made it). None for evidence that needs no collateral, or whose platform
    can't be told. Raises `Malformed`."""
    kind = classify(evidence)[1]
    if kind is Kind.ECDSA_QUOTE:
        return _of_quote(Quote.parse(evidence), update)
    if kind is Kind.SNP_REPORT:
        return _of_report(SnpReport.parse(evidence))
    return ()


def _of_quote(quote: Quote, update: TcbUpdate) -> tuple[CollateralRequest, ...]:
    if quote.certification.kind != CertificationType.PCK_CHAIN:
        return ()
    for der in read_pem_chain(quote.certification.data):
        certificate = Certificate.parse(der)
        if certificate.sgx_extension is not None:
            fmspc = PckExtension.parse(certificate.sgx_extension).fmspc.hex()
            ca = "processor" if b"Processor" in certificate.issuer else "platform"
            return (DcapRequest(quote.header.tee, fmspc, ca, update),)
    return ()


def _of_report(report: SnpReport) -> tuple[CollateralRequest, ...]:
    tcb = report.reported_tcb
    vlek = report.signing_key == SigningKey.VLEK
    if report.signing_key not in (SigningKey.VCEK, SigningKey.VLEK) or (report.chip_id_masked and not vlek):
        return ()
    products = [report.product] if report.product else [each for each in Product if report.cpuid is None]
    chip_id = bytes(64) if vlek else report.chip_id
    requests: list[CollateralRequest] = []
    for product in products:
        try:
            requests.append(SnpRequest(product, chip_id, tcb, vlek))
        except ValueError as error:  # a chip id or a TCB version of another product
            if report.product is product:
                raise Malformed("snp_report.chip_id", str(error)) from error
    return tuple(requests)
