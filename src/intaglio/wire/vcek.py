"""AMD's extensions in a VCEK or VLEK certificate: which chip or provider, and at which TCB version.

OIDs under 1.3.6.1.4.1.3704.1 (AMD publications 57230 and 58369, the VCEK and VLEK certificate specifications). Each
has one exact encoding; the hardware id alone stands bare in its extension, without a DER header. A part of that arc
which is not known here is an error: it could change the meaning of the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire import der
from intaglio.wire.snp_fields import Product, TcbVersion

__all__ = ["AMD_ARC", "VekExtensions"]

AMD_ARC = "1.3.6.1.4.1.3704.1."
_STRUCT_VERSION, _PRODUCT_NAME, _HWID, _CSP_ID = (f"{AMD_ARC}{n}" for n in (1, 2, 4, 5))
_BOOTLOADER, _TEE, _SNP, _MICROCODE, _FMC = (f"{AMD_ARC}3.{n}" for n in (1, 2, 3, 8, 9))
_RESERVED = tuple(f"{AMD_ARC}3.{n}" for n in (4, 5, 6, 7))
_REQUIRED = frozenset((_STRUCT_VERSION, _PRODUCT_NAME, _BOOTLOADER, _TEE, _SNP, _MICROCODE))
_KNOWN = _REQUIRED | {_HWID, _CSP_ID, _FMC, *_RESERVED}
_IA5_STRING = 0x16
_SMALL = bytes((der.INTEGER, 1))
_STRUCT_VERSIONS = (0, 1)
_MAX_TEXT = 127
"""More than any product name or host name that AMD would put there, and still a short length."""


@dataclass(frozen=True, slots=True)
class VekExtensions:
    """`hwid` is a chip's id and only in a VCEK certificate; `csp_id` names a cloud provider and is only in a VLEK
    certificate."""

    struct_version: int
    product_name: str
    product: Product
    tcb: TcbVersion
    hwid: bytes | None
    csp_id: str | None

    @classmethod
    def parse(cls, extensions: Mapping[str, bytes]) -> Self:
        """From all extensions of a certificate, by dotted OID; those outside AMD's arc are not looked at.

        Raises `Malformed` for a missing, unknown or misshapen part.
        """
        parts = {oid: value for oid, value in extensions.items() if oid.startswith(AMD_ARC)}
        if parts.keys() - _KNOWN:
            raise Malformed("vcek", f"unknown part {min(parts.keys() - _KNOWN)}")
        if _REQUIRED - parts.keys():
            raise Malformed("vcek", f"part {min(_REQUIRED - parts.keys())} is missing")
        struct_version = _number(parts, _STRUCT_VERSION, "struct_version")
        if struct_version not in _STRUCT_VERSIONS:
            raise Malformed("vcek.struct_version", f"expected 0 or 1, got {struct_version}")
        name = _text(parts, _PRODUCT_NAME, "product_name")
        product = Product.named(name)
        if product is None:
            raise Malformed("vcek.product_name", f"no product that is known here: {name!r}")
        if any(_number(parts, oid, "reserved") for oid in _RESERVED if oid in parts):
            raise Malformed("vcek.tcb", "a reserved part is not zero")
        if product.has_fmc != (_FMC in parts):
            raise Malformed(
                "vcek.tcb", f"{product.value} certificates {'need an' if product.has_fmc else 'have no'} fmc"
            )
        tcb = TcbVersion(
            _number(parts, _BOOTLOADER, "bootloader"),
            _number(parts, _TEE, "tee"),
            _number(parts, _SNP, "snp"),
            _number(parts, _MICROCODE, "microcode"),
            _number(parts, _FMC, "fmc") if product.has_fmc else None,
        )
        return cls(struct_version, name, product, tcb, *_owner(parts, product))

    def encode(self) -> dict[str, bytes]:
        """The extensions that `parse` reads, in AMD's order."""
        tcb = self.tcb
        numbers = {_FMC: tcb.fmc, _BOOTLOADER: tcb.bootloader, _TEE: tcb.tee, **dict.fromkeys(_RESERVED, 0)}
        if tcb.fmc is not None:
            del numbers[_RESERVED[0]]
        numbers |= {_SNP: tcb.snp, _MICROCODE: tcb.microcode}
        parts = {_STRUCT_VERSION: _encode_number(self.struct_version), _PRODUCT_NAME: _encode_text(self.product_name)}
        parts |= {oid: _encode_number(number) for oid, number in numbers.items() if number is not None}
        if self.hwid is not None:
            parts[_HWID] = self.hwid
        if self.csp_id is not None:
            parts[_CSP_ID] = _encode_text(self.csp_id)
        return parts


def _owner(parts: Mapping[str, bytes], product: Product) -> tuple[bytes | None, str | None]:
    """The hardware id or the provider: exactly one of them."""
    hwid = parts.get(_HWID)
    if (hwid is None) == (_CSP_ID not in parts):
        raise Malformed("vcek", "need either a hardware id or a provider, and not both")
    if hwid is None:
        return None, _text(parts, _CSP_ID, "csp_id")
    if len(hwid) != product.chip_id_size:
        raise Malformed("vcek.hwid", f"need {product.chip_id_size} bytes, got {len(hwid)}")
    return hwid, None


def _number(parts: Mapping[str, bytes], oid: str, field: str) -> int:
    value = parts[oid]
    # The usual spelling. A data centre reads ten of these for each new chip.
    if len(value) == 3 and value.startswith(_SMALL) and value[2] < 0x80:
        return value[2]
    return der.integer(der.sole(value, der.INTEGER, f"vcek.{field}"), 0xFF, f"vcek.{field}")


def _text(parts: Mapping[str, bytes], oid: str, field: str) -> str:
    content = der.sole(parts[oid], _IA5_STRING, f"vcek.{field}")
    if not content or len(content) > _MAX_TEXT or not all(0x20 <= byte < 0x7F for byte in content):
        raise Malformed(f"vcek.{field}", f"need 1 to {_MAX_TEXT} printable characters")
    return content.decode("ascii")


def _encode_number(value: int) -> bytes:
    return der.encode(der.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _encode_text(text: str) -> bytes:
    return der.encode(_IA5_STRING, text.encode("ascii"))
