"""P-256 as Intel's SDK lays it out: coordinates, scalars and signatures little-endian, points as x ‖ y.

Every point from outside is checked to lie on the curve before anything is computed with it.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.types import Draw

__all__ = ["POINT", "SIGNATURE", "KeyPair", "ProviderKey", "check_point", "check_signature"]

POINT = 64
SIGNATURE = 64
_CURVE = ec.SECP256R1()
_ECDSA = ec.ECDSA(SHA256())
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the base point (SEC 2 §2.4.2)."""


class KeyPair:
    """One private key. A handshake draws a fresh one and drops it after a single agreement."""

    __slots__ = ("_key", "public")

    def __init__(self, scalar: int) -> None:
        """Raises `Malformed` unless 0 < scalar < the group's order."""
        if not 0 < scalar < _ORDER:
            raise Malformed("private_key", "not a scalar of P-256")
        self._key = ec.derive_private_key(scalar, _CURVE)
        numbers = self._key.public_key().public_numbers()
        self.public = numbers.x.to_bytes(32, "little") + numbers.y.to_bytes(32, "little")
        """64 bytes, as it travels."""

    @classmethod
    def draw(cls, draw: Draw) -> "KeyPair":
        # 16 bytes more than the order has: the remainder is as good as uniform (FIPS 186-5 A.2.1).
        return cls(1 + int.from_bytes(draw(48), "big") % (_ORDER - 1))

    def agree(self, theirs: bytes, field: str) -> bytes:
        """The x-coordinate of the shared point, 32 bytes little-endian. Raises `Malformed` for a point that is none."""
        return self._key.exchange(ec.ECDH(), check_point(theirs, field))[::-1]


class ProviderKey(KeyPair):
    """The service provider's long-term key, whose public half its enclaves hold in measured memory."""

    __slots__ = ()

    @classmethod
    def parse(cls, data: bytes) -> "ProviderKey":
        """32 bytes big-endian, as `private_bytes` gives them. Raises `Malformed`."""
        if len(data) != 32:
            raise Malformed("provider_key", f"need 32 bytes, found {len(data)}")
        return cls(int.from_bytes(data, "big"))

    def private_bytes(self) -> bytes:
        return self._key.private_numbers().private_value.to_bytes(32, "big")

    def sign(self, message: bytes) -> bytes:
        """r ‖ s, 64 bytes."""
        r, s = decode_dss_signature(self._key.sign(message, _ECDSA))
        return r.to_bytes(32, "little") + s.to_bytes(32, "little")


def check_point(point: bytes, field: str) -> ec.EllipticCurvePublicKey:
    """Raises `Malformed`, naming `field`, for 64 bytes that are no point of the curve."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, b"\4" + point[:32][::-1] + point[32:][::-1])
    except ValueError as error:
        raise Malformed(field, "not a point on P-256") from error


def check_signature(signer: bytes, signature: bytes, message: bytes) -> None:
    """`signer` is the pinned point. Raises `Rejected(PROVIDER_SIGNATURE)`."""
    r, s = int.from_bytes(signature[:32], "little"), int.from_bytes(signature[32:], "little")
    try:
        check_point(signer, "provider_key").verify(encode_dss_signature(r, s), message, _ECDSA)
    except InvalidSignature as error:
        raise Rejected(Reason.PROVIDER_SIGNATURE, expected=f"a signature by {signer.hex()}") from error
