"""SEV-SNP under a laboratory's roots: every named attack is refused for its reason, and honest evidence is not."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.sim.amd_pki import AmdAuthority
from intaglio.sim.faults import SNP_FAULTS, SnpFault
from intaglio.sim.snp import SnpDraft, SnpEvidence, VekKind
from intaglio.types import UnixTime
from intaglio.verify import snp
from intaglio.verify.ledger import Ledger, Step
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.verify.signature import issuer_key
from intaglio.verify.snp import PROCEDURE, SnpVerifier
from intaglio.verify.vek import _check_crl, _check_revocation
from intaglio.verify.verdict import Decision, Outcome, Verdict
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.serials import Serials
from intaglio.wire.snp import SnpReport
from intaglio.wire.snp_fields import GuestPolicy, Product
from intaglio.wire.x509 import Certificate, RevocationList, SignatureAlgorithm
from tests.conftest import ROOT
from tests.feeding import feed_garbage
from tests.verify.conftest import NOON, REPORT_DATA

FAULTS = pytest.mark.parametrize("fault", SNP_FAULTS.values(), ids=lambda fault: fault.name)
VARIANTS = [
    (product, version, kind)
    for product in Product
    for version in (2, 3, 4, 5)
    for kind in ("vcek", "vlek")
    if version > 2 or not (product is Product.TURIN and kind == "vlek")
]
"""A report of version 2 signed by a VLEK names neither its processor nor a chip id; Turin has newer firmware."""


@pytest.fixture(scope="session")
def amd() -> AmdAuthority:
    """With shorter keys than AMD's, which take seconds to make."""
    return AmdAuthority.create(NOON, bits=2048)


@pytest.fixture
def draft(amd: AmdAuthority) -> SnpDraft:
    """An honest draft that the test may change."""
    return SnpDraft.of(amd, NOON, report_data=REPORT_DATA)


def judge(evidence: SnpEvidence, at: int | None = None) -> Verdict:
    """With a verifier that has never seen anything."""
    verifier = SnpVerifier(Roots.lab(evidence.root))
    return verifier.verify(evidence.report, evidence.collateral, UnixTime(evidence.at if at is None else at))


@pytest.mark.parametrize(("product", "version", "kind"), VARIANTS)
def test_honest_evidence_is_genuine(amd: AmdAuthority, product: Product, version: int, kind: VekKind) -> None:
    made = SnpDraft.of(amd, NOON, product=product, version=version, kind=kind, report_data=REPORT_DATA)
    verdict = judge(made.build())
    assert verdict.reasons == ()
    assert verdict.genuine is True
    assert verdict.simulated
    assert all(check.outcome is Outcome.OK for check in verdict.checks)
    assert verdict.platform is not None
    assert verdict.platform.product == product.value
    assert verdict.platform.revocation_checked is True
    assert (verdict.platform.chip_id is None) == (kind == "vlek")
    assert (verdict.platform.csp_id is None) == (kind == "vcek")
    assert verdict.identity is not None
    assert verdict.identity.report_data == REPORT_DATA
    assert verdict.tcb_status is None


@FAULTS
def test_fault_is_refused_for_its_reason(draft: SnpDraft, fault: SnpFault) -> None:
    _refused(draft, fault)


@pytest.mark.parametrize(("product", "version"), [(Product.GENOA, 5), (Product.TURIN, 4)])
@FAULTS
def test_faults_of_other_products(amd: AmdAuthority, product: Product, version: int, fault: SnpFault) -> None:
    _refused(SnpDraft.of(amd, NOON, product=product, version=version, report_data=REPORT_DATA), fault)


def _refused(draft: SnpDraft, fault: SnpFault) -> None:
    fault.apply(draft)
    verdict = judge(draft.build())
    assert verdict.genuine is not True
    assert verdict.reasons[0] is fault.reason
    assert set(verdict.reasons) <= {fault.reason, *fault.also}
    assert fault.story


