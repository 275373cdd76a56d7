"""What must pass although it looks odd, and what must not although it looks right: one rule a test."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from intaglio.reasons import Reason
from intaglio.sim.authority import Authority
from intaglio.sim.draft import Draft, Evidence
from intaglio.sim.pki import DAY, Holder, pem_chain
from intaglio.sim.world import DEFAULT_LEVEL, Lab, PlatformPlan, TcbState
from intaglio.types import Tee, UnixTime
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Outcome, TcbStatus, Verdict
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.dcap import Quote
from intaglio.wire.endorsement import Collateral
from intaglio.wire.pck import PckExtension
from intaglio.wire.report_key import ReportKey
from intaglio.wire.sgx import AttributeFlag, Attributes
from intaglio.wire.snp_collateral import SnpCollateral
from tests.verify.conftest import IMAGE, NOON, REPORT_DATA, judge


def outcome(verdict: Verdict, name: str) -> Outcome:
    return next(check.outcome for check in verdict.checks if check.name == name)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0), (1, 0, 2)])
@pytest.mark.parametrize("tail", [b"", b"\0", b"\0\0\0", b"\n", b"\r\n\0"])
def test_certificates_in_any_order_ended_by_nul_or_not(draft: Draft, order: tuple[int, ...], tail: bytes) -> None:
    """Check 10: real quotes of 2020 have leaf, root, CA; most real quotes end in NUL."""
    quote = draft.quote()
    chain = pem_chain(*(draft.chain[i] for i in order)).encode().rstrip(b"\n") + tail
    quote = replace(quote, certification=replace(quote.certification, data=chain))
    evidence = replace(draft.build(), quote=quote.encode())
    assert judge(evidence).genuine is True


@pytest.mark.parametrize("size", [1, 341, 4096])
def test_zero_padding_may_follow(draft: Draft, size: int) -> None:
    """Check 6: real quotes come padded to 5,006 and 8,000 bytes."""
    evidence = draft.build()
    assert judge(replace(evidence, quote=evidence.quote + bytes(size))).genuine is True


@pytest.mark.parametrize("version", [3, 4, 5])
def test_sgx_in_every_quote_version(draft: Draft, version: int) -> None:
    draft.header = replace(draft.header, version=version)
    evidence = draft.build()
    assert Quote.parse(evidence.quote).header.version == version
    assert judge(evidence).genuine is True


def test_the_root_is_pinned_by_key_not_by_certificate(draft: Draft) -> None:
    """Check 13: two of Intel's root certificates share one key."""
    root = draft.lab.authority.root
    old = root.certificate
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, root.key.public_key(), 7, old.not_valid_before_utc,
        old.not_valid_after_utc - timedelta(days=9), list(old.extensions),
    )  # fmt: skip
    renewed = Holder(root.key, builder.sign(root.key, SHA256()))
    draft.chain[2] = renewed.certificate
    evidence = draft.build()
    assert renewed.der != evidence.root
    assert judge(evidence).genuine is True


def test_crls_in_every_form(draft: Draft) -> None:
    """Check 14: DER, PEM, hexadecimal and base64 are one list."""
    evidence = draft.build()
    document = evidence.collateral.encode_json()
    der = evidence.collateral.pck_crl
    block = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM).decode().replace("\n", "\\n")
    text = "".join(line for line in block.split("\\n") if "-----" not in line)
    for form in (block, text, der.hex().upper()):
        again = DcapCollateral.parse_json(document.replace(der.hex().encode(), form.encode()))
        assert again == evidence.collateral


