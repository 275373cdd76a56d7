"""Certificates and documents beside the real ones: the same bytes for the same facts, else the same shape."""

import json
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.x509 import load_der_x509_certificate, load_der_x509_crl, load_pem_x509_certificates

from intaglio.sim.pck import PckFacts, sgx_extension
from intaglio.sim.publication import compact
from intaglio.sim.world import Lab
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.dcap import CertificationType, Quote
from intaglio.wire.pck import PckExtension
from intaglio.wire.x509 import Certificate, read_pem_chain
from tests.conftest import VECTORS, missing, vector_cases
from tests.sim.conftest import NOON


def real_leaves() -> Iterator[Certificate]:
    """The PCK certificates of all real quotes, each once."""
    seen: set[bytes] = set()
    for case in vector_cases("sgx") + vector_cases("tdx"):
        if case.name.startswith(("NEG-", "QUOTEONLY-")):
            continue
        certification = Quote.parse((case / "quote.bin").read_bytes()).certification
        if certification.kind == CertificationType.PCK_CHAIN:
            leaf = next(iter(read_pem_chain(certification.data)))
            if leaf not in seen:
                seen.add(leaf)
                yield Certificate.parse(leaf)


@pytest.fixture(scope="module")
def leaves() -> list[Certificate]:
    found = list(real_leaves())
    return found or missing("real SGX quotes")


def test_extension_is_byte_for_byte_that_of_real_certificates(leaves: list[Certificate]) -> None:
    issuers = set()
    for leaf in leaves:
        assert leaf.sgx_extension is not None
        real = PckExtension.parse(leaf.sgx_extension)
        facts = PckFacts(
            ppid=real.ppid, components=tuple(real.components), pce_svn=real.pce_svn, fmspc=real.fmspc,
            pce_id=real.pce_id, sgx_type=real.sgx_type, platform_instance=real.platform_instance_id,
            dynamic_platform=bool(real.dynamic), cached_keys=bool(real.cached_keys), smt_enabled=bool(real.smt),
        )  # fmt: skip
        ours = sgx_extension(facts)
        assert ours.replace(facts.cpu_svn, b"") == leaf.sgx_extension.replace(real.cpu_svn, b""), leaf.common_name
        issuers.add(real.platform_instance_id is None)
    assert issuers == {True, False}, "both CAs' certificates were seen"


def shape(certificate: x509.Certificate) -> list[tuple[str, bool]]:
    return [(extension.oid.dotted_string, extension.critical) for extension in certificate.extensions]


def names(certificate: x509.Certificate) -> list[str]:
    return [attribute.oid.dotted_string for attribute in certificate.subject]


def test_certificates_have_the_shape_of_real_ones(lab: Lab, leaves: list[Certificate]) -> None:
    roots = {
        path.name.partition("-")[0]: load_pem_x509_certificates(path.read_bytes())[0]
        for path in (VECTORS / "roots").glob("*.pem")
    }
    real_leaf = load_der_x509_certificate(leaves[0].der)
    ours = load_pem_x509_certificates(lab.records["alpha"].pck_chain.encode())[0]
    authority = lab.authority
    pairs = [
        (ours, real_leaf),
        (authority.platform_ca.certificate, roots["Intel_SGX_PCK_Platform_CA"]),
        (authority.processor_ca.certificate, roots["Intel_SGX_PCK_Processor_CA"]),
        (authority.root.certificate, roots["Intel_SGX_Root_CA"]),
        (authority.tcb_signer.certificate, roots["Intel_SGX_TCB_Signing"]),
    ]
    for mine, theirs in pairs:
        assert shape(mine) == shape(theirs)
        assert names(mine) == names(theirs)
        assert mine.signature_algorithm_oid == theirs.signature_algorithm_oid
        for kind in (x509.KeyUsage, x509.BasicConstraints):
            assert (
                mine.extensions.get_extension_for_class(kind).value
                == theirs.extensions.get_extension_for_class(kind).value
            )


def real_collateral() -> list[DcapCollateral]:
    paths = [path / "collateral.json" for path in vector_cases("sgx") if not path.name.startswith("NEG-")]
    return [DcapCollateral.parse_json(path.read_bytes()) for path in paths if path.is_file()]


def keys(document: object) -> object:
    """Names and nesting of a document, without its values; of a list, those of its first item."""
    if isinstance(document, dict):
        return {
            name: keys(value) for name, value in document.items() if name not in ("advisoryIDs", "category", "type")
        }
    return [keys(document[0])] if isinstance(document, list) else type(document).__name__


@pytest.mark.parametrize("version", [2, 3])
def test_documents_have_the_names_and_types_of_real_ones(lab: Lab, version: int) -> None:
    ours = DcapCollateral.parse_json(lab.collateral("alpha", NOON, version=version))
    theirs = [c for c in real_collateral() if json.loads(c.tcb_info)["version"] == version]
    if not theirs:
        missing(f"real TCB info of version {version}")
    for real in theirs:
        for mine, other in ((ours.tcb_info, real.tcb_info), (ours.qe_identity, real.qe_identity)):
            assert keys(json.loads(mine)) == keys(json.loads(other))
            assert list(json.loads(mine)) == list(json.loads(other)), "the same order"
            assert compact(json.loads(other)) == other, "written as compactly"


def test_crls_have_the_shape_of_real_ones(lab: Lab) -> None:
    lab.revoke(4711)
    ours = DcapCollateral.parse_json(lab.collateral("alpha", NOON))
    theirs = real_collateral() or missing("real collateral")
    entries = [entry for real in theirs for entry in load_der_x509_crl(real.pck_crl)]
    mine = load_der_x509_crl(ours.pck_crl)
    real = load_der_x509_crl(theirs[0].pck_crl)
    assert {e.oid for e in mine.extensions} == {e.oid for e in real.extensions}
    assert [e.oid for e in next(iter(mine)).extensions] == [e.oid for e in entries[0].extensions]
    assert mine.signature_algorithm_oid == real.signature_algorithm_oid
