"""Faults of the ARK's revocation list."""

from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from intaglio.reasons import Reason
from intaglio.sim.amd_pki import issue_crl
from intaglio.sim.faults.snp_registry import snp_fault
from intaglio.sim.pki import DAY
from intaglio.sim.snp import SnpDraft
from intaglio.types import UnixTime
from intaglio.wire import der
from intaglio.wire.snp_fields import Product
from intaglio.wire.vcek import AMD_ARC


@snp_fault(Reason.CERTIFICATE_REVOKED)
def revoked_ask(draft: SnpDraft) -> None:
    """the ASK is on the ARK's list"""
    _list(draft, revoked=(draft.authority.intermediate_plan(draft.product, "vcek").serial,))


@snp_fault(Reason.CERTIFICATE_REVOKED)
def revoked_root(draft: SnpDraft) -> None:
    """the ARK is on its own list"""
    _list(draft, revoked=(draft.authority.ark_plan(draft.product).serial,))


@snp_fault(Reason.CERTIFICATE_REVOKED)
def revoked_vek(draft: SnpDraft) -> None:
    """a signing key's certificate with a serial number of its own is on the list"""
    draft.vek = replace(draft.vek, serial=0x77)
    _list(draft, revoked=(0x77,))


@snp_fault(Reason.COLLATERAL_EXPIRED)
def expired_list(draft: SnpDraft) -> None:
    """the list's next update has passed"""
    _list(draft, this_update=UnixTime(draft.at - 2 * DAY), next_update=UnixTime(draft.at - DAY))


@snp_fault(Reason.COLLATERAL_NOT_YET_VALID)
def future_list(draft: SnpDraft) -> None:
    """the list is of tomorrow"""
    _list(draft, this_update=UnixTime(draft.at + DAY), next_update=UnixTime(draft.at + 2 * DAY))


@snp_fault(Reason.CRL_SIGNATURE)
def list_signed_by_the_ask(draft: SnpDraft) -> None:
    """the ASK signed a list in the name of the ARK"""
    _list(draft, key=draft.authority.ask_key)


@snp_fault(Reason.CRL_SIGNATURE)
def edited_list(draft: SnpDraft) -> None:
    """somebody took an entry out of the list"""
    _list(draft, revoked=(0x10001,))
    draft.crl = draft.crl.replace(b"\x02\x03\x01\x00\x01", b"\x02\x03\x01\x00\x09")


@snp_fault(Reason.CRL_SIGNATURE)
def root_that_signs_no_lists(draft: SnpDraft) -> None:
    """the ARK may not sign lists"""
    plan = replace(draft.authority.ark_plan(draft.product), signs_crls=False)
    draft.ark = draft.root = draft.authority.ark(draft.product, plan).der


@snp_fault(Reason.CRL_MISSING)
def list_of_another_product(draft: SnpDraft) -> None:
    """the list of another product's ARK"""
    other = Product.GENOA if draft.product is Product.MILAN else Product.MILAN
    _list(draft, issuer=f"ARK-{other.value}")


@snp_fault(Reason.COLLATERAL_MALFORMED)
def list_with_an_unknown_critical_extension(draft: SnpDraft) -> None:
    """the list says something that nobody here understands and must"""
    _list(draft, critical=(x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{AMD_ARC}99"), b"\x05\0"),))


@snp_fault(Reason.COLLATERAL_MALFORMED)
def list_that_is_none(draft: SnpDraft) -> None:
    """an error page in the place of the list"""
    draft.crl = der.encode(der.SEQUENCE, b"<html>")


def _list(
    draft: SnpDraft,
    *,
    revoked: tuple[int, ...] = (),
    issuer: str | None = None,
    key: rsa.RSAPrivateKey | None = None,
    this_update: UnixTime | None = None,
    next_update: UnixTime | None = None,
    critical: tuple[x509.ExtensionType, ...] = (),
) -> None:
    draft.crl = issue_crl(
        issuer or f"ARK-{draft.product.value}",
        key or draft.authority.ark_key,
        revoked,
        this_update or UnixTime(draft.at - DAY),
        next_update or UnixTime(draft.at + DAY),
        *critical,
    )
