"""The SGX extension of a PCK certificate: which platform it is, and at which security version (check 15).

OID 1.2.840.113741.1.13.1 (Intel SGX PCK Certificate and CRL Profile Specification, §1.3.5). Each of its parts
occurs once and has its exact length; certificates of the processor CA lack the last two.
"""

from dataclasses import dataclass
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire import der

__all__ = ["SGX_EXTENSION_OID", "PckExtension"]

SGX_EXTENSION_OID = "1.2.840.113741.1.13.1"

_BASE = bytes.fromhex("2a864886f84d010d01")
_PPID, _TCB, _PCE_ID, _FMSPC, _SGX_TYPE, _INSTANCE, _CONFIGURATION = (_BASE + bytes((n,)) for n in range(1, 8))
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
        usual = _USUAL.get(data[at : at + 16]) or _USUAL.get(data[at : at + 17])
        if usual is not None and at + usual[3] <= len(data):
            oid, value_tag, begin, size = usual
            value = data[at + begin : at + size]
            at += size
        else:
            oid, value_tag, value, at = _read_part(data, at, field)
        if oid not in known:
            raise Malformed(field, f"unknown part {oid.hex()}")
        if oid in parts:
            raise Malformed(field, f"part {oid.hex()} occurs twice")
        parts[oid] = (value_tag, value)
    return parts


def _read_part(data: bytes, at: int, field: str) -> tuple[bytes, int, bytes, int]:
    """OID, tag and value of the part at `at`, and where the next one begins: the general way."""
    tag, content, at = der.element(data, at, field)
    oid_tag, oid, middle = der.element(content, 0, field)
    value_tag, value, end = der.element(content, middle, field)
    if tag != der.SEQUENCE or oid_tag != der.OBJECT_IDENTIFIER or end != len(content):
        raise Malformed(field, "a part is not an identifier and one value")
    return oid, value_tag, value, at


def _value(parts: _Parts, oid: bytes, tag: int, field: str) -> bytes:
    found, value = parts[oid]
    if found != tag:
        raise Malformed(f"sgx_extension.{field}", f"expected tag {tag:#04x}, got {found:#04x}")
    return value


def _svn(parts: _Parts, oid: bytes, limit: int) -> int:
    found, value = parts[oid]
    if found == der.INTEGER and len(value) == 1 and value[0] < 0x80:
        return value[0]
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


def _usual_parts() -> dict[bytes, tuple[bytes, int, int, int]]:
    """How parts of the usual kinds begin (16 or 17 bytes), with OID, tag, where the value begins, and the whole size.

    Their lengths are all short, so a beginning has one spelling. A data centre reads 25 parts for each new platform,
    and looking their beginnings up costs a third of reading them byte by byte.
    """
    kinds = [(oid, der.OCTET_STRING, size) for oid, size in ((_PPID, 16), (_PCE_ID, 2), (_FMSPC, 6), (_INSTANCE, 16))]
    kinds += [(oid, der.INTEGER, size) for oid in (*_COMPONENTS, _PCE_SVN) for size in (1, 2, 3)]
    kinds += [(oid, der.BOOLEAN, 1) for oid in (_DYNAMIC, _CACHED_KEYS, _SMT)]
    kinds += [(_CPU_SVN, der.OCTET_STRING, 16), (_SGX_TYPE, der.ENUMERATED, 1)]
    found = {}
    for oid, tag, size in kinds:
        part = _part(oid, der.encode(tag, bytes(size)))
        found[part[:-size]] = oid, tag, len(part) - size, len(part)
    return found


_USUAL = _usual_parts()
