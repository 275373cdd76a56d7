"""The data centre's signatures: identity keys, the operational keys they certify, and what an enclave accepts.

An enclave trusts what its measured `Pin` names and nothing else. An operational key is accepted through a certificate
signed by a pinned identity, for the use, audience and offer epochs that the certificate states.
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.types import Draw
from intaglio.wire import cbor, cose
from intaglio.wire.identity import KeyCertificate, KeyUse, Pin, PublicKeys, Suite

__all__ = [
    "PRIVATE_KEYS",
    "Signer",
    "SigningKeys",
    "certify",
    "trusted_keys",
    "verify_by",
    "verify_signed",
]

PRIVATE_KEYS = 64
"""Bytes of serialised signing keys: Ed25519 private key (32) and ML-DSA-65 seed (32)."""


class SigningKeys:
    """An Ed25519 and an ML-DSA-65 private key. Both exist always; the suite decides which sign."""

    __slots__ = ("_ed25519", "_headers", "_ml_dsa_65", "_seed", "public")

    def __init__(self, seed: bytes) -> None:
        """`seed`: 64 bytes, as `private_bytes` returns them."""
        if len(seed) != PRIVATE_KEYS:
            raise ValueError(f"need {PRIVATE_KEYS} bytes, found {len(seed)}")
        self._seed = seed
        self._ed25519 = Ed25519PrivateKey.from_private_bytes(seed[:32])
        self._ml_dsa_65 = MLDSA65PrivateKey.from_seed_bytes(seed[32:])
        self.public = PublicKeys(
            self._ed25519.public_key().public_bytes_raw(), self._ml_dsa_65.public_key().public_bytes_raw()
        )
        pairs = ((cose.ALG_EDDSA, self.public.ed25519), (cose.ALG_ML_DSA_65, self.public.ml_dsa_65 or b""))
        self._headers = [(alg, key_id(key), cose.Signature(alg, key_id(key), b"").protected) for alg, key in pairs]

    @classmethod
    def generate(cls, draw: Draw) -> "SigningKeys":
        return cls(draw(PRIVATE_KEYS))

    def private_bytes(self) -> bytes:
        """64 bytes, secret."""
        return self._seed

    def sign(self, suite: Suite, label: str, payload: bytes, *, detached: bool = False) -> bytes:
        """A COSE signature over `payload` under `label`: Sign1 in suite 1, Sign with two signatures in suite 2."""
        single = suite is Suite.ED25519
        made: list[cose.Signature] = []
        for alg, kid, protected in self._headers[:1] if single else self._headers:
            message = cose.to_be_signed(protected, single=single, label=label, payload=payload)
            value = self._ed25519.sign(message) if alg == cose.ALG_EDDSA else self._ml_dsa_65.sign(message)
            made.append(cose.Signature(alg, kid, value))
        return cose.Signed(None if detached else payload, tuple(made)).encode()

    def sign_unlabelled(self, message: bytes) -> bytes:
        """Ed25519 over what another standard defines (a JWT, a CWT). The message must be framed by that standard: our
        own structures hold a label, and these never do."""
        return self._ed25519.sign(message)


@dataclass(frozen=True, slots=True)
class Signer:
    """What a data centre signs with: its identity keys, or operational keys and the certificate that vouches for them
    (COSE bytes from `certify`)."""

    suite: Suite
    keys: SigningKeys
    certificate: bytes | None = None

    def sign(self, label: str, payload: bytes, *, detached: bool = False) -> bytes:
        return self.keys.sign(self.suite, label, payload, detached=detached)


def key_id(public: bytes) -> bytes:
    """COSE kid: the first 8 bytes of the key's digest."""
    return cbor.digest("kid", public)[:8]


def certify(suite: Suite, identity: SigningKeys, certificate: KeyCertificate) -> bytes:
    """The certificate of an operational key (COSE bytes), signed by an identity key."""
    return identity.sign(suite, "key", certificate.encode())


def verify_signed(keys: PublicKeys, suite: Suite, label: str, signed: cose.Signed, payload: bytes) -> None:
    """Checks every signature that `suite` requires, in its order and no other. Raises InvalidSignature."""
    wanted = [(cose.ALG_EDDSA, keys.ed25519)]
    if suite is Suite.ED25519_ML_DSA_65:
        if keys.ml_dsa_65 is None:
            raise InvalidSignature
        wanted.append((cose.ALG_ML_DSA_65, keys.ml_dsa_65))
    if len(signed.signatures) != len(wanted):
        raise InvalidSignature
    for entry, (alg, public) in zip(signed.signatures, wanted, strict=True):
        if entry.alg != alg or entry.kid != key_id(public):
            raise InvalidSignature
        message = cose.to_be_signed(entry.protected, single=len(wanted) == 1, label=label, payload=payload)
        if alg == cose.ALG_EDDSA:
            Ed25519PublicKey.from_public_bytes(public).verify(entry.value, message)
        else:
            MLDSA65PublicKey.from_public_bytes(public).verify(entry.value, message)


def trusted_keys(
    pin: Pin, suite: Suite, certificate: bytes | None, use: KeyUse, epoch: int, minimum_epoch: int, reason: Reason
) -> tuple[PublicKeys, ...]:
    """The keys that may sign for `use` in offer epoch `epoch`: the pinned identities or, where a certificate is given,
    the key it certifies. Raises `Rejected(reason)`, or OFFER_TOO_OLD for a revoked certificate."""
    if certificate is None:
        return pin.identities
    signed = cose.Signed.parse(certificate, "certificate")
    if signed.payload is None:
        raise Malformed("certificate", "has no payload")
    _by_one_of(pin.identities, suite, "key", signed, signed.payload, reason)
    body = KeyCertificate.parse(signed.payload)
    if body.audience != pin.audience:
        raise Rejected(Reason.AUDIENCE_MISMATCH, expected=pin.audience, found=body.audience)
    if use not in body.uses:
        raise Rejected(reason, expected=f"a key certified for {use.name}", found=str(body.uses))
    if not body.epoch_from <= epoch <= body.epoch_to:
        raise Rejected(reason, expected=f"epoch {body.epoch_from} to {body.epoch_to}", found=epoch)
    if body.epoch_from < minimum_epoch:
        raise Rejected(Reason.OFFER_TOO_OLD, expected=f"a key certified from {minimum_epoch}", found=body.epoch_from)
    return (body.keys,)


def verify_by(
    keys: tuple[PublicKeys, ...], suite: Suite, label: str, data: bytes, payload: bytes | None, reason: Reason
) -> bytes:
    """The payload of the COSE message `data` (or `payload`, where it is detached), signed by one of `keys`.
    Raises `Malformed` or `Rejected(reason)`."""
    signed = cose.Signed.parse(data, label)
    if (signed.payload is None) == (payload is None):
        raise Malformed(label, "payload must be " + ("attached" if payload is None else "detached"))
    content = signed.payload if payload is None else payload
    if content is None:
        raise Malformed(label, "has no payload")
    _by_one_of(keys, suite, label, signed, content, reason)
    return content


def _by_one_of(
    keys: tuple[PublicKeys, ...], suite: Suite, label: str, signed: cose.Signed, payload: bytes, reason: Reason
) -> None:
    for candidate in keys:
        try:
            verify_signed(candidate, suite, label, signed, payload)
        except InvalidSignature:
            continue
        return
    raise Rejected(reason, expected="a signature by a key that is trusted for this")
