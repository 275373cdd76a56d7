"""The key that signs SEV-SNP reports: its certificate, AMD's authorities above it, and their revocation list.

A VCEK belongs to one chip at one TCB version and is issued by a product's ASK; a VLEK belongs to a cloud provider and
is issued by the ASVK. Both lead to the product's ARK, which is pinned by its key (checks S7 to S16). What is found here
depends neither on a report nor on the time: windows of validity are handed on for `verify` to compare with its moment.
"""

from dataclasses import dataclass, field

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.verify.cache import Recent
from intaglio.verify.ledger import Group, Ledger, Step, Window, common_span
from intaglio.verify.roots import Roots, Vendor, check_authorities, check_issued, window
from intaglio.verify.signature import Key, P384Key, issuer_key
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.snp_fields import Product
from intaglio.wire.vcek import AMD_ARC, VekExtensions
from intaglio.wire.x509 import Certificate, RevocationList, SignatureAlgorithm

__all__ = ["AmdAuthorities", "Vek", "judge_vek"]

CERTIFICATES = Step("S7", "certificates", "a VCEK or VLEK, an ASK or ASVK, and an ARK in DER", Group.CERTIFICATES)
CHAIN = Step(
    "S8", "certificate chain", "each signed by the next and the ARK by itself, RSA-PSS with SHA-384", Group.CERTIFICATES
)
CONSTRAINTS = Step(
    "S9",
    "certificate constraints",
    "authorities that may sign certificates, and a leaf that may not",
    Group.CERTIFICATES,
)
EXTENSIONS = Step("S10", "AMD's extensions", "every part known, once, in its exact encoding", Group.CERTIFICATES)
ROLES = Step(
    "S11", "certificate roles", "a VCEK under an ASK, or a VLEK under an ASVK, of one product", Group.CERTIFICATES
)
ROOT = Step("S12", "pinned root", "the key of the product's ARK, as it is pinned here", Group.CERTIFICATES)
WINDOWS = Step("S13", "certificate validity", "not before <= time <= not after", Group.CERTIFICATES)
CRL = Step("S14", "revocation list", "a list signed by the ARK, or none at all", Group.COLLATERAL)
CRL_WINDOW = Step("S15", "revocation list's validity", "this update <= time <= next update", Group.COLLATERAL)
REVOCATION = Step("S16", "revocation", "certificates that are not on the list", Group.COLLATERAL)

VEK_STEPS = (CERTIFICATES, CHAIN, CONSTRAINTS, EXTENSIONS, ROLES, ROOT, WINDOWS, CRL, CRL_WINDOW, REVOCATION)

_NOT_CONSULTED = "not consulted: none was supplied"
_VENDORS = {Product.MILAN: Vendor.AMD_MILAN, Product.GENOA: Vendor.AMD_GENOA, Product.TURIN: Vendor.AMD_TURIN}
_VENDOR_BY_ROOT = {f"ARK-{product.value}": vendor for product, vendor in _VENDORS.items()}
_ROLES = {
    (leaf, f"{ca}{product.value}", f"ARK-{product.value}"): (product, leaf == "SEV-VCEK")
    for product in Product
    for leaf, ca in (("SEV-VCEK", "SEV-"), ("SEV-VLEK", "SEV-VLEK-"))
}
"""The common names that AMD gives its certificates, and what they are together: of which product, and a VCEK?"""


@dataclass(slots=True)
class AmdAuthorities:
    """The few pairs of ASK and ARK of this world, so that a new chip costs one RSA signature and not three.

    Only pairs under a pinned root are kept: a stranger can't fill it.
    """

    roots: Roots
    certificates: Recent[Certificate] = field(default_factory=lambda: Recent(32))
    keys: Recent[tuple[Key, Key]] = field(default_factory=lambda: Recent(16))

    def read(self, data: bytes) -> Certificate:
        """Raises `Malformed`."""
        return self.certificates.get(data) or Certificate.parse(data)

    def check(self, ask: Certificate, ark: Certificate) -> tuple[Key, Key]:
        """Checks the ARK's signatures on itself and on `ask`, and returns the keys of both. Raises `Rejected`
        (CERTIFICATE_CHAIN)."""
        pair = ask.der + ark.der
        known = self.keys.get(pair)
        if known is None:
            ark_key, ask_key = _rsa_key(ark), _rsa_key(ask)
            check_issued(ark, ark, ark_key)
            check_issued(ask, ark, ark_key)
            known = ask_key, ark_key
            vendor = _VENDOR_BY_ROOT.get(ark.common_name)
            if vendor and self.roots.pins(ark, vendor):
                for each in (ask, ark):
                    self.certificates.put(each.der, each)
                self.keys.put(pair, known)
        return known


