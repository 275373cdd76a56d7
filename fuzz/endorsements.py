"""Readers of what evidence is judged by: collateral, certificates, revocation lists, keys."""

from fuzz import seeds
from fuzz.target import expect, read, target
from intaglio.verify.roots import Roots
from intaglio.wire import der, strict_json
from intaglio.wire.collateral import DcapCollateral, EnclaveIdentity, TcbInfo, signed_body
from intaglio.wire.endorsement import parse_collateral
from intaglio.wire.pck import PckExtension
from intaglio.wire.report_key import ReportKey
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.vcek import VekExtensions
from intaglio.wire.x509 import Certificate, RevocationList, decode_certificate, decode_crl, read_pem_chain


@target(seeds.collaterals, short_run=150)
def collateral(data: bytes) -> None:
    """Either collateral that reads the same after it was encoded, or Malformed."""
    found = read(parse_collateral, data)
    expect(found is None or parse_collateral(found.encode_json()) == found, "collateral survives its own encoding")


@target(seeds.collaterals)
def dcap_collateral(data: bytes) -> None:
    """Either nine fields that read the same after they were encoded, or Malformed; never another TEE's collateral."""
    found = read(DcapCollateral.parse_json, data)
    expect(found is None or DcapCollateral.parse_json(found.encode_json()) == found, "it survives its encoding")
    expect(found is None or read(SnpCollateral.parse_json, data) is None, "one text is collateral of one kind")


@target(seeds.collaterals)
def snp_collateral(data: bytes) -> None:
    """Either certificates that read the same after they were encoded, or Malformed."""
    found = read(SnpCollateral.parse_json, data)
    expect(found is None or SnpCollateral.parse_json(found.encode_json()) == found, "it survives its encoding")


@target(seeds.tcb_infos)
def tcb_info(data: bytes) -> None:
    """Either TCB info with levels that all differ, highest first, or Malformed."""
    found = read(TcbInfo.parse, data)
    if found is not None:
        order = [(level.sgx_components, level.pce_svn, level.tdx_components) for level in found.levels]
        expect(bool(order) and order == sorted(set(order), reverse=True), "levels are sorted and differ")
        expect(all(len(level.sgx_components) == 16 for level in found.levels), "there are sixteen components")


@target(seeds.qe_identities)
def enclave_identity(data: bytes) -> None:
    """Either an identity with levels that all differ, highest first, or Malformed."""
    found = read(EnclaveIdentity.parse, data)
    if found is not None:
        order = [level.isv_svn for level in found.levels]
        expect(bool(order) and order == sorted(set(order), reverse=True), "levels are sorted and differ")


@target(lambda: [b'{"tcbInfo":' + body + b',"signature":"' + b"ab" * 64 + b'"}' for body in seeds.tcb_infos()])
def pcs_answer(data: bytes) -> None:
    """Either a body that stands in the answer byte for byte and a signature of 64 bytes, or Malformed."""
    found = read(lambda raw: signed_body(raw, "tcbInfo"), data)
    if found is not None:
        expect(found[0] in data and len(found[1]) == 64, "the body is what was signed")
        strict_json.loads(found[0], "body")


@target(lambda: [*seeds.tcb_infos()[:2], b'{"a":[1,{"b":null}],"c":"\\u00e9"}', b'"' + b'\\"' * 99, b"[" * 20])
def json_text(data: bytes) -> None:
    """Either a value without floats, at most 16 levels deep, whose members stand in the text, or Malformed."""
    found = read(lambda raw: strict_json.loads(raw, "document"), data)
    if found is not None:
        expect(_depth(found) <= strict_json.MAX_DEPTH, "nesting is bounded")
    members = read(lambda raw: strict_json.members(raw, "document"), data)
    if members is not None:
        values = {name: strict_json.loads(value, name) for name, value in members.items()}
        expect(values == found, "the members are those of the whole")


def _depth(value: object) -> int:
    expect(not isinstance(value, float), "there are no floats")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


