"""AES-128-CMAC (RFC 4493), which SGX uses for its reports and Intel's SDK for its handshakes."""

import hmac

from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.cmac import CMAC

from intaglio.errors import Rejected
from intaglio.reasons import Reason

__all__ = ["aes_cmac", "check_cmac"]


def aes_cmac(key: bytes, message: bytes) -> bytes:
    """16 bytes, under a key of 16."""
    mac = CMAC(AES128(key))
    mac.update(message)
    return mac.finalize()


def check_cmac(key: bytes, message: bytes, found: bytes, reason: Reason, expected: str) -> None:
    """Raises `Rejected(reason)`. In constant time: whoever could watch it fail byte by byte could do without the
    key."""
    if not hmac.compare_digest(aes_cmac(key, message), found):
        raise Rejected(reason, expected=expected, found=found.hex())
