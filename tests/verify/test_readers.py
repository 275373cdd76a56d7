"""Every reader of evidence and collateral is fed whole, changed, cut short, and with a byte too many."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.sim.draft import Draft
from intaglio.types import Measurement, ReportData
from intaglio.verify.evidence import Kind, classify, detect
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots, Vendor
from intaglio.wire import strict_json
from intaglio.wire.collateral import DcapCollateral, EnclaveIdentity, TcbInfo, signed_body
from intaglio.wire.cursor import Cursor
from intaglio.wire.dcap import MAX_QUOTE_SIZE, PckIdentifier, Quote, QuoteHeader
from intaglio.wire.pck import PckExtension
from intaglio.wire.sgx import Attributes, ReportBody
from intaglio.wire.x509 import Certificate, RevocationList, decode_crl, read_pem_chain
from tests.conftest import VECTORS, missing, vector_cases
from tests.feeding import feed, feed_garbage

Read = Callable[[bytes], object]


def read_crl(data: bytes) -> RevocationList:
    return RevocationList.parse(decode_crl(data))


def read_chain(data: bytes) -> list[Certificate]:
    return [Certificate.parse(der) for der in read_pem_chain(data)]


def read_tcb_answer(data: bytes) -> tuple[bytes, bytes]:
    return signed_body(data, "tcbInfo")


READERS: dict[str, Read] = {
    "quote": Quote.parse,
    "report": ReportBody.parse,
    "certificate": Certificate.parse,
    "chain": read_chain,
    "crl": read_crl,
    "extension": PckExtension.parse,
    "collateral": DcapCollateral.parse_json,
    "tcb_info": TcbInfo.parse,
    "qe_identity": EnclaveIdentity.parse,
    "tcb_answer": read_tcb_answer,
    "policy": Policy.parse,
    "evidence": detect,
    "lab_root": Roots.lab,
}


@pytest.fixture
def good(draft: Draft) -> dict[str, bytes]:
    """Something good for each reader."""
    draft.lab.revoke(*range(1, 4))
    evidence = Draft.of(draft.lab, draft.image, draft.at).build()
    collateral, quote = evidence.collateral, draft.quote()
    answer = (
        b'{"tcbInfo":' + collateral.tcb_info + b',"signature":"' + collateral.tcb_info_signature.hex().encode() + b'"}'
    )
    return {
        "quote": evidence.quote,
        "report": quote.qe_report_signed,
        "certificate": read_pem_chain(quote.certification.data)[0],
        "chain": quote.certification.data.rstrip(b"\0\n"),
        "crl": collateral.pck_crl,
        "extension": draft.pck_plan.sgx or b"",
        "collateral": collateral.encode_json(),
        "tcb_info": collateral.tcb_info,
        "qe_identity": collateral.qe_identity,
        "tcb_answer": answer,
        "lab_root": evidence.root,
    }


@pytest.mark.parametrize(
    ("name", "may_follow"),
    [
        ("quote", b"\0"),
        ("report", b""),
        ("certificate", b""),
        ("chain", b"\0\n"),
        ("crl", b""),
        ("extension", b""),
        ("collateral", b"\n"),
        ("tcb_info", b"\n"),
        ("qe_identity", b"\n"),
        ("tcb_answer", b"\n"),
        ("lab_root", b""),
    ],
)
def test_reader_is_fed_in_four_ways(good: dict[str, bytes], name: str, may_follow: bytes) -> None:
    feed(READERS[name], good[name], may_follow=may_follow)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None)
@given(garbage=st.binary(max_size=600))
def test_garbage(name: str, garbage: bytes) -> None:
    feed_garbage(READERS[name], garbage)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_documents_with_any_value_in_any_place(data: st.DataObject) -> None:
    """Well-formed JSON with a wrong value somewhere: `Malformed`, or a value whose type is right."""
    level = {
        "tcb": {"pcesvn": 1, "sgxtcbcomponents": [{"svn": 1}] * 16, "isvsvn": 1},
        "tcbDate": "2026-01-01T00:00:00Z",
    }
    document: dict[str, object] = {
        "id": "SGX", "version": 3, "issueDate": "2026-01-01T00:00:00Z", "nextUpdate": "2026-02-01T00:00:00Z",
        "fmspc": "00" * 6, "pceId": "0000", "tcbType": 0, "tcbEvaluationDataNumber": 1, "miscselect": "00" * 4,
        "miscselectMask": "FF" * 4, "attributes": "00" * 16, "attributesMask": "00" * 16, "mrsigner": "00" * 32,
        "isvprodid": 1, "tcbLevels": [{**level, "tcbStatus": "UpToDate"}],
    }  # fmt: skip
    good = json.dumps(document).encode()
    TcbInfo.parse(good)
    EnclaveIdentity.parse(good)
    where = data.draw(st.sampled_from(sorted(document)))
    if where == "tcbLevels":
        key = data.draw(st.sampled_from(["tcb", "tcbDate", "tcbStatus", "advisoryIDs"]))
        document[where] = [{**level, "tcbStatus": "UpToDate", key: data.draw(JSON)}]
    else:
        document[where] = data.draw(JSON)
    changed = json.dumps(document).encode()
    feed_garbage(TcbInfo.parse, changed)
    feed_garbage(EnclaveIdentity.parse, changed)


def test_real_quotes_survive_a_round_trip_byte_for_byte() -> None:
    found = vector_cases("sgx") + vector_cases("tdx")
    if not found:
        missing("vectors/sgx, vectors/tdx")
    for case in found:
        raw = (case / "quote.bin").read_bytes()
        quote = Quote.parse(raw)
        assert quote.encode() == raw, case.name
        assert quote.qe_report.encode() == quote.qe_report_signed, case.name


def test_real_certificates_survive_a_round_trip() -> None:
    found = vector_cases("sgx")
    if not found:
        missing("vectors/sgx")
    for case in found:
        quote = Quote.parse((case / "quote.bin").read_bytes())
        if quote.certification.kind == 5:
            leaf = next(c for c in read_chain(quote.certification.data) if c.sgx_extension)
            assert PckExtension.parse(leaf.sgx_extension or b"").encode() == leaf.sgx_extension, case.name


@given(
    octets=st.binary(min_size=72, max_size=72),
    pce_svn=st.integers(0, 0xFFFF),
    sgx_type=st.integers(0, 2),
    instance=st.booleans(),
    flags=st.tuples(*[st.sampled_from([None, False, True])] * 3),
)
def test_any_extension_survives_a_round_trip(
    octets: bytes, pce_svn: int, sgx_type: int, instance: bool, flags: tuple[bool | None, ...]
) -> None:
    extension = PckExtension(
        octets[:16], octets[16:32], pce_svn, octets[32:48], octets[48:50], octets[50:56], sgx_type,
        octets[56:] if instance else None, *flags,
    )  # fmt: skip
    assert PckExtension.parse(extension.encode()) == extension


@pytest.mark.parametrize(
    "part",
    [
        "020200 05",  # a component as two bytes where one would do
        "0281010c",  # a length in the long form
        "0203010000",  # more than one byte of SVN
        "0201 ff",  # negative
        "0200",  # empty
        "0401 0c",  # another type
        "02010c 00",  # something after the value
    ],
)
def test_integers_of_the_extension_have_one_spelling(draft: Draft, part: str) -> None:
    """Check 15: the shortcut for usual parts and the general way refuse the same."""
    extension = PckExtension.parse(draft.pck_plan.sgx or b"")
    oid = bytes.fromhex("060b2a864886f84d010d010201")
    entry = b"\x30\x10" + oid + b"\x02\x01" + extension.components[:1]
    encoded = extension.encode()
    assert encoded.count(entry) == 1
    content = oid + bytes.fromhex(part)
    changed = encoded.replace(entry, bytes((0x30, len(content))) + content)
    grown = len(changed) - len(encoded)
    fixed = bytearray(changed)
    for at in (2, encoded.index(entry) - 2):
        fixed[at : at + 2] = (int.from_bytes(fixed[at : at + 2], "big") + grown).to_bytes(2, "big")
    with pytest.raises(Malformed):
        PckExtension.parse(bytes(fixed))


def test_real_roots_are_the_pinned_one() -> None:
    found = sorted((VECTORS / "roots").glob("Intel_SGX_Root_CA*.pem"))
    if not found:
        missing("vectors/roots")
    assert len(found) == 2
    for path in found:
        (root,) = read_chain(path.read_bytes())
        assert Roots.production().pins(root, Vendor.INTEL_SGX), path.name
        assert not any(Roots.production().pins(root, vendor) for vendor in Vendor if vendor is not Vendor.INTEL_SGX)


@given(
    octets=st.binary(min_size=224, max_size=224),
    numbers=st.tuples(*[st.integers(0, 0xFFFF)] * 3),
    flags=st.integers(0, 2**64 - 1),
    misc=st.integers(0, 2**32 - 1),
    cet=st.integers(0, 255),
)
def test_any_report_survives_a_round_trip(
    octets: bytes, numbers: tuple[int, int, int], flags: int, misc: int, cet: int
) -> None:
    body = ReportBody(
        cpu_svn=octets[:16], misc_select=misc, cet_attributes=cet, isv_ext_prod_id=octets[16:32],
        attributes=Attributes(flags, flags ^ misc), mr_enclave=Measurement(octets[32:64]),
        mr_signer=Measurement(octets[64:96]), config_id=octets[96:160], isv_prod_id=numbers[0], isv_svn=numbers[1],
        config_svn=numbers[2], isv_family_id=octets[16:32], report_data=ReportData(octets[160:]),
    )  # fmt: skip
    assert ReportBody.parse(body.encode()) == body


@pytest.mark.parametrize("offset", [21, 31, 96, 127, 160, 191, 262, 303])
def test_reserved_bytes_of_a_report_are_zero(draft: Draft, offset: int) -> None:
    raw = bytearray(draft.body.encode())
    raw[offset] = 1
    with pytest.raises(Malformed, match="reserved"):
        ReportBody.parse(bytes(raw))


def test_a_report_has_fields_of_its_sizes(draft: Draft) -> None:
    with pytest.raises(Malformed, match="wrong length"):
        replace(draft.body, config_id=bytes(32))


@pytest.mark.parametrize("version", [4, 5])
def test_newer_quotes(draft: Draft, version: int) -> None:
    """Checks 5 and 7: the body's descriptor and the outer certification type."""
    draft.header = replace(draft.header, version=version)
    quote = draft.quote()
    raw = quote.encode()
    assert feed(Quote.parse, raw, may_follow=b"\0") == quote
    outer = len(quote.signed) + 4 + 128
    for at, value in ((outer, b"\5"), (48, b"\2"), (50, b"\x81")):
        if at == outer or version == 5:
            with pytest.raises(Malformed):
                Quote.parse(raw[:at] + value + raw[at + 1 :])


