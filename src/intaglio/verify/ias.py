"""Is this report of Intel's attestation service genuine? The whole procedure for archives, checks I1 to I13.

The service judged EPID quotes and signed what it found; it ended on 2 April 2025, so nothing new can come from it. The
numbers are those of docs/verification.md, the rules those of the service's API specification 7.1. No revocation list is
consulted: the service published one for its signing certificate, and the place where it lay is gone.
"""

from intaglio.errors import Malformed
from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.ledger import Group, Ledger, Step, moment
from intaglio.verify.roots import Roots, Vendor
from intaglio.verify.signature import RsaKey
from intaglio.verify.signer import MAX_AHEAD, Signer, Signers, SignerSteps
from intaglio.verify.verdict import Checks, TcbStatus, Verdict, evidence_hash, issue
from intaglio.wire.endorsement import Collateral
from intaglio.wire.ias import IasReport, QuoteStatus, SignedReport
from intaglio.wire.sgx import AttributeFlag
from intaglio.wire.x509 import Certificate, SignatureAlgorithm

__all__ = ["PROCEDURE", "IasVerifier"]

SERVICE_END = UnixTime(1_743_681_600)
"""2025-04-03T12:00:00Z: 2 April 2025 had ended everywhere."""

_ADVISORIES_SINCE = 4
"""Version 3 told advisories in a header that nothing signed, and before that there were none."""

REPORT = Step("I1", "report", "a body with the service's signature and certificates", Group.FORMAT)
CONTENT = Step("I2", "report content", "every member by its type, a known status, and no other member", Group.FORMAT)
QUOTE = Step("I3", "quote body", "432 bytes; a pseudonym if the quote is linkable, and only then", Group.FORMAT)
CERTIFICATES = Step("I4", "certificates beside the report", "certificates in PEM, the signer first", Group.CERTIFICATES)
CHAIN = Step("I5", "certificate chain", "each certificate signed by the next with RSA and SHA-256", Group.CERTIFICATES)
CONSTRAINTS = Step(
    "I6",
    "certificate constraints",
    "authorities that may sign certificates, and a leaf that may not",
    Group.CERTIFICATES,
)
ROOT = Step("I7", "pinned root", "a root key that is pinned here", Group.CERTIFICATES)
VALIDITY = Step("I8", "certificate validity", "not before <= time <= not after", Group.CERTIFICATES)
TIMESTAMP = Step(
    "I9",
    "timestamp",
    f"a time within the signer's validity, at most {MAX_AHEAD} seconds after the time of judgement, and not after the "
    "end of the service on 2 April 2025",
    Group.CERTIFICATES,
)
SIGNATURE = Step("I10", "report signature", "the signer's signature over the exact bytes of the body", Group.SIGNATURES)
STATUS = Step("I11", "quote status", "a quote that the service found to be signed by a key in good standing", Group.TCB)
TCB = Step(
    "I12", "TCB status", "the status in Intel's later words; whether it is good enough is for the policy", Group.TCB
)
INIT = Step("I13", "INIT attribute", "an initialised enclave", Group.TCB)

PROCEDURE = (
    REPORT, CONTENT, QUOTE, CERTIFICATES, CHAIN, CONSTRAINTS, ROOT, VALIDITY, TIMESTAMP, SIGNATURE, STATUS, TCB, INIT,
)  # fmt: skip
"""All steps, in the order in which a reader should look for the cause of a rejection."""

_STEPS = frozenset(PROCEDURE)

_TCB = {
    QuoteStatus.OK: TcbStatus.UP_TO_DATE,
    QuoteStatus.GROUP_OUT_OF_DATE: TcbStatus.OUT_OF_DATE,
    QuoteStatus.CONFIGURATION_NEEDED: TcbStatus.CONFIGURATION_NEEDED,
    QuoteStatus.SW_HARDENING_NEEDED: TcbStatus.SW_HARDENING_NEEDED,
    QuoteStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    QuoteStatus.GROUP_REVOKED: TcbStatus.REVOKED,
    QuoteStatus.KEY_REVOKED: TcbStatus.REVOKED,
    QuoteStatus.SIGNATURE_REVOKED: TcbStatus.REVOKED,
}
"""What a status says of the platform's TCB; the two that are left out say nothing of it."""


