"""Is this quote genuine? The whole procedure for DCAP evidence of SGX and TDX, checks 1 to 31.

The numbers are those of docs/verification.md. Every check that can still be run after a failure is run, and each of
them stands in the verdict. The verifier fetches nothing and has no clock; what it remembers are pure results about
bytes that were verified under a pinned root: collateral, platforms and CA certificates. Windows of validity and
revocation are judged anew each time.
"""

from typing import NamedTuple

from intaglio.errors import Malformed
from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify import endorsements as end
from intaglio.verify.cache import Recent
from intaglio.verify.chain import Authorities, PckChain, judge_chain
from intaglio.verify.endorsements import Endorsements, check_windows, judge_collateral
from intaglio.verify.ledger import Ledger, Step, Window
from intaglio.verify.procedure import (
    AUTHENTICATION,
    BODY,
    CERTIFICATION,
    CHAIN_WINDOWS,
    HEADER,
    INIT,
    KEY_TYPE,
    LAYOUT,
    LENGTHS,
    LEVEL,
    MERGED,
    PROCEDURE,
    QUOTE_SIGNATURE,
    STATUS,
    TDX_PROCEDURE,
    VENDOR,
    VERSION,
)  # fmt: skip
from intaglio.verify.quoting import (
    attestation_key,
    check_quote_signature,
    check_quoting_enclave,
    quoting_enclave_level,
)
from intaglio.verify.roots import Roots
from intaglio.verify.signature import P256Key
from intaglio.verify.tcb import Tcb, merge, platform_level
from intaglio.verify.td import check_attributes, judge_td, module_state
from intaglio.verify.verdict import Checks, Verdict, evidence_hash, issue
from intaglio.wire.collateral import DcapCollateral, EnclaveTcbLevel
from intaglio.wire.dcap import ECDSA_P256, INTEL_QE_VENDOR_ID, CertificationType, Quote
from intaglio.wire.endorsement import Collateral
from intaglio.wire.hashing import sha256
from intaglio.wire.sgx import AttributeFlag, ReportBody
from intaglio.wire.tdx import TdReport

__all__ = ["PROCEDURE", "TDX_PROCEDURE", "DcapVerifier"]

MAX_PLATFORMS = 4096
"""About 6 kB each. A fleet larger than this pays for some certificates again."""

MAX_COLLATERALS = 64
"""One per FMSPC and CA, twice while an update is under way; there are a few dozen FMSPCs in the world."""

MAX_MODULE_STATES = 8
"""For each attester. A machine runs one TDX module, and TDs that it launched before that one was updated."""