def test_there_are_many_faults() -> None:
    assert len(SNP_FAULTS) >= 80
    certain = {Reason.REPORT_SIGNATURE, Reason.CERTIFICATE_CHAIN, Reason.CERTIFICATE_ROLE, Reason.TCB_MISMATCH}
    assert certain <= {fault.reason for fault in SNP_FAULTS.values()}


def test_every_reason_of_the_procedure_has_a_fault() -> None:
    text = (ROOT / "docs" / "verification.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| S\d+ ", line)]
    named = {word.strip("`,()| ") for row in rows for word in row.split("|")[4].split() if "`" in word}
    missing = {Reason.COLLATERAL_MISSING.name, Reason.CHIP_ID_MASKED.name}
    assert named == {fault.reason.name for fault in SNP_FAULTS.values()} | missing


@FAULTS
def test_nothing_that_failed_is_remembered(draft: SnpDraft, fault: SnpFault) -> None:
    """A verifier that has seen a fault judges honest evidence as a fresh one does, and the fault as before."""
    honest = SnpDraft.of(draft.authority, draft.at).build()
    fault.apply(draft)
    made = draft.build()
    verifier = SnpVerifier(Roots.lab(made.root))
    first = verifier.verify(made.report, made.collateral, made.at)
    remembered = len(verifier._veks)
    assert verifier.verify(honest.report, honest.collateral, honest.at).genuine is True
    again = verifier.verify(made.report, made.collateral, made.at)
    assert (again, again.checks) == (first, first.checks)
    if first.checks and any(
        c.number in ("S8", "S9", "S11", "S12") and c.outcome is Outcome.FAILED for c in first.checks
    ):
        assert remembered == 0


@FAULTS
def test_a_check_never_improves_a_verdict(draft: SnpDraft, fault: SnpFault) -> None:
    """Whichever steps are left out, what was refused is never genuine, and the reasons never grow."""
    fault.apply(draft)
    verdict = judge(draft.build())
    for step in PROCEDURE:
        ledger = Ledger()
        for check, each in zip(verdict.checks, PROCEDURE, strict=True):
            if each is not step and check.outcome is Outcome.OK:
                ledger.ok(each)
            elif each is not step and check.reason is not None:
                record = ledger.fail if check.outcome is Outcome.FAILED else ledger.undecidable
                record(each, check.reason, check.found)
        assert ledger.genuine(frozenset(PROCEDURE)) is not True
        assert set(ledger.reasons(PROCEDURE)) <= set(verdict.reasons)


