"""Certificates and revocation lists of the vendors' PKIs as values (checks 10 to 14). It reads and never judges.

The cryptography package does the parsing; this module keeps what judgement needs, names as their exact bytes
and times in whole seconds, and turns the package's many exceptions into `Malformed`.
"""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire import der
from intaglio.wire.pck import SGX_EXTENSION
from intaglio.wire.serials import Serials
from intaglio.wire.x509_extensions import has_unknown_critical, read_extensions

__all__ = ["Certificate", "RevocationList", "SignatureAlgorithm", "decode_certificate", "decode_crl", "read_pem_chain"]

MAX_CHAIN = 8
"""Intel's chains have two or three certificates; more are refused before any is parsed."""

_P256_KEY_INFO = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""What precedes the point in the SubjectPublicKeyInfo of an uncompressed P-256 key (RFC 5480 §2)."""

MAX_CERTIFICATE = 64 * 1024
"""The longest that vendors issue has 2 kB; evidence inside of one (RA-TLS) may take twenty."""

MAX_CHAIN_TEXT = (MAX_CHAIN + 1) * MAX_CERTIFICATE
"""Some of it is remembered, so a stranger's chain is bounded before it is read."""

MAX_NAME = 4096
"""A distinguished name has a hundred bytes or two. Names are remembered too."""

_WHITE = b" \t\r"
_MAX_SERIAL = 2**160 - 1
"""20 octets (RFC 5280 §4.1.2.2)."""

_CERTIFICATE_EXTENSIONS, _CRL_EXTENSIONS = 0xA3, 0xA0
_COMMON_NAME = bytes.fromhex("550403")

# What the package raises for bytes that are not a certificate; some of it only when a part is first looked
# at.
_PARSE_ERRORS = (
    ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip


class SignatureAlgorithm(Enum):
    """What signs in these PKIs."""

    ECDSA_SHA256 = "ECDSA with SHA-256"
    """Intel's DCAP PKI."""
    ECDSA_SHA384 = "ECDSA with SHA-384"
    """AWS Nitro Enclaves."""
    RSA_PKCS1_SHA256 = "RSA PKCS #1 v1.5 with SHA-256"
    """Intel's attestation service for EPID."""
    RSA_PSS_SHA384 = "RSA-PSS with SHA-384"
    """AMD, with MGF1 over SHA-384 and 48 bytes of salt."""


_PSS = "06092a864886f70d01010a30{:02x}a00f300d06096086480165030402020500a11c301a06092a864886f70d010108{}a203020130"
_PSS_MGF1 = "300d06096086480165030402020500"
_ALGORITHMS = {
    bytes.fromhex("300a06082a8648ce3d040302"): SignatureAlgorithm.ECDSA_SHA256,  # RFC 5758 §3.2
    bytes.fromhex("300a06082a8648ce3d040303"): SignatureAlgorithm.ECDSA_SHA384,  # RFC 5758 §3.2
    bytes.fromhex("300d06092a864886f70d01010b0500"): SignatureAlgorithm.RSA_PKCS1_SHA256,  # RFC 4055 §5
    # RFC 4055 §3.1; AMD's tools write the trailer field, which is the default, in some certificates and not in others.
    bytes.fromhex("3041" + _PSS.format(0x34, _PSS_MGF1)): SignatureAlgorithm.RSA_PSS_SHA384,
    bytes.fromhex("3046" + _PSS.format(0x39, _PSS_MGF1) + "a303020101"): SignatureAlgorithm.RSA_PSS_SHA384,
}
"""By the exact bytes of the AlgorithmIdentifier: whatever else is spelled there is another algorithm."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One X.509 certificate. `public_key` is an uncompressed P-256 point (65 bytes), empty for any other key;
    `key_info` is the SubjectPublicKeyInfo (DER) of every kind.

    `signature` covers `signed`; it is DER for ECDSA. `extensions` has the values of those that no field shows, by
    dotted OID. `unknown_critical` is true if one of them is critical and none of those that the vendors' profiles have.
    """

    der: bytes
    subject: bytes
    issuer: bytes
    common_name: str
    serial: int
    not_before: UnixTime
    not_after: UnixTime
    public_key: bytes
    key_info: bytes
    is_ca: bool
    path_length: int | None
    signs_certificates: bool
    signs_crls: bool
    signs_data: bool
    unknown_critical: bool
    sgx_extension: bytes | None
    extensions: Mapping[str, bytes]
    algorithm: SignatureAlgorithm
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, data: bytes, *, serial_zero: bool = False) -> Self:
        """Reads one DER certificate. Raises `Malformed`, also for a serial number that is not positive (RFC 5280
        §4.1.2.2), except that `serial_zero` allows 0: AMD gives it to every VCEK."""
        if len(data) > MAX_CERTIFICATE:
            raise Malformed("certificate", f"at most {MAX_CERTIFICATE} bytes, got {len(data)}")
        # Before the package sees it: what it would only warn about (a serial that is not positive) is refused here.
        parts = _exact_parts(data, serial_zero=serial_zero)
        readable = data
        if parts.serial == 0:
            # The package announces that it will refuse this; signatures are over `data` as it came.
            readable = data[: parts.serial_at] + b"\1" + data[parts.serial_at + 1 :]
        try:
            return cls._read(x509.load_der_x509_certificate(readable), data, parts)
        except _PARSE_ERRORS as error:
            raise Malformed("certificate", f"not an X.509 certificate ({error})") from error

    @classmethod
    def _read(cls, certificate: x509.Certificate, data: bytes, parts: "_Parts") -> Self:
        extensions = read_extensions(parts.extensions, SGX_EXTENSION)
        return cls(
            der=data,
            subject=parts.subject,
            issuer=parts.issuer,
            common_name=_common_name(parts.subject),
            serial=parts.serial,
            not_before=UnixTime(int(certificate.not_valid_before_utc.timestamp())),
            not_after=UnixTime(int(certificate.not_valid_after_utc.timestamp())),
            public_key=_p256_point(parts.key_info),
            key_info=parts.key_info,
            is_ca=extensions.is_ca,
            path_length=extensions.path_length,
            signs_certificates=extensions.signs_certificates,
            signs_crls=extensions.signs_crls,
            signs_data=extensions.signs_data,
            unknown_critical=extensions.unknown_critical,
            sgx_extension=extensions.sgx,
            extensions=extensions.others,
            algorithm=parts.algorithm,
            signed=parts.signed,
            signature=certificate.signature,
        )


