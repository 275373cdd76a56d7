"""Faults of the certificates beside a report of the attestation service."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec

from intaglio.reasons import Reason
from intaglio.sim.faults.ias_registry import ias_fault
from intaglio.sim.ias import IasAuthority, IasDraft, holder
from intaglio.types import UnixTime


@ias_fault(Reason.ROOT_UNTRUSTED)
def foreign_root(draft: IasDraft) -> None:
    """a complete PKI of the attacker's with the same names: everything holds, except that nobody pinned its root"""
    theirs = IasAuthority.create(draft.at, bits=2048)
    draft.chain = [theirs.signer, theirs.root]


@ias_fault(Reason.CERTIFICATE_CHAIN)
def signer_signed_by_nobody(draft: IasDraft) -> None:
    """the host issues its own signer under the name of the real root"""
    draft.issuers[0] = holder(draft.chain[1].plan)


@ias_fault(Reason.CERTIFICATE_CHAIN)
def signer_alone(draft: IasDraft) -> None:
    """the authority's certificate was not kept"""
    draft.show = lambda certificates: certificates[:1]


@ias_fault(Reason.CERTIFICATE_CHAIN, also=(Reason.CERTIFICATE_CONSTRAINTS, Reason.ROOT_UNTRUSTED))
def authority_first(draft: IasDraft) -> None:
    """signer and authority in each other's place"""
    draft.show = lambda certificates: certificates[::-1]


@ias_fault(Reason.CERTIFICATE_CHAIN)
def short_key(draft: IasDraft) -> None:
    """a signer with RSA-1024"""
    draft.chain[0] = holder(draft.chain[0].plan, bits=1024)


@ias_fault(Reason.CERTIFICATE_CHAIN)
def key_of_another_kind(draft: IasDraft) -> None:
    """the signer's certificate names a key on P-256"""
    draft.chain[0].certified = ec.generate_private_key(ec.SECP256R1()).public_key()


@ias_fault(Reason.CERTIFICATE_CONSTRAINTS)
def signer_is_an_authority(draft: IasDraft) -> None:
    """the signer says that it is a CA"""
    draft.plan(0, ca=True)


@ias_fault(Reason.CERTIFICATE_CONSTRAINTS)
def signer_signs_nothing(draft: IasDraft) -> None:
    """the signer may not sign data"""
    draft.plan(0, signs_data=False)


@ias_fault(Reason.CERTIFICATE_CONSTRAINTS)
def signer_plays_authority(draft: IasDraft) -> None:
    """whoever got the signer's key issues another signer with it"""
    draft.chain.insert(0, holder(replace(draft.chain[0].plan, name="Another Signer")))


@ias_fault(Reason.CERTIFICATE_CONSTRAINTS)
def unknown_extension(draft: IasDraft) -> None:
    """a critical extension of the signer that nobody here knows"""
    draft.plan(0, unknown=True)


@ias_fault(Reason.CERTIFICATE_CONSTRAINTS)
def root_is_no_authority(draft: IasDraft) -> None:
    """the pinned key in a certificate that is no CA's"""
    draft.plan(1, ca=False)


@ias_fault(Reason.CERTIFICATE_EXPIRED)
def judged_after_the_certificates_end(draft: IasDraft) -> None:
    """an archive judged as of today instead of as of its own time"""
    draft.at = UnixTime(draft.chain[0].plan.not_after + 1)


@ias_fault(Reason.CERTIFICATE_NOT_YET_VALID)
def judged_before_the_certificate(draft: IasDraft) -> None:
    """a root that begins after the time of judgement"""
    draft.plan(1, not_before=UnixTime(draft.at + 1))