@pytest.mark.parametrize("removed", PROCEDURE, ids=lambda step: step.number)
def test_every_check_is_needed(draft: SnpDraft, removed: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever check did not run, the verdict is not genuine."""
    record = Ledger.ok

    def forgetful(self: Ledger, step: Step, found: object = None) -> None:
        if step is not removed:
            record(self, step, found)

    monkeypatch.setattr(Ledger, "ok", forgetful)
    assert judge(draft.build()).genuine is not True


def without_list(draft: SnpDraft) -> None:
    draft.crl = b""


def masked_chip_id(draft: SnpDraft) -> None:
    draft.report = replace(draft.report, chip_id=bytes(64))


def debug(draft: SnpDraft) -> None:
    draft.report = replace(draft.report, policy=GuestPolicy(0xB0000))


def requested_by_the_host(draft: SnpDraft) -> None:
    draft.report = replace(draft.report, vmpl=0xFFFFFFFF)


def older_reported_tcb(draft: SnpDraft) -> None:
    tcb = replace(draft.report.reported_tcb, microcode=70)
    draft.report = replace(draft.report, reported_tcb=tcb)
    draft.endorse(tcb=tcb)


def product_without_stepping(draft: SnpDraft) -> None:
    draft.endorse(product_name="Milan")


def test_a_provider_signs_where_the_chips_key_is_masked(amd: AmdAuthority) -> None:
    """Check S3: MASK_CHIP_KEY says that the VCEK does not sign, and a VLEK is there for that."""
    made = SnpDraft.of(amd, NOON, kind="vlek")
    made.report = replace(made.report, flags=made.report.flags | 2)
    assert judge(made.build()).genuine is True


@pytest.mark.parametrize(
    "change", [without_list, masked_chip_id, debug, requested_by_the_host, older_reported_tcb, product_without_stepping]
)
def test_what_is_for_the_policy_is_genuine(draft: SnpDraft, change: Callable[[SnpDraft], None]) -> None:
    honest = draft.build()
    change(draft)
    made = draft.build()
    assert (made.report[:0x2A0], made.collateral) != (honest.report[:0x2A0], honest.collateral)
    verdict = judge(made)
    assert verdict.genuine is True
    assert verdict.reasons == ()
    assert verdict.platform is not None
    assert verdict.platform.revocation_checked is (change is not without_list)
    assert verdict.platform.chip_id == "c1" * 64


def test_a_chip_id_that_only_a_providers_key_vouches_for_names_no_platform(amd: AmdAuthority) -> None:
    """A VLEK that was taken out of any chip of the provider signs whatever CHIP_ID its thief likes."""
    made = SnpDraft.of(amd, NOON, product=Product.TURIN, version=5, kind="vlek", report_data=REPORT_DATA)
    made.report = replace(made.report, chip_id=b"\xaa" * 8 + bytes(56))
    verdict = judge(made.build())
    assert verdict.genuine is True
    assert verdict.platform is not None
    assert verdict.platform.chip_id is None
    assert verdict.identity is not None
    assert verdict.identity.to_json()["chip_id"] == "aa" * 8 + "00" * 56
    page = (ROOT / "docs" / "snp.md").read_text().split("```toml\n")[1].split("```")[0]
    tcb = made.report.reported_tcb
    page = re.sub(r"min_tcb = .*", f"min_tcb = {{ bl = {tcb.bootloader}, tee = 0, snp = 0, ucode = 0 }}", page)
    listed = Policy.parse(page.replace('platforms = "any"', f'platforms = ["{"aa" * 8}"]'))
    decided = listed.appraise(verdict, report_data=REPORT_DATA, pin_hash=None)
    assert (decided.decision, decided.reasons) == (Decision.REJECTED, (Reason.PLATFORM_NOT_ALLOWED,))


def test_version_2_has_the_layout_of_its_certificate(amd: AmdAuthority) -> None:
    """It names no processor, so a Turin certificate must not endorse the older layout, nor the other way round."""
    turin = SnpDraft.of(amd, NOON, product=Product.TURIN, version=2)
    milan = SnpDraft.of(amd, NOON, product=Product.MILAN, version=2)
    turin.report, milan.report = milan.report, turin.report
    for draft in (turin, milan):
        verdict = judge(draft.build())
        assert verdict.genuine is False
        assert verdict.reasons[0] is Reason.COLLATERAL_MISMATCH


def test_windows_end_with_the_first(draft: SnpDraft) -> None:
    evidence = draft.build()
    end = judge(evidence).valid_until
    assert end is not None
    assert judge(evidence, end).genuine is True
    assert judge(evidence, end + 1).reasons == (Reason.COLLATERAL_EXPIRED,)
    assert judge(evidence, end + 1).retryable
    draft.crl = b""
    assert judge(draft.build()).valid_until == draft.vek.not_after


def test_collateral_of_another_tee_is_none(draft: SnpDraft) -> None:
    evidence = draft.build()
    dcap = DcapCollateral(b"", b"", b"", b"", b"{}", bytes(64), b"", b"{}", bytes(64))
    verdict = SnpVerifier(Roots.lab(evidence.root)).verify(evidence.report, dcap, NOON)
    assert verdict.genuine is False
    assert verdict.reasons == (Reason.COLLATERAL_MISMATCH,)


def test_without_collateral_only_the_format_is_known(draft: SnpDraft) -> None:
    verifier = SnpVerifier(Roots.production())
    verdict = verifier.verify(draft.build().report, None, NOON)
    assert verdict.genuine is None
    assert verdict.reasons == (Reason.COLLATERAL_MISSING,)
    assert isinstance(verdict.identity, SnpReport)
    SNP_FAULTS["no_signing_key"].apply(draft)
    assert verifier.verify(draft.build().report, None, NOON).reasons[0] is Reason.REPORT_UNSIGNED


@pytest.mark.parametrize(
    ("kind", "reason", "retryable"),
    [("vcek", Reason.CHIP_ID_MASKED, False), ("vlek", Reason.COLLATERAL_MISSING, True)],
)
def test_a_chip_that_hides_can_not_be_looked_up(
    amd: AmdAuthority, kind: VekKind, reason: Reason, retryable: bool
) -> None:
    """A gateway would tell its host to come again, for ever. A provider's certificate needs no chip id."""
    made = SnpDraft.of(amd, NOON, kind=kind)
    masked_chip_id(made)
    verdict = SnpVerifier(Roots.production()).verify(made.build().report, None, NOON)
    assert (verdict.genuine, verdict.reasons, verdict.retryable) == (None, (reason,), retryable)


def test_a_laboratory_is_trusted_only_where_its_root_is(draft: SnpDraft) -> None:
    evidence = draft.build()
    verdict = SnpVerifier(Roots.production()).verify(evidence.report, evidence.collateral, NOON)
    assert verdict.reasons == (Reason.ROOT_UNTRUSTED,)
    assert not verdict.simulated


@pytest.mark.parametrize("office", ["ca", "signs_certificates", "signs_crls"])
def test_a_leaf_holds_no_office(draft: SnpDraft, office: str) -> None:
    change: dict[str, Any] = {office: True}
    draft.vek = replace(draft.vek, **change)
    verdict = judge(draft.build())
    assert (verdict.genuine, verdict.reasons) == (False, (Reason.CERTIFICATE_CONSTRAINTS,))


def test_the_serial_number_of_every_chip_revokes_none(draft: SnpDraft) -> None:
    """A list could name 0, or promise no next one; no tool makes such lists, so they are made of an honest one."""
    evidence = draft.build()
    crl = RevocationList.parse(evidence.collateral.crl)
    ders = (evidence.collateral.vek, evidence.collateral.ask, evidence.collateral.ark)
    leaf, ask, ark = (Certificate.parse(each, serial_zero=True) for each in ders)
    _check_revocation((leaf, ask, ark), replace(crl, revoked=Serials((0,))))
    with pytest.raises(Rejected, match="CERTIFICATE_REVOKED"):
        _check_revocation((leaf, ask, ark), replace(crl, revoked=Serials((0, ask.serial))))
    key = issuer_key(ark, SignatureAlgorithm.RSA_PSS_SHA384, Reason.CERTIFICATE_CHAIN)
    _check_crl(crl, ark, key)
    with pytest.raises(Rejected, match="COLLATERAL_MALFORMED"):
        _check_crl(replace(crl, next_update=None), ark, key)


def test_strangers_leave_nothing_behind(draft: SnpDraft) -> None:
    """Their authorities bear AMD's names, so only the pinned key keeps them out of the memory."""
    evidence, stranger = draft.build(), SnpDraft.of(AmdAuthority.create(NOON, bits=2048), NOON).build()
    verifier = SnpVerifier(Roots.lab(evidence.root))
    for _ in range(2):
        assert verifier.verify(stranger.report, stranger.collateral, NOON).reasons == (Reason.ROOT_UNTRUSTED,)
    known = verifier._authorities
    assert (len(verifier._veks), len(known.keys), len(known.certificates)) == (0, 0, 0)
    assert verifier.verify(evidence.report, evidence.collateral, NOON).genuine is True
    assert (len(verifier._veks), len(known.keys), len(known.certificates)) == (1, 1, 2)


def test_two_threads_share_a_verifier(draft: SnpDraft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snp, "MAX_CHIPS", 1)
    evidence = draft.build()
    draft.edit(0x90)
    forged = replace(draft.build(), collateral=replace(evidence.collateral, crl=b""))
    verifier = SnpVerifier(Roots.lab(evidence.root))

    def work(number: int) -> bool | None:
        chosen = evidence if number % 2 else forged
        if number % 5 == 0:
            verifier.forget_chips()
        return verifier.verify(chosen.report, chosen.collateral, NOON).genuine

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(200))) == [bool(number % 2) for number in range(200)]


