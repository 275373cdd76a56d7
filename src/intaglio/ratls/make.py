"""Making a certificate that carries evidence: TCG DICE tagged evidence, which Gramine and others verify today.

Its report data are a bare hash, as that format has it, in the first half of the field and zeros in the second; the main
protocol's fill all of it. So neither can be taken for the other, even of one enclave that makes both.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from intaglio.errors import Malformed
from intaglio.ratls.evidence import claims_hash, encode_claims, encode_dice
from intaglio.types import ReportData, Tee, UnixTime

__all__ = ["make_certificate"]

_DICE = x509.ObjectIdentifier("2.23.133.5.4.9")
MAX_LIFETIME = 366 * 86400
"""Evidence ages with its collateral: a certificate for decades, as frameworks make them, only looks valid."""


def make_certificate(
    key: EllipticCurvePrivateKey,
    quote: Callable[[ReportData], bytes],
    *,
    tee: Tee,
    name: str,
    serial: int,
    not_before: UnixTime,
    lifetime: int,
    nonce: bytes | None = None,
) -> bytes:
    """A self-signed certificate (DER) of `key`, with evidence from `quote` over its hash. `nonce`: the verifier's
    challenge, if it sent one; `serial`: random, 1 to 20 bytes. Raises `Malformed` for other than SGX and TDX, or a
    lifetime that is none, and what `quote` raises."""
    if tee not in (Tee.SGX, Tee.TDX):
        raise Malformed("tee", f"this format carries quotes of SGX and TDX, not of {tee.value}")
    if not 0 < lifetime <= MAX_LIFETIME:
        raise Malformed("lifetime", f"need 1 to {MAX_LIFETIME} seconds, found {lifetime}")
    key_info = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    claims = encode_claims(key_info, nonce)
    hashed = claims_hash(tee, claims)
    evidence = quote(ReportData(hashed + bytes(64 - len(hashed))))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(datetime.fromtimestamp(not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(not_before + lifetime, UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.UnrecognizedExtension(_DICE, encode_dice(evidence, claims)), critical=False)
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)
