"""Faults of AMD's certificates, and certificates that belong to something else."""

from collections.abc import Mapping
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from intaglio.reasons import Reason
from intaglio.sim.amd_pki import AmdAuthority, AmdPlan, RsaHolder, issue
from intaglio.sim.faults.snp_registry import snp_fault
from intaglio.sim.pki import DAY, YEAR
from intaglio.sim.snp import NAMES, TCBS, SnpDraft
from intaglio.types import UnixTime
from intaglio.wire.snp_fields import Product
from intaglio.wire.vcek import AMD_ARC

# -- the chain ---------------------------------------------------------------------------------------------------------


@snp_fault(Reason.ROOT_UNTRUSTED)
def foreign_root(draft: SnpDraft) -> None:
    """a complete PKI of the attacker's with the same names: everything holds, except that nobody pinned its root"""
    theirs = AmdAuthority.create(draft.at, bits=2048)
    draft.issuer = theirs.ask(draft.product)
    draft.ask, draft.ark, draft.crl = draft.issuer.der, theirs.ark(draft.product).der, b""


@snp_fault(Reason.CERTIFICATE_ROLE, also=(Reason.ROOT_UNTRUSTED,))
def unknown_product_line(draft: SnpDraft) -> None:
    """authorities of a product that nobody here knows"""
    authority, name = draft.authority, "ARK-Unheard"
    plan = replace(authority.ark_plan(draft.product), name=name)
    draft.ark = issue(plan, authority.ark_key.public_key(), name, authority.ark_key)
    ask = authority.intermediate_plan(draft.product, "vcek")
    draft.ask, draft.crl = issue(ask, authority.ask_key.public_key(), name, authority.ark_key), b""


@snp_fault(Reason.CERTIFICATE_CHAIN)
def vek_signed_by_nobody(draft: SnpDraft) -> None:
    """the host issues its own VCEK certificate under the name of the real ASK"""
    nobody = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    draft.issuer = RsaHolder(draft.issuer.name, nobody, draft.issuer.der)


@snp_fault(Reason.CERTIFICATE_CHAIN)
def ask_signed_by_nobody(draft: SnpDraft) -> None:
    """the host issues its own ASK under the name of the real ARK"""
    nobody = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plan = draft.authority.intermediate_plan(draft.product, "vcek")
    draft.issuer = RsaHolder(plan.name, nobody, b"")
    draft.ask = issue(plan, nobody.public_key(), f"ARK-{draft.product.value}", nobody)


@snp_fault(Reason.CERTIFICATE_CHAIN)
def edited_root(draft: SnpDraft) -> None:
    """the pinned key in a root certificate whose dates were edited"""
    plan = draft.authority.ark_plan(draft.product)
    longer = replace(plan, not_after=UnixTime(plan.not_after + YEAR))
    signature = draft.ark[-256:]
    draft.ark = draft.authority.ark(draft.product, longer).der[:-256] + signature


@snp_fault(Reason.CERTIFICATE_CHAIN)
def vek_under_the_root(draft: SnpDraft) -> None:
    """the ARK signed the VCEK certificate itself, and no ASK stands between them"""
    draft.issuer = draft.authority.ark(draft.product)


@snp_fault(Reason.CERTIFICATE_CHAIN)
def key_on_another_curve(draft: SnpDraft) -> None:
    """the certified key is on P-256"""
    draft.vek_key = ec.generate_private_key(ec.SECP256R1())


@snp_fault(
    Reason.CERTIFICATE_CHAIN, also=(Reason.CERTIFICATE_CONSTRAINTS, Reason.CERTIFICATE_ROLE, Reason.ROOT_UNTRUSTED)
)
def swapped_authorities(draft: SnpDraft) -> None:
    """ASK and ARK in each other's place"""
    draft.ask, draft.ark, draft.crl = draft.ark, draft.ask, b""


@snp_fault(Reason.COLLATERAL_MALFORMED)
def unreadable_certificate(draft: SnpDraft) -> None:
    """a download that was cut off"""
    draft.ask = draft.ask[:-1]


@snp_fault(Reason.COLLATERAL_MALFORMED)
def missing_certificate(draft: SnpDraft) -> None:
    """a host's certificate table without the signing key's certificate"""
    draft.certificate = b""


# -- constraints and windows -------------------------------------------------------------------------------------------


@snp_fault(Reason.CERTIFICATE_CONSTRAINTS)
def vek_is_an_authority(draft: SnpDraft) -> None:
    """the signing key's certificate says that it is a CA"""
    draft.vek = replace(draft.vek, ca=True)


@snp_fault(Reason.CERTIFICATE_CONSTRAINTS)
def vek_signs_certificates(draft: SnpDraft) -> None:
    """the signing key's certificate may sign certificates"""
    draft.vek = replace(draft.vek, signs_certificates=True)


@snp_fault(Reason.CERTIFICATE_CONSTRAINTS)
def ask_is_no_authority(draft: SnpDraft) -> None:
    """the ASK's certificate does not say that it is a CA"""
    _change_ask(draft, ca=False)


