"""Reports of Intel's attestation service: the forms in which people keep them, and every member of their bodies."""

import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from intaglio.errors import Malformed
from intaglio.sim.authority import Authority
from intaglio.types import Measurement, ReportData, UnixTime
from intaglio.wire.epid import EpidBody, EpidQuote
from intaglio.wire.ias import MAX_REPORT, IasReport, QuoteStatus, SignedReport, looks_like_ias
from intaglio.wire.report_key import ReportKey
from intaglio.wire.sgx import Attributes, ReportBody
from tests.feeding import feed, feed_garbage

REPORT = ReportBody(
    cpu_svn=bytes(range(16)), misc_select=0, cet_attributes=0, isv_ext_prod_id=bytes(16), attributes=Attributes(5, 7),
    mr_enclave=Measurement(b"\1" * 32), mr_signer=Measurement(b"\2" * 32), config_id=bytes(64), isv_prod_id=3,
    isv_svn=4, config_svn=0, isv_family_id=bytes(16), report_data=ReportData(bytes(range(64))),
)  # fmt: skip
QUOTE = EpidBody(2, True, 0xAC2, 7, 6, 0, b"\3" * 32, REPORT)
BODY: dict[str, Any] = {
    "id": "142090828149453720542199954221331392599",
    "timestamp": "2020-02-20T10:56:21.154323",
    "version": 5,
    "epidPseudonym": base64.b64encode(bytes(128)).decode(),
    "advisoryURL": "https://security-center.intel.com",
    "advisoryIDs": ["INTEL-SA-00334", "INTEL-SA-00615"],
    "isvEnclaveQuoteStatus": "SW_HARDENING_NEEDED",
    "isvEnclaveQuoteBody": base64.b64encode(QUOTE.encode()).decode(),
    "platformInfoBlob": "15020065",
    "nonce": "0123456701234567",
    "tcbEvaluationDataNumber": 12,
}
SIGNATURE = bytes(range(256))


@pytest.fixture(scope="module")
def pem() -> str:
    authority = Authority.create(UnixTime(1_580_000_000))
    return authority.platform_ca.pem + authority.root.pem


def body(**changes: object) -> bytes:
    return json.dumps({**BODY, **changes}).encode()


def kept(pem: str, **changes: str) -> bytes:
    parts = {"report": body().decode(), "signature": base64.b64encode(SIGNATURE).decode(), "certificates": pem}
    return json.dumps({**parts, **changes}).encode()


def response(pem: str, end: str = "\r\n") -> bytes:
    lines = (
        "HTTP/1.1 200 OK", "Content-Type: application/json", "Set-Cookie: a", "Set-Cookie: b",
        f"X-IASReport-Signature: {base64.b64encode(SIGNATURE).decode()}",
        f"x-iasreport-signing-certificate: {quote(pem)}", "", "",
    )  # fmt: skip
    return end.join(lines).encode() + body()


def test_every_form_is_the_same_report(pem: str) -> None:
    text, encoded = body().decode(), base64.b64encode(body()).decode()
    signature = base64.b64encode(SIGNATURE).decode()
    forms = [
        kept(pem),
        b"\n" + kept(pem, report=encoded) + b"\n",
        kept(pem, certificates=quote(pem)),
        json.dumps({"raw_report": text, "signed_report": signature, "signing_cert": pem}).encode(),
        json.dumps({"X-IASReport-Signature": signature, "X-IASReport-Signing-Certificate": pem, "body": text}).encode(),
        response(pem),
        response(pem, "\n") + b"\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + response(pem),
        response(pem).partition(b"\r\n")[2],
    ]
    ders = tuple(c.public_bytes(Encoding.DER) for c in x509.load_pem_x509_certificates(pem.encode()))
    for form in forms:
        assert looks_like_ias(form), form[:60]
        assert SignedReport.parse(form) == SignedReport(body(), SIGNATURE, ders)


def test_a_body_alone_is_recognised() -> None:
    assert looks_like_ias(body())
    assert SignedReport.parse(body()) == SignedReport(body(), b"", ())


def test_the_body_is_kept_as_it_stands(pem: str) -> None:
    spaced = b'{ "id" : "1",\n\t"version": 4 }'
    assert SignedReport.parse(kept(pem, report=spaced.decode())).body == spaced
    crlf = response(pem, "\n").replace(body(), b'{"a":\r\n1}')
    assert SignedReport.parse(crlf).body == b'{"a":\r\n1}'


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b'{"report": "e30=", "signature": "AA=="}',
        b'{"report": "e30=", "signature": "AA==", "certificates": "x"}',
        b'{"report": "e30=", "body": "e30=", "signature": "AA==", "certificates": "x"}',
        b'{"report": 1, "signature": "AA==", "certificates": "x"}',
        b'{"report": {}, "signature": "AA==", "certificates": "x"}',
        b'{"report": "\xc3\xa4", "signature": "AA==", "certificates": "x"}',
        b'{"report": "e30=", "signature": "AA", "certificates": "x"}',
        b'{"report": "e30=", "signature": "AA==", "certificates": "x", "more": 1}',
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-IASReport-Signature: AA==\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4,
        b"no header\n\n{}",
        b"X-IASReport-Signature: AA==\nX-IASReport-Signature: AA==\nX-IASReport-Signing-Certificate: x\n\n{}",
        b"X-IASReport-Signature: AA==",
        b" " * (MAX_REPORT + 1),
        b"",
    ],
)
def test_other_forms_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        SignedReport.parse(data)


