"""Is this AWS Nitro attestation document genuine? The whole procedure, checks N1 to N12.

The numbers are those of docs/verification.md; the rules are AWS's (nitro-enclaves-nsm-api, attestation_process.md §3).
There is no collateral: a document brings its certificates along, down from a root that is pinned by its key, and AWS
publishes no revocation list for them ("We do not use CRL", §3.2.4) but lets a signing certificate live for three hours.
Debug mode, and which image the registers stand for, are left to the policy.
"""

import hashlib
from typing import NamedTuple

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.cache import Recent
from intaglio.verify.endorsements import check_windows
from intaglio.verify.ledger import Group, Ledger, Step, Window, common_span, moment
from intaglio.verify.roots import Roots, Vendor, check_authorities, check_issued, window
from intaglio.verify.signature import P384Key
from intaglio.verify.verdict import Checks, Platform, Verdict, evidence_hash, issue
from intaglio.wire.endorsement import Collateral
from intaglio.wire.nitro import DEBUG_REGISTERS, NitroDocument
from intaglio.wire.x509 import Certificate

__all__ = ["PROCEDURE", "NitroVerifier"]

MAX_BUNDLES = 1024
"""About 12 kB each. There is one for each instance and day; a larger fleet pays for some certificates again."""
MAX_SIGNERS = 4096
"""About 4 kB each. There is one for each enclave and three hours."""

MAX_AHEAD = 60
"""Seconds by which a document may be newer than the time of judgement. Both clocks follow NTP, so they agree within a
second, and times here are whole seconds; a minute forgives a slow clock and is nothing to the certificate's three
hours."""

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
        self._roots = roots
        self._issuers: Recent[_Issuers] = Recent(MAX_BUNDLES)
        self._signers: Recent[_Signer] = Recent(MAX_SIGNERS)

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
        signer = self._signer(document)
        ledger.take(signer.findings)
        _check_times(document, signer, at, ledger)
        key = signer.key
        if key is not None:
            reason = Reason.DOCUMENT_SIGNATURE
            ledger.run(SIGNATURE, lambda: key.check_raw(document.signature, document.signed, reason))
        return _verdict(ledger, name, at, document, signer)

    def forget_signers(self) -> None:
        """Drops what is remembered of leaf certificates, but not their authorities; for benchmarks that want each
        enclave to be new."""
        self._signers.clear()

    def _signer(self, document: NitroDocument) -> "_Signer":
        """What the document's certificates say, at any time. An enclave shows the same ones for three hours."""
        bundle = _bundle_name(document.ca_bundle)
        issuers = self._issuers.get(bundle)
        known = self._signers.get(document.certificate + issuers.name) if issuers else None
        if known is not None:
            return known
        own = Ledger()
        chain = _read_chain(document, issuers, own)
        if chain is None:
            return _Signer(own)
        root = chain.certificates[0]
        found = own.learn(CHAIN, lambda: _check_chain(chain, issuers))
        own.run(CONSTRAINTS, lambda: _check_constraints(chain))
        own.run(ROOT, lambda: self._roots.check(root, Vendor.AWS_NITRO))
        windows = tuple(window(each) for each in (chain.leaf, *reversed(chain.certificates)))
        key = found[1] if found else None
        simulated = self._roots.simulated(root, Vendor.AWS_NITRO)
        signer = _Signer(own, key, windows, common_span(windows), simulated=simulated)
        # Only what a pinned root vouches for without any doubt is kept: a stranger can't fill the memory.
        if found and own.flawless:
            kept = issuers or _Issuers(hashlib.sha256(bundle).digest(), chain.certificates, found[0])
            self._issuers.put(bundle, kept)
            self._signers.put(document.certificate + kept.name, signer)
        return signer


class _Issuers(NamedTuple):
    """A bundle under a pinned root, and the key of its last certificate. `name` is the bundle's digest."""

    name: bytes
    certificates: tuple[Certificate, ...]
    key: P384Key


class _Chain(NamedTuple):
    """A document's certificates as they are read; `certificates` begin with the root."""

    certificates: tuple[Certificate, ...]
    leaf: Certificate


class _Signer(NamedTuple):
    """What is known of a leaf and its issuers at any time. Without a key nothing it signed can be checked."""

    findings: Ledger
    key: P384Key | None = None
    windows: tuple[Window, ...] = ()
    span: Window = common_span(())
    simulated: bool = False


def _bundle_name(bundle: tuple[bytes, ...]) -> bytes:
    """The bundle's bytes, and where each certificate ends in them."""
    return b"".join(b"%d " % len(each) for each in bundle) + b"".join(bundle)


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


def _read_chain(document: NitroDocument, issuers: _Issuers | None, own: Ledger) -> _Chain | None:
    """Check N6."""
    try:
        leaf = Certificate.parse(document.certificate)
        bundle = issuers.certificates if issuers else tuple(map(Certificate.parse, document.ca_bundle))
    except Malformed as malformed:
        own.fail(CERTIFICATES, Reason.CERTIFICATE_CHAIN, malformed)
        return None
    own.ok(CERTIFICATES, [each.common_name for each in (*bundle, leaf)])
    return _Chain(bundle, leaf)


def _check_chain(chain: _Chain, issuers: _Issuers | None) -> tuple[P384Key, P384Key]:
    """Check N7: the issuing authority's key and the leaf's. The order is AWS's (§3.2.3): the root comes first."""
    reason = Reason.CERTIFICATE_CHAIN
    issuer = chain.certificates[0]
    key = issuers.key if issuers else P384Key(issuer.key_info, reason)
    if issuers is None:
        check_issued(issuer, issuer, key)
        for certificate in chain.certificates[1:]:
            check_issued(certificate, issuer, key)
            issuer, key = certificate, P384Key(certificate.key_info, reason)
    check_issued(chain.leaf, chain.certificates[-1], key)
    return key, P384Key(chain.leaf.key_info, reason)


def _check_constraints(chain: _Chain) -> None:
    """Check N8 (AWS §3.2.3.2, §3.2.3.3)."""
    check_authorities(chain.certificates[::-1])
    leaf = chain.leaf
    if leaf.unknown_critical:
        expected = "known critical extensions"
    elif leaf.is_ca or leaf.signs_certificates or not leaf.signs_data:
        expected = "a leaf that signs data only"
    else:
        return
    raise Rejected(Reason.CERTIFICATE_CONSTRAINTS, expected=expected, found=leaf.common_name)


def _check_times(document: NitroDocument, signer: _Signer, at: UnixTime, ledger: Ledger) -> None:
    """Checks N10 and N11, the only ones that depend on the time of judgement."""
    if not signer.windows:
        return
    early, late = Reason.CERTIFICATE_NOT_YET_VALID, Reason.CERTIFICATE_EXPIRED
    ledger.run(VALIDITY, lambda: check_windows(signer.span, signer.windows, at, early, late))
    made, leaf = document.timestamp // 1000, signer.windows[0]
    if not leaf.begin <= made <= leaf.end:
        ledger.fail(TIMESTAMP, Reason.EVIDENCE_TIMESTAMP, moment(made), expected=leaf)
    elif made > at + MAX_AHEAD:
        ledger.fail(TIMESTAMP, Reason.EVIDENCE_FROM_FUTURE, moment(made), expected=f"until {moment(at + MAX_AHEAD)}")
    else:
        ledger.ok(TIMESTAMP, moment(made))


def _verdict(
    ledger: Ledger, name: bytes, at: UnixTime, document: NitroDocument | None = None, signer: _Signer | None = None
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