@snp_fault(Reason.CERTIFICATE_CONSTRAINTS)
def ask_signs_no_certificates(draft: SnpDraft) -> None:
    """the ASK may not sign certificates"""
    _change_ask(draft, signs_certificates=False)


@snp_fault(Reason.CERTIFICATE_CONSTRAINTS)
def root_without_room(draft: SnpDraft) -> None:
    """the ARK's path length leaves no room for an ASK"""
    plan = replace(draft.authority.ark_plan(draft.product), path_length=0)
    draft.ark = draft.root = draft.authority.ark(draft.product, plan).der


@snp_fault(Reason.CERTIFICATE_CONSTRAINTS, also=(Reason.VEK_EXTENSIONS,))
def unknown_critical_extension(draft: SnpDraft) -> None:
    """the certificate has a critical extension that nobody here knows"""
    oid = "1.3.6.1.4.1.3704.9.1"
    draft.vek = replace(draft.vek, extensions={**draft.vek.extensions, oid: b"\x05\0"}, critical=frozenset((oid,)))


@snp_fault(Reason.CERTIFICATE_EXPIRED)
def expired_vek(draft: SnpDraft) -> None:
    """the signing key's certificate ended yesterday"""
    draft.vek = replace(draft.vek, not_before=UnixTime(draft.at - YEAR), not_after=UnixTime(draft.at - DAY))


@snp_fault(Reason.CERTIFICATE_NOT_YET_VALID)
def future_vek(draft: SnpDraft) -> None:
    """the signing key's certificate begins tomorrow"""
    draft.vek = replace(draft.vek, not_before=UnixTime(draft.at + DAY))


@snp_fault(Reason.CERTIFICATE_EXPIRED)
def expired_ask(draft: SnpDraft) -> None:
    """the ASK has expired"""
    _change_ask(draft, not_before=UnixTime(draft.at - YEAR), not_after=UnixTime(draft.at - DAY))


@snp_fault(Reason.CERTIFICATE_EXPIRED)
def expired_root(draft: SnpDraft) -> None:
    """the ARK has expired"""
    plan = draft.authority.ark_plan(draft.product)
    plan = replace(plan, not_before=UnixTime(draft.at - YEAR), not_after=UnixTime(draft.at - DAY))
    draft.ark = draft.root = draft.authority.ark(draft.product, plan).der


# -- AMD's extensions --------------------------------------------------------------------------------------------------


@snp_fault(Reason.VEK_EXTENSIONS)
def missing_extension(draft: SnpDraft) -> None:
    """the certificate does not state the microcode's version"""
    _change_parts(draft, {f"{AMD_ARC}3.8": None})


@snp_fault(Reason.VEK_EXTENSIONS)
def unknown_extension(draft: SnpDraft) -> None:
    """the certificate states something of AMD's that nobody here knows"""
    _change_parts(draft, {f"{AMD_ARC}6": b"\x02\x01\x00"})


@snp_fault(Reason.VEK_EXTENSIONS)
def reserved_extension(draft: SnpDraft) -> None:
    """a reserved part of the TCB version is not zero"""
    _change_parts(draft, {f"{AMD_ARC}3.5": b"\x02\x01\x01"})


@snp_fault(Reason.VEK_EXTENSIONS)
def long_integer(draft: SnpDraft) -> None:
    """a version number in a longer encoding than it needs"""
    _change_parts(draft, {f"{AMD_ARC}3.1": b"\x02\x02\x00" + bytes((draft.extensions.tcb.bootloader,))})


@snp_fault(Reason.VEK_EXTENSIONS)
def short_hardware_id(draft: SnpDraft) -> None:
    """a hardware id of another length than the product's"""
    _change_parts(draft, {f"{AMD_ARC}4": bytes(16)})


@snp_fault(Reason.VEK_EXTENSIONS)
def chip_and_provider(draft: SnpDraft) -> None:
    """the certificate names a chip and a provider"""
    _change_parts(draft, {f"{AMD_ARC}5": b"\x16\x03CSP"})


@snp_fault(Reason.VEK_EXTENSIONS)
def unknown_product_name(draft: SnpDraft) -> None:
    """the certificate is for a product that nobody here knows"""
    _change_parts(draft, {f"{AMD_ARC}2": b"\x16\x07Unheard"})


# -- roles and what belongs together -----------------------------------------------------------------------------------


@snp_fault(Reason.CERTIFICATE_ROLE)
def vcek_under_the_asvk(draft: SnpDraft) -> None:
    """the authority of providers' keys issued a chip's"""
    draft.issuer = draft.authority.asvk(draft.product)
    draft.ask = draft.issuer.der


@snp_fault(Reason.CERTIFICATE_ROLE, also=(Reason.COLLATERAL_MISMATCH,))
def vlek_under_the_ask(draft: SnpDraft) -> None:
    """the authority of chips' keys issued a provider's"""
    draft.endorse(hwid=None, csp_id="CN=cc-lab.intaglio.invalid")
    draft.vek = replace(draft.vek, name="SEV-VLEK")


