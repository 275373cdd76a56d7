"""Faults of the certificates in a Nitro document."""

from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from intaglio.reasons import Reason
from intaglio.sim.faults.nitro_registry import nitro_fault
from intaglio.sim.nitro import INSTANCE, LEAF, REGION, ROOT, ZONE, NitroAuthority, NitroDraft, holder
from intaglio.sim.pki import DAY, YEAR
from intaglio.types import UnixTime


@nitro_fault(Reason.ROOT_UNTRUSTED)
def foreign_root(draft: NitroDraft) -> None:
    """a complete PKI of the attacker's with the same names: everything holds, except that nobody pinned its root"""
    draft.chain = list(NitroAuthority.create(draft.at).holders)


@nitro_fault(Reason.CERTIFICATE_CHAIN)
def leaf_signed_by_nobody(draft: NitroDraft) -> None:
    """the host issues its own leaf under the name of the real instance"""
    draft.signers[LEAF] = holder(draft.chain[INSTANCE].plan)


@nitro_fault(Reason.CERTIFICATE_CHAIN)
def zone_signed_by_nobody(draft: NitroDraft) -> None:
    """the host issues its own zone under the name of the real region"""
    draft.signers[ZONE] = holder(draft.chain[REGION].plan)


@nitro_fault(Reason.CERTIFICATE_CHAIN)
def edited_root(draft: NitroDraft) -> None:
    """the pinned key in a root certificate whose dates were edited"""
    honest = x509.load_der_x509_certificate(draft.certificates()[ROOT])
    draft.plan(ROOT, not_after=UnixTime(draft.chain[ROOT].plan.not_after + YEAR))
    edited = x509.load_der_x509_certificate(draft.certificates()[ROOT])
    signature = edited.signature
    made = edited.public_bytes(Encoding.DER)
    other = honest.signature.ljust(len(signature), b"\0")[: len(signature)]
    draft.chain[ROOT].der = made.replace(signature, other)


@nitro_fault(Reason.CERTIFICATE_CHAIN, also=(Reason.CERTIFICATE_CONSTRAINTS, Reason.ROOT_UNTRUSTED))
def bundle_in_reverse(draft: NitroDraft) -> None:
    """the bundle from the instance to the root, as other PKIs have it"""
    draft.bundle = lambda ders: [*reversed(ders[:LEAF]), ders[LEAF]]


@nitro_fault(Reason.CERTIFICATE_CHAIN)
def missing_zone(draft: NitroDraft) -> None:
    """the zone's certificate is left out"""
    draft.bundle = lambda ders: [der for index, der in enumerate(ders) if index != ZONE]


@nitro_fault(Reason.CERTIFICATE_CHAIN, also=(Reason.ROOT_UNTRUSTED,))
def missing_root(draft: NitroDraft) -> None:
    """the bundle begins with the region"""
    draft.bundle = lambda ders: ders[REGION:]


@nitro_fault(Reason.CERTIFICATE_CONSTRAINTS, also=(Reason.ROOT_UNTRUSTED,))
def leaf_vouches_for_itself(draft: NitroDraft) -> None:
    """a certificate that the host signed for itself, and no authority but that one"""
    draft.signers[LEAF] = draft.chain[LEAF]
    draft.bundle = lambda ders: [ders[LEAF], ders[LEAF]]


@nitro_fault(Reason.CERTIFICATE_CHAIN)
def leaf_under_the_zone(draft: NitroDraft) -> None:
    """the leaf's issuer is in the bundle, but is not its last certificate"""
    draft.signers[LEAF] = draft.chain[ZONE]


@nitro_fault(Reason.CERTIFICATE_CHAIN)
def leaf_on_another_curve(draft: NitroDraft) -> None:
    """the leaf's key is on P-256"""
    draft.signing_key = draft.chain[LEAF].key
    draft.chain[LEAF].key = ec.generate_private_key(ec.SECP256R1())


@nitro_fault(Reason.CERTIFICATE_CHAIN)
def weaker_hash(draft: NitroDraft) -> None:
    """the leaf's certificate is signed with SHA-256"""
    draft.plan(LEAF, hash=SHA256())