def test_tcb_info_of_version_2(lab: Lab, draft: Draft) -> None:
    """Check 17: no id, flat component names and no advisories."""
    lab.set_tcb("alpha", TcbState(tuple(max(0, svn - 1) for svn in DEFAULT_LEVEL.components)), NOON)
    evidence = Draft.of(lab, IMAGE, NOON).build()
    newer = judge(evidence)
    older = judge(replace(evidence, collateral=DcapCollateral.parse_json(lab.collateral("alpha", NOON, version=2))))
    assert older.genuine is newer.genuine is True
    assert older.tcb_status is newer.tcb_status is TcbStatus.OUT_OF_DATE
    assert (newer.advisory_ids, newer.advisories_stated) == (("INTEL-SA-00001",), True)
    assert (older.advisory_ids, older.advisories_stated) == ((), False)


def test_the_ends_of_a_window_belong_to_it(draft: Draft) -> None:
    """Check 18: issue date <= time <= next update."""
    evidence = draft.build()
    until = judge(evidence).valid_until
    assert until is not None
    assert judge(evidence, until).genuine is True
    late = judge(evidence, UnixTime(until + 1))
    assert (late.genuine, late.reasons, late.retryable) == (False, (Reason.COLLATERAL_EXPIRED,), True)
    issued = UnixTime(NOON - NOON % DAY)
    assert judge(evidence, issued).genuine is True
    early = judge(evidence, UnixTime(issued - 1))
    assert (early.genuine, early.reasons, early.retryable) == (False, (Reason.COLLATERAL_NOT_YET_VALID,), True)


def test_processor_ca_platforms_have_no_instance(lab: Lab) -> None:
    lab.add_platform(PlatformPlan("client", ca="processor"), NOON)
    platform = judge(Draft.of(lab, IMAGE, NOON, platform="client").build()).platform
    assert platform is not None
    assert platform.ppid is not None
    assert platform.platform_instance_id is None
    assert platform.smt is None


def test_components_decide_and_not_cpusvn(draft: Draft) -> None:
    """Check 25: a CPUSVN that looks current does not help components that are not."""
    facts = draft.machine.record.facts
    extension = PckExtension.parse(draft.pck_plan.sgx or b"")
    low = replace(extension, components=bytes(max(0, svn - 1) for svn in extension.components))
    assert low.cpu_svn == facts.cpu_svn
    draft.reissue(replace(draft.pck_plan, sgx=low.encode()))
    assert judge(draft.build()).tcb_status is TcbStatus.OUT_OF_DATE


@pytest.mark.parametrize("component", range(16))
def test_every_component_counts(draft: Draft, component: int) -> None:
    """Check 25: each of the sixteen must reach its level."""
    levels = draft.tcb_info.content["tcbLevels"]
    assert isinstance(levels, list)
    for svn, level in zip((5, 4), levels, strict=True):
        level["tcb"]["sgxtcbcomponents"] = [{"svn": svn}] * 16
    extension = PckExtension.parse(draft.pck_plan.sgx or b"")
    components = bytes(4 if i == component else 5 for i in range(16))
    draft.reissue(replace(draft.pck_plan, sgx=replace(extension, components=components).encode()))
    assert judge(draft.build()).tcb_status is TcbStatus.OUT_OF_DATE
    draft.reissue(replace(draft.pck_plan, sgx=replace(extension, components=bytes([5] * 16)).encode()))
    assert judge(draft.build()).tcb_status is TcbStatus.UP_TO_DATE


def test_pce_svn_counts(draft: Draft) -> None:
    extension = PckExtension.parse(draft.pck_plan.sgx or b"")
    draft.reissue(replace(draft.pck_plan, sgx=replace(extension, pce_svn=extension.pce_svn - 1).encode()))
    verdict = judge(draft.build())
    assert verdict.genuine is True
    assert verdict.tcb_status is TcbStatus.NOT_SUPPORTED


def test_levels_are_sorted_before_they_are_searched(draft: Draft) -> None:
    """Check 25: the order in which levels are served decides nothing."""
    levels = draft.tcb_info.content["tcbLevels"]
    assert isinstance(levels, list)
    assert len(levels) > 1
    levels.reverse()
    assert judge(draft.build()).tcb_status is TcbStatus.UP_TO_DATE