@target(seeds.extensions)
def pck_extension(data: bytes) -> None:
    """Either an extension that reads the same after it was encoded, or Malformed."""
    found = read(PckExtension.parse, data)
    expect(found is None or PckExtension.parse(found.encode()) == found, "an extension survives its encoding")


@target(lambda: [*seeds.extensions(), *seeds.certificates()])
def der_elements(data: bytes) -> None:
    """Either elements that fill the bytes exactly and have one spelling, or Malformed."""
    found = read(lambda raw: list(der.elements(raw, "data")), data)
    if found is not None:
        expect(sum(map(_der_size, found)) == len(data), "elements fill the bytes")
        if len(data) <= 0xFFFF:
            expect(b"".join(der.encode(tag, content) for tag, content in found) == data, "an element has one spelling")


def _der_size(element: tuple[int, bytes]) -> int:
    length = len(element[1])
    return 2 + length + (0 if length < 0x80 else (length.bit_length() + 7) // 8)


@target(seeds.certificates)
def certificate(data: bytes) -> None:
    """Either a certificate whose parts stand in these bytes, or Malformed; a serial number of 0 only where allowed."""
    found = read(Certificate.parse, data)
    lenient = read(lambda raw: Certificate.parse(raw, serial_zero=True), data)
    if lenient is not None:
        expect(lenient.der == data, "the bytes are kept")
        parts = (lenient.signed, lenient.subject, lenient.issuer, lenient.key_info, lenient.signature)
        expect(all(part in data for part in parts), "its parts stand in the bytes")
        expect(0 <= lenient.serial < 2**160, "a serial number has at most 20 octets")
        _extensions_of_amd(lenient)
    expect(found == (None if lenient is None or lenient.serial == 0 else lenient), "zero is the only difference")


def _extensions_of_amd(found: Certificate) -> None:
    vek = read(lambda _: VekExtensions.parse(found.extensions), b"")
    expect(vek is None or VekExtensions.parse(vek.encode()) == vek, "AMD's extensions survive their encoding")


@target(seeds.crls)
def revocation_list(data: bytes) -> None:
    """Either a list whose signed part stands in its bytes, or Malformed, however the list is spelled."""
    decoded = read(decode_crl, data)
    found = None if decoded is None else read(RevocationList.parse, decoded)
    if found is not None and decoded is not None:
        expect(found.signed in decoded and found.issuer in decoded, "its parts stand in the bytes")
        expect(all(isinstance(serial, int) for serial in found.revoked), "serial numbers are numbers")


@target(seeds.chains)
def pem_chain(data: bytes) -> None:
    """Either one to nine blocks of bytes, or Malformed."""
    found = read(read_pem_chain, data)
    if found is not None:
        expect(1 <= len(found) <= 9, "a chain is bounded")
        expect(sum(map(len, found)) <= len(data), "what was decoded is shorter than its text")


@target(lambda: [form for der in seeds.certificates()[:3] for form in (der, der.hex().encode())])
def certificate_text(data: bytes) -> None:
    """Either bytes, or Malformed, for a certificate in any spelling."""
    found = read(decode_certificate, data)
    expect(found is None or len(found) <= len(data), "what was decoded is no longer than its text")


@target(lambda: [seeds.evidence()[0].root, seeds.lab().root_pem.encode()])
def lab_root(data: bytes) -> None:
    """Either roots that pin one key, or Malformed."""
    found = read(Roots.lab, data)
    expect(found is None or found != Roots.production(), "a laboratory is not the vendor")


@target(lambda: [seeds.REPORT_KEY])
def report_key(data: bytes) -> None:
    """Either a key that reads the same after it was encoded, or Malformed; its digest and text give nothing away."""
    found = read(ReportKey.parse_json, data)
    if found is not None:
        expect(ReportKey.parse_json(found.encode_json()) == found, "a key survives its encoding")
        expect(found.report_key.hex() not in repr(found), "a key is not shown")