@snp_fault(Reason.CERTIFICATE_ROLE, also=(Reason.COLLATERAL_MISMATCH,))
def provider_in_a_vcek(draft: SnpDraft) -> None:
    """a certificate named VCEK names a provider"""
    draft.endorse(hwid=None, csp_id="CN=cc-lab.intaglio.invalid")


@snp_fault(Reason.CERTIFICATE_ROLE)
def other_leaf_name(draft: SnpDraft) -> None:
    """a certificate that is neither a VCEK's nor a VLEK's"""
    draft.vek = replace(draft.vek, name="SEV-PEK")


@snp_fault(Reason.CERTIFICATE_ROLE)
def authority_with_extensions(draft: SnpDraft) -> None:
    """the ASK has the extensions of a signing key"""
    _change_ask(draft, extensions=draft.extensions.encode())


@snp_fault(Reason.CERTIFICATE_ROLE, also=(Reason.COLLATERAL_MISMATCH, Reason.TCB_MISMATCH))
def certificate_of_another_product(draft: SnpDraft) -> None:
    """this product's ASK issued a certificate for another product"""
    other = _other(draft.product)
    _endorse_for(draft, other)


@snp_fault(Reason.COLLATERAL_MISMATCH, also=(Reason.TCB_MISMATCH,))
def chain_of_another_product(draft: SnpDraft) -> None:
    """another product's authorities, all of them, endorse this key"""
    other = _other(draft.product)
    _endorse_for(draft, other)
    draft.issuer, draft.crl = draft.authority.ask(other), b""
    draft.ask, draft.ark = draft.issuer.der, draft.authority.ark(other).der


@snp_fault(Reason.COLLATERAL_MISMATCH)
def vlek_passed_as_vcek(draft: SnpDraft) -> None:
    """a provider's key signed a report that claims a chip's key"""
    draft.endorse(hwid=None, csp_id="CN=cc-lab.intaglio.invalid")
    draft.vek = replace(draft.vek, name="SEV-VLEK")
    draft.issuer = draft.authority.asvk(draft.product)
    draft.ask = draft.issuer.der


@snp_fault(Reason.COLLATERAL_MISMATCH)
def vcek_passed_as_vlek(draft: SnpDraft) -> None:
    """a chip's key signed a report that claims a provider's key"""
    draft.report = replace(draft.report, flags=1 << 2)


@snp_fault(Reason.COLLATERAL_MISMATCH)
def certificate_of_another_chip(draft: SnpDraft) -> None:
    """the certificate names another chip"""
    draft.endorse(hwid=b"\xc2" * draft.product.chip_id_size)


@snp_fault(Reason.COLLATERAL_MISMATCH, also=(Reason.REPORT_SIGNATURE,))
def certificate_and_key_of_another_chip(draft: SnpDraft) -> None:
    """a real certificate, of another chip with another key"""
    draft.endorse(hwid=b"\xc2" * draft.product.chip_id_size)
    draft.vek_key = ec.generate_private_key(ec.SECP384R1())


@snp_fault(Reason.TCB_MISMATCH)
def certificate_of_a_newer_tcb(draft: SnpDraft) -> None:
    """the certificate is for a newer TCB version than the report states"""
    draft.endorse(tcb=replace(draft.extensions.tcb, snp=draft.extensions.tcb.snp + 1))


@snp_fault(Reason.TCB_MISMATCH)
def certificate_of_an_older_tcb(draft: SnpDraft) -> None:
    """the certificate is for an older TCB version than the report states"""
    draft.endorse(tcb=replace(draft.extensions.tcb, microcode=draft.extensions.tcb.microcode - 1))


def _change_ask(draft: SnpDraft, **changes: object) -> None:
    """AMD's ARK issues another certificate for the ASK."""
    plan: AmdPlan = replace(draft.authority.intermediate_plan(draft.product, "vcek"), **changes)  # type: ignore[arg-type]
    draft.ask = draft.authority.ask(draft.product, plan).der


def _change_parts(draft: SnpDraft, parts: Mapping[str, bytes | None]) -> None:
    """AMD certifies other extensions; None: left out."""
    extensions = {**draft.vek.extensions, **parts}
    draft.vek = replace(draft.vek, extensions={oid: value for oid, value in extensions.items() if value is not None})


def _endorse_for(draft: SnpDraft, product: Product) -> None:
    """A certificate of another product, as like to the true one as it can be."""
    tcb = draft.extensions.tcb if product.has_fmc == draft.product.has_fmc else TCBS[product]
    hwid = draft.report.chip_id[: product.chip_id_size]
    draft.endorse(product=product, product_name=NAMES[product], tcb=tcb, hwid=hwid)


def _other(product: Product) -> Product:
    return Product.GENOA if product is Product.MILAN else Product.MILAN
