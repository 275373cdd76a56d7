"""Certificates with evidence: real ones, our own, those of other frameworks, and everything that must not pass."""

import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import IntaglioError, Malformed, Rejected
from intaglio.ratls.certificate import EvidenceCertificate
from intaglio.ratls.evidence import encode_dice
from intaglio.ratls.make import MAX_LIFETIME, make_certificate
from intaglio.ratls.verify import RatlsVerifier, carries_evidence
from intaglio.reasons import Reason
from intaglio.types import ReportData, Tee, UnixTime
from intaglio.verify.evidence import Verifier
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision
from intaglio.wire import cbor, der
from intaglio.wire.x509 import MAX_CERTIFICATE, read_pem_chain
from tests.cli.conftest import run
from tests.conftest import VECTORS, missing
from tests.feeding import feed_garbage
from tests.gateway.world import NOON
from tests.ratls.world import (
    DICE_OID,
    GRAMINE_OID,
    GRAMINE_WIRE_OID,
    KEY,
    OE_OID,
    OTHER_KEY,
    Ext,
    certificate,
    made,
    pem_of_key,
    quote,
    quote_over,
    spki,
    verify,
    with_null,
)
from tests.sigma.world import party

REAL: list[Path | None] = [*sorted((VECTORS / "ratls").glob("*.pem"))] or [None]
JANUARY_2024 = UnixTime(1_705_276_800)
"""When all three certificates, and their platforms', were valid."""


def dice(claims: dict[str, object] | bytes, *, key_quote: bytes | None = None) -> Ext:
    encoded = claims if isinstance(claims, bytes) else cbor.encode(claims)  # type: ignore[arg-type]
    return Ext(DICE_OID, encode_dice(key_quote or quote_over(hashlib.sha256(encoded).digest()), encoded))


def key_claim(algorithm: int = 1, hashed: bytes | None = None) -> bytes:
    return cbor.encode([algorithm, hashlib.sha256(spki(KEY)).digest() if hashed is None else hashed])


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def oe(quoted: bytes) -> bytes:
    return b"\1\0\0\0\2\0\0\0" + len(quoted).to_bytes(8, "little") + quoted


# -- real certificates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem if path else "no vectors")
def test_a_real_certificate_decodes_and_binds_its_key(path: Path | None) -> None:
    """Made by Gramine, by Intel's SDK and by rats-tls, all three from debug enclaves; no collateral was kept."""
    if path is None:
        missing("vectors of real RA-TLS certificates")
    attested = RatlsVerifier(Verifier(Roots.production())).verify(path.read_bytes(), None, JANUARY_2024)
    assert attested.form == "TCG DICE"
    assert attested.bound, attested.checks
    assert attested.verdict.genuine is None, "undecidable without collateral"
    assert Reason.COLLATERAL_MISSING in attested.verdict.reasons
    assert not attested.accepted
    assert attested.genuine is None
    identity = attested.verdict.identity
    assert identity is not None
    assert identity.debug
    assert identity.report_data[32:] == bytes(32)
    names = {"gramine-cert": 1, "intel-sgxsdk-cert": 1, "rats-tls-cert": 3}
    assert len(attested.claims) == names[path.stem]
    other = RatlsVerifier(Verifier(Roots.production())).verify(path.read_bytes(), None, UnixTime(2**33))
    assert other.reasons == (Reason.CERTIFICATE_EXPIRED,)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem if path else "no vectors")
def test_the_command_recognises_a_real_certificate(path: Path | None) -> None:
    if path is None:
        missing("vectors of real RA-TLS certificates")
    ran = run("verify", path, "--json", "--at", JANUARY_2024)
    assert ran.status == 3
    assert (ran.json["certificate"]["bound"], ran.json["kind"], ran.json["genuine"]) == (True, "ECDSA quote", None)
    assert "the evidence binds the certificate's key" in run("verify", path, "--at", JANUARY_2024).out


def test_a_certificate_that_the_package_refuses_is_read() -> None:
    """Gramine's mbedTLS writes a NULL where RFC 5758 has nothing."""
    odd = with_null(made())
    with pytest.raises(ValueError, match="ExtraData"):
        x509.load_der_x509_certificate(odd).signature_algorithm_oid  # noqa: B018
    assert verify(odd).bound


# -- our own, and those of other frameworks ------------------------------------------------------------------------