def test_certificates_fed_byte_by_byte(draft: SnpDraft) -> None:
    """Whatever byte of the certificates changes, the verdict is a verdict, and not genuine unless nothing read it."""
    evidence = draft.build()
    verifier = SnpVerifier(Roots.lab(evidence.root))
    for name in ("vek", "ask", "ark", "crl"):
        good: bytes = getattr(evidence.collateral, name)
        for position in range(0, len(good), 7):
            edited = good[:position] + bytes((good[position] ^ 1,)) + good[position + 1 :]
            collateral = replace(evidence.collateral, **{name: edited})
            verdict = verifier.verify(evidence.report, collateral, NOON)
            assert verdict.genuine is False, (name, position)
        for size in (0, 1, 2, len(good) // 2, len(good) - 1):
            cut = replace(evidence.collateral, **{name: good[:size]})
            expected = (name, size) == ("crl", 0)
            assert verifier.verify(evidence.report, cut, NOON).genuine is expected


def test_garbage_gives_a_verdict(draft: SnpDraft) -> None:
    evidence = draft.build()
    verifier = SnpVerifier(Roots.lab(evidence.root))

    def read(data: bytes) -> bool | None:
        return verifier.verify(data, evidence.collateral, NOON).genuine

    for garbage in (b"", bytes(1184), b"\xff" * 1184, evidence.report * 1000):
        feed_garbage(read, garbage)
        assert read(garbage) is False


def test_steps_are_numbered_in_their_order() -> None:
    assert [step.number for step in PROCEDURE] == [f"S{number}" for number in (*range(1, 22),)]
    assert len(PROCEDURE) == len(set(PROCEDURE))


def test_the_documentation_lists_every_check_with_its_sentence() -> None:
    text = (ROOT / "docs" / "verification.md").read_text()
    for step in PROCEDURE:
        assert f"| {step.number} | {step.name} | {step.expected} |" in text


def test_the_policy_of_the_page_accepts_an_honest_guest(draft: SnpDraft) -> None:
    page = (ROOT / "docs" / "snp.md").read_text()
    (policy,) = [block.split("```")[0] for block in page.split("```toml\n")[1:]]
    read = Policy.parse(policy)
    verdict = read.appraise(judge(draft.build()), report_data=REPORT_DATA, pin_hash=None)
    assert (verdict.decision, verdict.reasons) == (Decision.ACCEPTED, ())
    debug(draft)
    verdict = read.appraise(judge(draft.build()), report_data=REPORT_DATA, pin_hash=None)
    assert verdict.reasons == (Reason.DEBUG_ENCLAVE,)


@FAULTS
def test_a_policy_never_improves_a_verdict(draft: SnpDraft, fault: SnpFault) -> None:
    page = (ROOT / "docs" / "snp.md").read_text()
    policy = Policy.parse(page.split("```toml\n")[1].split("```")[0])
    fault.apply(draft)
    before = judge(draft.build())
    for report_data in (None, REPORT_DATA, bytes(64)):
        after = policy.appraise(before, report_data=report_data, pin_hash=None)
        assert after.genuine == before.genuine
        assert set(before.reasons) <= set(after.reasons)
        assert after.decision in (Decision.REJECTED, Decision.UNDECIDABLE)