@dataclass(frozen=True, slots=True)
class Vek:
    """What endorses reports, whoever's. Parts that failed are None.

    `trusted` says that chain, constraints, roles and the pinned root hold. Anything else is kept for one verdict, so
    that its other checks can run, and never remembered.
    """

    key: P384Key | None
    extensions: VekExtensions | None
    simulated: bool
    trusted: bool
    revocation_checked: bool
    windows: tuple[Window, ...]
    span: Window
    crl_window: Window | None
    findings: Ledger


def judge_vek(collateral: SnpCollateral, authorities: AmdAuthorities) -> Vek:
    """Checks S7 to S12, S14 and S16, all of them recorded."""
    own = Ledger()
    chain = _read_chain(collateral, authorities, own)
    if chain is None:
        nothing = common_span(())
        return Vek(None, None, False, False, False, (), nothing, None, own)
    leaf, ask, ark = chain
    keys = own.learn(CHAIN, lambda: _check_signatures(leaf, ask, ark, authorities))
    own.run(CONSTRAINTS, lambda: _check_constraints(leaf, ask, ark))
    extensions = own.learn(EXTENSIONS, lambda: _read_extensions(leaf))
    own.run(ROLES, lambda: _check_roles(leaf, ask, ark, extensions))
    own.run(ROOT, lambda: _check_root(ark, authorities.roots))
    crl = _judge_crl(collateral.crl, chain, keys[1] if keys else None, own)
    windows = tuple(window(certificate) for certificate in chain)
    vendor = _VENDOR_BY_ROOT.get(ark.common_name)
    return Vek(
        key=keys[0] if keys else None,
        extensions=extensions,
        simulated=vendor is not None and authorities.roots.simulated(ark, vendor),
        trusted=all(map(own.passed, (CHAIN, CONSTRAINTS, ROLES, ROOT))),
        revocation_checked=crl is not None,
        windows=windows,
        span=common_span(windows),
        crl_window=_crl_window(crl) if crl else None,
        findings=own,
    )


_Chain = tuple[Certificate, Certificate, Certificate]


def _read_chain(collateral: SnpCollateral, authorities: AmdAuthorities, own: Ledger) -> _Chain | None:
    """Check S7. AMD gives every VCEK and VLEK the serial number 0."""
    try:
        chain = (
            Certificate.parse(collateral.vek, serial_zero=True),
            authorities.read(collateral.ask),
            authorities.read(collateral.ark),
        )
    except Malformed as malformed:
        own.fail(CERTIFICATES, Reason.COLLATERAL_MALFORMED, malformed)
        return None
    own.ok(CERTIFICATES, [certificate.common_name for certificate in chain])
    return chain


def _check_signatures(
    leaf: Certificate, ask: Certificate, ark: Certificate, authorities: AmdAuthorities
) -> tuple[P384Key, Key]:
    """Check S8: the leaf's key and the ARK's."""
    ask_key, ark_key = authorities.check(ask, ark)
    check_issued(leaf, ask, ask_key)
    return P384Key(leaf.key_info, Reason.CERTIFICATE_CHAIN), ark_key


def _check_constraints(leaf: Certificate, ask: Certificate, ark: Certificate) -> None:
    """Check S9. A VCEK has no key usage at all, so what is asked of it is only what it must not be."""
    check_authorities((ask, ark))
    if leaf.unknown_critical or leaf.is_ca or leaf.signs_certificates or leaf.signs_crls:
        expected = "a leaf that is no authority, without unknown critical extensions"
        raise Rejected(Reason.CERTIFICATE_CONSTRAINTS, expected=expected, found=leaf.common_name)


