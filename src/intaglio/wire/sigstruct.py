"""SIGSTRUCT: the 1,808 bytes with which an enclave's vendor signs its measurement (Intel SDM vol. 3D, table 35-19).

Pure layout: numbers are little-endian, the date is binary-coded decimal. Whether the signature holds is EINIT's
business (`intaglio.sim.cpu`) and whoever else cares; this module only says which bytes it covers.
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import Measurement
from intaglio.wire.cursor import Cursor
from intaglio.wire.sgx import Attributes

__all__ = ["SIGSTRUCT_SIZE", "Sigstruct"]

SIGSTRUCT_SIZE = 1808
_HEADER = bytes.fromhex("06000000e10000000000010000000000")
_HEADER2 = bytes.fromhex("01010000600000006000000001000000")
_MODULUS_SIZE = 384
_VENDORS = (0, 0x8086)


@dataclass(frozen=True, slots=True)
class Sigstruct:
    """`modulus`, `signature`, `q1` and `q2` are numbers; `date` is yyyymmdd as a decimal number, 20261123.

    `q1` and `q2` are hints that let the CPU verify without division: q1 = s^2 // m, q2 = (s^3 - q1*s*m) // m.
    """

    vendor: int
    date: int
    software_defined: int
    modulus: int
    exponent: int
    signature: int
    misc_select: int
    misc_mask: int
    cet_attributes: int
    cet_attributes_mask: int
    isv_family_id: bytes
    attributes: Attributes
    attributes_mask: Attributes
    enclave_hash: Measurement
    isv_ext_prod_id: bytes
    isv_prod_id: int
    isv_svn: int
    q1: int
    q2: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads exactly `SIGSTRUCT_SIZE` bytes. Raises `Malformed` for constants, vendors or dates that SGX
        doesn't know."""
        cur = Cursor(data, "sigstruct")
        _constant(cur, _HEADER, "header")
        vendor = cur.u32("vendor")
        if vendor not in _VENDORS:
            raise Malformed("sigstruct.vendor", f"unknown vendor {vendor:#x}")
        date = _date_from_bcd(cur.u32("date"))
        _constant(cur, _HEADER2, "header2")
        software_defined = cur.u32("software_defined")
        cur.zeros(84, "reserved1")
        modulus = _number(cur, "modulus")
        exponent = cur.u32("exponent")
        signature = _number(cur, "signature")
        misc_select, misc_mask = cur.u32("misc_select"), cur.u32("misc_mask")
        cet_attributes, cet_attributes_mask = cur.u8("cet_attributes"), cur.u8("cet_attributes_mask")
        cur.zeros(2, "reserved2")
        isv_family_id = cur.take(16, "isv_family_id")
        attributes = Attributes(cur.u64("attributes.flags"), cur.u64("attributes.xfrm"))
        attributes_mask = Attributes(cur.u64("attributes_mask.flags"), cur.u64("attributes_mask.xfrm"))
        enclave_hash = Measurement(cur.take(32, "enclave_hash"))
        cur.zeros(16, "reserved3")
        isv_ext_prod_id = cur.take(16, "isv_ext_prod_id")
        isv_prod_id, isv_svn = cur.u16("isv_prod_id"), cur.u16("isv_svn")
        cur.zeros(12, "reserved4")
        q1, q2 = _number(cur, "q1"), _number(cur, "q2")
        cur.end()
        return cls(
            vendor, date, software_defined, modulus, exponent, signature, misc_select, misc_mask, cet_attributes,
            cet_attributes_mask, isv_family_id, attributes, attributes_mask, enclave_hash, isv_ext_prod_id, isv_prod_id,
            isv_svn, q1, q2,
        )  # fmt: skip

    def encode(self) -> bytes:
        """The 1,808 bytes. `parse(encode())` is this value."""
        return b"".join(
            (
                self._signed_head(),
                self.modulus.to_bytes(_MODULUS_SIZE, "little"),
                self.exponent.to_bytes(4, "little"),
                self.signature.to_bytes(_MODULUS_SIZE, "little"),
                self._signed_body(),
                bytes(12),
                self.q1.to_bytes(_MODULUS_SIZE, "little"),
                self.q2.to_bytes(_MODULUS_SIZE, "little"),
            )
        )

    @property
    def signed_bytes(self) -> bytes:
        """What the RSA signature covers: bytes 0 to 128 and 900 to 1028."""
        return self._signed_head() + self._signed_body()

    @property
    def mr_signer(self) -> Measurement:
        """SHA-256 of the modulus as it stands in SIGSTRUCT, little-endian."""
        return Measurement(sha256(self.modulus.to_bytes(_MODULUS_SIZE, "little")).digest())

    def signed(self, signature: int) -> Self:
        """This structure with `signature` and the hints that follow from it. `modulus` must already be the
        signer's."""
        q1, rest = divmod(signature * signature, self.modulus)
        q2 = rest * signature // self.modulus
        return replace(self, signature=signature, q1=q1, q2=q2)

    def _signed_head(self) -> bytes:
        return b"".join(
            (
                _HEADER,
                self.vendor.to_bytes(4, "little"),
                _date_to_bcd(self.date).to_bytes(4, "little"),
                _HEADER2,
                self.software_defined.to_bytes(4, "little"),
                bytes(84),
            )
        )

    def _signed_body(self) -> bytes:
        return b"".join(
            (
                self.misc_select.to_bytes(4, "little"),
                self.misc_mask.to_bytes(4, "little"),
                bytes((self.cet_attributes, self.cet_attributes_mask, 0, 0)),
                self.isv_family_id,
                self.attributes.encode(),
                self.attributes_mask.encode(),
                self.enclave_hash,
                bytes(16),
                self.isv_ext_prod_id,
                self.isv_prod_id.to_bytes(2, "little"),
                self.isv_svn.to_bytes(2, "little"),
            )
        )


def _constant(cur: Cursor, expected: bytes, field: str) -> None:
    found = cur.take(len(expected), field)
    if found != expected:
        raise Malformed(f"sigstruct.{field}", f"expected {expected.hex()}, found {found.hex()}")


def _number(cur: Cursor, field: str) -> int:
    return int.from_bytes(cur.take(_MODULUS_SIZE, field), "little")


def _date_from_bcd(value: int) -> int:
    digits = f"{value:08x}"
    if not digits.isdecimal():
        raise Malformed("sigstruct.date", f"{digits} is not a decimal date")
    return int(digits)


def _date_to_bcd(date: int) -> int:
    return int(f"{date:08d}", 16)
