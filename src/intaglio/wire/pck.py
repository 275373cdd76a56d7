"""The SGX extension of a PCK certificate: which platform it is, and at which security version (check 15).

OID 1.2.840.113741.1.13.1 (Intel SGX PCK Certificate and CRL Profile Specification, §1.3.5). Each of its parts
occurs once and has its exact length; certificates of the processor CA lack the last two.
"""

import re
from dataclasses import dataclass
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire import der

__all__ = ["SGX_EXTENSION", "PckExtension"]

SGX_EXTENSION = bytes.fromhex("2a864886f84d010d01")
"""The identifier of the whole extension; those of its parts begin with it."""

_PPID, _TCB, _PCE_ID, _FMSPC, _SGX_TYPE, _INSTANCE, _CONFIGURATION = (SGX_EXTENSION + bytes((n,)) for n in range(1, 8))
_COMPONENTS = tuple(_TCB + bytes((n,)) for n in range(1, 17))
_PCE_SVN, _CPU_SVN = _TCB + b"\x11", _TCB + b"\x12"
_DYNAMIC, _CACHED_KEYS, _SMT = (_CONFIGURATION + bytes((n,)) for n in range(1, 4))

_REQUIRED = frozenset((_PPID, _TCB, _PCE_ID, _FMSPC, _SGX_TYPE))
_KNOWN = _REQUIRED | {_INSTANCE, _CONFIGURATION}
_TCB_PARTS = frozenset((*_COMPONENTS, _PCE_SVN, _CPU_SVN))
_CONFIGURATION_PARTS = frozenset((_DYNAMIC, _CACHED_KEYS, _SMT))

