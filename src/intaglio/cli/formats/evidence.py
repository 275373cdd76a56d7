"""Evidence and what it is judged by: quotes, reports, collateral, certificates, revocation lists."""

from intaglio.cli.formats.certificates import certificate_facts, crl_facts, optional_crl, read_der, read_pem
from intaglio.cli.formats.documents import (
    read_epid_quote,
    read_ias_report,
    read_nitro_document,
    read_report_key,
    read_sgx_report,
)
from intaglio.cli.formats.facts import Facts, Format, When
from intaglio.cli.formats.snp import (
    is_certificate_table,
    is_extended_report,
    read_certificate_table,
    read_extended_report,
    read_snp_collateral,
    read_snp_report,
)
from intaglio.errors import Malformed
from intaglio.verify.evidence import Kind, classify
from intaglio.wire.collateral import DcapCollateral, EnclaveIdentity, TcbInfo
from intaglio.wire.dcap import CertificationType, Quote
from intaglio.wire.x509 import Certificate, decode_crl, read_pem_chain

__all__ = ["EVIDENCE_FORMATS", "TEXT_FORMATS"]


def read_quote(data: bytes) -> Facts:
    quote = Quote.parse(data)
    header = quote.header
    return {
        "version": header.version,
        "tee": header.tee.value,
        "attestation_key_type": header.attestation_key_type,
        "qe_vendor_id": header.qe_vendor_id,
        "qe_svn": header.qe_svn,
        "pce_svn": header.pce_svn,
        "user_data": header.user_data,
        "report": quote.body.to_json(),
        "attestation_key": quote.attestation_key,
        "quoting_enclave": quote.qe_report.to_json(),
        "qe_auth_data": quote.qe_auth_data,
        "certification": _certification(quote),
        "padding": quote.padding,
        "note": "what a quote says is only true if `intaglio verify` says genuine",
    }


def _certification(quote: Quote) -> Facts:
    data = quote.certification
    kind = CertificationType(data.kind).name if data.kind in list(CertificationType) else "unknown"
    facts: dict[str, object] = {"type": f"{data.kind} ({kind})"}
    if data.kind in (CertificationType.PCK_LEAF, CertificationType.PCK_CHAIN):
        facts["certificates"] = _chain(data.data)
    elif data.identifier is not None:
        known = data.identifier
        facts |= {"ppid": known.ppid, "cpu_svn": known.cpu_svn, "pce_svn": known.pce_svn, "pce_id": known.pce_id}
    else:
        facts["data"] = data.data
    return facts


def _chain(data: bytes) -> object:
    """The certificates of a quote, or why they can't be read: the rest of the quote can still be shown."""
    try:
        return [certificate_facts(Certificate.parse(der)) for der in read_pem_chain(data)]
    except Malformed as malformed:
        return f"{len(data)} bytes that can't be read: {malformed}"


def read_collateral(data: bytes) -> Facts:
    collateral = DcapCollateral.parse_json(data)
    info, identity = TcbInfo.parse(collateral.tcb_info), EnclaveIdentity.parse(collateral.qe_identity)
    return {
        "fmspc": info.fmspc,
        "pce_id": info.pce_id,
        "tcb_info": {
            "id": info.id,
            "version": info.version,
            "issued": When(info.issue_date),
            "next_update": When(info.next_update),
            "evaluation_number": info.evaluation_number,
            "levels": [
                f"{level.status.value} from {level.sgx_components.hex()}, PCE {level.pce_svn}"
                + (f", TDX {level.tdx_components.hex()}" if level.tdx_components else "")
                + (f" ({', '.join(level.advisory_ids)})" if level.advisory_ids else "")
                for level in info.levels
            ],
            **({"tdx_modules": _modules(info)} if info.tdx_module else {}),
        },
        "qe_identity": {
            "id": identity.id,
            "version": identity.version,
            "issued": When(identity.issue_date),
            "next_update": When(identity.next_update),
            "evaluation_number": identity.evaluation_number,
            "mr_signer": identity.mr_signer,
            "isv_prod_id": identity.isv_prod_id,
            "levels": [f"{level.status.value} from ISVSVN {level.isv_svn}" for level in identity.levels],
        },
        "root_ca_crl": optional_crl(collateral.root_ca_crl),
        "pck_crl": optional_crl(collateral.pck_crl),
        "digest": collateral.digest,
        "note": "nothing here is verified",
    }


def _modules(info: TcbInfo) -> list[str]:
    """Every level of every version of the TDX module; the one of TDX 1.0 has none."""
    return [
        f"{module.id}: {level.status.value} from SVN {level.isv_svn}"
        + (f" ({', '.join(level.advisory_ids)})" if level.advisory_ids else "")
        for module in info.tdx_module_identities
        for level in module.levels
    ]


def _is(*kinds: Kind) -> "_Recogniser":
    return _Recogniser(frozenset(kinds))


class _Recogniser:
    """Whether bytes look like one of these kinds of evidence."""

    def __init__(self, kinds: frozenset[Kind]) -> None:
        self._kinds = kinds

    def __call__(self, data: bytes) -> bool:
        try:
            return classify(data)[1] in self._kinds
        except Malformed:
            return False


TEXT_FORMATS = (
    Format("certificate chain (PEM)", lambda data: data.startswith(b"-----BEGIN CERTIFICATE-----"), read_pem),
    Format(
        "certificate revocation list (PEM)",
        lambda data: data.startswith(b"-----BEGIN X509 CRL-----"),
        lambda data: crl_facts(decode_crl(data)),
    ),
    Format("TDX collateral", lambda data: data.lstrip()[:1] == b"{" and b'\\"id\\":\\"TDX\\"' in data, read_collateral),
    Format("SGX collateral", lambda data: data.lstrip()[:1] == b"{" and b'"tcb_info"' in data, read_collateral),
    Format("SGX report key", lambda data: data.lstrip()[:1] == b"{" and b'"report_key"' in data, read_report_key),
    Format("SEV-SNP collateral", lambda data: data.lstrip()[:1] == b"{" and b'"vek"' in data, read_snp_collateral),
)
EVIDENCE_FORMATS = (
    Format("certificate or revocation list (DER)", lambda data: data.startswith(b"\x30\x82"), read_der),
    Format("quote", _is(Kind.ECDSA_QUOTE), read_quote),
    Format("SEV-SNP report", _is(Kind.SNP_REPORT), read_snp_report),
    Format("SEV-SNP report with certificate table", is_extended_report, read_extended_report),
    Format("SEV-SNP certificate table", is_certificate_table, read_certificate_table),
    Format("Nitro attestation document", _is(Kind.NITRO_DOCUMENT), read_nitro_document),
    Format("IAS report", _is(Kind.IAS_REPORT), read_ias_report),
    Format("EPID quote", _is(Kind.EPID_QUOTE), read_epid_quote),
    Format("SGX report", _is(Kind.SGX_REPORT), read_sgx_report),
)
