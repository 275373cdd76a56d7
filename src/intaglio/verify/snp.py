"""Is this SEV-SNP report genuine? The whole procedure, checks S1 to S21.

The numbers are those of docs/verification.md. Every check that can still be run after a failure is run, and each of
them stands in the verdict. What a platform's owner or a guest's owner may choose (debug, SMT, migration, VMPL, how new
a TCB must be) is reported and left to the policy. What is remembered are pure results about certificates under a pinned
root; windows of validity are judged anew each time.
"""

from typing import NamedTuple

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify import vek as endorsed
from intaglio.verify.cache import Recent
from intaglio.verify.endorsements import check_windows
from intaglio.verify.ledger import Group, Ledger, Step
from intaglio.verify.roots import Roots
from intaglio.verify.vek import AmdAuthorities, Vek, judge_vek
from intaglio.verify.verdict import Checks, Platform, Verdict, evidence_hash, issue
from intaglio.wire.endorsement import Collateral
from intaglio.wire.snp import ECDSA_P384_SHA384, SigningKey, SnpReport, signed_part
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.snp_fields import Product
from intaglio.wire.vcek import VekExtensions

__all__ = ["PROCEDURE", "SnpVerifier"]

MAX_CHIPS = 4096
"""About 4 kB each. A fleet larger than this pays for some certificates again."""

REPORT = Step("S1", "report format", "1,184 bytes of version 2 to 5, reserved bytes zero", Group.FORMAT)
ALGORITHM = Step("S2", "signature algorithm", "1, ECDSA on P-384 with SHA-384", Group.FORMAT)
SIGNING_KEY = Step("S3", "signing key", "a VCEK that is not masked, or a VLEK", Group.FORMAT)
BITS = Step("S4", "reserved bits", "bit 17 of the guest policy one, and no bit whose meaning is unknown", Group.FORMAT)
PRODUCT = Step("S5", "product", "Milan, Genoa or Turin; version 2 does not say", Group.FORMAT)
COLLATERAL = Step("S6", "collateral", "the certificates of the key that signed the report", Group.COLLATERAL)
KEY_KIND = Step("S17", "kind of key", "a VCEK's or a VLEK's certificate, as the report says", Group.TCB)
CERTIFIED_PRODUCT = Step("S18", "certified product", "a certificate for the report's product", Group.TCB)
CHIP_ID = Step("S19", "chip id", "the VCEK certificate's chip, unless the platform masks it", Group.TCB)
TCB = Step("S20", "reported TCB", "the TCB version of the certificate; whether it is new is for the policy", Group.TCB)
SIGNATURE = Step("S21", "report signature", "a signature by the certificate's key over 672 bytes", Group.SIGNATURES)

PROCEDURE = (
    REPORT, ALGORITHM, SIGNING_KEY, BITS, PRODUCT, COLLATERAL, *endorsed.VEK_STEPS, KEY_KIND, CERTIFIED_PRODUCT,
    CHIP_ID, TCB, SIGNATURE,
)  # fmt: skip
"""All steps, in the order in which a reader should look for the cause of a rejection."""

_STEPS = frozenset(PROCEDURE)


