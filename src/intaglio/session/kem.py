"""The hybrid KEM: HPKE base mode (RFC 9180) with X25519+ML-KEM-768, carrying a fresh 32-byte secret.

The combiner is the cryptography package's; nothing here is hand-made. HPKE takes no randomness from a caller, so test
vectors fix private keys and test encapsulation by round trip.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.types import Draw
from intaglio.wire import cbor
from intaglio.wire.offer import KEM_PUBLIC_KEY

__all__ = [
    "INFO_OFFER", "INFO_PEER_OFFER", "INFO_PEER_REPLY", "INFO_REPLY", "INFO_VERDICT", "PRIVATE_KEY", "KemPrivateKey",
    "encapsulate", "seal",
]  # fmt: skip

_HPKE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MLKEM_SEED = 64
_MLKEM_PUBLIC = 1184

PRIVATE_KEY = 96
"""Bytes of a serialised private key: the ML-KEM-768 seed (64) and the X25519 private key (32)."""

INFO_OFFER = cbor.labelled("kem offer")
"""HPKE info for secrets to an offer's key."""
INFO_REPLY = cbor.labelled("kem reply")
"""HPKE info for secrets to a hello's reply key."""
INFO_VERDICT = cbor.labelled("kem verdict")
"""HPKE info for a rejection's verdict to a hello's reply key."""
INFO_PEER_OFFER = cbor.labelled("kem peer offer")
"""HPKE info for secrets to the key of a peer's offer."""
INFO_PEER_REPLY = cbor.labelled("kem peer reply")
"""HPKE info for secrets to the reply key of a peer's hello."""


class KemPrivateKey:
    """A private key of the hybrid KEM. Its bytes never appear in its repr."""

    __slots__ = ("_key", "_seed", "public")

    def __init__(self, seed: bytes) -> None:
        """`seed`: 96 bytes, as `private_bytes` returns them. Raises ValueError for another length."""
        if len(seed) != PRIVATE_KEY:
            raise ValueError(f"need {PRIVATE_KEY} bytes, found {len(seed)}")
        mlkem = MLKEM768PrivateKey.from_seed_bytes(seed[:_MLKEM_SEED])
        x25519 = X25519PrivateKey.from_private_bytes(seed[_MLKEM_SEED:])
        self._seed = seed
        self._key = MLKEM768X25519PrivateKey(mlkem_key=mlkem, x25519_key=x25519)
        self.public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, draw: Draw) -> "KemPrivateKey":
        return cls(draw(PRIVATE_KEY))

    def private_bytes(self) -> bytes:
        """96 bytes, secret."""
        return self._seed

    def decapsulate(self, ciphertext: bytes, info: bytes, reason: Reason) -> bytes:
        """The 32-byte secret in `ciphertext` (1168 bytes). Raises `Rejected(reason)`."""
        secret = self.open(ciphertext, info, reason)
        if len(secret) != 32:
            raise Rejected(reason, expected="a 32-byte secret", found=f"{len(secret)} bytes")
        return secret

    def open(self, ciphertext: bytes, info: bytes, reason: Reason) -> bytes:
        """What `seal` sealed to this key. Raises `Rejected(reason)`."""
        try:
            return _HPKE.decrypt(ciphertext, self._key, info=info)
        except (InvalidTag, ValueError) as error:
            raise Rejected(reason, expected="a ciphertext for this key") from error


def encapsulate(public: bytes, info: bytes, draw: Draw) -> tuple[bytes, bytes]:
    """A fresh 32-byte secret and its ciphertext (1168 bytes) to a public key (1216 bytes). Raises `Malformed`."""
    secret = draw(32)
    return secret, seal(public, secret, info)


def seal(public: bytes, plaintext: bytes, info: bytes) -> bytes:
    """`plaintext` for the holder of `public` (1216 bytes) only. Raises `Malformed` for bytes that are no key."""
    if len(public) != KEM_PUBLIC_KEY:
        raise Malformed("kem public key", f"need {KEM_PUBLIC_KEY} bytes, found {len(public)}")
    try:
        key = MLKEM768X25519PublicKey(
            mlkem_key=MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC]),
            x25519_key=X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:]),
        )
        return _HPKE.encrypt(plaintext, key, info=info)
    except ValueError as error:
        raise Malformed("kem public key", f"not a key ({error})") from error
