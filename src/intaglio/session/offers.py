"""Making and checking offers: what a data centre publishes, and what an enclave demands of it before it believes it."""

from dataclasses import dataclass

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.session.kem import KemPrivateKey
from intaglio.session.signing import Signer, trusted_keys, verify_by
from intaglio.types import Draw, UnixTime
from intaglio.wire import cose
from intaglio.wire.identity import KeyUse, Pin
from intaglio.wire.offer import Offer, OfferBody

__all__ = ["CheckedOffer", "MadeOffer", "OfferTerms", "check_offer", "make_offer", "read_offer"]


@dataclass(frozen=True, slots=True)
class OfferTerms:
    """What a data centre decides about an offer; see `OfferBody` for the meaning of each."""

    not_before: UnixTime
    not_after: UnixTime
    delete_after: UnixTime
    epoch: int
    minimum_epoch: int
    policy_hash: bytes
    audience: str
    epoch0_limit: int | None = 1000


@dataclass(frozen=True, slots=True)
class MadeOffer:
    """A new offer: the bytes to publish, their hash (32 bytes, its name), its content, and the private key to keep."""

    data: bytes
    hash: bytes
    body: OfferBody
    key: KemPrivateKey


@dataclass(frozen=True, slots=True)
class CheckedOffer:
    """An offer that the pinned data centre signed."""

    hash: bytes
    body: OfferBody
    by_identity: bool


def make_offer(terms: OfferTerms, signer: Signer, draw: Draw) -> MadeOffer:
    """A signed offer with a fresh KEM key and nonce."""
    key = KemPrivateKey.generate(draw)
    body = OfferBody(
        suite=signer.suite,
        kem_key=key.public,
        nonce=draw(32),
        not_before=terms.not_before,
        not_after=terms.not_after,
        delete_after=terms.delete_after,
        epoch=terms.epoch,
        minimum_epoch=terms.minimum_epoch,
        policy_hash=terms.policy_hash,
        audience=terms.audience,
        epoch0_limit=terms.epoch0_limit,
    )
    data = Offer(signer.sign("offer", body.encode()), signer.certificate).encode()
    return MadeOffer(data, Offer.hash(data), body, key)


def read_offer(data: bytes) -> OfferBody:
    """An offer's content without checking who signed it: for display and for the data centre's own. `Malformed`."""
    payload = cose.Signed.parse(Offer.parse(data).signed, "offer").payload
    return OfferBody.parse(payload or b"")


def check_offer(pin: Pin, data: bytes, *, highest_epoch: int = 0, minimum_epoch: int = 0) -> CheckedOffer:
    """What an enclave believes of an offer: signed by what it pins, for its audience, at least its minimum suite, no
    older than the highest epoch it has seen. It needs no clock.

    Raises `Malformed` or `Rejected` (OFFER_SIGNATURE, AUDIENCE_MISMATCH, SUITE_TOO_WEAK, OFFER_TOO_OLD).
    """
    offer = Offer.parse(data)
    body = read_offer(data)
    if body.suite < pin.minimum_suite:
        raise Rejected(Reason.SUITE_TOO_WEAK, expected=int(pin.minimum_suite), found=int(body.suite))
    keys = trusted_keys(
        pin, body.suite, offer.certificate, KeyUse.OFFER, body.epoch, minimum_epoch, Reason.OFFER_SIGNATURE
    )
    verify_by(keys, body.suite, "offer", offer.signed, None, Reason.OFFER_SIGNATURE)
    if body.audience != pin.audience:
        raise Rejected(Reason.AUDIENCE_MISMATCH, expected=pin.audience, found=body.audience)
    if body.epoch < max(highest_epoch, minimum_epoch):
        raise Rejected(Reason.OFFER_TOO_OLD, expected=max(highest_epoch, minimum_epoch), found=body.epoch)
    return CheckedOffer(Offer.hash(data), body, by_identity=offer.certificate is None)
