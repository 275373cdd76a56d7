"""One X.509 certificate with evidence inside, read tolerantly where peers are known to write oddly.

mbedTLS writes ECDSA's AlgorithmIdentifier with a NULL, which RFC 5758 §3.2 forbids and many parsers refuse; and one
framework puts an encoded identifier inside an identifier. Nothing else is forgiven: DER is strict, an extension occurs
once, and whoever reads further gets bytes of stated lengths.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.verify.signature import MIN_RSA_BITS
from intaglio.wire import der
from intaglio.wire.x509 import MAX_CERTIFICATE
from intaglio.wire.x509_extensions import Extension, raw_extensions

__all__ = ["EvidenceCertificate"]

_BIT_STRING, _UTC_TIME, _GENERALIZED_TIME, _VERSION, _EXTENSIONS = 0x03, 0x17, 0x18, 0xA0, 0xA3
_AFTER_KEY = (0x81, 0x82, _EXTENSIONS)
"""Unique ids of issuer and subject, which nobody uses, and extensions: in this order, each once."""
_NULL = b"\x05\x00"

_HASHES: dict[str, tuple[type, HashAlgorithm | None]] = {
    "1.2.840.10045.4.3.2": (EllipticCurvePublicKey, SHA256()),
    "1.2.840.10045.4.3.3": (EllipticCurvePublicKey, SHA384()),
    "1.2.840.10045.4.3.4": (EllipticCurvePublicKey, SHA512()),
    "1.2.840.113549.1.1.11": (RSAPublicKey, SHA256()),
    "1.2.840.113549.1.1.12": (RSAPublicKey, SHA384()),
    "1.2.840.113549.1.1.13": (RSAPublicKey, SHA512()),
    "1.3.101.112": (Ed25519PublicKey, None),
}
"""Kind of key and hash, by signature algorithm."""


class Validity(NamedTuple):
    not_before: UnixTime
    not_after: UnixTime


@dataclass(frozen=True, slots=True)
class EvidenceCertificate:
    """`key_info` is the SubjectPublicKeyInfo (DER), `extensions` by the content of their identifiers. `signature` is
    over `signed`, by `algorithm`, a dotted identifier."""

    key_info: bytes
    validity: Validity
    extensions: Mapping[bytes, Extension]
    algorithm: str
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads one DER certificate (RFC 5280 §4.1). Raises `Malformed`."""
        if len(data) > MAX_CERTIFICATE:
            raise Malformed("certificate", f"at most {MAX_CERTIFICATE} bytes, got {len(data)}")
        outer = der.sole(data, der.SEQUENCE, "certificate")
        signed, at = der.raw(outer, 0, "certificate.signed")
        algorithm, at = der.raw(outer, at, "certificate.algorithm")
        tag, bits, end = der.element(outer, at, "certificate.signature")
        if tag != _BIT_STRING or bits[:1] != b"\0" or end != len(outer):
            raise Malformed("certificate.signature", "not whole bytes, or not the last element")
        content = der.sole(signed, der.SEQUENCE, "certificate.signed")
        at = 0
        if content[:1] == bytes((_VERSION,)):
            _, at = der.raw(content, at, "certificate.version")
        _, at = der.raw(content, at, "certificate.serial")
        inside, at = der.raw(content, at, "certificate.signed.algorithm")
        if inside != algorithm:
            raise Malformed("certificate.algorithm", "two that differ")
        _, at = der.raw(content, at, "certificate.issuer")
        validity, at = der.raw(content, at, "certificate.validity")
        _, at = der.raw(content, at, "certificate.subject")
        key_info, at = der.raw(content, at, "certificate.public_key")
        extensions, last = b"", 0
        while at < len(content):
            tag, extensions, at = der.element(content, at, "certificate.extensions")
            if tag not in _AFTER_KEY or tag <= last:
                raise Malformed("certificate.extensions", "something else, or twice, where they are")
            last = tag
        return cls(
            key_info=key_info,
            validity=_validity(validity),
            extensions=raw_extensions(extensions if last == _EXTENSIONS else b"", "certificate.extensions"),
            algorithm=_algorithm(algorithm),
            signed=signed,
            signature=bits[1:],
        )

    def check_signature(self) -> None:
        """By its own key: what is inside was put together by whoever holds it. Raises `Rejected(SELF_SIGNATURE)`."""
        try:
            key = load_der_public_key(self.key_info)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Rejected(Reason.SELF_SIGNATURE, expected="a public key", found="one that can't be read") from error
        kind, hashed = _HASHES[self.algorithm]
        try:
            match key:
                case EllipticCurvePublicKey() if kind is EllipticCurvePublicKey and hashed is not None:
                    key.verify(self.signature, self.signed, ECDSA(hashed))
                case RSAPublicKey(key_size=bits) if (
                    kind is RSAPublicKey and bits >= MIN_RSA_BITS and hashed is not None
                ):
                    key.verify(self.signature, self.signed, PKCS1v15(), hashed)
                case Ed25519PublicKey() if kind is Ed25519PublicKey:
                    key.verify(self.signature, self.signed)
                case _:
                    raise Rejected(Reason.SELF_SIGNATURE, expected="a key for its algorithm", found=self.algorithm)
        except InvalidSignature as error:
            raise Rejected(
                Reason.SELF_SIGNATURE, expected="a valid signature", found="the signature does not verify"
            ) from error


def _algorithm(identifier: bytes) -> str:
    """Raises `Malformed` for one that is not known here, or parameters other than none and NULL."""
    content = der.sole(identifier, der.SEQUENCE, "certificate.algorithm")
    tag, oid, at = der.element(content, 0, "certificate.algorithm")
    name = der.dotted(oid) if tag == der.OBJECT_IDENTIFIER and len(oid) <= 16 else ""
    if name not in _HASHES or content[at:] not in (b"", _NULL):
        raise Malformed("certificate.algorithm", "not one that such certificates are signed with")
    return name


def _validity(data: bytes) -> Validity:
    times = [_time(tag, text) for tag, text in der.elements(der.sole(data, der.SEQUENCE, "validity"), "validity")]
    if len(times) != 2:
        raise Malformed("certificate.validity", "need two times")
    return Validity(*times)


def _time(tag: int, text: bytes) -> UnixTime:
    """UTCTime or GeneralizedTime as RFC 5280 §4.1.2.5 allows them."""
    digits = text[:-1]
    if tag == _UTC_TIME and len(text) == 13:
        digits = (b"19" if text >= b"5" else b"20") + digits
    elif tag != _GENERALIZED_TIME or len(text) != 15:
        raise Malformed("certificate.validity", "not a time")
    if text[-1:] != b"Z" or not digits.isdigit():
        raise Malformed("certificate.validity", "not a time in UTC with seconds")
    try:
        moment = datetime.strptime(digits.decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise Malformed("certificate.validity", "not a date") from error
    return UnixTime(int(moment.timestamp()))
