"""Certificates and revocation lists of Intel's SGX PKI as values (checks 10 to 14). It reads and never
judges.

The cryptography package does the parsing; this module keeps what judgement needs, names as their exact bytes
and times in whole seconds, and turns the package's many exceptions into `Malformed`.
"""

import binascii
from dataclasses import dataclass
from functools import lru_cache
from typing import Self, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID

from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire import der
from intaglio.wire.pck import SGX_EXTENSION_OID

__all__ = ["Certificate", "RevocationList", "decode_crl", "read_pem_chain"]

MAX_CHAIN = 8
"""Intel's chains have two or three certificates; more are refused before any is parsed."""

_P256_KEY_INFO = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""What precedes the point in the SubjectPublicKeyInfo of an uncompressed P-256 key (RFC 5480 §2)."""

_WHITE = b" \t\r"
_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_MAX_SERIAL = 2**160 - 1
"""20 octets (RFC 5280 §4.1.2.2)."""

_COMMON_NAME = bytes.fromhex("550403")
_SGX_EXTENSION = x509.ObjectIdentifier(SGX_EXTENSION_OID)
_UNDERSTOOD = frozenset((
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.CRL_DISTRIBUTION_POINTS,
))  # fmt: skip

# What the package raises for bytes that are not a certificate; some of it only when a part is first looked
# at.
_PARSE_ERRORS = (
    ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Certificate:
    """One X.509 certificate. `public_key` is an uncompressed P-256 point (65 bytes), empty for any other key.

    `signature` is DER, ECDSA with SHA-256, and covers `signed`. `unknown_critical` is true if a critical extension is
    none of those that Intel's profile has.
    """

    der: bytes
    subject: bytes
    issuer: bytes
    common_name: str
    serial: int
    not_before: UnixTime
    not_after: UnixTime
    public_key: bytes
    is_ca: bool
    path_length: int | None
    signs_certificates: bool
    signs_crls: bool
    signs_data: bool
    unknown_critical: bool
    sgx_extension: bytes | None
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads one DER certificate. Raises `Malformed`."""
        # Before the package sees it: what it would only warn about (a serial that is not positive) is refused here.
        parts = _exact_parts(data)
        try:
            return cls._read(x509.load_der_x509_certificate(data), data, parts)
        except _PARSE_ERRORS as error:
            raise Malformed("certificate", f"not an X.509 certificate ({error})") from error

    @classmethod
    def _read(cls, certificate: x509.Certificate, data: bytes, parts: tuple[bytes, bytes, bytes, bytes]) -> Self:
        usage: x509.KeyUsage | None = None
        constraints: x509.BasicConstraints | None = None
        sgx_extension, unknown_critical = None, False
        for extension in certificate.extensions:
            oid = extension.oid
            # By identifier: isinstance on these classes goes through an abstract base class and costs ten times more.
            if oid == ExtensionOID.KEY_USAGE:
                usage = cast(x509.KeyUsage, extension.value)
            elif oid == ExtensionOID.BASIC_CONSTRAINTS:
                constraints = cast(x509.BasicConstraints, extension.value)
            elif oid == _SGX_EXTENSION:
                sgx_extension = cast(x509.UnrecognizedExtension, extension.value).value
            elif extension.critical and oid not in _UNDERSTOOD:
                unknown_critical = True
        signed, issuer, subject, public_key = parts
        return cls(
            der=data,
            subject=subject,
            issuer=issuer,
            common_name=_common_name(subject),
            serial=certificate.serial_number,
            not_before=UnixTime(int(certificate.not_valid_before_utc.timestamp())),
            not_after=UnixTime(int(certificate.not_valid_after_utc.timestamp())),
            public_key=public_key,
            is_ca=constraints is not None and constraints.ca,
            path_length=constraints.path_length if constraints else None,
            signs_certificates=usage is not None and usage.key_cert_sign,
            signs_crls=usage is not None and usage.crl_sign,
            signs_data=usage is not None and usage.digital_signature,
            unknown_critical=unknown_critical,
            sgx_extension=sgx_extension,
            signed=signed,
            signature=certificate.signature,
        )