class SnpVerifier:
    """Judges reports under one set of roots. Safe for use from several threads; its memory is bounded."""

    def __init__(self, roots: Roots) -> None:
        self._authorities = AmdAuthorities(roots)
        self._veks: Recent[Vek] = Recent(MAX_CHIPS)

    def verify(self, evidence: bytes, collateral: Collateral | None, at: UnixTime) -> Verdict:
        """Judges the bytes of a report as of the time `at`. Bytes that are none give a verdict too: not genuine."""
        ledger = Ledger()
        name = evidence_hash(evidence)
        try:
            report = SnpReport.parse(evidence)
        except Malformed as malformed:
            ledger.fail(REPORT, Reason.MALFORMED_EVIDENCE, malformed)
            return _verdict(ledger, name, at)
        _check_format(report, ledger)
        vek = self._vek(report, collateral, ledger)
        if vek is None:
            return _verdict(ledger, name, at, _Facts(report))
        valid_until = _check_validity(vek, at, ledger)
        if vek.extensions is not None:
            _check_endorsed(report, vek.extensions, ledger)
        key = vek.key
        if key is not None and ledger.passed(ALGORITHM):
            reason = Reason.REPORT_SIGNATURE
            ledger.run(SIGNATURE, lambda: key.check_raw(report.signature, signed_part(evidence), reason))
        return _verdict(ledger, name, at, _Facts(report, vek, valid_until))

    def forget_chips(self) -> None:
        """Drops what is remembered of chips, but not AMD's authorities; for benchmarks that want each to be new."""
        self._veks.clear()

    def _vek(self, report: SnpReport, collateral: Collateral | None, ledger: Ledger) -> Vek | None:
        if collateral is None:
            # Nobody can look up a chip that isn't named, so waiting helps as little as asking again.
            nameless = report.chip_id_masked and report.signing_key == SigningKey.VCEK
            reason = Reason.CHIP_ID_MASKED if nameless else Reason.COLLATERAL_MISSING
            ledger.undecidable(COLLATERAL, reason, "none was supplied")
            return None
        if not isinstance(collateral, SnpCollateral):
            ledger.fail(COLLATERAL, Reason.COLLATERAL_MISMATCH, "collateral of another kind of TEE")
            return None
        ledger.ok(COLLATERAL, collateral.digest)
        vek = self._veks.get(collateral.digest)
        if vek is None:
            vek = judge_vek(collateral, self._authorities)
            # Only what a pinned root vouches for without any doubt is kept: a stranger can't fill the memory.
            if vek.trusted and vek.findings.flawless:
                self._veks.put(collateral.digest, vek)
        ledger.take(vek.findings)
        return vek


class _Facts(NamedTuple):
    """What a verdict says beside its checks; without them it says nothing."""

    report: SnpReport
    vek: Vek | None = None
    valid_until: UnixTime | None = None


def _check_format(report: SnpReport, ledger: Ledger) -> None:
    """Checks S1 to S5."""
    ledger.ok(REPORT)
    if report.signature_algo == ECDSA_P384_SHA384:
        ledger.ok(ALGORITHM)
    else:
        ledger.fail(ALGORITHM, Reason.UNSUPPORTED_EVIDENCE, report.signature_algo)
    _check_signing_key(report, ledger)
    unknown = report.policy.unknown, report.platform_info.unknown, report.unknown_flags
    if not report.policy.reserved_one:
        ledger.fail(BITS, Reason.MALFORMED_EVIDENCE, f"guest policy {report.policy.bits:#x}")
    elif any(unknown):
        # Firmware newer than this release: a bit that nobody here understands may be one that a policy must refuse.
        policy, info, flags = unknown
        found = f"guest policy {policy:#x}, platform info {info:#x}, flags {flags:#x}"
        ledger.undecidable(BITS, Reason.UNSUPPORTED_EVIDENCE, found)
    else:
        ledger.ok(BITS)
    if report.cpuid is None:
        ledger.ok(PRODUCT, "not stated in version 2")
    elif report.product is None:
        family, model, _ = report.cpuid
        ledger.undecidable(PRODUCT, Reason.UNSUPPORTED_EVIDENCE, f"family {family:#x}, model {model:#x}")
    else:
        ledger.ok(PRODUCT, report.product.value)


def _check_signing_key(report: SnpReport, ledger: Ledger) -> None:
    """Check S3. MASK_CHIP_KEY says that the platform does not sign with its VCEK."""
    key = report.signing_key
    if key == SigningKey.NONE or (key == SigningKey.VCEK and report.mask_chip_key):
        ledger.fail(SIGNING_KEY, Reason.REPORT_UNSIGNED, "none: the chip's key is masked and there is no VLEK")
    elif key not in (SigningKey.VCEK, SigningKey.VLEK):
        ledger.fail(SIGNING_KEY, Reason.UNSUPPORTED_EVIDENCE, key)
    else:
        ledger.ok(SIGNING_KEY, "VLEK" if key else "VCEK")


