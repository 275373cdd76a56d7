"""Public keys and what they signed: Intel signs with P-256, AWS with P-384, AMD with RSA-PSS. Failure is an exception,
never a boolean."""

from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.wire.x509 import Certificate, SignatureAlgorithm

__all__ = ["Key", "P256Key", "P384Key", "RsaKey", "issuer_key"]

_P256, _P384 = SECP256R1(), SECP384R1()
_SHA256, _SHA384 = SHA256(), SHA384()
_ECDSA_SHA256, _ECDSA_SHA384 = ECDSA(_SHA256), ECDSA(_SHA384)
_RSA: dict[SignatureAlgorithm, tuple[AsymmetricPadding, HashAlgorithm]] = {
    SignatureAlgorithm.RSA_PKCS1_SHA256: (PKCS1v15(), _SHA256),
    SignatureAlgorithm.RSA_PSS_SHA384: (PSS(MGF1(_SHA384), 48), _SHA384),
}
MIN_RSA_BITS = 2048
"""Intel's attestation service signed its reports with 2048 bits, AMD's authorities have 4096."""


class Key(Protocol):
    """A public key for one algorithm."""

    @property
    def algorithm(self) -> SignatureAlgorithm: ...

    def check(self, signature: bytes, signed: bytes, reason: Reason) -> None:
        """`signature` as it stands in certificates. Raises `Rejected` with `reason`."""
        ...


class P256Key:
    """A public key that was checked to be a point on the curve."""

    __slots__ = ("_key",)
    algorithm = SignatureAlgorithm.ECDSA_SHA256

    def __init__(self, point: bytes, reason: Reason) -> None:
        """`point` is x || y (64 bytes), or that after 04. Raises `Rejected` with `reason` for anything else."""
        encoded = b"\4" + point if len(point) == 64 else point
        try:
            self._key = EllipticCurvePublicKey.from_encoded_point(_P256, encoded)
        except ValueError as error:
            raise Rejected(
                reason, expected="a point on P-256", found=f"{point.hex() or 'another kind of key'}"
            ) from error

    def check_raw(self, signature: bytes, signed: bytes, reason: Reason) -> None:
        """`signature` is r || s, big-endian (64 bytes). Raises `Rejected` with `reason`."""
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        self.check(encode_dss_signature(r, s), signed, reason)

    def check(self, signature: bytes, signed: bytes, reason: Reason) -> None:
        """`signature` is DER. Raises `Rejected` with `reason`."""
        try:
            self._key.verify(signature, signed, _ECDSA_SHA256)
        except InvalidSignature as error:
            raise _refused(reason) from error


class P384Key:
    """A public key on P-384, out of a certificate."""

    __slots__ = ("_key",)
    algorithm = SignatureAlgorithm.ECDSA_SHA384

    def __init__(self, key_info: bytes, reason: Reason) -> None:
        """`key_info` is a SubjectPublicKeyInfo. Raises `Rejected` with `reason` for any other key."""
        key = _load(key_info, reason)
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP384R1):
            raise Rejected(reason, expected="a key on P-384", found="another kind of key")
        self._key = key

    def check_scalars(self, r: int, s: int, signed: bytes, reason: Reason) -> None:
        """For formats that have the two numbers apart. Raises `Rejected` with `reason`."""
        self.check(encode_dss_signature(r, s), signed, reason)

    def check_raw(self, signature: bytes, signed: bytes, reason: Reason) -> None:
        """`signature` is r || s, big-endian (96 bytes; any other length is none). Raises `Rejected` with `reason`."""
        if len(signature) != 96:
            raise Rejected(reason, expected="96 bytes of signature", found=len(signature))
        self.check_scalars(int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big"), signed, reason)

    def check(self, signature: bytes, signed: bytes, reason: Reason) -> None:
        """`signature` is DER. Raises `Rejected` with `reason`."""
        try:
            self._key.verify(signature, signed, _ECDSA_SHA384)
        except InvalidSignature as error:
            raise _refused(reason) from error


class RsaKey:
    """An RSA public key for one of the algorithms that these PKIs use it for."""

    __slots__ = ("_hash", "_key", "_padding", "algorithm")

    def __init__(self, key_info: bytes, algorithm: SignatureAlgorithm, reason: Reason) -> None:
        """`key_info` is a SubjectPublicKeyInfo. Raises `Rejected` with `reason` for any other key, and for one of fewer
        than `MIN_RSA_BITS` bits."""
        key = _load(key_info, reason)
        if not isinstance(key, RSAPublicKey) or key.key_size < MIN_RSA_BITS:
            raise Rejected(reason, expected=f"an RSA key of at least {MIN_RSA_BITS} bits", found="another kind of key")
        self._key = key
        self.algorithm = algorithm
        self._padding, self._hash = _RSA[algorithm]

    def check(self, signature: bytes, signed: bytes, reason: Reason) -> None:
        """Raises `Rejected` with `reason`."""
        try:
            self._key.verify(signature, signed, self._padding, self._hash)
        except InvalidSignature as error:
            raise _refused(reason) from error


def issuer_key(issuer: Certificate, algorithm: SignatureAlgorithm, reason: Reason) -> Key:
    """The key of `issuer` as one for such signatures. Raises `Rejected` with `reason` if it is of another kind."""
    if algorithm is SignatureAlgorithm.ECDSA_SHA256:
        return P256Key(issuer.public_key, reason)
    if algorithm is SignatureAlgorithm.ECDSA_SHA384:
        return P384Key(issuer.key_info, reason)
    return RsaKey(issuer.key_info, algorithm, reason)


def _load(key_info: bytes, reason: Reason) -> object:
    try:
        return load_der_public_key(key_info)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Rejected(reason, expected="a public key", found="one that can't be read") from error


def _refused(reason: Reason) -> Rejected:
    return Rejected(reason, expected="a valid signature", found="the signature does not verify")