def test_a_quote_is_bounded(draft: Draft) -> None:
    raw = draft.quote().encode()
    Quote.parse(raw + bytes(MAX_QUOTE_SIZE - len(raw)))
    with pytest.raises(Malformed, match="at most"):
        Quote.parse(raw + bytes(MAX_QUOTE_SIZE - len(raw) + 1))


@pytest.mark.parametrize(("kind", "size"), [(1, 16), (2, 256), (3, 384)])
def test_pck_identifiers(kind: int, size: int) -> None:
    """Check 9: types 1 to 3 have exact sizes."""
    identifier = PckIdentifier(bytes(range(256))[:16] * (size // 16), bytes(16), 14, 1)
    raw = identifier.encode()
    assert feed(lambda data: PckIdentifier.parse(kind, data), raw) == identifier


def test_header_layout() -> None:
    """Check 1: offsets by hand."""
    raw = bytes.fromhex("0300 0200 00000000 0800 0d00 939a7233f79c4ca9940a0db3957f0607") + bytes(range(20))
    quote_header = QuoteHeader.read(Cursor(raw, "quote"))
    assert (quote_header.version, quote_header.attestation_key_type) == (3, 2)
    assert (quote_header.qe_svn, quote_header.pce_svn) == (8, 13)
    assert quote_header.user_data == bytes(range(20))
    assert quote_header.encode() == raw


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b"1.5", b"[1e3]", b"NaN", b"[Infinity]", b"[" * 17 + b"]" * 17,
        b"[" * 100_000, b'"\xff"', b"{} {}", b"", b"9" * 5000, b'{"a":"\x01"}',
    ],
)  # fmt: skip
def test_json_that_is_not_accepted(text: bytes) -> None:
    with pytest.raises(Malformed):
        strict_json.loads(text, "document")