@pytest.mark.parametrize(("text", "genuine"), [("00000001", True), ("01000000", False)])
def test_miscselect_is_big_endian_text(draft: Draft, text: str, genuine: bool) -> None:
    """Check 24: the report's field is little-endian, the document's text is not."""
    draft.qe_report = replace(draft.qe_report, misc_select=1)
    draft.qe_identity.content["miscselect"] = text
    verdict = judge(draft.build())
    assert verdict.genuine is genuine
    assert verdict.reasons == (() if genuine else (Reason.QE_IDENTITY_MISMATCH,))


@pytest.mark.parametrize(
    ("more", "mask", "genuine"),
    [
        (AttributeFlag.AEX_NOTIFY, "ff" * 16, False),
        (AttributeFlag.AEX_NOTIFY, "fb" + "f8" + "ff" * 14, True),
        (AttributeFlag.DEBUG, "ff" * 16, False),
        (AttributeFlag.DEBUG, "fd" + "ff" * 15, False),
    ],
)
def test_attributes_of_the_quoting_enclave(draft: Draft, more: AttributeFlag, mask: str, genuine: bool) -> None:
    """Check 24: what the mask covers counts, and the debug bit whether it does or not."""
    attributes = draft.qe_report.attributes
    covered = bytes(map(int.__and__, attributes.encode(), bytes.fromhex(mask)))
    draft.qe_identity.content |= {"attributes": covered.hex(), "attributesMask": mask}
    draft.qe_report = replace(draft.qe_report, attributes=Attributes(attributes.flags | more, attributes.xfrm))
    verdict = judge(draft.build())
    assert (verdict.genuine, verdict.reasons) == (genuine, () if genuine else (Reason.QE_IDENTITY_MISMATCH,))


# -- what must not pass
# -------------------------------------------------------------------------------------------------


def test_lab_evidence_is_nothing_under_production_roots(draft: Draft) -> None:
    evidence = draft.build()
    verdict = DcapVerifier(Roots.production()).verify(evidence.quote, evidence.collateral, evidence.at)
    assert verdict.genuine is False
    assert verdict.reasons == (Reason.ROOT_UNTRUSTED, Reason.COLLATERAL_SIGNER)
    assert not verdict.simulated


def test_both_kinds_of_roots_may_be_trusted_and_are_told_apart(draft: Draft) -> None:
    evidence = draft.build()
    roots = Roots.production() | Roots.lab(draft.lab.root_pem.encode())
    verdict = DcapVerifier(roots).verify(evidence.quote, evidence.collateral, evidence.at)
    assert verdict.genuine is True
    assert verdict.simulated


@pytest.mark.parametrize("documents", ["both", "tcb_info", "qe_identity"])
def test_collateral_of_one_root_can_not_judge_quotes_of_another(draft: Draft, lab: Lab, documents: str) -> None:
    """Whoever holds a lab's root must not be able to call production platforms up to date."""
    other = lab.copy()
    other.authority = Authority.create(NOON, lab.authority.quoting_signer)
    theirs = Draft.of(other, IMAGE, NOON).build()
    ours = draft.build()
    mixed = theirs.collateral
    if documents == "tcb_info":
        mixed = replace(
            ours.collateral, tcb_info_issuer_chain=mixed.tcb_info_issuer_chain, tcb_info=mixed.tcb_info,
            tcb_info_signature=mixed.tcb_info_signature,
        )  # fmt: skip
    if documents == "qe_identity":
        mixed = replace(
            ours.collateral, qe_identity_issuer_chain=mixed.qe_identity_issuer_chain, qe_identity=mixed.qe_identity,
            qe_identity_signature=mixed.qe_identity_signature,
        )  # fmt: skip
    verifier = DcapVerifier(Roots.lab(ours.root) | Roots.lab(other.root_der))
    verdict = verifier.verify(ours.quote, mixed, NOON)
    assert verdict.genuine is False
    assert Reason.COLLATERAL_SIGNER in verdict.reasons
    assert verifier.verify(ours.quote, ours.collateral, NOON).genuine is True


