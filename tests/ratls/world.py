"""Certificates with evidence, taken apart and put together again, over the simulator's real quotes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from intaglio.ratls.make import make_certificate
from intaglio.ratls.verify import Attested, RatlsVerifier
from intaglio.types import ReportData, Tee, UnixTime
from intaglio.wire import der
from tests.gateway.world import NOON
from tests.sigma.world import party

KEY = derive_private_key(0xC0FFEE, SECP256R1())
OTHER_KEY = derive_private_key(0xBAD, SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "meter")])
DICE_OID, OE_OID, GRAMINE_OID = "2.23.133.5.4.9", "1.3.6.1.4.1.311.105.1", "1.2.840.113741.1337.6"
GRAMINE_WIRE_OID = "0.6.9.42.840.113741.1337.6"


def spki(key: EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem_of_key(key: EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@lru_cache(64)
def quote_over(hashed: bytes) -> bytes:
    return party().attester().evidence(ReportData(hashed + bytes(64 - len(hashed))))


def quote(report_data: ReportData) -> bytes:
    return quote_over(bytes(report_data))


@lru_cache(1)
def made() -> bytes:
    return make_certificate(KEY, quote, tee=Tee.SGX, name="meter", serial=7, not_before=NOON, lifetime=3600)


@dataclass(frozen=True, slots=True)
class Ext:
    oid: str
    value: bytes
    critical: bool = False


def certificate(
    *extensions: Ext, key: EllipticCurvePrivateKey = KEY, signer: EllipticCurvePrivateKey | None = None
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime.fromtimestamp(NOON, UTC))
        .not_valid_after(datetime.fromtimestamp(NOON + 3600, UTC))
    )
    for each in extensions:
        oid = x509.ObjectIdentifier(each.oid)
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, each.value), each.critical)
    return builder.sign(signer or key, SHA256()).public_bytes(Encoding.DER)


def with_null(data: bytes, key: EllipticCurvePrivateKey = KEY) -> bytes:
    """As mbedTLS writes it: the AlgorithmIdentifier of ECDSA with an explicit NULL, signed again."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    plain, odd = bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("300c06082a8648ce3d0403020500")
    signed, _ = der.raw(der.sole(data, der.SEQUENCE, "c"), 0, "c")
    content = der.sole(signed, der.SEQUENCE, "c").replace(plain, odd, 1)
    again = der.encode(der.SEQUENCE, content)
    signature = key.sign(again, ECDSA(SHA256()))
    return der.encode(der.SEQUENCE, again + odd + der.encode(0x03, b"\0" + signature))


def verify(data: bytes, at: UnixTime = NOON, *, collateral: bool = True) -> Attested:
    return RatlsVerifier(party().verifier).verify(data, party().collateral if collateral else None, at)


Make = Callable[[], bytes]