@nitro_fault(Reason.CERTIFICATE_CHAIN)
def unreadable_leaf(draft: NitroDraft) -> None:
    """the leaf is no certificate"""
    draft.chain[LEAF].der = b"\x30\x03\x02\x01\x01"


@nitro_fault(Reason.CERTIFICATE_CHAIN)
def unreadable_zone(draft: NitroDraft) -> None:
    """one byte of the zone's certificate is missing"""
    draft.bundle = lambda ders: [der[:-1] if index == ZONE else der for index, der in enumerate(ders)]


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def huge_certificate(draft: NitroDraft) -> None:
    """a certificate of more than 1,024 bytes"""
    draft.chain[LEAF].der = bytes(1025)


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def long_bundle(draft: NitroDraft) -> None:
    """a bundle of nine authorities"""
    draft.bundle = lambda ders: [ders[ROOT]] * 9 + ders[LEAF:]


# -- constraints -------------------------------------------------------------------------------------------------------


@nitro_fault(Reason.CERTIFICATE_CONSTRAINTS)
def leaf_is_an_authority(draft: NitroDraft) -> None:
    """the leaf says that it is a CA"""
    draft.plan(LEAF, ca=True)


@nitro_fault(Reason.CERTIFICATE_CONSTRAINTS)
def leaf_signs_certificates(draft: NitroDraft) -> None:
    """the leaf may sign certificates"""
    draft.plan(LEAF, signs_certificates=True)


@nitro_fault(Reason.CERTIFICATE_CONSTRAINTS)
def leaf_signs_nothing(draft: NitroDraft) -> None:
    """the leaf may not sign data"""
    draft.plan(LEAF, signs_data=False)


@nitro_fault(Reason.CERTIFICATE_CONSTRAINTS)
def enclave_plays_authority(draft: NitroDraft) -> None:
    """whoever got an enclave's key signs another leaf with it"""
    draft.chain.append(holder(replace(draft.chain[LEAF].plan, name="i-0.us-east-1.aws")))


@nitro_fault(Reason.CERTIFICATE_CONSTRAINTS)
def path_too_long(draft: NitroDraft) -> None:
    """a zone that allows no authority below it issued an instance"""
    draft.plan(ZONE, path_length=0)


@nitro_fault(Reason.CERTIFICATE_CONSTRAINTS)
def instance_is_no_authority(draft: NitroDraft) -> None:
    """the instance's certificate is not a CA's"""
    draft.plan(INSTANCE, ca=False)


@nitro_fault(Reason.CERTIFICATE_CONSTRAINTS)
def region_without_key_usage(draft: NitroDraft) -> None:
    """the region may not sign certificates"""
    draft.plan(REGION, signs_certificates=False, signs_data=True)


@nitro_fault(Reason.CERTIFICATE_CONSTRAINTS)
def unknown_extension_of_the_instance(draft: NitroDraft) -> None:
    """a critical extension of an authority that nobody here knows"""
    draft.plan(INSTANCE, unknown=True)


@nitro_fault(Reason.CERTIFICATE_CONSTRAINTS)
def unknown_extension_of_the_leaf(draft: NitroDraft) -> None:
    """a critical extension of the leaf that nobody here knows"""
    draft.plan(LEAF, unknown=True)


# -- windows -----------------------------------------------------------------------------------------------------------


@nitro_fault(Reason.CERTIFICATE_EXPIRED)
def expired_leaf(draft: NitroDraft) -> None:
    """the document is judged a second after its certificate's end"""
    draft.at = UnixTime(draft.chain[LEAF].plan.not_after + 1)


@nitro_fault(Reason.CERTIFICATE_EXPIRED)
def expired_instance(draft: NitroDraft) -> None:
    """an authority has expired, and its leaf has not"""
    draft.plan(INSTANCE, not_after=UnixTime(draft.at - 1))


@nitro_fault(Reason.CERTIFICATE_NOT_YET_VALID)
def leaf_of_tomorrow(draft: NitroDraft) -> None:
    """a certificate that begins after the time of judgement, though not by more than the document may be ahead"""
    draft.plan(LEAF, not_before=UnixTime(draft.at + 30), not_after=UnixTime(draft.at + DAY))
    draft.fields["timestamp"] = (draft.at + 31) * 1000
