"""Faults of the platform's certificates and of the revocation lists."""

from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from intaglio.reasons import Reason
from intaglio.sim.authority import PCK_NAME, PLATFORM_CA_NAME, Authority
from intaglio.sim.draft import Draft, QuoteDraft
from intaglio.sim.faults.registry import fault, shared_fault
from intaglio.sim.pck import sgx_extension
from intaglio.sim.pki import DAY, YEAR, Holder, Plan, issue, issue_crl
from intaglio.types import UnixTime


@fault(Reason.ROOT_UNTRUSTED, also=(Reason.COLLATERAL_SIGNER,))
def foreign_root(draft: Draft) -> None:
    """a complete PKI of the attacker's with the same names: everything holds, except that nobody pinned its root"""
    copy = draft.lab.copy()
    copy.authority = Authority.create(draft.at, draft.lab.authority.quoting_signer)
    record = draft.machine.record
    chain = copy.authority.certify_pck(
        draft.pck_key.public_key(), record.facts, record.ca, UnixTime(draft.at - draft.at % DAY)
    )
    copy.records[record.name] = replace(record, pck_chain=chain)
    theirs = Draft.of(copy, draft.image, draft.at, platform=record.name, report_data=draft.body.report_data)
    pinned = draft.root
    draft.become(theirs)
    draft.root = pinned


@shared_fault(Reason.CERTIFICATE_EXPIRED)
def expired_pck(draft: QuoteDraft[Any]) -> None:
    """the platform's certificate ended yesterday"""
    plan = draft.pck_plan
    draft.reissue(replace(plan, not_before=UnixTime(draft.at - YEAR), not_after=UnixTime(draft.at - DAY)))


@shared_fault(Reason.CERTIFICATE_NOT_YET_VALID)
def future_pck(draft: QuoteDraft[Any]) -> None:
    """the platform's certificate begins tomorrow"""
    draft.reissue(replace(draft.pck_plan, not_before=UnixTime(draft.at + DAY)))


@shared_fault(Reason.CERTIFICATE_EXPIRED)
def expired_intermediate(draft: QuoteDraft[Any]) -> None:
    """the CA that issued the platform's certificate has expired"""
    root = draft.lab.authority.root
    plan = Plan(PLATFORM_CA_NAME, UnixTime(draft.at - YEAR), UnixTime(draft.at - DAY), path_length=0)
    draft.chain[1] = issue(plan, draft.issuer.key.public_key(), root)


@shared_fault(Reason.CERTIFICATE_REVOKED)
def revoked_pck(draft: QuoteDraft[Any]) -> None:
    """the platform's certificate is on its issuer's list"""
    _revoke(draft, draft.chain[0].serial_number)


@shared_fault(Reason.CERTIFICATE_REVOKED)
def revoked_intermediate(draft: QuoteDraft[Any]) -> None:
    """the issuer of the platform's certificate is on the root's list"""
    _revoke(draft, draft.chain[1].serial_number)


@shared_fault(Reason.COLLATERAL_SIGNER)
def revoked_tcb_signer(draft: QuoteDraft[Any]) -> None:
    """the certificate that signed the collateral is on the root's list"""
    _revoke(draft, draft.lab.authority.tcb_signer.certificate.serial_number)


@shared_fault(Reason.CERTIFICATE_CHAIN)
def missing_intermediate(draft: QuoteDraft[Any]) -> None:
    """the chain goes from the platform straight to the root"""
    del draft.chain[1]


@shared_fault(Reason.CERTIFICATE_CHAIN)
def repeated_certificate(draft: QuoteDraft[Any]) -> None:
    """the chain holds the platform's certificate twice"""
    draft.chain.insert(1, draft.chain[0])


@shared_fault(Reason.CERTIFICATE_CHAIN)
def pck_signed_by_nobody(draft: QuoteDraft[Any]) -> None:
    """the host issues the platform's certificate itself, under the name of the real CA"""
    nobody = Holder(ec.generate_private_key(ec.SECP256R1()), draft.issuer.certificate)
    draft.reissue(draft.pck_plan, nobody)


@shared_fault(Reason.CERTIFICATE_CHAIN)
def pck_issues_pck(draft: QuoteDraft[Any]) -> None:
    """the owner of one platform's PCK key issues a certificate for a platform that does not exist"""
    owner = Holder(draft.pck_key, draft.chain[0])
    draft.pck_key = ec.generate_private_key(ec.SECP256R1())
    leaf = issue(draft.pck_plan, draft.pck_key.public_key(), owner)
    draft.chain = [leaf, owner.certificate, *draft.chain[1:]]


