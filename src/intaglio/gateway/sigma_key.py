"""The service provider's key in a sealed file: what `intaglio sigma keygen` makes and `serve --sigma` opens.

It is apart from the keystore, because applications that exist already have a key of their own compiled in.
"""

from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from intaglio.errors import Malformed
from intaglio.gateway.config import Secret
from intaglio.gateway.sealed_file import SealedFile
from intaglio.sigma.curve import KeyPair, ProviderKey
from intaglio.wire import cbor

__all__ = ["create_sigma_key", "open_sigma_key", "pin_hash", "read_pem_key"]

_LABEL = cbor.LABEL_PREFIX + "sigma-key"


def read_pem_key(data: bytes) -> ProviderKey:
    """The unencrypted PEM of a P-256 private key, as OpenSSL writes it. Raises `Malformed`."""
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Malformed("provider_key", "not an unencrypted private key in PEM") from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise Malformed("provider_key", "not a key on P-256")
    return ProviderKey(key.private_numbers().private_value)


def create_sigma_key(path: Path, secret: Secret, key: ProviderKey) -> None:
    """Raises FileExistsError, `Misconfigured`."""
    SealedFile.create(path, secret, cbor.labelled("sigma-key", key.private_bytes()))


def open_sigma_key(path: Path, secret: Secret) -> ProviderKey:
    """Raises `Misconfigured` (missing, readable by others, wrong secret) and `Malformed` (damaged, another file)."""
    _, content = SealedFile.open(path, secret)
    items = cbor.decode(content, path.name)
    if not isinstance(items, list) or items[:1] != [_LABEL] or len(items) != 2:
        raise Malformed(path.name, "not a Sigma key")
    return ProviderKey.parse(cbor.bstr(items[1], path.name, 32))


def pin_hash(key: KeyPair) -> bytes:
    """What an enclave's CONFIGID holds that pins this key there: SHA-256 of the 64 bytes x ‖ y, little-endian."""
    return sha256(key.public).digest()