@pytest.mark.parametrize("chain", ["signer", "root", "signer, signer", "root, root", "signer, ca, root", "ca, root"])
def test_collateral_comes_with_its_signer_and_the_root_and_nothing_else(draft: Draft, lab: Lab, chain: str) -> None:
    """Check 12: a chain of any other shape is refused, and never an error of ours."""
    known = {"signer": lab.authority.tcb_signer.certificate, "root": lab.authority.root.certificate}
    known["ca"] = draft.issuer.certificate
    evidence = draft.build()
    odd = pem_chain(*(known[each] for each in chain.split(", "))).encode()
    for field in ("tcb_info_issuer_chain", "qe_identity_issuer_chain"):
        verdict = judge(replace(evidence, collateral=replace(evidence.collateral, **{field: odd})))
        assert (verdict.genuine, verdict.reasons[0]) == (False, Reason.COLLATERAL_SIGNER)


@pytest.mark.parametrize("which", ["root_crl", "pck_crl"])
def test_a_list_of_some_certificates_only_is_no_list(draft: Draft, lab: Lab, which: str) -> None:
    """Check 14: an authority may sign lists of a part of what it issued, and they say so in a critical extension."""
    issuer = lab.authority.root if which == "root_crl" else draft.issuer
    part = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    begin = datetime.fromtimestamp(NOON - DAY, UTC)
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, begin, begin + timedelta(days=30))
    for number, signed in enumerate((builder, builder.add_extension(part, critical=True))):
        setattr(draft, which, signed.sign(issuer.key, SHA256()).public_bytes(Encoding.DER))
        assert judge(draft.build()).reasons == (Reason.COLLATERAL_MALFORMED,) * number


def test_a_corrupted_root_certificate_is_named_before_anything_else(draft: Draft) -> None:
    """The root cause first: not the debug bit, not the signatures."""
    quote = draft.quote()
    der = bytearray(draft.chain[2].public_bytes(Encoding.DER))
    der[-1] ^= 1
    chain = pem_chain(draft.chain[0], draft.chain[1]).encode() + pem(bytes(der))
    broken = replace(quote, certification=replace(quote.certification, data=chain))
    verdict = judge(replace(draft.build(), quote=broken.encode()))
    assert verdict.genuine is False
    assert verdict.reasons[0] is Reason.CERTIFICATE_CHAIN


def test_text_between_certificates_is_refused(draft: Draft) -> None:
    quote = draft.quote()
    chain = b"# Intel\n" + quote.certification.data
    broken = replace(quote, certification=replace(quote.certification, data=chain))
    assert judge(replace(draft.build(), quote=broken.encode())).reasons[0] is Reason.CERTIFICATE_CHAIN


def test_a_critical_extension_that_nobody_knows_is_refused(draft: Draft) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    leaf = draft.chain[0]
    builder = x509.CertificateBuilder(
        leaf.issuer, leaf.subject, draft.pck_key.public_key(), 9, leaf.not_valid_before_utc, leaf.not_valid_after_utc,
        [*leaf.extensions, x509.Extension(unknown.oid, True, unknown)],
    )  # fmt: skip
    draft.chain[0] = builder.sign(draft.issuer.key, SHA256())
    assert judge(draft.build()).reasons == (Reason.CERTIFICATE_CONSTRAINTS,)


def test_a_key_on_another_curve_is_no_platform_key(draft: Draft) -> None:
    leaf, key = draft.chain[0], ec.generate_private_key(ec.SECP384R1())
    builder = x509.CertificateBuilder(
        leaf.issuer, leaf.subject, key.public_key(), 9, leaf.not_valid_before_utc, leaf.not_valid_after_utc,
        list(leaf.extensions),
    )  # fmt: skip
    draft.chain[0] = builder.sign(draft.issuer.key, SHA256())
    assert judge(draft.build()).reasons[0] is Reason.CERTIFICATE_CHAIN


