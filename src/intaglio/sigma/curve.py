"""The service provider's signing key on P-256, as Intel's SDK lays it out: scalars and signatures little-endian."""

from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session.intel_keys import KeyPair, check_point

__all__ = ["POINT", "SIGNATURE", "KeyPair", "ProviderKey", "check_point", "check_signature"]

POINT = 64
SIGNATURE = 64
_ECDSA = ec.ECDSA(SHA256())


class ProviderKey(KeyPair):
    """The service provider's long-term key, whose public half its enclaves hold in measured memory."""

    __slots__ = ()

    @classmethod
    def parse(cls, data: bytes) -> Self:
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


def check_signature(signer: bytes, signature: bytes, message: bytes) -> None:
    """`signer` is the pinned point. Raises `Rejected(PROVIDER_SIGNATURE)`."""
    r, s = int.from_bytes(signature[:32], "little"), int.from_bytes(signature[32:], "little")
    try:
        check_point(signer, "provider_key").verify(encode_dss_signature(r, s), message, _ECDSA)
    except InvalidSignature as error:
        raise Rejected(Reason.PROVIDER_SIGNATURE, expected=f"a signature by {signer.hex()}") from error