def test_what_is_no_report_does_not_look_like_one() -> None:
    for data in (b"", b"{", b'{"tcb_info": ""}', b'{"report": 1}', b"X: x-iasreport-signature"[3:], b"\x02\x00" * 216):
        assert not looks_like_ias(data)


def test_forms_read_whole_changed_short_and_long(pem: str) -> None:
    feed(SignedReport.parse, kept(pem), may_follow=b"\n")
    feed_garbage(SignedReport.parse, response(pem)[:-1])
    for cut in range(0, len(response(pem)), 37):
        feed_garbage(SignedReport.parse, response(pem)[:cut])


def test_a_body_reads_whole_changed_short_and_long() -> None:
    feed(IasReport.parse, body(), may_follow=b"\n")


def test_every_member_of_a_body() -> None:
    read = IasReport.parse(body(revocationReason=1, pseManifestStatus="OK", pseManifestHash="00" * 32))
    assert read.timestamp == 1_582_196_181
    assert (read.version, read.status, read.quote) == (5, QuoteStatus.SW_HARDENING_NEEDED, QUOTE)
    assert (read.revocation_reason, read.pse_manifest_status, read.pse_manifest_hash) == (1, "OK", bytes(32))
    assert (read.platform_info, read.nonce) == (bytes.fromhex("15020065"), "0123456701234567")
    assert read.epid_pseudonym == bytes(128)
    assert read.advisory_url == "https://security-center.intel.com"
    assert read.advisory_ids == ("INTEL-SA-00334", "INTEL-SA-00615")
    assert read.tcb_evaluation_number == 12


def test_a_body_of_before_version_3_names_none() -> None:
    kept_members = ("id", "timestamp", "isvEnclaveQuoteStatus", "isvEnclaveQuoteBody")
    read = IasReport.parse(json.dumps({name: BODY[name] for name in kept_members}).encode())
    assert (read.version, read.advisory_ids, read.tcb_evaluation_number) == (2, (), None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": 1}, "ias.body.id"),
        ({"id": "\n"}, "ias.body.id"),
        ({"timestamp": "2020-02-20T10:56:21Z"}, "ias.body.timestamp"),
        ({"timestamp": "2020-02-30T10:56:21"}, "ias.body.timestamp"),
        ({"version": 2}, "ias.body.version"),
        ({"version": 6}, "ias.body.version"),
        ({"version": "4"}, "ias.body.version"),
        ({"version": True}, "ias.body.version"),
        ({"isvEnclaveQuoteStatus": "FINE"}, "ias.body.isvEnclaveQuoteStatus"),
        ({"isvEnclaveQuoteBody": "AAAA"}, "epid.version"),
        ({"isvEnclaveQuoteBody": "AAA"}, "ias.body.isvEnclaveQuoteBody"),
        ({"isvEnclaveQuoteBody": base64.b64encode(QUOTE.encode() + b"\0").decode()}, "epid"),
        ({"isvEnclaveQuoteBody": base64.b64encode(QUOTE.encode()[:-1]).decode()}, "epid.body"),
        ({"revocationReason": -1}, "ias.body.revocationReason"),
        ({"pseManifestHash": "0"}, "ias.body.pseManifestHash"),
        ({"platformInfoBlob": "zz"}, "ias.body.platformInfoBlob"),
        ({"nonce": "0" * 33}, "ias.body.nonce"),
        ({"epidPseudonym": "!"}, "ias.body.epidPseudonym"),
        ({"advisoryIDs": "INTEL-SA-00334"}, "ias.body.advisoryIDs"),
        ({"advisoryIDs": [334]}, "ias.body.advisoryIDs"),
        ({"advisoryIDs": ["nothing\n"]}, "ias.body.advisoryIDs"),
        ({"tcbEvaluationDataNumber": None}, "ias.body.tcbEvaluationDataNumber"),
        ({"unheardOf": 1}, "ias.body"),
    ],
)
def test_a_body_says_what_it_must_and_nothing_else(changes: dict[str, object], field: str) -> None:
    with pytest.raises(Malformed) as caught:
        IasReport.parse(body(**changes))
    assert caught.value.field == field


def test_a_repeated_member_is_refused() -> None:
    with pytest.raises(Malformed):
        IasReport.parse(body()[:-1] + b', "id": "2"}')


def test_an_epid_quote_reads_whole_changed_short_and_long() -> None:
    quote = QUOTE.encode() + (16).to_bytes(4, "little") + bytes(16)
    assert feed(EpidQuote.parse, quote) == EpidQuote(QUOTE, bytes(16))
    assert EpidBody.parse(replace(QUOTE, linkable=False).encode()).linkable is False
    with pytest.raises(Malformed):
        EpidQuote.parse(QUOTE.encode() + b"\xff\xff\xff\xff")


def test_a_report_key_hides_its_key() -> None:
    key = ReportKey(bytes(range(32)), b"\x5a" * 16)
    assert feed(ReportKey.parse_json, key.encode_json(), may_follow=b"\n") == key
    assert "5a5a" not in repr(key)
    assert b"\x5a" * 4 not in key.digest
    for key_id, value in (("00" * 31, "00" * 16), ("00" * 32, "00" * 15), ("zz" * 32, "00" * 16), (1, "00" * 16)):
        with pytest.raises(Malformed):
            ReportKey.parse_json(json.dumps({"key_id": key_id, "report_key": value}).encode())