def test_what_we_make_verifies_and_a_policy_accepts_it() -> None:
    attested = verify(made())
    assert (attested.genuine, attested.bound, attested.reasons) == (True, True, ())
    judged = attested.appraise(party().policy, pin_hash=bytes(32))
    assert judged.accepted
    assert judged.verdict.workload == "meter"
    assert all(check.outcome.value == "ok" for check in judged.checks)
    assert x509.load_der_x509_certificate(made()).subject.rfc4514_string() == "CN=meter"


def test_a_nonce_is_carried() -> None:
    data = make_certificate(
        KEY, quote, tee=Tee.SGX, name="m", serial=1, not_before=NOON, lifetime=60, nonce=b"challenge"
    )
    assert verify(data).claims["nonce"] == b"challenge"


def test_evidence_of_a_td_has_the_longer_hash() -> None:
    asked: list[ReportData] = []

    def td(report_data: ReportData) -> bytes:
        asked.append(report_data)
        return b"\4\0\2\0\x81\0\0\0"

    make_certificate(KEY, td, tee=Tee.TDX, name="m", serial=1, not_before=NOON, lifetime=60)
    assert asked[0][48:] == bytes(16)
    assert asked[0][32:48] != bytes(16)


@pytest.mark.parametrize(("tee", "lifetime"), [(Tee.SNP, 60), (Tee.SGX, 0), (Tee.SGX, MAX_LIFETIME + 1)])
def test_what_the_format_can_not_carry_is_not_made(tee: Tee, lifetime: int) -> None:
    with pytest.raises(Malformed):
        make_certificate(KEY, quote, tee=tee, name="m", serial=1, not_before=NOON, lifetime=lifetime)


@pytest.mark.parametrize("oid", [GRAMINE_OID, GRAMINE_WIRE_OID])
def test_gramines_own_extension_in_both_spellings(oid: str) -> None:
    attested = verify(certificate(Ext(oid, quote_over(sha(spki(KEY))))))
    assert (attested.form, attested.genuine) == ("Gramine's own", True)
    foreign = verify(certificate(Ext(oid, quote_over(sha(spki(OTHER_KEY))))))
    assert (foreign.reasons, foreign.genuine, foreign.verdict.genuine) == ((Reason.KEY_BINDING,), False, True)


@pytest.mark.parametrize("hashed", [spki(KEY), pem_of_key(KEY) + b"\0"], ids=["EGo", "Open Enclave"])
def test_open_enclave_and_ego(hashed: bytes) -> None:
    attested = verify(certificate(Ext(OE_OID, oe(quote_over(sha(hashed))), critical=True)))
    assert (attested.form, attested.genuine) == ("Open Enclave", True)


@pytest.mark.parametrize("value", [b"", b"\2" + bytes(15), oe(b"q") + b"x", b"\1\0\0\0\1\0\0\0" + bytes(8)])
def test_an_open_enclave_header_that_lies_is_malformed(value: bytes) -> None:
    with pytest.raises(Malformed):
        verify(certificate(Ext(OE_OID, value)))


def test_of_two_forms_the_standard_one_counts() -> None:
    """Otherwise a forger would add whichever is easier."""
    good = Ext(GRAMINE_WIRE_OID, quote_over(sha(spki(KEY))))
    with pytest.raises(Rejected) as caught:
        verify(certificate(dice({}), good))
    assert caught.value.reason is Reason.CLAIM_MISSING


# -- what must not pass --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claims", [{}, {"nonce": b"n"}, {"pubkey-hash2": b"x"}, {"Pubkey-hash": key_claim()}])
def test_claims_without_the_keys_hash_are_refused_by_name(claims: dict[str, object]) -> None:
    with pytest.raises(Rejected) as caught:
        verify(certificate(dice(claims)))
    assert caught.value.reason is Reason.CLAIM_MISSING
    assert caught.value.expected == "pubkey-hash"