@pytest.mark.parametrize("text", [b'"' + b'\\"' * 20_000, b'["' + b'\\"]' * 20_000, b'"' + b"\\" * 40_001])
def test_a_string_without_an_end_is_looked_at_once(text: bytes) -> None:
    """40 kB of escaped quotation marks took five seconds, and the time grew with the square of the length."""
    began = time.process_time()
    with pytest.raises(Malformed):
        strict_json.loads(text, "document")
    assert time.process_time() - began < 0.5


def test_json_within_the_limits() -> None:
    assert strict_json.loads(b"[" * 16 + b"]" * 16, "document") is not None
    assert strict_json.loads(b'{"a": "[[[[[[[[[[[[[[[[[[[["}', "document") == {"a": "[" * 20}
    assert strict_json.loads(b'["\\"[[[[[[[[[[[[[[[[[[[["]', "document") == ['"' + "[" * 20]


@pytest.mark.parametrize(
    "body", [b'{"b": 1}', b'{ "b":\t[1, 2 ,3] , "c":"\xc3\xa9"}', b"[]", b'{"signature":"zz"}', b'{"tcbInfo":{}}']
)
def test_signed_bodies_are_handed_out_byte_for_byte(body: bytes) -> None:
    """Check 16: whatever the white space, key order or number format."""
    answer = b' {"tcbInfo" : ' + body + b' , "signature":"' + b"ab" * 64 + b'" } '
    assert signed_body(answer, "tcbInfo") == (body, b"\xab" * 64)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"tcbInfo":{},"tcbInfo":{},"signature":"' + b"ab" * 64 + b'"}',
        b'{"tcbInfo":{},"signature":"' + b"ab" * 63 + b'"}',
        b'{"tcbInfo":{},"signature":"' + b"ab" * 64 + b'","more":1}',
        b'{"enclaveIdentity":{},"signature":"' + b"ab" * 64 + b'"}',
        b'{"tcbInfo":{},"signature":"' + b"zz" * 64 + b'"}',
    ],
)
def test_answers_that_are_not_accepted(answer: bytes) -> None:
    with pytest.raises(Malformed):
        signed_body(answer, "tcbInfo")