@shared_fault(Reason.CERTIFICATE_CONSTRAINTS)
def intermediate_without_ca(draft: QuoteDraft[Any]) -> None:
    """the platform's issuer has a certificate that is not a CA's"""
    start = UnixTime(draft.at - YEAR)
    plan = Plan(PLATFORM_CA_NAME, start, UnixTime(draft.at + YEAR))
    draft.chain[1] = issue(plan, draft.issuer.key.public_key(), draft.lab.authority.root)


@shared_fault(Reason.CERTIFICATE_ROLE)
def tcb_signer_as_platform(draft: QuoteDraft[Any]) -> None:
    """the CA issued the platform's certificate under the name of the TCB signer"""
    name = PCK_NAME.replace("PCK Certificate", "TCB Signing")
    draft.reissue(replace(draft.pck_plan, name=name))


@shared_fault(Reason.PCK_EXTENSION)
def short_fmspc(draft: QuoteDraft[Any]) -> None:
    """the platform's certificate has an FMSPC of five bytes"""
    facts = replace(draft.machine.record.facts, fmspc=draft.machine.record.facts.fmspc[:5])
    draft.reissue(replace(draft.pck_plan, sgx=sgx_extension(facts)))


@shared_fault(Reason.PCK_EXTENSION)
def missing_component(draft: QuoteDraft[Any]) -> None:
    """the platform's certificate has fifteen component SVNs: a matcher that zips them ignores the last"""
    facts = draft.machine.record.facts
    draft.reissue(replace(draft.pck_plan, sgx=sgx_extension(replace(facts, components=facts.components[:15]))))


@shared_fault(Reason.CERTIFICATE_ROLE, also=(Reason.PCK_EXTENSION,))
def no_sgx_extension(draft: QuoteDraft[Any]) -> None:
    """the platform's certificate says nothing of a platform"""
    draft.reissue(replace(draft.pck_plan, sgx=None))


@shared_fault(Reason.CRL_MISSING)
def missing_pck_crl(draft: QuoteDraft[Any]) -> None:
    """nobody supplied the list of the platform's issuer"""
    draft.pck_crl = b""


@shared_fault(Reason.CRL_MISSING)
def missing_root_crl(draft: QuoteDraft[Any]) -> None:
    """nobody supplied the root's list"""
    draft.root_crl = b""


@shared_fault(Reason.CRL_MISSING)
def crl_of_other_ca(draft: QuoteDraft[Any]) -> None:
    """the list of the processor CA stands in for that of the platform CA"""
    draft.pck_crl = draft.lab.pcs.pck_crl("processor", draft.at)


@shared_fault(Reason.CRL_SIGNATURE)
def forged_pck_crl(draft: QuoteDraft[Any]) -> None:
    """an empty list in the issuer's name, signed by somebody else, hides a revoked platform"""
    draft.pck_crl = _forged(draft, draft.issuer.certificate)


@shared_fault(Reason.CRL_SIGNATURE)
def forged_root_crl(draft: QuoteDraft[Any]) -> None:
    """an empty list in the root's name, signed by somebody else"""
    draft.root_crl = _forged(draft, draft.lab.authority.root.certificate)


@shared_fault(Reason.COLLATERAL_EXPIRED)
def expired_pck_crl(draft: QuoteDraft[Any]) -> None:
    """the list of the platform's issuer is past its next update: it may hide a revocation"""
    draft.pck_crl = _dated(draft, draft.issuer, -40, -10)


@shared_fault(Reason.COLLATERAL_EXPIRED)
def expired_root_crl(draft: QuoteDraft[Any]) -> None:
    """the root's list is past its next update"""
    draft.root_crl = _dated(draft, draft.lab.authority.root, -400, -10)


@shared_fault(Reason.COLLATERAL_NOT_YET_VALID)
def future_pck_crl(draft: QuoteDraft[Any]) -> None:
    """the list of the platform's issuer was made tomorrow"""
    draft.pck_crl = _dated(draft, draft.issuer, 1, 30)


def _revoke(draft: QuoteDraft[Any], serial: int) -> None:
    pcs = draft.lab.pcs.revoking(serial)
    draft.pck_crl = pcs.pck_crl(draft.machine.record.ca, draft.at)
    draft.root_crl = pcs.root_crl(draft.at)


def _forged(draft: QuoteDraft[Any], issuer: x509.Certificate) -> bytes:
    forger = Holder(ec.generate_private_key(ec.SECP256R1()), issuer)
    return _dated(draft, forger, -1, 29)


def _dated(draft: QuoteDraft[Any], issuer: Holder, first_day: int, last_day: int) -> bytes:
    this_update, next_update = (UnixTime(draft.at + days * DAY) for days in (first_day, last_day))
    return issue_crl(issuer, (), this_update=this_update, next_update=next_update)