_Parts = dict[bytes, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class PckExtension:
    """`components` holds the sixteen component SVNs, which TCB levels are compared with (never `cpu_svn`).

    `platform_instance_id` and the flags are None where the certificate is silent.
    """

    ppid: bytes
    components: bytes
    pce_svn: int
    cpu_svn: bytes
    pce_id: bytes
    fmspc: bytes
    sgx_type: int
    platform_instance_id: bytes | None = None
    dynamic: bool | None = None
    cached_keys: bool | None = None
    smt: bool | None = None

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads the extension's value. Raises `Malformed` for a missing, repeated, unknown or misshapen
        part."""
        usual = _USUAL.fullmatch(data)
        if usual is not None and _lengths_agree(usual):
            return cls._of(usual)
        return cls.parse_any(data)

    @classmethod
    def _of(cls, usual: re.Match[bytes]) -> Self:
        groups = usual.groups()
        flags = [None if flag is None else flag == b"\xff" for flag in groups[28:31]]
        return cls(
            groups[1], b"".join(groups[6:22]), groups[22][0], groups[23], groups[24], groups[25], groups[26][0],
            groups[27], *flags,
        )  # fmt: skip

    @classmethod
    def parse_any(cls, data: bytes) -> Self:
        """`parse` without its short way for the usual layout: part by part, in any order."""
        parts = _parts(der.sole(data, der.SEQUENCE, "sgx_extension"), _KNOWN, "sgx_extension")
        if not parts.keys() >= _REQUIRED:
            raise Malformed("sgx_extension", f"{len(_REQUIRED - parts.keys())} of its parts are missing")
        tcb = _parts(_value(parts, _TCB, der.SEQUENCE, "tcb"), _TCB_PARTS, "sgx_extension.tcb")
        if tcb.keys() != _TCB_PARTS:
            raise Malformed("sgx_extension.tcb", f"need 18 parts, got {len(tcb)}")
        flags = _parts(
            _value(parts, _CONFIGURATION, der.SEQUENCE, "configuration") if _CONFIGURATION in parts else b"",
            _CONFIGURATION_PARTS,
            "sgx_extension.configuration",
        )
        return cls(
            ppid=_octets(parts, _PPID, 16, "ppid"),
            components=bytes([_svn(tcb, oid, 0xFF) for oid in _COMPONENTS]),
            pce_svn=_svn(tcb, _PCE_SVN, 0xFFFF),
            cpu_svn=_octets(tcb, _CPU_SVN, 16, "cpu_svn"),
            pce_id=_octets(parts, _PCE_ID, 2, "pce_id"),
            fmspc=_octets(parts, _FMSPC, 6, "fmspc"),
            sgx_type=der.integer(_value(parts, _SGX_TYPE, der.ENUMERATED, "sgx_type"), 2, "sgx_extension.sgx_type"),
            platform_instance_id=_octets(parts, _INSTANCE, 16, "instance") if _INSTANCE in parts else None,
            dynamic=_flag(flags, _DYNAMIC, "dynamic"),
            cached_keys=_flag(flags, _CACHED_KEYS, "cached_keys"),
            smt=_flag(flags, _SMT, "smt"),
        )

    def encode(self) -> bytes:
        """The extension's value that `parse` reads, parts in Intel's order."""
        tcb = b"".join(
            _part(oid, _encode_integer(der.INTEGER, svn)) for oid, svn in zip(_COMPONENTS, self.components, strict=True)
        )
        tcb += _part(_PCE_SVN, _encode_integer(der.INTEGER, self.pce_svn))
        tcb += _part(_CPU_SVN, der.encode(der.OCTET_STRING, self.cpu_svn))
        value = b"".join((
            _part(_PPID, der.encode(der.OCTET_STRING, self.ppid)),
            _part(_TCB, der.encode(der.SEQUENCE, tcb)),
            _part(_PCE_ID, der.encode(der.OCTET_STRING, self.pce_id)),
            _part(_FMSPC, der.encode(der.OCTET_STRING, self.fmspc)),
            _part(_SGX_TYPE, _encode_integer(der.ENUMERATED, self.sgx_type)),
        ))  # fmt: skip
        if self.platform_instance_id is not None:
            value += _part(_INSTANCE, der.encode(der.OCTET_STRING, self.platform_instance_id))
        flags = b"".join(
            _part(oid, der.encode(der.BOOLEAN, b"\xff" if flag else b"\x00"))
            for oid, flag in ((_DYNAMIC, self.dynamic), (_CACHED_KEYS, self.cached_keys), (_SMT, self.smt))
            if flag is not None
        )
        if flags:
            value += _part(_CONFIGURATION, der.encode(der.SEQUENCE, flags))
        return der.encode(der.SEQUENCE, value)


def _parts(data: bytes, known: frozenset[bytes], field: str) -> _Parts:
    """A sequence of (OID, value) pairs, by OID; each once, and only known ones."""
    parts: _Parts = {}
    at = 0
    while at < len(data):
        tag, content, at = der.element(data, at, field)
        oid_tag, oid, middle = der.element(content, 0, field)
        value_tag, value, end = der.element(content, middle, field)
        if tag != der.SEQUENCE or oid_tag != der.OBJECT_IDENTIFIER or end != len(content):
            raise Malformed(field, "a part is not an identifier and one value")
        if oid not in known:
            raise Malformed(field, f"unknown part {oid.hex()}")
        if oid in parts:
            raise Malformed(field, f"part {oid.hex()} occurs twice")
        parts[oid] = (value_tag, value)
    return parts


def _value(parts: _Parts, oid: bytes, tag: int, field: str) -> bytes:
    found, value = parts[oid]
    if found != tag:
        raise Malformed(f"sgx_extension.{field}", f"expected tag {tag:#04x}, got {found:#04x}")
    return value


def _svn(parts: _Parts, oid: bytes, limit: int) -> int:
    return der.integer(_value(parts, oid, der.INTEGER, "tcb"), limit, "sgx_extension.tcb")


def _octets(parts: _Parts, oid: bytes, size: int, field: str) -> bytes:
    value = _value(parts, oid, der.OCTET_STRING, field)
    if len(value) != size:
        raise Malformed(f"sgx_extension.{field}", f"need {size} bytes, got {len(value)}")
    return value


def _flag(parts: _Parts, oid: bytes, field: str) -> bool | None:
    if oid not in parts:
        return None
    return der.boolean(_value(parts, oid, der.BOOLEAN, field), f"sgx_extension.{field}")


def _part(oid: bytes, value: bytes) -> bytes:
    return der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, oid) + value)


def _encode_integer(tag: int, value: int) -> bytes:
    return der.encode(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _head(oid: bytes, tag: int, size: int) -> bytes:
    """How the part of this OID begins, as a pattern; `size` bytes of content follow and end the part."""
    return re.escape(_part(oid, der.encode(tag, bytes(size)))[:-size])


def _octets_pattern(oid: bytes, size: int) -> bytes:
    return _head(oid, der.OCTET_STRING, size) + b"(.{%d})" % size


def _svn_pattern(oid: bytes) -> bytes:
    """An INTEGER of 0 to 255 in its shortest form; its last byte is the group."""
    one, two = _head(oid, der.INTEGER, 1), _head(oid, der.INTEGER, 2)
    return rb"(?:%s(?=[\x00-\x7f])|%s\x00(?=[\x80-\xff]))(.)" % (one, two)


def _usual_pattern() -> re.Pattern[bytes]:
    """The extension as Intel's CAs encode it: parts in their order, and lengths of two bytes where they are long.

    A data centre reads 25 parts for each new platform; one match costs a tenth of reading them one by one.
    """
    long_head = rb"\x30\x82(..)"
    tcb_oid = re.escape(der.encode(der.OBJECT_IDENTIFIER, _TCB))
    svns = b"".join(map(_svn_pattern, (*_COMPONENTS, _PCE_SVN)))
    flags = b"".join(_head(oid, der.BOOLEAN, 1) + rb"([\x00\xff])" for oid in (_DYNAMIC, _CACHED_KEYS, _SMT))
    size = 3 * len(_part(_DYNAMIC, der.encode(der.BOOLEAN, b"\0")))
    return re.compile(
        long_head
        + _octets_pattern(_PPID, 16)
        + b"(" + long_head + tcb_oid + b"(" + long_head + svns + _octets_pattern(_CPU_SVN, 16) + b"))"
        + _octets_pattern(_PCE_ID, 2)
        + _octets_pattern(_FMSPC, 6)
        + _head(_SGX_TYPE, der.ENUMERATED, 1) + rb"([\x00-\x02])"
        + b"(?:" + _octets_pattern(_INSTANCE, 16) + b")?"
        + b"(?:" + _head(_CONFIGURATION, der.SEQUENCE, size) + flags + b")?",
        re.DOTALL,
    )  # fmt: skip


_USUAL = _usual_pattern()


def _lengths_agree(usual: re.Match[bytes]) -> bool:
    """The three lengths that depend on the sizes of the SVNs; the pattern has all others."""
    declared = [int.from_bytes(usual[group], "big") for group in (1, 4, 6)]
    return declared == [len(usual[group]) - 4 for group in (0, 3, 5)] and min(declared) > 0xFF
