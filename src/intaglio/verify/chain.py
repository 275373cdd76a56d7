"""The certificates of an Intel platform, from its PCK certificate to a pinned root (checks 10 to 15).

What is found here does not depend on the time: the windows of validity are handed on for `verify` to compare with its
moment.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.verify.cache import Recent
from intaglio.verify.ledger import Group, Ledger, Step, Window, common_span
from intaglio.verify.roots import Roots, Vendor, check_issued, window
from intaglio.verify.signature import P256Key
from intaglio.verify.verdict import Platform
from intaglio.wire.pck import PckExtension
from intaglio.wire.x509 import Certificate, read_pem_chain

__all__ = ["Authorities", "Authority", "PckChain", "judge_chain"]

CERTIFICATES = Step("10", "certificates in the quote", "three certificates in PEM", Group.CERTIFICATES)
CHAIN = Step(
    "11",
    "certificate chain",
    "PCK certificate, its CA and the root, each signed by the next with P-256",
    Group.CERTIFICATES,
)
CONSTRAINTS = Step(
    "11",
    "certificate constraints",
    "authorities that may sign certificates, and a leaf that may not",
    Group.CERTIFICATES,
)
ROLES = Step("12", "certificate roles", "a PCK certificate, an SGX PCK CA and the SGX root CA", Group.CERTIFICATES)
ROOT = Step("13", "pinned root", "a root key that is pinned here", Group.CERTIFICATES)
EXTENSION = Step(
    "15", "PCK extension", "every part of the SGX extension, once, with its exact length", Group.CERTIFICATES
)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA below a root, whose signatures on each other have been checked. `root.public_key` is *not* yet pinned."""

    certificate: Certificate
    root: Certificate
    key: P256Key


@dataclass(slots=True)
class Authorities:
    """The few CA certificates of this world, so that a new platform costs one certificate and one signature.

    Only certificates under a pinned root are kept: a stranger can't fill it.
    """

    roots: Roots
    certificates: Recent[Certificate] = field(default_factory=lambda: Recent(64))
    pairs: Recent[Authority] = field(default_factory=lambda: Recent(64))

    def read(self, data: bytes) -> Certificate:
        """Raises `Malformed`."""
        return self.certificates.get(data) or Certificate.parse(data)

    def authority(self, certificate: Certificate, root: Certificate) -> Authority:
        """Checks the root's signatures on itself and on `certificate`. Raises `Rejected` (CERTIFICATE_CHAIN)."""
        pair = certificate.der + root.der
        known = self.pairs.get(pair)
        if known is None:
            root_key = P256Key(root.public_key, Reason.CERTIFICATE_CHAIN)
            check_issued(root, root, root_key)
            check_issued(certificate, root, root_key)
            known = Authority(certificate, root, P256Key(certificate.public_key, Reason.CERTIFICATE_CHAIN))
            if self.roots.pins(root, Vendor.INTEL_SGX):
                for each in (certificate, root):
                    self.certificates.put(each.der, each)
                self.pairs.put(pair, known)
        return known


@dataclass(frozen=True, slots=True)
class PckChain:
    """What is known of a platform's certificates at any time. `key` verifies the QE's report.

    `trusted` says that constraints, roles and the pinned root hold too. A chain without it is kept for this verdict,
    so that its other checks can run, and never remembered.
    """

    leaf: Certificate
    authority: Authority
    key: P256Key
    extension: PckExtension
    platform: Platform
    simulated: bool
    trusted: bool
    windows: tuple[Window, ...]
    span: Window
    findings: Ledger


def judge_chain(data: bytes, authorities: Authorities, ledger: Ledger, *, complete: bool = True) -> PckChain | None:
    """Checks 10 to 13 and 15 on the PEM chain of a quote, all of them recorded; None if no platform can be read.

    Nothing signs the chain as such: it only leads to the platform's certificate, which a provisioning service has too.
    Where more may yet be supplied (not `complete`), certificates that can't be read and a root that is not pinned leave
    the question open; signatures that do not verify never do.
    """
    own = Ledger()
    chain = _read_chain(data, authorities, own, complete)
    platform = _judge(chain, authorities, own, complete) if chain else None
    ledger.take(own)
    return platform


def _judge(chain: "_Chain", authorities: Authorities, own: Ledger, complete: bool) -> PckChain | None:
    leaf, ca, root = chain
    keys = own.learn(CHAIN, lambda: _check_signatures(leaf, ca, root, authorities))
    own.run(CONSTRAINTS, lambda: _check_constraints(leaf, ca, root))
    own.run(ROLES, lambda: _check_roles(leaf, ca, root))
    _check_root(root, authorities.roots, own, complete)
    extension = own.learn(EXTENSION, lambda: _read_extension(leaf))
    if keys is None or extension is None:
        return None
    authority, key = keys
    windows = tuple(window(certificate) for certificate in chain)
    return PckChain(
        leaf=leaf,
        authority=authority,
        key=key,
        extension=extension,
        platform=_platform(extension),
        simulated=authorities.roots.simulated(root, Vendor.INTEL_SGX),
        trusted=all(map(own.passed, (CONSTRAINTS, ROLES, ROOT))),
        windows=windows,
        span=common_span(windows),
        findings=own,
    )