@dataclass(frozen=True, slots=True)
class RevocationList:
    """One CRL. `next_update` is None where the list does not promise one; Intel's always do."""

    issuer: bytes
    issuer_name: str
    this_update: UnixTime
    next_update: UnixTime | None
    revoked: Serials
    unknown_critical: bool
    algorithm: SignatureAlgorithm
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads one DER list. Raises `Malformed`."""
        signed, issuer, algorithm, extensions = _crl_parts(data)
        try:
            crl = x509.load_der_x509_crl(data)
            next_update = crl.next_update_utc
            return cls(
                issuer=issuer,
                issuer_name=_common_name(issuer),
                this_update=UnixTime(int(crl.last_update_utc.timestamp())),
                next_update=UnixTime(int(next_update.timestamp())) if next_update else None,
                revoked=Serials(entry.serial_number for entry in crl),
                unknown_critical=has_unknown_critical(extensions),
                algorithm=algorithm,
                signed=signed,
                signature=crl.signature,
            )
        except _PARSE_ERRORS as error:
            raise Malformed("crl", f"not a certificate revocation list ({error})") from error


def read_pem_chain(data: bytes) -> tuple[bytes, ...]:
    """The DER certificates of a PEM text, in the order in which they stand; NUL bytes may end it (check 10).

    Raises `Malformed` for anything between, before or after them that is not white space, and for none at
    all.
    """
    if len(data) > MAX_CHAIN_TEXT:
        raise Malformed("pem", f"at most {MAX_CHAIN_TEXT} bytes, got {len(data)}")
    first, rest = _pem_block(data.rstrip(b"\0").strip(), b"CERTIFICATE")
    return first, *_read_pem_rest(rest)


@lru_cache(maxsize=64)
def _read_pem_rest(rest: bytes) -> tuple[bytes, ...]:
    """What follows the first certificate. Kept, because CA and root are the same text in every quote of a platform's
    generation."""
    ders: list[bytes] = []
    while rest:
        if len(ders) == MAX_CHAIN:
            raise Malformed("pem", f"more than {MAX_CHAIN} certificates follow the first")
        content, rest = _pem_block(rest, b"CERTIFICATE")
        ders.append(content)
    return tuple(ders)


def decode_crl(data: bytes) -> bytes:
    """The DER of a list that came as DER, PEM, hexadecimal text or base64 (check 14); empty stays empty.

    Raises `Malformed` for text that is none of them; whether DER is a list is for `RevocationList.parse` to
    say.
    """
    return _decode(data, b"X509 CRL", "crl") if data else b""


def decode_certificate(data: bytes) -> bytes:
    """The DER of one certificate that came as DER, PEM, hexadecimal text or base64.

    Raises `Malformed` for text that is none of them; whether DER is a certificate is for `Certificate.parse` to say.
    """
    return _decode(data, b"CERTIFICATE", "certificate")


def _decode(data: bytes, label: bytes, name: str) -> bytes:
    if data[:1] == b"\x30" and data[1:2] >= b"\x80":
        return data
    text = data.strip()
    if text.startswith(b"-----BEGIN"):
        content, rest = _pem_block(text, label)
        if rest:
            raise Malformed(name, "something follows the PEM block")
        return content
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        pass
    try:
        return binascii.a2b_base64(b"".join(text.split()), strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(name, "neither DER, PEM, hexadecimal nor base64") from error


def _pem_block(text: bytes, label: bytes) -> tuple[bytes, bytes]:
    """The content of the PEM block that `text` begins with, and what follows it without white space."""
    begin, end = b"-----BEGIN " + label + b"-----", b"-----END " + label + b"-----"
    head, found_begin, body = text.partition(begin)
    body, found_end, rest = body.partition(end)
    if head or not found_begin or not found_end:
        raise Malformed("pem", f"no {label.decode().lower()} block where one is expected")
    try:
        return binascii.a2b_base64(body.replace(b"\n", b"").translate(None, _WHITE), strict_mode=True), rest.strip()
    except (binascii.Error, ValueError) as error:
        raise Malformed("pem", f"not base64 ({error})") from error


class _Parts(NamedTuple):
    """What of a certificate is kept as it stands: names are compared byte by byte, and re-encoding them would cost more
    than a third of a signature check. `serial_at` is where the serial number's content begins."""

    signed: bytes
    serial: int
    serial_at: int
    issuer: bytes
    subject: bytes
    key_info: bytes
    algorithm: SignatureAlgorithm
    extensions: bytes