def _read_extensions(leaf: Certificate) -> VekExtensions:
    """Check S10."""
    try:
        return VekExtensions.parse(leaf.extensions)
    except Malformed as malformed:
        raise Rejected(Reason.VEK_EXTENSIONS, found=str(malformed)) from malformed


def _check_roles(leaf: Certificate, ask: Certificate, ark: Certificate, extensions: VekExtensions | None) -> str:
    """Check S11. Names alone don't make a role: a chip's id is in a VCEK, a provider's in a VLEK, and neither is in
    an authority."""
    names = (leaf.common_name, ask.common_name, ark.common_name)
    role = _ROLES.get(names)
    if role is None:
        raise Rejected(Reason.CERTIFICATE_ROLE, found=names)
    if any(oid.startswith(AMD_ARC) for authority in (ask, ark) for oid in authority.extensions):
        raise Rejected(Reason.CERTIFICATE_ROLE, expected="authorities without AMD's extensions", found=names)
    product, is_vcek = role
    if extensions is not None and extensions.product is not product:
        expected = f"a certificate for {product.value}, whose authority issued it"
        raise Rejected(Reason.CERTIFICATE_ROLE, expected=expected, found=extensions.product_name)
    if extensions is not None and (extensions.hwid is not None) != is_vcek:
        expected = "a chip's id in a VCEK, a provider's in a VLEK"
        raise Rejected(Reason.CERTIFICATE_ROLE, expected=expected, found=leaf.common_name)
    return f"{'VCEK' if is_vcek else 'VLEK'} of {product.value}"


def _check_root(ark: Certificate, roots: Roots) -> str:
    """Check S12."""
    vendor = _VENDOR_BY_ROOT.get(ark.common_name)
    if vendor is None:
        raise Rejected(Reason.ROOT_UNTRUSTED, found=f"{ark.common_name!r}, the root of no product that is known here")
    return roots.check(ark, vendor)


def _judge_crl(data: bytes, chain: _Chain, ark_key: Key | None, own: Ledger) -> RevocationList | None:
    """Checks S14 and S16. AMD's service does not demand that a list is consulted; one that is supplied must hold."""
    if not data:
        own.ok(CRL, _NOT_CONSULTED)
        own.ok(CRL_WINDOW, _NOT_CONSULTED)
        own.ok(REVOCATION, _NOT_CONSULTED)
        return None
    try:
        crl = RevocationList.parse(data)
    except Malformed as malformed:
        own.fail(CRL, Reason.COLLATERAL_MALFORMED, malformed)
        return None
    if ark_key is None or not own.run(CRL, lambda: _check_crl(crl, chain[2], ark_key)):
        return None
    own.run(REVOCATION, lambda: _check_revocation(chain, crl))
    return crl


def _check_crl(crl: RevocationList, ark: Certificate, key: Key) -> str:
    if crl.unknown_critical or crl.next_update is None:
        expected = "no unknown critical extension, and a next update"
        raise Rejected(Reason.COLLATERAL_MALFORMED, expected=expected, found=f"a list of {crl.issuer_name}")
    if crl.issuer != ark.subject:
        expected = f"a list of {ark.common_name!r}"
        raise Rejected(Reason.CRL_MISSING, expected=expected, found=f"a list of {crl.issuer_name}")
    if not ark.signs_crls or crl.algorithm is not key.algorithm:
        found = crl.algorithm.value
        raise Rejected(Reason.CRL_SIGNATURE, expected=f"{key.algorithm.value} by a key for lists", found=found)
    key.check(crl.signature, crl.signed, Reason.CRL_SIGNATURE)
    return f"{len(crl.revoked)} revoked"


def _check_revocation(chain: _Chain, crl: RevocationList) -> None:
    """Check S16. The serial number 0 is that of every VCEK and names none of them."""
    for certificate in chain:
        if certificate.serial and certificate.serial in crl.revoked:
            raise Rejected(Reason.CERTIFICATE_REVOKED, found=f"{certificate.common_name}, {certificate.serial:x}")


def _crl_window(crl: RevocationList) -> Window:
    return Window(f"list of {crl.issuer_name}", crl.this_update, crl.next_update or crl.this_update)


def _rsa_key(certificate: Certificate) -> Key:
    return issuer_key(certificate, SignatureAlgorithm.RSA_PSS_SHA384, Reason.CERTIFICATE_CHAIN)