_Chain = tuple[Certificate, Certificate, Certificate]


def _read_chain(data: bytes, authorities: Authorities, own: Ledger, complete: bool) -> _Chain | None:
    """Leaf, CA and root, whatever their order in the quote was (check 10)."""
    try:
        found = [authorities.read(der) for der in read_pem_chain(data)]
    except Malformed as malformed:
        record = own.fail if complete else own.undecidable
        record(CERTIFICATES, Reason.CERTIFICATE_CHAIN, malformed)
        return None
    own.ok(CERTIFICATES, [certificate.common_name for certificate in found])
    roots = [each for each in found if each.subject == each.issuer]
    issuers = {each.issuer for each in found}
    leaves = [each for each in found if each.subject not in issuers]
    middle = [each for each in found if each.subject != each.issuer and each.subject in issuers]
    if (len(found), len(roots), len(leaves), len(middle)) != (3, 1, 1, 1):
        own.fail(CHAIN, Reason.CERTIFICATE_CHAIN, [certificate.common_name for certificate in found])
        return None
    return leaves[0], middle[0], roots[0]


def _check_signatures(
    leaf: Certificate, ca: Certificate, root: Certificate, authorities: Authorities
) -> tuple[Authority, P256Key]:
    authority = authorities.authority(ca, root)
    check_issued(leaf, ca, authority.key)
    return authority, P256Key(leaf.public_key, Reason.CERTIFICATE_CHAIN)


def _check_root(root: Certificate, roots: Roots, own: Ledger, complete: bool) -> None:
    try:
        own.ok(ROOT, roots.check(root, Vendor.INTEL_SGX))
    except Rejected as rejected:
        if complete:
            own.fail(ROOT, rejected.reason, rejected.found, rejected.expected)
        else:
            own.undecidable(ROOT, rejected.reason, rejected.found)


def _check_constraints(leaf: Certificate, ca: Certificate, root: Certificate) -> None:
    rules: tuple[tuple[Certificate, Callable[[Certificate], bool], str], ...] = (
        (root, lambda c: c.is_ca and c.signs_certificates, "a CA that signs certificates"),
        (root, lambda c: c.path_length is None or c.path_length >= 1, "a path length of at least 1"),
        (ca, lambda c: c.is_ca and c.signs_certificates and c.signs_crls, "a CA that signs certificates and CRLs"),
        (leaf, lambda c: not c.is_ca and not c.signs_certificates and c.signs_data, "a leaf that signs data only"),
    )
    for certificate, holds, expected in rules:
        if certificate.unknown_critical:
            raise Rejected(
                Reason.CERTIFICATE_CONSTRAINTS, expected="known critical extensions", found=certificate.common_name
            )
        if not holds(certificate):
            raise Rejected(Reason.CERTIFICATE_CONSTRAINTS, expected=expected, found=certificate.common_name)


def _check_roles(leaf: Certificate, ca: Certificate, root: Certificate) -> None:
    """Check 12. Names alone don't make a role: the SGX extension is in PCK certificates and in no other."""
    rules = (
        (leaf, "SGX PCK Certificate" in leaf.common_name and leaf.sgx_extension is not None, "a PCK certificate"),
        (ca, "SGX PCK" in ca.common_name and "CA" in ca.common_name and ca.sgx_extension is None, "an SGX PCK CA"),
        (root, "SGX Root CA" in root.common_name and root.sgx_extension is None, "the SGX root CA"),
    )
    for certificate, holds, expected in rules:
        if not holds:
            raise Rejected(Reason.CERTIFICATE_ROLE, expected=expected, found=certificate.common_name)


def _read_extension(leaf: Certificate) -> PckExtension:
    if leaf.sgx_extension is None:
        raise Rejected(Reason.PCK_EXTENSION, found="the certificate has no SGX extension")
    try:
        return PckExtension.parse(leaf.sgx_extension)
    except Malformed as malformed:
        raise Rejected(Reason.PCK_EXTENSION, found=str(malformed)) from malformed


def _platform(extension: PckExtension) -> Platform:
    instance = extension.platform_instance_id
    return Platform(
        ppid=extension.ppid.hex(),
        platform_instance_id=instance.hex() if instance is not None else None,
        fmspc=extension.fmspc.hex(),
        pce_id=extension.pce_id.hex(),
        dynamic=extension.dynamic,
        cached_keys=extension.cached_keys,
        smt=extension.smt,
    )