@pytest.mark.parametrize(
    "claim",
    [
        key_claim(hashed=sha(spki(OTHER_KEY))),
        key_claim(hashed=sha(spki(KEY))[:31]),
        key_claim(hashed=b""),
        key_claim(hashed=sha(spki(KEY)) + b"\0"),
        key_claim(7),
        key_claim(2),
    ],
    ids=["another key", "a prefix", "empty", "longer", "another algorithm", "an unknown algorithm"],
)
def test_a_hash_that_is_not_this_keys_is_refused(claim: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        verify(certificate(dice({"pubkey-hash": claim})))
    assert caught.value.reason is Reason.KEY_BINDING


@pytest.mark.parametrize(("algorithm", "make"), [(1, hashlib.sha256), (7, hashlib.sha384), (8, hashlib.sha512)])
def test_the_hashes_that_are_allowed(algorithm: int, make: object) -> None:
    hashed = make(spki(KEY)).digest()  # type: ignore[operator]
    assert verify(certificate(dice({"pubkey-hash": key_claim(algorithm, hashed)}))).genuine is True


def test_evidence_of_another_certificate_does_not_bind() -> None:
    """The relay: genuine evidence, taken out of a genuine certificate, beside honest claims about the thief's key."""
    stolen = quote_over(sha(cbor.encode({"pubkey-hash": key_claim()})))
    claims = cbor.encode({"pubkey-hash": key_claim(hashed=sha(spki(OTHER_KEY)))})
    attested = verify(certificate(dice(claims, key_quote=stolen), key=OTHER_KEY))
    assert attested.verdict.genuine is True
    assert (attested.reasons, attested.genuine) == ((Reason.KEY_BINDING,), False)
    judged = attested.appraise(party().policy, pin_hash=bytes(32))
    assert judged.verdict.decision is Decision.REJECTED
    assert Reason.REPORT_DATA in judged.verdict.reasons
    assert not judged.accepted


def test_report_data_with_anything_behind_the_hash_do_not_bind() -> None:
    claims = cbor.encode({"pubkey-hash": key_claim()})
    quoted = quote(ReportData(sha(claims) + bytes(31) + b"\1"))
    assert verify(certificate(dice(claims, key_quote=quoted))).reasons == (Reason.KEY_BINDING,)


def test_a_certificate_signed_by_another_key_is_refused() -> None:
    data = certificate(dice({"pubkey-hash": key_claim()}), signer=OTHER_KEY)
    assert verify(data).reasons == (Reason.SELF_SIGNATURE,)


def test_an_unknown_critical_extension_is_refused_and_an_optional_one_is_not() -> None:
    known = dice({"pubkey-hash": key_claim()})
    assert verify(certificate(known, Ext("1.2.3.4", b"x"))).bound
    attested = verify(certificate(known, Ext("1.2.3.4", b"x", critical=True)))
    assert (attested.reasons, attested.genuine) == ((Reason.UNKNOWN_EXTENSION,), False)


@pytest.mark.parametrize(
    ("at", "reason"), [(NOON - 1, Reason.CERTIFICATE_NOT_YET_VALID), (NOON + 3601, Reason.CERTIFICATE_EXPIRED)]
)
def test_a_certificate_has_its_time(at: int, reason: Reason) -> None:
    assert verify(made(), UnixTime(at)).reasons == (reason,)


def test_without_collateral_it_is_undecidable_and_the_binding_is_still_checked() -> None:
    attested = verify(made(), collateral=False)
    assert (attested.genuine, attested.bound) == (None, True)
    assert not attested.appraise(party().policy, pin_hash=None).accepted


def test_debug_enclaves_are_refused_by_the_policy() -> None:
    claims = cbor.encode({"pubkey-hash": key_claim()})
    quoted = party().attester(debug=True).evidence(ReportData(sha(claims) + bytes(32)))
    judged = verify(certificate(dice(claims, key_quote=quoted))).appraise(party().policy, pin_hash=None)
    assert judged.bound
    assert Reason.DEBUG_ENCLAVE in judged.verdict.reasons
    assert not judged.accepted


# -- readers -------------------------------------------------------------------------------------------------------


def test_the_reader_refuses_what_is_short_long_or_altered() -> None:
    data = made()
    assert EvidenceCertificate.parse(data).key_info == spki(KEY)
    for at in (*range(260), *range(260, len(data), 53)):
        for bit in (1, 128):
            feed_garbage(EvidenceCertificate.parse, data[:at] + bytes((data[at] ^ bit,)) + data[at + 1 :])
        with pytest.raises(Malformed):
            EvidenceCertificate.parse(data[:at])
    for extra in (b"\0", b"\n", data[:1]):
        with pytest.raises(Malformed):
            EvidenceCertificate.parse(data + extra)
    with pytest.raises(Malformed, match="at most"):
        EvidenceCertificate.parse(bytes(MAX_CERTIFICATE + 1))


def test_no_altered_byte_of_a_certificate_passes() -> None:
    data = made()
    for at in (*range(0, 300, 3), *range(300, len(data), 211)):
        altered = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        try:
            attested = verify(altered)
        except IntaglioError:
            continue
        assert attested.genuine is not True, at


@given(st.binary(max_size=200))
def test_garbage_is_malformed(garbage: bytes) -> None:
    feed_garbage(EvidenceCertificate.parse, garbage)
    assert not carries_evidence(garbage)
    for value in (garbage, bytes.fromhex("d9ea60") + garbage, bytes.fromhex("d9ea60824171") + garbage):
        with pytest.raises((Malformed, Rejected)):
            verify(certificate(Ext(DICE_OID, value)))


@pytest.mark.parametrize(
    "times",
    [
        [(0x17, b"260601120000Z")],
        [(0x17, b"260601120000Z")] * 3,
        [(0x17, b"2606011200Z"), (0x17, b"260601120000Z")],
        [(0x17, b"261301120000Z"), (0x17, b"260601120000Z")],
        [(0x18, b"20260601120000+"), (0x17, b"260601120000Z")],
        [(0x04, b"260601120000Z"), (0x17, b"260601120000Z")],
    ],
)
def test_times_that_are_none_are_malformed(times: list[tuple[int, bytes]]) -> None:
    data = made()
    old = der.encode(der.SEQUENCE, der.encode(0x17, b"260601120000Z") + der.encode(0x17, b"260601130000Z"))
    assert data.count(old) == 1
    outer = der.sole(data, der.SEQUENCE, "c")
    signed, at = der.raw(outer, 0, "c")
    new = der.encode(der.SEQUENCE, b"".join(der.encode(tag, text) for tag, text in times))
    content = der.sole(signed, der.SEQUENCE, "c").replace(old, new)
    with pytest.raises(Malformed):
        EvidenceCertificate.parse(der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, content) + outer[at:]))


