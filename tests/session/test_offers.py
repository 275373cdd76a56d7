"""What an enclave demands of an offer before it believes it."""

from dataclasses import replace

import pytest

from intaglio.errors import Malformed
from intaglio.reasons import Reason
from intaglio.session.offers import CheckedOffer, OfferTerms, check_offer, make_offer, read_offer
from intaglio.session.signing import Signer, SigningKeys, certify
from intaglio.wire import cose
from intaglio.wire.identity import KeyCertificate, KeyUse, Pin, Suite
from intaglio.wire.offer import Offer
from tests.session.world import AUDIENCE, TERMS, FixedDraw, World, certified, keys, pin_of, refused


def _check(signer: Signer, terms: OfferTerms = TERMS, pin: Pin | None = None, **epochs: int) -> CheckedOffer:
    data = make_offer(terms, signer, FixedDraw("offer")).data
    return check_offer(pin or pin_of(signer.suite), data, **epochs)


def _identity(suite: Suite, name: str = "identity") -> Signer:
    return Signer(suite, keys(name))


def test_the_pinned_identity_and_a_key_it_certified_are_believed(world: World) -> None:
    checked = check_offer(pin_of(world.suite), world.made.data)
    assert (checked.hash, checked.body) == (world.made.hash, world.made.body)
    assert checked.by_identity is not world.operational


@pytest.mark.parametrize("signed_by", ["old", "new"])
def test_every_pinned_identity_is_believed(suite: Suite, signed_by: str) -> None:
    assert _check(_identity(suite, signed_by), pin=pin_of(suite, "old", "new")).by_identity


def test_an_offer_by_another_identity_is_refused(suite: Suite) -> None:
    with refused(Reason.OFFER_SIGNATURE):
        _check(_identity(suite, "a thief"))


def test_an_offer_for_another_audience_is_refused(suite: Suite) -> None:
    with refused(Reason.AUDIENCE_MISMATCH):
        _check(_identity(suite), replace(TERMS, audience="other.example"))


def test_a_lower_suite_than_the_pinned_is_refused() -> None:
    with refused(Reason.SUITE_TOO_WEAK):
        _check(_identity(Suite.ED25519), pin=pin_of(Suite.ED25519_ML_DSA_65))


def test_a_higher_suite_than_the_pinned_is_believed() -> None:
    assert _check(_identity(Suite.ED25519_ML_DSA_65), pin=pin_of(Suite.ED25519)).body.suite == 2


def test_a_lower_epoch_than_seen_is_refused(suite: Suite) -> None:
    assert _check(_identity(suite), highest_epoch=7).body.epoch == 7
    with refused(Reason.OFFER_TOO_OLD):
        _check(_identity(suite), highest_epoch=8)
    with refused(Reason.OFFER_TOO_OLD):
        _check(_identity(suite), minimum_epoch=8)


def test_a_revoked_certificate_is_refused(suite: Suite) -> None:
    assert _check(certified(suite), minimum_epoch=5).body.epoch == 7
    with refused(Reason.OFFER_TOO_OLD):
        _check(certified(suite), minimum_epoch=6)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"uses": KeyUse.ACCEPT}, Reason.OFFER_SIGNATURE),
        ({"audience": "other.example"}, Reason.AUDIENCE_MISMATCH),
        ({"epoch_from": 8}, Reason.OFFER_SIGNATURE),
        ({"epoch_to": 6}, Reason.OFFER_SIGNATURE),
        ({"by": "a thief"}, Reason.OFFER_SIGNATURE),
    ],
    ids=str,
)
def test_an_offers_certificate_must_fit(suite: Suite, changes: dict[str, object], reason: Reason) -> None:
    with refused(reason):
        _check(certified(suite, **changes))  # type: ignore[arg-type]


def test_a_certificate_is_of_its_own_key_only(suite: Suite) -> None:
    stolen = certified(suite).certificate
    with refused(Reason.OFFER_SIGNATURE):
        _check(Signer(suite, keys("a thief"), stolen))


def test_a_certified_key_certifies_nobody(suite: Suite) -> None:
    with refused(Reason.OFFER_SIGNATURE):
        _check(certified(suite, "second", by="operational"))


def test_a_certificate_of_the_other_suite_is_refused(suite: Suite) -> None:
    other = certified(Suite(3 - suite)).certificate
    with refused(Reason.OFFER_SIGNATURE):
        _check(Signer(suite, keys("operational"), other), pin=pin_of(Suite.ED25519))


def test_suite_2_wants_an_ml_dsa_key(suite: Suite) -> None:
    half = replace(keys("operational").public, ml_dsa_65=None)
    body = KeyCertificate(half, KeyUse.OFFER, AUDIENCE, 0, 100)
    signer = Signer(suite, keys("operational"), certify(suite, keys("identity"), body))
    if suite is Suite.ED25519:
        assert not _check(signer).by_identity
    else:
        with refused(Reason.OFFER_SIGNATURE):
            _check(signer)