def _check_validity(vek: Vek, at: UnixTime, ledger: Ledger) -> UnixTime | None:
    """The windows of checks S13 and S15 at the time `at`; returns when the first of them ends."""
    if not vek.windows:
        return None
    early, late = Reason.CERTIFICATE_NOT_YET_VALID, Reason.CERTIFICATE_EXPIRED
    ledger.run(endorsed.WINDOWS, lambda: check_windows(vek.span, vek.windows, at, early, late))
    listed = vek.crl_window
    if listed is None:
        return vek.span.end
    early, late = Reason.COLLATERAL_NOT_YET_VALID, Reason.COLLATERAL_EXPIRED
    ledger.run(endorsed.CRL_WINDOW, lambda: check_windows(listed, (listed,), at, early, late))
    return min(vek.span.end, listed.end)


def _check_endorsed(report: SnpReport, certified: VekExtensions, ledger: Ledger) -> None:
    """Checks S17 to S20: the certificate is for this report's key, product, chip and TCB version."""
    ledger.run(KEY_KIND, lambda: _check_key_kind(report, certified))
    if report.cpuid is not None and report.product is None:
        ledger.skip(CERTIFIED_PRODUCT, "not run: the report's product is not known here")
    else:
        ledger.run(CERTIFIED_PRODUCT, lambda: _check_product(report, certified.product))
    ledger.run(CHIP_ID, lambda: _check_chip_id(report, certified))
    if report.reported_tcb == certified.tcb:
        ledger.ok(TCB, certified.tcb)
    else:
        ledger.fail(TCB, Reason.TCB_MISMATCH, report.reported_tcb, expected=certified.tcb)


def _check_key_kind(report: SnpReport, certified: VekExtensions) -> None:
    expected = "VCEK" if certified.hwid is not None else "VLEK"
    found = "VLEK" if report.signing_key == SigningKey.VLEK else "VCEK"
    if expected != found:
        raise Rejected(Reason.COLLATERAL_MISMATCH, expected=f"a report that a {expected} signed", found=found)


def _check_product(report: SnpReport, certified: Product) -> str:
    """Version 2 does not name its product, but has either the TCB layout of Turin or the older one."""
    if report.cpuid is None:
        fits = certified.has_fmc == (report.reported_tcb.fmc is not None)
    else:
        fits = report.product is certified
    if not fits:
        found = report.product.value if report.product else "another"
        raise Rejected(Reason.COLLATERAL_MISMATCH, expected=f"a report of {certified.value}", found=found)
    return certified.value


def _check_chip_id(report: SnpReport, certified: VekExtensions) -> str:
    """Check S19. A platform may hide CHIP_ID: then the VCEK's signature alone says which chip it is."""
    if certified.hwid is None:
        return "a provider's key, which is the same on many chips"
    if report.chip_id_masked:
        return "masked in the report"
    expected = certified.hwid.ljust(64, b"\0")
    if report.chip_id != expected:
        raise Rejected(Reason.COLLATERAL_MISMATCH, expected=expected, found=report.chip_id)
    return certified.hwid.hex()


def _platform(vek: Vek) -> Platform | None:
    """By what the certificate says. A VLEK is on many chips of a provider, and whoever takes it out of one of them can
    write the CHIP_ID of any other into a report: a policy that names chips must not believe it."""
    certified = vek.extensions
    if certified is None:
        return None
    return Platform(
        product=certified.product.value,
        chip_id=certified.hwid.hex() if certified.hwid is not None else None,
        csp_id=certified.csp_id,
        revocation_checked=vek.revocation_checked,
    )


def _verdict(ledger: Ledger, name: bytes, at: UnixTime, facts: _Facts | None = None) -> Verdict:
    genuine = ledger.genuine(_STEPS)
    vek = facts.vek if facts else None
    return issue(
        tee=Tee.SNP,
        genuine=genuine,
        reasons=() if genuine else ledger.reasons(PROCEDURE),
        checks=Checks(lambda: ledger.render(PROCEDURE)),
        evidence_hash=name,
        at=at,
        simulated=vek.simulated if vek else False,
        valid_until=facts.valid_until if facts else None,
        platform=_platform(vek) if vek else None,
        identity=facts.report if facts else None,
    )
