"""Is this quote genuine? The whole procedure for SGX DCAP evidence, checks 1 to 25, 27, 29 and the INIT bit of 30.

The numbers are those of docs/verification.md. Every check that can still be run after a failure is run, and each of
them stands in the verdict. The verifier fetches nothing and has no clock; what it remembers are pure results about
bytes that were verified under a pinned root: collateral, platforms and CA certificates. Windows of validity and
revocation are judged anew each time.
"""

import hashlib
from typing import NamedTuple

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify import chain as pck
from intaglio.verify import endorsements as end
from intaglio.verify.cache import Recent
from intaglio.verify.chain import Authorities, PckChain, judge_chain
from intaglio.verify.endorsements import Endorsements, check_windows, judge_collateral
from intaglio.verify.ledger import Group, Ledger, Step, Window
from intaglio.verify.roots import Roots
from intaglio.verify.signature import P256Key
from intaglio.verify.tcb import Tcb, check_enclave, enclave_level, merge, platform_level
from intaglio.verify.verdict import Checks, Verdict, evidence_hash, issue
from intaglio.wire.collateral import DcapCollateral, EnclaveTcbLevel
from intaglio.wire.dcap import ECDSA_P256, INTEL_QE_VENDOR_ID, CertificationType, Quote
from intaglio.wire.endorsement import Collateral
from intaglio.wire.hashing import sha256
from intaglio.wire.sgx import AttributeFlag, ReportBody

__all__ = ["PROCEDURE", "DcapVerifier"]

MAX_PLATFORMS = 4096
"""About 6 kB each. A fleet larger than this pays for some certificates again."""

MAX_COLLATERALS = 64
"""One per FMSPC and CA, twice while an update is under way; there are a few dozen FMSPCs in the world."""

HEADER = Step("1", "quote header", "48 bytes", Group.FORMAT)
VERSION = Step("2", "version and TEE", "version 3, 4 or 5 of a known TEE", Group.FORMAT)
KEY_TYPE = Step("3", "attestation key type", "2, ECDSA on P-256", Group.FORMAT)
VENDOR = Step("4", "QE vendor", f"Intel's, {INTEL_QE_VENDOR_ID.hex()}", Group.FORMAT)
BODY = Step("5", "report body", "the size of its type, reserved bytes zero", Group.FORMAT)
AUTHENTICATION = Step("6", "authentication data", "the declared length, and only zero bytes after it", Group.FORMAT)
LAYOUT = Step("7", "authentication data layout", "signature, key, QE report, certification data", Group.FORMAT)
LENGTHS = Step("8", "declared lengths", "every length consumed exactly", Group.FORMAT)
CERTIFICATION = Step("9", "certification data", "the PCK certificate chain (type 5)", Group.FORMAT)
CHAIN_WINDOWS = Step("11", "certificate validity", "not before <= time <= not after", Group.CERTIFICATES)
QE_REPORT = Step("21", "QE report signature", "a signature by the PCK certificate's key", Group.SIGNATURES)
QE_DATA = Step("22", "QE report data", "SHA-256 of attestation key and QE data, then 32 zero bytes", Group.SIGNATURES)
QUOTE_SIGNATURE = Step(
    "23", "quote signature", "a signature by the attestation key over header and body", Group.SIGNATURES
)
QE_IDENTITY = Step(
    "24", "QE identity", "the enclave that Intel's QE identity describes, not in debug mode", Group.SIGNATURES
)
LEVEL = Step("25", "TCB level", "the highest level that the platform reaches, or NotSupported", Group.TCB)
MERGED = Step("27", "merged TCB status", "platform and QE together", Group.TCB)
STATUS = Step("29", "TCB status", "a known status; whether it is good enough is for the policy", Group.TCB)
INIT = Step("30", "INIT attribute", "an initialised enclave", Group.TCB)

PROCEDURE = (
    HEADER, VERSION, KEY_TYPE, VENDOR, BODY, AUTHENTICATION, LAYOUT, LENGTHS, CERTIFICATION,
    pck.CERTIFICATES, pck.CHAIN, pck.CONSTRAINTS, pck.ROLES, pck.ROOT, CHAIN_WINDOWS, pck.EXTENSION,
    end.COLLATERAL, end.TCB_SIGNER, end.QE_SIGNER, end.ROOT_CRL, end.PCK_CRL, end.CRL_WINDOWS, end.REVOCATION,
    end.TCB_SIGNATURE, end.QE_SIGNATURE, end.TCB_CONTENT, end.TCB_PLATFORM, end.WINDOWS, end.EVALUATION,
    end.QE_CONTENT, QE_REPORT, QE_DATA, QUOTE_SIGNATURE, QE_IDENTITY, LEVEL, MERGED, STATUS, INIT,
)  # fmt: skip
"""All steps, in the order in which a reader should look for the cause of a rejection."""

