"""Attestation results as tokens: signed, checked, altered; and read by libraries that know the RFCs only."""

import json
import warnings

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session.results import Form, Token, check_token, read_token, sign_token
from intaglio.wire import cose, jws
from intaglio.wire.identity import Pin, Suite
from tests.conftest import missing
from tests.feeding import feed
from tests.session.world import keys, pin_of, refused
from tests.wire.test_ear import FULL

SIGNER, OTHER = keys("identity"), keys("other")
PIN = pin_of(Suite.ED25519, "identity")


def checked(token: bytes, pin: Pin = PIN) -> Token:
    found = read_token(token)
    check_token(found, pin)
    return found


@pytest.mark.parametrize("form", Form)
def test_a_token_is_accepted_under_its_pin_and_no_other(form: Form) -> None:
    token = sign_token(SIGNER, FULL, form)
    found = checked(token)
    assert (found.form, found.ear, found.algorithm) == (form, FULL, "EdDSA")
    assert checked(token, pin_of(Suite.ED25519_ML_DSA_65, "other", "identity")).ear == FULL
    with refused(Reason.RESULT_SIGNATURE):
        checked(token, pin_of(Suite.ED25519, "other"))
    with refused(Reason.RESULT_SIGNATURE):
        checked(sign_token(OTHER, FULL, form))


@pytest.mark.parametrize("form", Form)
def test_no_altered_token_is_accepted(form: Form) -> None:
    token = sign_token(SIGNER, FULL, form)
    feed(checked_or_malformed, token, may_follow=b"\n" if form is Form.JWT else b"")
    for at in range(0, len(token), 7):
        altered = token[:at] + bytes((token[at] ^ 1,)) + token[at + 1 :]
        with pytest.raises((Malformed, Rejected)):
            checked(altered)


def checked_or_malformed(token: bytes) -> Token:
    try:
        return checked(token)
    except Rejected as rejected:
        raise Malformed("token", rejected.reason.name) from rejected


def test_no_other_algorithm_is_accepted() -> None:
    for alg in ("none", "HS256", "ES256", ""):
        signed = jws.signing_input({"alg": alg}, FULL.to_json())
        for signature in (b"", SIGNER.sign_unlabelled(signed)):
            with refused(Reason.RESULT_SIGNATURE):
                checked(jws.encode(signed, signature))
    for alg in ("EdDSA", "Ed25519"):
        signed = jws.signing_input({"alg": alg}, FULL.to_json())
        assert checked(jws.encode(signed, SIGNER.sign_unlabelled(signed))).key == ""


@pytest.mark.parametrize("header", [{}, {"alg": 1}, {"alg": "EdDSA", "kid": 7}])
def test_a_header_of_another_shape_is_malformed(header: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        read_token(jws.encode(jws.signing_input(header, FULL.to_json()), b""))


def test_a_message_of_the_protocol_is_no_token_and_a_token_no_message() -> None:
    """The label in external_aad keeps them apart, in both directions."""
    kid = cose.Signed.parse(sign_token(SIGNER, FULL, Form.CWT), "cwt").signatures[0].kid
    payload = cose.Signed.parse(sign_token(SIGNER, FULL, Form.CWT), "cwt").payload
    assert payload is not None
    labelled = SIGNER.sign(Suite.ED25519, "offer", payload)
    with refused(Reason.RESULT_SIGNATURE):
        checked(labelled)
    protected = cose.Signature(cose.ALG_EDDSA, kid, b"").protected
    message = cose.to_be_signed(protected, single=True, label="offer", payload=payload)
    assert message != cose.plain_to_be_signed(protected, payload)


def test_another_library_verifies_the_jwt() -> None:
    try:
        import jwt
    except ImportError:
        missing("PyJWT, which make setup installs")
    key = Ed25519PublicKey.from_public_bytes(SIGNER.public.ed25519)
    token = sign_token(SIGNER, FULL, Form.JWT).decode()
    assert jwt.get_unverified_header(token)["typ"] == "eat+jwt"
    claims = jwt.decode(token, key, algorithms=["EdDSA"], options={"verify_exp": False, "verify_iat": False})
    assert claims == json.loads(FULL.to_json())
    ours = jwt.encode(FULL.to_claims(), _private(), algorithm="EdDSA").encode()
    assert checked(ours).ear == FULL
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, Ed25519PublicKey.from_public_bytes(OTHER.public.ed25519), algorithms=["EdDSA"])


def test_another_library_verifies_the_cwt() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pycose.keys import OKPKey
        from pycose.keys.curves import Ed25519
        from pycose.messages import Sign1Message
    token = sign_token(SIGNER, FULL, Form.CWT)
    message = Sign1Message.from_cose_obj(cbor2.loads(token[1:]), True)
    message.key = OKPKey(crv=Ed25519, x=SIGNER.public.ed25519)
    assert message.verify_signature()
    assert cbor2.loads(message.payload)[265] == "tag:ietf.org,2026:rats/ear#03"
    message.key = OKPKey(crv=Ed25519, x=OTHER.public.ed25519)
    assert not message.verify_signature()


def _private() -> object:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(SIGNER.private_bytes()[:32])