class _Signed(NamedTuple):
    """The part under the signature as it stands, its content and where that begins in the whole, and the
    AlgorithmIdentifier outside of it."""

    part: bytes
    content: bytes
    content_at: int
    algorithm: bytes


def _signed_part(data: bytes, name: str) -> _Signed:
    outer = der.sole(data, der.SEQUENCE, name)
    part, at = der.raw(outer, 0, f"{name}.signed")
    algorithm, _ = der.raw(outer, at, f"{name}.algorithm")
    content = der.sole(part, der.SEQUENCE, f"{name}.signed")
    return _Signed(part, content, len(data) - len(outer) + len(part) - len(content), algorithm)


def _algorithm(inside: bytes, outside: bytes, name: str) -> SignatureAlgorithm:
    """Raises `Malformed` unless both are the same known algorithm (RFC 5280 §4.1.1.2, §5.1.1.2)."""
    found = _ALGORITHMS.get(outside)
    if found is None or inside != outside:
        raise Malformed(f"{name}.algorithm", "not one that these certificates are signed with, or two that differ")
    return found


def _exact_parts(data: bytes, *, serial_zero: bool) -> _Parts:
    """RFC 5280 §4.1."""
    signed, content, content_at, outside = _signed_part(data, "certificate")
    at = 0
    if content[:1] == b"\xa0":
        _, at = der.raw(content, at, "certificate.version")
    tag, number, at = der.element(content, at, "certificate.serial")
    serial = der.integer(number, _MAX_SERIAL, "certificate.serial") if tag == der.INTEGER else -1
    if serial < (0 if serial_zero else 1):
        raise Malformed("certificate.serial", "not a positive integer")
    serial_at = content_at + at - len(number)
    inside, at = der.raw(content, at, "certificate.signed.algorithm")
    algorithm = _algorithm(inside, outside, "certificate")
    issuer, at = der.raw(content, at, "certificate.issuer")
    _, at = der.raw(content, at, "certificate.validity")
    subject, at = der.raw(content, at, "certificate.subject")
    key_info, at = der.raw(content, at, "certificate.public_key")
    extensions = b""
    while at < len(content):
        tag, value, at = der.element(content, at, "certificate.extensions")
        extensions = value if tag == _CERTIFICATE_EXTENSIONS else extensions
    return _Parts(signed, serial, serial_at, issuer, subject, key_info, algorithm, extensions)


def _p256_point(key_info: bytes) -> bytes:
    """Uncompressed points only: Intel's certificates have no other, and one key should have one spelling."""
    point = key_info.removeprefix(_P256_KEY_INFO)
    return point if len(point) == 65 and len(key_info) == len(_P256_KEY_INFO) + 65 else b""


def _crl_parts(data: bytes) -> tuple[bytes, bytes, SignatureAlgorithm, bytes]:
    """The signed part and the issuer of a list as they stand, what signs it, and its extensions (RFC 5280 §5.1)."""
    signed, content, _, outside = _signed_part(data, "crl")
    at = 0
    if content[:1] == bytes((der.INTEGER,)):
        _, at = der.raw(content, at, "crl.version")
    inside, at = der.raw(content, at, "crl.signed.algorithm")
    algorithm = _algorithm(inside, outside, "crl")
    issuer, at = der.raw(content, at, "crl.issuer")
    extensions = b""
    while at < len(content):
        tag, value, at = der.element(content, at, "crl.extensions")
        extensions = value if tag == _CRL_EXTENSIONS else extensions
    return signed, issuer, algorithm, extensions


def _common_name(name: bytes) -> str:
    """The one common name in a Name, or nothing."""
    if len(name) > MAX_NAME:
        raise Malformed("name", f"at most {MAX_NAME} bytes, got {len(name)}")
    return _read_common_name(name)


@lru_cache(maxsize=64)
def _read_common_name(name: bytes) -> str:
    """Kept, because every PCK certificate has the same."""
    found = []
    for _, attributes in der.elements(der.sole(name, der.SEQUENCE, "name"), "name"):
        for _, attribute in der.elements(attributes, "name"):
            tag, oid, at = der.element(attribute, 0, "name.type")
            _, value, _ = der.element(attribute, at, "name.value")
            if (tag, oid) == (der.OBJECT_IDENTIFIER, _COMMON_NAME):
                found.append(value.decode("utf-8", "replace"))
    return found[0] if len(found) == 1 else ""