_STEPS = frozenset(PROCEDURE)
_FORMAT_HOLDS = Ledger()
for _step in (HEADER, VERSION, BODY, AUTHENTICATION, LAYOUT, LENGTHS):
    _FORMAT_HOLDS.ok(_step)
_STEP_BY_FIELD = (
    ("quote.header.version", VERSION), ("quote.header.tee_type", VERSION), ("quote.header", HEADER),
    ("quote.report", BODY), ("report", BODY), ("quote.body", BODY), ("quote.padding", AUTHENTICATION),
    ("quote.authentication.size", AUTHENTICATION), ("quote.authentication.certification.type", LAYOUT),
    ("quote.authentication", LENGTHS), ("quote.certification_data", LENGTHS),
)  # fmt: skip


class DcapVerifier:
    """Judges quotes under one set of roots. Safe for use from several threads; its memory is bounded."""

    def __init__(self, roots: Roots) -> None:
        self._authorities = Authorities(roots)
        self._platforms: Recent[PckChain] = Recent(MAX_PLATFORMS)
        self._certified: Recent[_Certified] = Recent(MAX_PLATFORMS)
        self._attesters: Recent[_Attester] = Recent(MAX_PLATFORMS)
        self._collaterals: Recent[Endorsements] = Recent(MAX_COLLATERALS)

    def verify(self, evidence: bytes, collateral: Collateral | None, at: UnixTime) -> Verdict:
        """Judges raw quote bytes as of the time `at`. Bytes that are no quote give a verdict too: not genuine."""
        ledger = Ledger()
        name = evidence_hash(evidence)
        try:
            quote = Quote.parse(evidence)
        except Malformed as malformed:
            _record_malformed(malformed, ledger)
            return _verdict(Tee.SGX, ledger, name, at)
        body, header = quote.body, quote.header
        if not isinstance(body, ReportBody):
            found = f"{header.tee.name} in a quote of version {header.version}"
            ledger.undecidable(VERSION, Reason.UNSUPPORTED_EVIDENCE, found)
            return _verdict(header.tee, ledger, name, at)
        _check_header(quote, ledger)
        attester = self._attester(quote, collateral)
        ledger.take(attester.findings)
        valid_until = _check_validity(attester, at, ledger)
        if ledger.passed(KEY_TYPE):
            ledger.run(QUOTE_SIGNATURE, lambda: _check_quote_signature(quote, attester.key))
        _check_initialised(body, ledger)
        return _verdict(Tee.SGX, ledger, name, at, _Facts(body, attester, valid_until))

    def forget_platforms(self) -> None:
        """Drops what is remembered of platforms; for benchmarks that want each to be new."""
        self._platforms.clear()
        self.forget_attestation_keys()

    def forget_attestation_keys(self) -> None:
        """Drops what is remembered of quoting enclaves' reports, but not the platforms' certificates."""
        self._certified.clear()
        self._attesters.clear()

    def _attester(self, quote: Quote, collateral: Collateral | None) -> "_Attester":
        """What quote and collateral say of the platform, its quoting enclave and the attestation key.

        A quoting enclave keeps its key for years, so this part of its quotes is the same bytes again and again.
        Under the same collateral they mean the same; neither the time nor the enclave's report enters here.
        """
        part = _certified_part(quote)
        key = part + (collateral.digest if collateral else b"")
        known = self._attesters.get(key)
        if known is not None:
            return known
        own = Ledger()
        platform = self._certified_platform(part, quote, own)
        endorsements = self._endorsements(collateral, own)
        if platform and endorsements:
            endorsements.check_platform(platform, own)
        tcb = _evaluate(quote, platform, endorsements, own)
        attester = _Attester(own, _attestation_key(quote), platform, endorsements, tcb)
        # Only what a pinned root vouches for without any doubt is kept: a stranger can't fill the memory.
        if platform and platform.trusted and own.flawless:
            self._attesters.put(key, attester)
        return attester

    def _certified_platform(self, part: bytes, quote: Quote, ledger: Ledger) -> PckChain | None:
        """The platform, with all that needs no collateral: its certificates and what its key says of this attestation
        key. Kept apart, because a gateway judges once before it asks for the platform's collateral."""
        known = self._certified.get(part)
        if known is not None:
            ledger.take(known.findings)
            return known.platform
        own = Ledger()
        platform = self._platform(quote, own)
        _check_quoting_enclave(quote, platform, own)
        if platform and platform.trusted and own.flawless:
            self._certified.put(part, _Certified(own, platform))
        ledger.take(own)
        return platform

    def _platform(self, quote: Quote, ledger: Ledger) -> PckChain | None:
        certification = quote.certification
        if certification.kind != CertificationType.PCK_CHAIN:
            found = f"type {certification.kind}: the certificate has to come from a provisioning service"
            ledger.undecidable(CERTIFICATION, Reason.PCK_CERTIFICATE_MISSING, found)
            return None
        ledger.ok(CERTIFICATION)
        key = sha256(certification.data)
        known = self._platforms.get(key)
        if known is not None:
            ledger.take(known.findings)
            return known
        fresh = judge_chain(certification.data, self._authorities, ledger)
        if fresh is not None and fresh.trusted:
            self._platforms.put(key, fresh)
        return fresh

    def _endorsements(self, collateral: Collateral | None, ledger: Ledger) -> Endorsements | None:
        if collateral is None:
            ledger.undecidable(end.COLLATERAL, Reason.COLLATERAL_MISSING, "none was supplied")
            return None
        if not isinstance(collateral, DcapCollateral):
            ledger.fail(end.COLLATERAL, Reason.COLLATERAL_MISMATCH, "collateral of another kind of TEE")
            return None
        known = self._collaterals.get(collateral.digest)
        if known is None:
            known = judge_collateral(collateral, Tee.SGX, self._authorities)
            self._collaterals.put(collateral.digest, known)
        ledger.take(known.findings)
        return known


