"""The extensions of a certificate or revocation list (RFC 5280 §4.2, §5.2), as far as judgement needs their meaning.

Key usage and basic constraints are read; every other value is handed out as it stands. What nobody asks for is not
parsed: a stranger may put anything there, and a general parser would build it.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from intaglio.errors import Malformed
from intaglio.wire import der

__all__ = ["Extension", "Extensions", "has_unknown_critical", "raw_extensions", "read_extensions"]

KEY_USAGE = bytes.fromhex("551d0f")
BASIC_CONSTRAINTS = bytes.fromhex("551d13")
AUTHORITY_KEY_ID = bytes.fromhex("551d23")
SUBJECT_KEY_ID = bytes.fromhex("551d0e")
DISTRIBUTION_POINTS = bytes.fromhex("551d1f")
CRL_NUMBER = bytes.fromhex("551d14")

MAX_EXTENSIONS = 64
"""AMD's certificates have eighteen, which is more than any other vendor's."""
MAX_OID = 32
"""Bytes: AMD's longest has eleven. An arc of kilobytes would be a number that takes long to write."""

_OID = bytes((der.OBJECT_IDENTIFIER,))
_CRITICAL = b"\x01\x01\xff"
"""False is the default, which DER leaves out (X.690 §11.5)."""
_BIT_STRING = 0x03
_DIGITAL_SIGNATURE, _KEY_CERT_SIGN, _CRL_SIGN = 0x80, 0x04, 0x02
_MAX_PATH = 255

_UNDERSTOOD = frozenset((AUTHORITY_KEY_ID, SUBJECT_KEY_ID, DISTRIBUTION_POINTS))
_UNDERSTOOD_IN_LISTS = frozenset((AUTHORITY_KEY_ID, CRL_NUMBER))
_NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Extension(NamedTuple):
    """One as it stands: whether it is critical, and its value."""

    critical: bool
    value: bytes


_Raw = dict[bytes, Extension]
"""By the content of the identifier."""


class Extensions(NamedTuple):
    """`others`: the values that no field shows, by dotted OID. `unknown_critical`: one of those is critical, and none
    that the vendors' profiles have."""

    is_ca: bool
    path_length: int | None
    signs_certificates: bool
    signs_crls: bool
    signs_data: bool
    unknown_critical: bool
    sgx: bytes | None
    others: Mapping[str, bytes]


def read_extensions(data: bytes, sgx: bytes) -> Extensions:
    """Of a certificate: `data` is the content of its [3], empty if it has none, and `sgx` the identifier of Intel's
    extension. Raises `Malformed`, also for an extension that occurs twice."""
    raw = raw_extensions(data, "certificate.extensions")
    usage = _usage(raw.pop(KEY_USAGE)[1]) if KEY_USAGE in raw else 0
    is_ca, path_length = _constraints(raw.pop(BASIC_CONSTRAINTS)[1]) if BASIC_CONSTRAINTS in raw else (False, None)
    found = raw.pop(sgx, None)
    others = {oid: each for oid, each in raw.items() if oid not in _UNDERSTOOD}
    return Extensions(
        is_ca=is_ca,
        path_length=path_length,
        signs_certificates=bool(usage & _KEY_CERT_SIGN),
        signs_crls=bool(usage & _CRL_SIGN),
        signs_data=bool(usage & _DIGITAL_SIGNATURE),
        unknown_critical=any(critical for critical, _ in others.values()),
        sgx=found[1] if found else None,
        others=MappingProxyType({der.dotted(oid): value for oid, (_, value) in others.items()}) if others else _NOTHING,
    )


def has_unknown_critical(data: bytes) -> bool:
    """Of a revocation list: `data` is the content of its [0], empty if it has none. Raises `Malformed`."""
    raw = raw_extensions(data, "crl.extensions")
    return any(critical for oid, (critical, _) in raw.items() if oid not in _UNDERSTOOD_IN_LISTS)


def raw_extensions(data: bytes, field: str) -> _Raw:
    """`data`: a whole Extensions, empty if there are none. Raises `Malformed`, also for one that occurs twice."""
    found: _Raw = {}
    whole = der.sole(data, der.SEQUENCE, field) if data else b""
    at = 0
    while at < len(whole):
        tag, content, at = der.element(whole, at, field)
        # Identifier and boolean have one spelling each, so they are compared and not parsed: it is done for every
        # certificate of a new platform.
        begin = 2 + content[1] if content[:1] == _OID and 0 < content[1] <= MAX_OID else 0
        critical = content.startswith(_CRITICAL, begin)
        kind, value, end = der.element(content, begin + len(_CRITICAL) * critical, field)
        if not begin or tag != der.SEQUENCE or kind != der.OCTET_STRING or end != len(content):
            raise Malformed(field, "one is not an identifier, perhaps a boolean that is true, and a byte string")
        oid = content[2:begin]
        if oid in found or len(found) == MAX_EXTENSIONS:
            raise Malformed(field, f"one occurs twice, or there are more than {MAX_EXTENSIONS}")
        found[oid] = Extension(critical, value)
    return found


@lru_cache(maxsize=64)
def _usage(value: bytes) -> int:
    """The first byte of the bits: those that matter here stand there (RFC 5280 §4.2.1.3)."""
    bits = der.sole(value, _BIT_STRING, "certificate.key_usage")
    unused = bits[0] if bits else 8
    if not len(bits) <= 3 or unused > (7 if len(bits) > 1 else 0) or (unused and bits[-1] & (1 << unused) - 1):
        raise Malformed("certificate.key_usage", "not at most nine bits")
    return bits[1] if len(bits) > 1 else 0


@lru_cache(maxsize=64)
def _constraints(value: bytes) -> tuple[bool, int | None]:
    field = "certificate.basic_constraints"
    content, at = der.sole(value, der.SEQUENCE, field), 0
    is_ca, path_length = False, None
    if content[:1] == bytes((der.BOOLEAN,)):
        _, flag, at = der.element(content, 0, field)
        is_ca = der.boolean(flag, field)
    if at < len(content):
        tag, number, at = der.element(content, at, field)
        path_length = der.integer(number, _MAX_PATH, field) if tag == der.INTEGER else None
        if path_length is None or at != len(content):
            raise Malformed(field, "more than a boolean and a number")
    return is_ca, path_length