@pytest.mark.parametrize("label", ["accept", "key", "hello", ""])
def test_a_signature_under_another_label_is_refused(suite: Suite, label: str) -> None:
    body = make_offer(TERMS, _identity(suite), FixedDraw("offer")).body
    with refused(Reason.OFFER_SIGNATURE):
        check_offer(pin_of(suite), Offer(keys("identity").sign(suite, label, body.encode()), None).encode())


def test_every_signature_of_suite_2_is_required() -> None:
    data = make_offer(TERMS, _identity(Suite.ED25519_ML_DSA_65), FixedDraw("offer")).data
    signed = cose.Signed.parse(Offer.parse(data).signed, "offer")
    first, second = signed.signatures
    thief = keys("a thief").sign(Suite.ED25519_ML_DSA_65, "offer", signed.payload or b"")
    forged = cose.Signed.parse(thief, "offer").signatures
    for pair in ((first, forged[1]), (forged[0], second), (second, first), (first, first), (second, second)):
        with refused(Reason.OFFER_SIGNATURE):
            check_offer(
                pin_of(Suite.ED25519_ML_DSA_65),
                Offer(cose.Signed(signed.payload, pair).encode(), None).encode(),
            )


def test_one_signature_is_not_suite_2() -> None:
    body = make_offer(TERMS, _identity(Suite.ED25519_ML_DSA_65), FixedDraw("offer")).body
    single = keys("identity").sign(Suite.ED25519, "offer", body.encode())
    with refused(Reason.OFFER_SIGNATURE):
        check_offer(pin_of(Suite.ED25519), Offer(single, None).encode())


def test_two_signatures_are_not_suite_1() -> None:
    body = make_offer(TERMS, _identity(Suite.ED25519), FixedDraw("offer")).body
    both = keys("identity").sign(Suite.ED25519_ML_DSA_65, "offer", body.encode())
    with refused(Reason.OFFER_SIGNATURE):
        check_offer(pin_of(Suite.ED25519), Offer(both, None).encode())


def test_an_edit_of_any_part_of_the_body_is_refused(suite: Suite) -> None:
    data = make_offer(TERMS, _identity(suite), FixedDraw("offer")).data
    signed = cose.Signed.parse(Offer.parse(data).signed, "offer")
    body = read_offer(data)
    for change in (
        {"nonce": bytes(32)},
        {"kem_key": bytes(1216)},
        {"delete_after": body.delete_after + 1},
        {"epoch": 8},
        {"minimum_epoch": 7},
        {"policy_hash": bytes(32)},
        {"epoch0_limit": None},
    ):
        edited = replace(signed, payload=replace(body, **change).encode())
        with refused(Reason.OFFER_SIGNATURE):
            check_offer(pin_of(suite), Offer(edited.encode(), None).encode())


def test_a_detached_offer_is_malformed(suite: Suite) -> None:
    body = make_offer(TERMS, _identity(suite), FixedDraw("offer")).body
    detached = keys("identity").sign(suite, "offer", body.encode(), detached=True)
    with pytest.raises(Malformed):
        check_offer(pin_of(suite), Offer(detached, None).encode())


def test_only_an_identitys_offer_revokes(suite: Suite) -> None:
    """A thief of an operational key must not be able to revoke the others."""
    terms = replace(TERMS, minimum_epoch=7)
    for operational, minimum in ((False, 7), (True, 0)):
        world = World(suite, operational, terms)
        handshake = world.handshake()
        handshake.offer(world.made.data)
        assert (handshake.highest_epoch, handshake.minimum_epoch) == (7, minimum)


def test_a_refused_offer_teaches_nothing() -> None:
    world = World(terms=replace(TERMS, epoch=50, minimum_epoch=50, audience="other.example"))
    handshake = world.handshake()
    with refused(Reason.AUDIENCE_MISMATCH):
        handshake.offer(world.made.data)
    assert (handshake.highest_epoch, handshake.minimum_epoch) == (0, 0)


def test_an_enclave_remembers_the_highest_epoch_for_its_next_handshake() -> None:
    world = World()
    handshake = world.handshake()
    handshake.offer(world.made.data)
    following = world.handshake(highest_epoch=handshake.highest_epoch)
    with refused(Reason.OFFER_TOO_OLD):
        following.offer(World(terms=replace(TERMS, epoch=6)).made.data)


def test_signing_keys_have_one_form() -> None:
    made = keys("identity")
    assert SigningKeys(made.private_bytes()).public == made.public
    for size in (0, 63, 65):
        with pytest.raises(ValueError, match="need 64 bytes"):
            SigningKeys(bytes(size))
