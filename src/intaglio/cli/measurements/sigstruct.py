"""A SIGSTRUCT as a file: what it says, once its signature holds.

It is what EINIT demands before an enclave runs, so whoever has it has the measurement and need not compute one.
"""

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from intaglio.cli.failure import Usage
from intaglio.errors import Malformed
from intaglio.wire.sgx import AttributeFlag
from intaglio.wire.sigstruct import SIGSTRUCT_SIZE, Sigstruct

__all__ = ["is_sigstruct", "production", "read_sigstruct", "signer"]

_KEY_BITS, _EXPONENT = 3072, 3
"""The only key that EINIT takes (SDM vol. 3D, 35.14)."""


def is_sigstruct(data: bytes) -> bool:
    """Whether this is to be read as one."""
    return len(data) == SIGSTRUCT_SIZE and data[:4] == bytes.fromhex("06000000")


def read_sigstruct(path: Path, data: bytes) -> Sigstruct:
    """Raises `Usage` for what is none, and for one that EINIT would refuse for its signature."""
    try:
        signed = Sigstruct.parse(data)
    except Malformed as error:
        raise Usage(f"{path}: not a SIGSTRUCT: {error}") from error
    if signed.exponent != _EXPONENT or signed.modulus.bit_length() != _KEY_BITS:
        raise Usage(f"{path}: not signed with RSA of 3072 bits and exponent 3, so no CPU runs it")
    if signed.signed(signed.signature) != signed:
        raise Usage(f"{path}: its q1 and q2 do not follow from its signature, so no CPU runs it")
    try:
        key = rsa.RSAPublicNumbers(_EXPONENT, signed.modulus).public_key()
        key.verify(signed.signature.to_bytes(_KEY_BITS // 8, "big"), signed.signed_bytes, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError) as error:
        raise Usage(f"{path}: its signature does not hold: it was changed after it was signed") from error
    return signed


def production(path: Path, signed: Sigstruct) -> Sigstruct:
    """The same, unless it is a debug enclave's: no strict policy accepts one. Raises `Usage`."""
    if signed.attributes.has(AttributeFlag.DEBUG):
        raise Usage(f"{path}: signed as a debug enclave, whose memory the host can read; sign it without debug")
    return signed


def signer(signed: Sigstruct) -> str:
    """Who signed it, as a comment of the policy."""
    return f"{signed.mr_signer.hex()}, product {signed.isv_prod_id}, SVN {signed.isv_svn}"