@dataclass(frozen=True, slots=True)
class RevocationList:
    """One CRL. `next_update` is None where the list does not promise one; Intel's always do."""

    issuer: bytes
    issuer_name: str
    this_update: UnixTime
    next_update: UnixTime | None
    revoked: frozenset[int]
    unknown_critical: bool
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads one DER list. Raises `Malformed`."""
        signed, issuer = _crl_parts(data)
        try:
            crl = x509.load_der_x509_crl(data)
            next_update = crl.next_update_utc
            return cls(
                issuer=issuer,
                issuer_name=_common_name(issuer),
                this_update=UnixTime(int(crl.last_update_utc.timestamp())),
                next_update=UnixTime(int(next_update.timestamp())) if next_update else None,
                revoked=frozenset(entry.serial_number for entry in crl),
                unknown_critical=any(
                    extension.critical
                    for extension in crl.extensions
                    if extension.oid not in (ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER)
                ),
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
    if not data or data[0] == 0x30:
        return data
    text = data.strip()
    if text.startswith(b"-----BEGIN"):
        content, rest = _pem_block(text, b"X509 CRL")
        if rest:
            raise Malformed("crl", "something follows the PEM block")
        return content
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        pass
    try:
        return binascii.a2b_base64(b"".join(text.split()), strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("crl", "neither DER, PEM, hexadecimal nor base64") from error


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


def _signed_part(data: bytes, name: str) -> tuple[bytes, bytes]:
    """The part under the signature as it stands, and its content. Raises `Malformed` for another kind of signature
    than Intel's PKI has, inside (RFC 5280 §4.1.2.3, §5.1.2.2) or outside."""
    outer = der.sole(data, der.SEQUENCE, name)
    signed, at = der.raw(outer, 0, f"{name}.signed")
    algorithm, _ = der.raw(outer, at, f"{name}.algorithm")
    if algorithm != _ECDSA_WITH_SHA256:
        raise Malformed(f"{name}.algorithm", "not ECDSA with SHA-256")
    return signed, der.sole(signed, der.SEQUENCE, f"{name}.signed")


def _exact_parts(data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """The signed part, issuer, subject and P-256 point (or nothing) as they stand (RFC 5280 §4.1): names are compared
    byte by byte, and re-encoding them would cost more than a third of a signature check."""
    signed, content = _signed_part(data, "certificate")
    at = 0
    if content[:1] == b"\xa0":
        _, at = der.raw(content, at, "certificate.version")
    tag, serial, at = der.element(content, at, "certificate.serial")
    if tag != der.INTEGER or der.integer(serial, _MAX_SERIAL, "certificate.serial") == 0:
        raise Malformed("certificate.serial", "not a positive integer")
    algorithm, at = der.raw(content, at, "certificate.signed.algorithm")
    if algorithm != _ECDSA_WITH_SHA256:
        raise Malformed("certificate.signed.algorithm", "not ECDSA with SHA-256")
    issuer, at = der.raw(content, at, "certificate.issuer")
    _, at = der.raw(content, at, "certificate.validity")
    subject, at = der.raw(content, at, "certificate.subject")
    key, _ = der.raw(content, at, "certificate.public_key")
    # Uncompressed points only: Intel's certificates have no other, and one key should have one spelling.
    point = key.removeprefix(_P256_KEY_INFO)
    return signed, issuer, subject, point if len(point) == 65 and len(key) == len(_P256_KEY_INFO) + 65 else b""


def _crl_parts(data: bytes) -> tuple[bytes, bytes]:
    """The signed part and the issuer of a list as they stand (RFC 5280 §5.1)."""
    signed, content = _signed_part(data, "crl")
    at = 0
    if content[:1] == bytes((der.INTEGER,)):
        _, at = der.raw(content, at, "crl.version")
    algorithm, at = der.raw(content, at, "crl.signed.algorithm")
    if algorithm != _ECDSA_WITH_SHA256:
        raise Malformed("crl.signed.algorithm", "not ECDSA with SHA-256")
    issuer, _ = der.raw(content, at, "crl.issuer")
    return signed, issuer


@lru_cache(maxsize=64)
def _common_name(name: bytes) -> str:
    """The one common name in a Name, or nothing. Kept, because every PCK certificate has the same."""
    found = []
    for _, attributes in der.elements(der.sole(name, der.SEQUENCE, "name"), "name"):
        for _, attribute in der.elements(attributes, "name"):
            tag, oid, at = der.element(attribute, 0, "name.type")
            _, value, _ = der.element(attribute, at, "name.value")
            if (tag, oid) == (der.OBJECT_IDENTIFIER, _COMMON_NAME):
                found.append(value.decode("utf-8", "replace"))
    return found[0] if len(found) == 1 else ""
