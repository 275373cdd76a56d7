"""ECDSA over P-256 with SHA-256: the only signature in Intel's SGX world. Failure is an exception, never a boolean."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from intaglio.errors import Rejected
from intaglio.reasons import Reason

__all__ = ["P256Key"]

_CURVE = SECP256R1()
_ALGORITHM = ECDSA(SHA256())


class P256Key:
    """A public key that was checked to be a point on the curve."""

    __slots__ = ("_key",)

    def __init__(self, point: bytes, reason: Reason) -> None:
        """`point` is x || y (64 bytes), or that after 04. Raises `Rejected` with `reason` for anything else."""
        encoded = b"\4" + point if len(point) == 64 else point
        try:
            self._key = EllipticCurvePublicKey.from_encoded_point(_CURVE, encoded)
        except ValueError as error:
            raise Rejected(
                reason, expected="a point on P-256", found=f"{point.hex() or 'another kind of key'}"
            ) from error

    def check_raw(self, signature: bytes, signed: bytes, reason: Reason) -> None:
        """`signature` is r || s, big-endian. Raises `Rejected` with `reason`."""
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        self.check(encode_dss_signature(r, s), signed, reason)

    def check(self, signature: bytes, signed: bytes, reason: Reason) -> None:
        """`signature` is DER. Raises `Rejected` with `reason`."""
        try:
            self._key.verify(signature, signed, _ALGORITHM)
        except InvalidSignature as error:
            raise Rejected(reason, expected="a valid signature", found="the signature does not verify") from error