@pytest.mark.parametrize("odd", [b"", b"\x82\x01\x00", b"\x04\x01x"])
def test_extensions_come_last_and_once(odd: bytes) -> None:
    """Of two lists a reader that takes the last would not see what is critical in the first."""
    outer = der.sole(certificate(Ext("1.2.3.4", b"x", critical=True)), der.SEQUENCE, "c")
    signed, at = der.raw(outer, 0, "c")
    content = der.sole(signed, der.SEQUENCE, "c")
    (extensions,) = (der.encode(tag, value) for tag, value in der.elements(content, "c") if tag == 0xA3)
    more = content + (odd or extensions)
    with pytest.raises(Malformed, match="something else, or twice"):
        EvidenceCertificate.parse(der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, more) + outer[at:]))


def test_unique_ids_are_passed_over() -> None:
    outer = der.sole(made(), der.SEQUENCE, "c")
    signed, at = der.raw(outer, 0, "c")
    content = der.sole(signed, der.SEQUENCE, "c")
    *before, last = (der.encode(tag, value) for tag, value in der.elements(content, "c"))
    again = der.encode(der.SEQUENCE, b"".join((*before, b"\x81\x01\x00", b"\x82\x01\x00", last)))
    read = EvidenceCertificate.parse(der.encode(der.SEQUENCE, again + outer[at:]))
    assert read.extensions == EvidenceCertificate.parse(made()).extensions


def test_more_than_one_certificate_in_a_file_is_none_of_these() -> None:
    import base64

    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(made()) + b"-----END CERTIFICATE-----\n"
    assert len(read_pem_chain(pem)) == 1
    assert carries_evidence(pem)
    assert verify(pem).bound
    assert not carries_evidence(pem + pem)
    with pytest.raises(Malformed, match="more than one"):
        verify(pem + pem)


def test_a_certificate_without_evidence_is_malformed() -> None:
    with pytest.raises(Malformed, match="no evidence"):
        verify(certificate(Ext("1.2.3.4", b"x")))


def test_the_command_judges_by_policy_and_says_what_is_not_bound(tmp_path: Path) -> None:
    lab = party().lab
    (tmp_path / "root.pem").write_text(lab.root_pem)
    (tmp_path / "c.json").write_bytes(lab.collateral("alpha", NOON))
    (tmp_path / "good.der").write_bytes(made())
    (tmp_path / "bad.der").write_bytes(certificate(dice({"pubkey-hash": key_claim()}), signer=OTHER_KEY))
    given = ("--lab", tmp_path / "root.pem", "--collateral", tmp_path / "c.json", "--at", NOON)
    assert run("verify", tmp_path / "good.der", *given).status == 0
    ran = run("verify", tmp_path / "bad.der", *given)
    assert ran.status == 1
    assert "NOT BOUND" in ran.out
    assert "SELF_SIGNATURE" in ran.out
    assert run("verify", tmp_path / "good.der", "--event-log", tmp_path / "c.json").status == 2