_PROCEDURES = {Tee.SGX: (PROCEDURE, frozenset(PROCEDURE)), Tee.TDX: (TDX_PROCEDURE, frozenset(TDX_PROCEDURE))}
_TDX_TYPE = b"\x81\0\0\0"
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
            return _verdict(Tee.TDX if evidence[4:8] == _TDX_TYPE else Tee.SGX, ledger, name, at)
        _check_header(quote, ledger)
        attester = self._attester(quote, collateral)
        ledger.take(attester.findings)
        valid_until = _check_validity(attester, at, ledger)
        signed = ledger.passed(KEY_TYPE) and ledger.run(
            QUOTE_SIGNATURE, lambda: check_quote_signature(quote, attester.key)
        )
        body, tcb = quote.body, attester.tcb
        if isinstance(body, ReportBody):
            _check_initialised(body, ledger)
        else:
            tcb = _judge_td(body, attester, ledger, remember=signed)
            check_attributes(body, ledger)
        return _verdict(quote.header.tee, ledger, name, at, _Facts(body, attester, tcb, valid_until))

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
        Under the same collateral they mean the same; neither the time nor the report on an enclave or TD enters here.
        """
        tee = quote.header.tee
        part = _certified_part(quote)
        key = part + tee.value.encode() + (collateral.digest if collateral else b"")
        known = self._attesters.get(key)
        if known is not None:
            return known
        own = Ledger()
        platform = self._certified_platform(part, quote, own, complete=collateral is not None)
        endorsements = self._endorsements(collateral, tee, own)
        if platform and endorsements:
            endorsements.check_platform(platform, own)
        enclave = quoting_enclave_level(quote, endorsements, own)
        attester = _Attester(own, attestation_key(quote), platform, endorsements, enclave)
        if tee is Tee.SGX:
            attester = attester._replace(tcb=_evaluate(attester, own))
        else:
            attester = attester._replace(modules=Recent(MAX_MODULE_STATES))
        # Only what a pinned root vouches for without any doubt is kept: a stranger can't fill the memory.
        if platform and platform.trusted and own.flawless:
            self._attesters.put(key, attester)
            if collateral and endorsements:
                # Not before a platform's CA was found to have signed its list, which may be long.
                self._collaterals.put(tee.value.encode() + collateral.digest, endorsements)
        return attester

    def _certified_platform(self, part: bytes, quote: Quote, ledger: Ledger, *, complete: bool) -> PckChain | None:
        """The platform, with all that needs no collateral: its certificates and what its key says of this attestation
        key. Kept apart, because a gateway judges once before it asks for the platform's collateral.

        `complete`: nothing more can be supplied, so certificates that can't be read are refused (check 10).
        """
        known = self._certified.get(part)
        if known is not None:
            ledger.take(known.findings)
            return known.platform
        own = Ledger()
        platform = self._platform(quote, own, complete=complete)
        check_quoting_enclave(quote, platform, own)
        if platform and platform.trusted and own.flawless:
            self._certified.put(part, _Certified(own, platform))
        ledger.take(own)
        return platform

    def _platform(self, quote: Quote, ledger: Ledger, *, complete: bool) -> PckChain | None:
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
        fresh = judge_chain(certification.data, self._authorities, ledger, complete=complete)
        if fresh is not None and fresh.trusted:
            self._platforms.put(key, fresh)
        return fresh

    def _endorsements(self, collateral: Collateral | None, tee: Tee, ledger: Ledger) -> Endorsements | None:
        if collateral is None:
            ledger.undecidable(end.COLLATERAL, Reason.COLLATERAL_MISSING, "none was supplied")
            return None
        if not isinstance(collateral, DcapCollateral):
            ledger.fail(end.COLLATERAL, Reason.COLLATERAL_MISMATCH, "collateral of another kind of TEE")
            return None
        key = tee.value.encode() + collateral.digest
        known = self._collaterals.get(key)
        if known is None:
            known = judge_collateral(collateral, tee, self._authorities)
        ledger.take(known.findings)
        return known


class _Certified(NamedTuple):
    """A platform that vouches for an attestation key, whatever the collateral says of it."""

    findings: Ledger
    platform: PckChain


class _Judged(NamedTuple):
    """What one state of a TDX module means on one platform."""

    findings: Ledger
    tcb: Tcb


class _Attester(NamedTuple):
    """A platform, its quoting enclave and its attestation key, under one collateral; parts that failed are None.

    `enclave` is the quoting enclave's level. `tcb` is that of its SGX enclaves; those of its TDs are in `modules`, by
    the state of their TDX module.
    """

    findings: Ledger
    key: P256Key | None
    platform: PckChain | None
    endorsements: Endorsements | None
    enclave: EnclaveTcbLevel | None
    tcb: Tcb | None = None
    modules: Recent[_Judged] | None = None


class _Facts(NamedTuple):
    """What a verdict says beside its checks; without them it says nothing."""

    body: ReportBody | TdReport
    attester: _Attester
    tcb: Tcb | None
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


def _evaluate(attester: _Attester, ledger: Ledger) -> Tcb | None:
    """Checks 25, 27 and 29 for SGX enclaves."""
    platform, endorsements, qe = attester.platform, attester.endorsements, attester.enclave
    if platform is None or endorsements is None or endorsements.tcb_info is None or not ledger.passed(end.TCB_PLATFORM):
        return None
    level = platform_level(platform.extension, endorsements.tcb_info)
    ledger.ok(LEVEL, level.status.value if level else "NotSupported: below every level")
    if endorsements.qe_identity is None:
        return None
    tcb = merge(level, qe)
    ledger.ok(MERGED, f"QE {qe.status.value if qe else 'NotSupported'}, merged {tcb.status.value}")
    ledger.ok(STATUS, tcb.status.value)
    return tcb


def _judge_td(body: TdReport, attester: _Attester, ledger: Ledger, *, remember: bool) -> Tcb | None:
    """Checks 25 to 29 for TDs. Only what was signed is remembered, so that a stranger can't flush it."""
    platform, endorsements = attester.platform, attester.endorsements
    if platform is None or endorsements is None or not ledger.passed(end.TCB_PLATFORM):
        return None
    if endorsements.tcb_info is None or endorsements.qe_identity is None:
        return None
    state, modules = module_state(body), attester.modules
    known = modules.get(state) if modules else None
    if known is None:
        own = Ledger()
        known = _Judged(own, judge_td(body, platform.extension, endorsements.tcb_info, attester.enclave, own))
        if modules is not None and remember:
            modules.put(state, known)
    ledger.take(known.findings)
    return known.tcb


def _check_initialised(body: ReportBody, ledger: Ledger) -> None:
    if body.attributes.has(AttributeFlag.INIT):
        ledger.ok(INIT)
    else:
        ledger.fail(INIT, Reason.ENCLAVE_NOT_INITIALISED, body.attributes.encode())


def _verdict(tee: Tee, ledger: Ledger, name: bytes, at: UnixTime, facts: _Facts | None = None) -> Verdict:
    procedure, steps = _PROCEDURES[tee]
    genuine = ledger.genuine(steps)
    checks = Checks(lambda: ledger.render(procedure))
    if facts is None:
        return issue(
            tee=tee, genuine=genuine, reasons=ledger.reasons(procedure), checks=checks, evidence_hash=name, at=at
        )
    platform, endorsements = facts.attester.platform, facts.attester.endorsements
    # A status is shown only where the evidence is genuine: nobody should read "UpToDate" beside a forged signature.
    shown = facts.tcb if genuine else None
    return issue(
        tee=tee,
        genuine=genuine,
        reasons=() if genuine else ledger.reasons(procedure),
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
        tcb_evaluations=shown.evaluations if shown else (),
    )