@pytest.mark.parametrize("field", ["pck_crl_issuer_chain", "pck_crl", "tcb_info", "qe_identity_signature"])
@pytest.mark.parametrize("half", ["\ud800", "\udfff", "a\udc00b"])
def test_half_a_surrogate_pair_is_malformed(draft: Draft, field: str, half: str) -> None:
    """JSON can spell it, UTF-8 can't."""
    document = json.loads(draft.build().collateral.encode_json()) | {field: half}
    with pytest.raises(Malformed, match=field):
        DcapCollateral.parse_json(json.dumps(document).encode())


@pytest.mark.parametrize("change", ["missing", "unknown", "number", "signature"])
def test_collateral_has_exactly_nine_fields(draft: Draft, change: str) -> None:
    document = json.loads(draft.build().collateral.encode_json())
    if change == "missing":
        del document["qe_identity"]
    elif change == "unknown":
        document["comment"] = ""
    elif change == "number":
        document["tcb_info"] = 1
    else:
        document["tcb_info_signature"] = document["tcb_info_signature"][:-2]
    with pytest.raises(Malformed, match="collateral"):
        DcapCollateral.parse_json(json.dumps(document).encode())


def test_evidence_is_found_in_text(draft: Draft) -> None:
    raw = draft.build().quote
    for text in (raw, raw.hex().encode(), b"0x" + raw.hex().upper().encode(), base64.encodebytes(raw)):
        found = detect(text)
        assert (found.kind, found.raw, found.tee.value) == (Kind.ECDSA_QUOTE, raw, "sgx")
    with pytest.raises(Malformed):
        classify(raw.hex().encode())


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"\x02\x00\x01\x00" + bytes(1112), Kind.EPID_QUOTE),
        (b"\x0e\x0e" + bytes(382), Kind.SGX_REPORT),
        (b"\x0e\x0e" + bytes(430), Kind.SGX_REPORT),
        (b"\x02\0\0\0" + bytes(1180), Kind.SNP_REPORT),
        (b'{"id":"1","isvEnclaveQuoteBody":"AgAB"}', Kind.IAS_REPORT),
    ],
)
def test_other_kinds_are_named(raw: bytes, kind: Kind) -> None:
    assert classify(raw)[1] is kind