def _repeat_ppid(extension: PckExtension) -> bytes:
    """The first part (36 bytes of content in a sequence) twice."""
    encoded = extension.encode()
    head, content = encoded[:4], encoded[4:]
    part = content[: 2 + content[1]]
    return head[:2] + (len(content) + len(part)).to_bytes(2, "big") + part + content


def _unknown_part(extension: PckExtension) -> bytes:
    encoded = extension.encode()
    part = bytes.fromhex("3010060a2a864886f84d010d010904020000")
    return encoded[:2] + (len(encoded) - 4 + len(part)).to_bytes(2, "big") + encoded[4:] + part


@pytest.mark.parametrize("change", [_repeat_ppid, _unknown_part, lambda extension: extension.encode() + b"\0"])
def test_every_part_of_the_extension_occurs_once(draft: Draft, change: Callable[[PckExtension], bytes]) -> None:
    """Check 15."""
    extension = PckExtension.parse(draft.pck_plan.sgx or b"")
    draft.reissue(replace(draft.pck_plan, sgx=change(extension)))
    assert judge(draft.build()).reasons == (Reason.PCK_EXTENSION,)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("tcbType", 1, Reason.COLLATERAL_MISMATCH),
        ("tcbLevels", [], Reason.COLLATERAL_MALFORMED),
        ("tcbEvaluationDataNumber", -1, Reason.COLLATERAL_MALFORMED),
        ("tcbEvaluationDataNumber", 1.5, Reason.COLLATERAL_MALFORMED),
        ("nextUpdate", "2026-13-01T00:00:00Z", Reason.COLLATERAL_MALFORMED),
        ("nextUpdate", "2026-06-30 00:00:00", Reason.COLLATERAL_MALFORMED),
        ("fmspc", "00A0DEDEDE", Reason.COLLATERAL_MALFORMED),
        ("pceId", None, Reason.COLLATERAL_MALFORMED),
    ],
)
def test_tcb_info_fields(draft: Draft, field: str, value: object, reason: Reason) -> None:
    draft.tcb_info.content[field] = value
    assert judge(draft.build()).reasons == (reason,)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("version", 1, Reason.COLLATERAL_MISMATCH),
        ("id", "TD_QE", Reason.COLLATERAL_MISMATCH),
        ("tcbLevels", [], Reason.COLLATERAL_MALFORMED),
        ("mrsigner", "00", Reason.COLLATERAL_MALFORMED),
        ("isvprodid", 65536, Reason.COLLATERAL_MALFORMED),
    ],
)
def test_qe_identity_fields(draft: Draft, field: str, value: object, reason: Reason) -> None:
    draft.qe_identity.content[field] = value
    assert judge(draft.build()).reasons == (reason,)


def test_every_failure_is_listed_not_only_the_first(draft: Draft) -> None:
    """One verdict with all checks: two independent faults, two reasons, in the procedure's order."""
    draft.qe_identity.content["isvprodid"] = 9
    draft.edits.append(lambda quote: quote[:112] + bytes((quote[112] ^ 1,)) + quote[113:])
    verdict = judge(draft.build())
    assert verdict.reasons == (Reason.QUOTE_SIGNATURE, Reason.QE_IDENTITY_MISMATCH)
    assert outcome(verdict, "TCB info signature") is Outcome.OK
    assert outcome(verdict, "QE report signature") is Outcome.OK


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 7])
def test_other_certification_data_is_undecidable(draft: Draft, kind: int) -> None:
    """Check 9: the certificate has to come from a provisioning service."""
    quote = draft.quote()
    size = {1: 36, 2: 276, 3: 404}.get(kind, 40)
    quote = replace(quote, certification=replace(quote.certification, kind=kind, data=bytes(size)))
    verdict = judge(replace(draft.build(), quote=quote.encode()))
    assert verdict.genuine is None
    assert verdict.reasons == (Reason.PCK_CERTIFICATE_MISSING,)
    assert outcome(verdict, "quote signature") is Outcome.OK
    assert outcome(verdict, "certificate chain") is Outcome.SKIPPED


