"""Is this AWS Nitro attestation document genuine? The whole procedure, checks N1 to N12.

The numbers are those of docs/verification.md; the rules are AWS's (nitro-enclaves-nsm-api, attestation_process.md §3).
There is no collateral: a document brings its certificates along, down from a root that is pinned by its key, and AWS
publishes no revocation list for them ("We do not use CRL", §3.2.4) but lets a signing certificate live for three hours.
Debug mode, and which image the registers stand for, are left to the policy.
"""

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.ledger import Group, Ledger, Step
from intaglio.verify.roots import Roots, Vendor
from intaglio.verify.signature import P384Key
from intaglio.verify.signer import MAX_AHEAD, Signer, Signers, SignerSteps
from intaglio.verify.verdict import Checks, Platform, Verdict, evidence_hash, issue
from intaglio.wire.endorsement import Collateral
from intaglio.wire.nitro import DEBUG_REGISTERS, NitroDocument
from intaglio.wire.x509 import Certificate

__all__ = ["PROCEDURE", "NitroVerifier"]

MAX_BUNDLES = 1024
"""About 12 kB each. There is one for each instance and day; a larger fleet pays for some certificates again."""
MAX_SIGNERS = 4096
"""About 4 kB each. There is one for each enclave and three hours."""

_REGISTER_SIZE = 48

ENVELOPE = Step("N1", "document", "a COSE_Sign1 with an empty unprotected header, and nothing after it", Group.FORMAT)
ALGORITHM = Step("N2", "algorithm", "a protected header that says ES384 and nothing else", Group.FORMAT)
FIELDS = Step("N3", "fields", "every field by its type and size, once, and no other", Group.FORMAT)
DIGEST = Step("N4", "digest", "SHA384", Group.FORMAT)
REGISTERS = Step(
    "N5", "registers", "48 bytes each; PCR0 to PCR2 there, and all zero (debug mode) or none of them", Group.FORMAT
)
CERTIFICATES = Step("N6", "certificates in the document", "certificates in DER", Group.CERTIFICATES)
CHAIN = Step(
    "N7",
    "certificate chain",
    "each certificate of the bundle signed by the one before it, and the leaf by the last, with P-384 and SHA-384",
    Group.CERTIFICATES,
)
CONSTRAINTS = Step(
    "N8",
    "certificate constraints",
    "authorities that may sign certificates, at most as many as their path lengths allow, and a leaf that may not",
    Group.CERTIFICATES,
)
ROOT = Step("N9", "pinned root", "a root key that is pinned here", Group.CERTIFICATES)
VALIDITY = Step("N10", "certificate validity", "not before <= time <= not after", Group.CERTIFICATES)
TIMESTAMP = Step(
    "N11",
    "timestamp",
    f"a time within the leaf's validity, and at most {MAX_AHEAD} seconds after the time of judgement",
    Group.CERTIFICATES,
)
SIGNATURE = Step("N12", "document signature", "a signature by the leaf's key over the payload", Group.SIGNATURES)

PROCEDURE = (
    ENVELOPE, ALGORITHM, FIELDS, DIGEST, REGISTERS, CERTIFICATES, CHAIN, CONSTRAINTS, ROOT, VALIDITY, TIMESTAMP,
    SIGNATURE,
)  # fmt: skip
"""All steps, in the order in which a reader should look for the cause of a rejection."""

_STEPS = frozenset(PROCEDURE)
_STEP_BY_FIELD = (
    ("nitro.cose.protected", ALGORITHM), ("nitro.cose", ENVELOPE), ("nitro.digest", DIGEST), ("nitro.pcrs", REGISTERS),
    ("nitro", FIELDS),
)  # fmt: skip


class NitroVerifier:
    """Judges documents under one set of roots. Safe for use from several threads; its memory is bounded."""

    def __init__(self, roots: Roots) -> None:
        steps = SignerSteps(CERTIFICATES, CHAIN, CONSTRAINTS, ROOT)
        self._signers = Signers(roots, Vendor.AWS_NITRO, steps, _read_key, bundles=MAX_BUNDLES, leaves=MAX_SIGNERS)

    def verify(self, evidence: bytes, collateral: Collateral | None, at: UnixTime) -> Verdict:  # noqa: ARG002
        """Judges the bytes of a document as of the time `at`. Bytes that are none give a verdict too: not genuine.
        Collateral is neither needed nor looked at."""
        ledger = Ledger()
        name = evidence_hash(evidence)
        try:
            document = NitroDocument.parse(evidence)
        except Malformed as malformed:
            step = next((step for prefix, step in _STEP_BY_FIELD if malformed.field.startswith(prefix)), ENVELOPE)
            ledger.fail(step, Reason.MALFORMED_EVIDENCE, malformed)
            return _verdict(ledger, name, at)
        for step in (ENVELOPE, ALGORITHM, FIELDS, DIGEST):
            ledger.ok(step)
        ledger.run(REGISTERS, lambda: _check_registers(document))
        signer = self._signers.judge(document.certificate, document.ca_bundle)
        ledger.take(signer.findings)
        signer.check_times(document.timestamp // 1000, at, VALIDITY, TIMESTAMP, ledger)
        key = signer.key
        if key is not None:
            reason = Reason.DOCUMENT_SIGNATURE
            ledger.run(SIGNATURE, lambda: key.check_raw(document.signature, document.signed, reason))
        return _verdict(ledger, name, at, document, signer)

    def forget_signers(self) -> None:
        """Drops what is remembered of leaf certificates, but not their authorities; for benchmarks that want each
        enclave to be new."""
        self._signers.forget_leaves()


def _read_key(certificate: Certificate, reason: Reason) -> P384Key:
    return P384Key(certificate.key_info, reason)


def _check_registers(document: NitroDocument) -> str:
    """Check N5. A register holds a SHA-384; in debug mode the first three are not extended, otherwise all are."""
    for index, value in document.pcrs.items():
        if len(value) != _REGISTER_SIZE:
            raise _malformed(f"{_REGISTER_SIZE} bytes in PCR{index}, as SHA384 has", len(value))
    missing = [f"PCR{index}" for index in DEBUG_REGISTERS if index not in document.pcrs]
    if missing:
        raise _malformed("PCR0, PCR1 and PCR2", f"no {', '.join(missing)}")
    zero = [f"PCR{index}" for index in DEBUG_REGISTERS if not any(document.pcrs[index])]
    if len(zero) not in (0, len(DEBUG_REGISTERS)):
        raise _malformed("all or none of PCR0, PCR1 and PCR2 zero", f"{', '.join(zero)} zero")
    return f"{len(document.pcrs)} registers, {'debug' if zero else 'production'} mode"


def _malformed(expected: str, found: object) -> Rejected:
    return Rejected(Reason.MALFORMED_EVIDENCE, expected=expected, found=found)


def _verdict(
    ledger: Ledger,
    name: bytes,
    at: UnixTime,
    document: NitroDocument | None = None,
    signer: Signer[P384Key] | None = None,
) -> Verdict:
    genuine = ledger.genuine(_STEPS)
    return issue(
        tee=Tee.NITRO,
        genuine=genuine,
        reasons=() if genuine else ledger.reasons(PROCEDURE),
        checks=Checks(lambda: ledger.render(PROCEDURE)),
        evidence_hash=name,
        at=at,
        simulated=signer.simulated if signer else False,
        valid_until=signer.span.end if signer and signer.windows else None,
        platform=Platform(module_id=document.module_id) if document else None,
        identity=document,
    )