class IasVerifier:
    """Judges reports under one set of roots. Safe for use from several threads; its memory is bounded."""

    def __init__(self, roots: Roots) -> None:
        steps = SignerSteps(CERTIFICATES, CHAIN, CONSTRAINTS, ROOT)
        # In all its years the service had one signer under one root; a lab has its own.
        self._signers = Signers(roots, Vendor.INTEL_IAS, steps, _read_key, bundles=8, leaves=8)

    def verify(self, evidence: bytes, collateral: Collateral | None, at: UnixTime) -> Verdict:  # noqa: ARG002
        """Judges a report as it was kept (`SignedReport`) as of the time `at`. Bytes that are none give a verdict too:
        not genuine. Collateral is neither needed nor looked at."""
        ledger = Ledger()
        name = evidence_hash(evidence)
        try:
            signed = SignedReport.parse(evidence)
        except Malformed as malformed:
            ledger.fail(REPORT, Reason.MALFORMED_EVIDENCE, malformed)
            return _verdict(ledger, name, at)
        report = _read(signed.body, ledger)
        if not signed.certificates:
            ledger.undecidable(REPORT, Reason.DOCUMENT_UNSIGNED, "a body alone")
            return _verdict(ledger, name, at, report)
        ledger.ok(REPORT)
        signer = self._signers.judge(signed.certificates[0], signed.certificates[:0:-1])
        ledger.take(signer.findings)
        if report is not None:
            _check_time(report.timestamp, signer, at, ledger)
        key = signer.key
        if key is not None:
            ledger.run(SIGNATURE, lambda: key.check(signed.signature, signed.body, Reason.DOCUMENT_SIGNATURE))
        return _verdict(ledger, name, at, report, signer)


def _read_key(certificate: Certificate, reason: Reason) -> RsaKey:
    return RsaKey(certificate.key_info, SignatureAlgorithm.RSA_PKCS1_SHA256, reason)


def _read(body: bytes, ledger: Ledger) -> IasReport | None:
    """Checks I2, I3 and I11 to I13: what the body says, whoever signed it."""
    try:
        report = IasReport.parse(body)
    except Malformed as malformed:
        in_quote = malformed.field.startswith(("epid", "report"))
        ledger.fail(QUOTE if in_quote else CONTENT, Reason.MALFORMED_EVIDENCE, malformed)
        return None
    ledger.ok(CONTENT, f"version {report.version}")
    if report.quote.linkable == (report.epid_pseudonym is not None):
        ledger.ok(QUOTE, "linkable" if report.quote.linkable else "unlinkable")
    else:
        found = (
            f"{'a' if report.quote.linkable else 'no'} linkable quote, pseudonym {report.epid_pseudonym is not None}"
        )
        ledger.fail(QUOTE, Reason.MALFORMED_EVIDENCE, found)
    _check_status(report.status, ledger)
    attributes = report.quote.report.attributes
    if attributes.has(AttributeFlag.INIT):
        ledger.ok(INIT)
    else:
        ledger.fail(INIT, Reason.ENCLAVE_NOT_INITIALISED, attributes.encode())
    return report


def _check_status(status: QuoteStatus, ledger: Ledger) -> None:
    """Checks I11 and I12. A revoked group is a TCB that is revoked; a revoked key has left its platform, and what it
    signs is nobody's word."""
    match status:
        case QuoteStatus.SIGNATURE_INVALID:
            ledger.fail(STATUS, Reason.QUOTE_SIGNATURE, status.value)
        case QuoteStatus.KEY_REVOKED | QuoteStatus.SIGNATURE_REVOKED:
            ledger.fail(STATUS, Reason.ATTESTATION_KEY_REVOKED, status.value)
        case QuoteStatus.SIGRL_VERSION_MISMATCH:
            ledger.undecidable(STATUS, Reason.REVOCATION_UNDECIDED, status.value)
        case _:
            ledger.ok(STATUS, status.value)
    known = _TCB.get(status)
    ledger.ok(TCB, known.value if known else "none")


def _check_time(made: UnixTime, signer: Signer[RsaKey], at: UnixTime, ledger: Ledger) -> None:
    """Checks I8 and I9. A report from after the service's end is refused whatever else is said of its time."""
    if made > SERVICE_END:
        ledger.fail(TIMESTAMP, Reason.SERVICE_ENDED, moment(made), expected="until 2 April 2025")
    signer.check_times(made, at, VALIDITY, TIMESTAMP, ledger)


def _verdict(
    ledger: Ledger,
    name: bytes,
    at: UnixTime,
    report: IasReport | None = None,
    signer: Signer[RsaKey] | None = None,
) -> Verdict:
    genuine = ledger.genuine(_STEPS)
    shown = report if genuine else None
    return issue(
        tee=Tee.SGX,
        genuine=genuine,
        reasons=() if genuine else ledger.reasons(PROCEDURE),
        checks=Checks(lambda: ledger.render(PROCEDURE)),
        evidence_hash=name,
        at=at,
        tcb_status=_TCB[shown.status] if shown else None,
        advisory_ids=shown.advisory_ids if shown else (),
        advisories_stated=shown is not None and shown.version >= _ADVISORIES_SINCE,
        tcb_evaluation_number=shown.tcb_evaluation_number if shown else None,
        simulated=signer.simulated if signer else False,
        valid_until=signer.span.end if signer and signer.windows else None,
        identity=report.quote.report if report else None,
    )
