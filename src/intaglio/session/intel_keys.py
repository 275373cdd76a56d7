"""How Intel's SDK agrees on keys: P-256 with points as x ‖ y, coordinates little-endian, and a derivation by AES-CMAC.

    KDK      = AES-CMAC(0^16, x of the shared point)
    K(label) = AES-CMAC(KDK, 0x01 ‖ label ‖ 0x00 ‖ 0x80 0x00)

0x80 0x00 is 128, the key's length in bits. Nothing of the transcript goes into a key: what the keys are good for has to
be bound by what they authenticate. Every point from outside is checked to lie on the curve before anything is computed
with it.
"""

from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec

from intaglio.errors import Malformed
from intaglio.types import Draw
from intaglio.verify.mac import aes_cmac

__all__ = ["KeyPair", "check_point", "derive_key", "secret_of"]

_CURVE = ec.SECP256R1()
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the base point (SEC 2 §2.4.2)."""
_POINT = 64
_BITS = (128).to_bytes(2, "little")


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
    def draw(cls, draw: Draw) -> Self:
        # 16 bytes more than the order has: the remainder is as good as uniform (FIPS 186-5 A.2.1).
        return cls(1 + int.from_bytes(draw(48), "big") % (_ORDER - 1))

    def agree(self, theirs: bytes, field: str) -> bytes:
        """The x-coordinate of the shared point, 32 bytes little-endian. Raises `Malformed` for a point that is none."""
        return self._key.exchange(ec.ECDH(), check_point(theirs, field))[::-1]


def check_point(point: bytes, field: str) -> ec.EllipticCurvePublicKey:
    """Raises `Malformed`, naming `field`, for bytes that are no point of the curve."""
    if len(point) != _POINT:
        raise Malformed(field, f"need {_POINT} bytes, found {len(point)}")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, b"\4" + point[:32][::-1] + point[32:][::-1])
    except ValueError as error:
        raise Malformed(field, "not a point on P-256") from error


def secret_of(shared: bytes) -> bytes:
    """KDK, from `KeyPair.agree`'s result: 16 bytes."""
    return aes_cmac(bytes(16), shared)


def derive_key(secret: bytes, label: bytes, context: bytes = b"") -> bytes:
    """CMAC(secret, 01 ‖ label ‖ 00 ‖ context ‖ 80 00): 16 bytes. Intel's labels SMK, SK, MK, VK and AEK have no
    context."""
    return aes_cmac(secret, b"\x01" + label + b"\x00" + context + _BITS)
