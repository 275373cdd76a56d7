"""The enclave vendor's side: an RSA-3072 key with exponent 3, and the SIGSTRUCT it signs.

SGX accepts exactly this key size, exponent and padding (PKCS#1 v1.5 with SHA-256); Intel's sgx_sign and Gramine
make the same structure. The vendor decides here whether its enclave can ever run in debug mode: where
`attributes_mask` leaves the DEBUG bit out, the host chooses at launch.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from intaglio.files import create_private
from intaglio.types import Measurement, UnixTime
from intaglio.wire.sgx import AttributeFlag, Attributes
from intaglio.wire.sigstruct import Sigstruct

__all__ = [
    "EnclaveTerms",
    "generate_vendor_key",
    "load_vendor_key",
    "resign",
    "save_vendor_key",
    "sign_enclave",
    "signer_of",
]

RSA_BITS = 3072
EXPONENT = 3
XFRM_BASE = 3
"""x87 and SSE state, the least that SGX allows and all that the simulated enclaves use."""
_ALL = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class EnclaveTerms:
    """What a vendor says of an enclave beside its measurement. `flags` are required attribute flags, INIT
    aside.

    `debuggable`: the mask leaves DEBUG to the host, as most vendors' default tools do. Refuse it in policy, not
    by hope.
    """

    isv_prod_id: int = 1
    isv_svn: int = 1
    flags: int = AttributeFlag.MODE64
    debuggable: bool = True
    isv_family_id: bytes = bytes(16)
    isv_ext_prod_id: bytes = bytes(16)


def generate_vendor_key() -> rsa.RSAPrivateKey:
    """A fresh signing key. Takes a good part of a second."""
    return rsa.generate_private_key(public_exponent=EXPONENT, key_size=RSA_BITS)


def save_vendor_key(key: rsa.RSAPrivateKey, path: Path) -> None:
    """PKCS#8 PEM, readable by its owner only. Raises FileExistsError rather than replace a key."""
    create_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def load_vendor_key(path: Path) -> rsa.RSAPrivateKey:
    """Raises `ValueError` for anything but an RSA key of 3,072 bits with exponent 3: SGX takes no other."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != RSA_BITS:
        raise ValueError(f"{path.name}: not an RSA key of {RSA_BITS} bits")
    if key.public_key().public_numbers().e != EXPONENT:
        raise ValueError(f"{path.name}: exponent is not {EXPONENT}")
    return key


def signer_of(key: rsa.RSAPrivateKey) -> Measurement:
    """MRSIGNER of every enclave that this key signs."""
    return _unsigned(key, Measurement(bytes(32)), EnclaveTerms(), date=20000101).mr_signer


def sign_enclave(key: rsa.RSAPrivateKey, mr_enclave: Measurement, terms: EnclaveTerms, *, now: UnixTime) -> Sigstruct:
    """SIGSTRUCT for `mr_enclave`, dated on the day of `now`."""
    date = int(datetime.fromtimestamp(now, UTC).strftime("%Y%m%d"))
    unsigned = _unsigned(key, mr_enclave, terms, date=date)
    return resign(key, unsigned)


def resign(key: rsa.RSAPrivateKey, sigstruct: Sigstruct) -> Sigstruct:
    """`sigstruct` with a fresh signature by `key`, whose modulus it must already carry."""
    signature = key.sign(sigstruct.signed_bytes, padding.PKCS1v15(), SHA256())
    return sigstruct.signed(int.from_bytes(signature, "big"))


def _unsigned(key: rsa.RSAPrivateKey, mr_enclave: Measurement, terms: EnclaveTerms, *, date: int) -> Sigstruct:
    free = AttributeFlag.INIT | (AttributeFlag.DEBUG if terms.debuggable else 0)
    return Sigstruct(
        vendor=0,
        date=date,
        software_defined=0,
        modulus=key.public_key().public_numbers().n,
        exponent=EXPONENT,
        signature=0,
        misc_select=0,
        misc_mask=0xFFFFFFFF,
        cet_attributes=0,
        cet_attributes_mask=0xFF,
        isv_family_id=terms.isv_family_id,
        attributes=Attributes(terms.flags, XFRM_BASE),
        attributes_mask=Attributes(_ALL & ~free, _ALL),
        enclave_hash=mr_enclave,
        isv_ext_prod_id=terms.isv_ext_prod_id,
        isv_prod_id=terms.isv_prod_id,
        isv_svn=terms.isv_svn,
        q1=0,
        q2=0,
    )