def test_missing_collateral_is_undecidable_but_signatures_are_still_checked(draft: Draft) -> None:
    evidence = draft.build()
    verifier = DcapVerifier(Roots.lab(evidence.root))
    verdict = verifier.verify(evidence.quote, None, NOON)
    assert verdict.genuine is None
    assert verdict.reasons == (Reason.COLLATERAL_MISSING,)
    assert verdict.retryable
    assert outcome(verdict, "quote signature") is Outcome.OK
    edited = bytearray(evidence.quote)
    edited[112] ^= 1
    refused = verifier.verify(bytes(edited), None, NOON)
    assert refused.genuine is False
    assert refused.reasons == (Reason.QUOTE_SIGNATURE, Reason.COLLATERAL_MISSING), "what decided comes first"
    assert not refused.retryable


def test_bytes_that_are_no_quote_give_a_verdict() -> None:
    verdict = DcapVerifier(Roots.production()).verify(b"", None, NOON)
    assert (verdict.tee, verdict.genuine, verdict.reasons) == (Tee.SGX, False, (Reason.MALFORMED_EVIDENCE,))


def test_one_quote_under_much_collateral_and_much_under_one(lab: Lab, draft: Draft) -> None:
    """Nothing that was remembered of one pairing leaks into another."""
    verifier = DcapVerifier(Roots.lab(lab.root_der))
    first = draft.build()
    assert verifier.verify(first.quote, first.collateral, NOON).genuine is True
    lab.add_platform(PlatformPlan("beta", fmspc="00b0dedede00"), NOON)
    second = Draft.of(lab, IMAGE, NOON, platform="beta", report_data=REPORT_DATA).build()
    assert verifier.verify(second.quote, second.collateral, NOON).genuine is True
    for quote, collateral in ((first.quote, second.collateral), (second.quote, first.collateral)):
        crossed = verifier.verify(quote, collateral, NOON)
        assert crossed.reasons == (Reason.COLLATERAL_MISMATCH,)
    lab.revoke_pck("alpha")
    revoked = Draft.of(lab, IMAGE, NOON).build().collateral
    assert verifier.verify(first.quote, revoked, NOON).reasons == (Reason.CERTIFICATE_REVOKED,)
    assert verifier.verify(first.quote, first.collateral, NOON).genuine is True


@pytest.mark.parametrize("other", [SnpCollateral(b"", b"", b""), ReportKey(bytes(32), bytes(16))])
def test_collateral_of_another_tee_is_none(draft: Draft, other: Collateral) -> None:
    evidence = draft.build()
    verdict = DcapVerifier(Roots.lab(evidence.root)).verify(evidence.quote, other, NOON)
    assert (verdict.genuine, verdict.reasons) == (False, (Reason.COLLATERAL_MISMATCH,))


def test_collateral_that_nobody_vouches_for_is_not_remembered(draft: Draft) -> None:
    """Where peers bring their collateral along, none of them may push that of the others out."""
    evidence = draft.build()
    verifier = DcapVerifier(Roots.lab(evidence.root))
    assert verifier.verify(evidence.quote, evidence.collateral, NOON).genuine is True
    for number in range(3):
        forged = replace(evidence.collateral, tcb_info=evidence.collateral.tcb_info + bytes((number,)))
        for _ in range(2):
            assert verifier.verify(evidence.quote, forged, NOON).reasons == (Reason.TCB_INFO_SIGNATURE,)
    assert len(verifier._collaterals) == 1


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def test_evidence_is_named_by_its_exact_bytes(draft: Draft) -> None:
    evidence: Evidence = draft.build()
    padded = replace(evidence, quote=evidence.quote + b"\0")
    assert judge(evidence).evidence_hash != judge(padded).evidence_hash