class _Certified(NamedTuple):
    """A platform that vouches for an attestation key, whatever the collateral says of it."""

    findings: Ledger
    platform: PckChain


class _Attester(NamedTuple):
    """A platform, its quoting enclave and its attestation key, under one collateral; parts that failed are None."""

    findings: Ledger
    key: P256Key | None
    platform: PckChain | None
    endorsements: Endorsements | None
    tcb: Tcb | None


class _Facts(NamedTuple):
    """What a verdict says beside its checks; without them it says nothing."""

    body: ReportBody
    attester: _Attester
    valid_until: UnixTime | None


def _certified_part(quote: Quote) -> bytes:
    """A name for everything in a quote that the PCK key covers or that leads to it."""
    certification, auth_data = quote.certification, quote.qe_auth_data
    sizes = b"%d %d %d" % (certification.kind, len(certification.data), len(auth_data))
    parts = (
        sizes, quote.attestation_key, quote.qe_report_signed, quote.qe_report_signature, auth_data, certification.data,
    )  # fmt: skip
    return sha256(b"".join(parts))


def _record_malformed(malformed: Malformed, ledger: Ledger) -> None:
    for prefix, step in _STEP_BY_FIELD:
        if malformed.field.startswith(prefix):
            ledger.fail(step, Reason.MALFORMED_EVIDENCE, malformed)
            return
    ledger.fail(HEADER, Reason.MALFORMED_EVIDENCE, malformed)


def _check_header(quote: Quote, ledger: Ledger) -> None:
    """Checks 1 to 8: what parsing has established, and the two fields of the header that must have one value."""
    ledger.take(_FORMAT_HOLDS)
    header = quote.header
    if header.attestation_key_type == ECDSA_P256:
        ledger.ok(KEY_TYPE)
    else:
        ledger.fail(KEY_TYPE, Reason.UNSUPPORTED_EVIDENCE, header.attestation_key_type)
    if header.qe_vendor_id == INTEL_QE_VENDOR_ID:
        ledger.ok(VENDOR)
    else:
        ledger.fail(VENDOR, Reason.QE_VENDOR, header.qe_vendor_id)


def _check_validity(attester: _Attester, at: UnixTime, ledger: Ledger) -> UnixTime | None:
    """The windows of checks 11, 14 and 18 at the time `at`; returns when the first of them ends."""
    platform, endorsements = attester.platform, attester.endorsements
    ends: list[UnixTime] = []

    def run(step: Step, span: Window, windows: tuple[Window, ...], early: Reason, late: Reason) -> None:
        if windows:
            ledger.run(step, lambda: check_windows(span, windows, at, early, late))
            ends.append(span.end)

    if platform:
        early, late = Reason.CERTIFICATE_NOT_YET_VALID, Reason.CERTIFICATE_EXPIRED
        run(CHAIN_WINDOWS, platform.span, platform.windows, early, late)
    if endorsements:
        early, late = Reason.COLLATERAL_NOT_YET_VALID, Reason.COLLATERAL_EXPIRED
        run(end.CRL_WINDOWS, endorsements.crl_span, endorsements.crl_windows, early, late)
        run(end.WINDOWS, endorsements.span, endorsements.windows, early, late)
    return min(ends, default=None)


def _check_quoting_enclave(quote: Quote, platform: PckChain | None, ledger: Ledger) -> None:
    """Checks 21 and 22: from the platform's key to the QE's report, and from there to the attestation key."""
    if platform:
        key, reason = platform.key, Reason.QE_REPORT_SIGNATURE
        ledger.run(QE_REPORT, lambda: key.check_raw(quote.qe_report_signature, quote.qe_report_signed, reason))
    ledger.run(QE_DATA, lambda: _check_qe_data(quote))


def _check_qe_data(quote: Quote) -> None:
    expected = hashlib.sha256(quote.attestation_key + quote.qe_auth_data).digest() + bytes(32)
    if quote.qe_report.report_data != expected:
        raise Rejected(Reason.QE_REPORT_DATA, expected=expected, found=quote.qe_report.report_data)


def _attestation_key(quote: Quote) -> P256Key | None:
    """None for bytes that are no point; check 23 says so."""
    try:
        return P256Key(quote.attestation_key, Reason.QUOTE_SIGNATURE)
    except Rejected:
        return None


def _check_quote_signature(quote: Quote, key: P256Key | None) -> None:
    """Check 23: from the attestation key to header and report."""
    if key is None:
        key = P256Key(quote.attestation_key, Reason.QUOTE_SIGNATURE)
    key.check_raw(quote.signature, quote.signed, Reason.QUOTE_SIGNATURE)


def _evaluate(quote: Quote, platform: PckChain | None, endorsements: Endorsements | None, ledger: Ledger) -> Tcb | None:
    """Checks 24, 25, 27 and 29."""
    if endorsements is None:
        return None
    identity, info = endorsements.qe_identity, endorsements.tcb_info
    qe: EnclaveTcbLevel | None = None
    if identity:
        ledger.run(QE_IDENTITY, lambda: check_enclave(quote.qe_report, identity))
        qe = enclave_level(quote.qe_report, identity)
    if platform is None or info is None or not ledger.passed(end.TCB_PLATFORM):
        return None
    level = platform_level(platform.extension, info)
    ledger.ok(LEVEL, level.status.value if level else "NotSupported: below every level")
    if identity is None:
        return None
    tcb = merge(level, qe)
    ledger.ok(MERGED, f"QE {qe.status.value if qe else 'NotSupported'}, merged {tcb.status.value}")
    ledger.ok(STATUS, tcb.status.value)
    return tcb


def _check_initialised(body: ReportBody, ledger: Ledger) -> None:
    if body.attributes.has(AttributeFlag.INIT):
        ledger.ok(INIT)
    else:
        ledger.fail(INIT, Reason.ENCLAVE_NOT_INITIALISED, body.attributes.encode())


def _verdict(tee: Tee, ledger: Ledger, name: bytes, at: UnixTime, facts: _Facts | None = None) -> Verdict:
    genuine = ledger.genuine(_STEPS)
    checks = Checks(lambda: ledger.render(PROCEDURE))
    if facts is None:
        return issue(
            tee=tee, genuine=genuine, reasons=ledger.reasons(PROCEDURE), checks=checks, evidence_hash=name, at=at
        )
    platform, endorsements, tcb = facts.attester.platform, facts.attester.endorsements, facts.attester.tcb
    # A status is shown only where the evidence is genuine: nobody should read "UpToDate" beside a forged signature.
    shown = tcb if genuine else None
    return issue(
        tee=tee,
        genuine=genuine,
        reasons=() if genuine else ledger.reasons(PROCEDURE),
        checks=checks,
        evidence_hash=name,
        at=at,
        tcb_status=shown.status if shown else None,
        tcb_date=shown.date if shown else None,
        advisory_ids=shown.advisory_ids if shown else (),
        advisories_stated=bool(shown and endorsements and endorsements.advisories_stated),
        tcb_evaluation_number=endorsements.evaluation_number if shown and endorsements else None,
        simulated=platform.simulated if platform else False,
        valid_until=facts.valid_until,
        platform=platform.platform if platform else None,
        identity=facts.body,
    )
