"""The SGX report body: the 384 bytes in which a CPU states what an enclave is (check 30, Intel SDM vol. 3D,
REPORT).

The same body is in a local report, in a quote, and in the quoting enclave's own report. All integers are
little-endian.
Nothing here judges: a debug enclave parses like any other.
"""

from dataclasses import dataclass
from enum import IntFlag
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import Measurement, ReportData
from intaglio.wire.cursor import Cursor

__all__ = ["REPORT_BODY_SIZE", "AttributeFlag", "Attributes", "ReportBody"]

REPORT_BODY_SIZE = 384

_SIZES = {
    "cpu_svn": 16, "isv_ext_prod_id": 16, "mr_enclave": 32, "mr_signer": 32, "config_id": 64, "isv_family_id":
    16, "report_data": 64,
}  # fmt: skip


class AttributeFlag(IntFlag):
    """The bits of ATTRIBUTES.FLAGS that Intel has named; the others are reserved and zero."""

    INIT = 1 << 0
    DEBUG = 1 << 1
    MODE64 = 1 << 2
    PROVISION_KEY = 1 << 4
    EINITTOKEN_KEY = 1 << 5
    CET = 1 << 6
    KSS = 1 << 7
    AEX_NOTIFY = 1 << 10


@dataclass(frozen=True, slots=True)
class Attributes:
    """ATTRIBUTES: 8 bytes of flags and 8 of XFRM, the register state that the enclave may use."""

    flags: int
    xfrm: int

    def has(self, flag: AttributeFlag) -> bool:
        return bool(self.flags & flag)

    def encode(self) -> bytes:
        """The 16 bytes as they stand in a report, a SIGSTRUCT and a QE identity."""
        return self.flags.to_bytes(8, "little") + self.xfrm.to_bytes(8, "little")


@dataclass(frozen=True, slots=True)
class ReportBody:
    """One enclave as its CPU sees it. Field names are those of the SDM, spelled out."""

    cpu_svn: bytes
    misc_select: int
    cet_attributes: int
    isv_ext_prod_id: bytes
    attributes: Attributes
    mr_enclave: Measurement
    mr_signer: Measurement
    config_id: bytes
    isv_prod_id: int
    isv_svn: int
    config_svn: int
    isv_family_id: bytes
    report_data: ReportData

    def __post_init__(self) -> None:
        for field, size in _SIZES.items():
            found = len(getattr(self, field))
            if found != size:
                raise Malformed(field, f"need {size} bytes, got {found}")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` unless `data` is exactly 384 bytes with zeros where the layout is reserved."""
        cur = Cursor(data, "report")
        body = cls.read(cur)
        cur.end()
        return body

    @classmethod
    def read(cls, cur: Cursor) -> Self:
        """Reads the next 384 bytes of `cur`. Raises `Malformed`."""
        cpu_svn = cur.take(16, "cpu_svn")
        misc_select = cur.u32("misc_select")
        cet_attributes = cur.u8("cet_attributes")
        cur.zeros(11, "reserved1")
        isv_ext_prod_id = cur.take(16, "isv_ext_prod_id")
        attributes = Attributes(cur.u64("attributes.flags"), cur.u64("attributes.xfrm"))
        mr_enclave = Measurement(cur.take(32, "mr_enclave"))
        cur.zeros(32, "reserved2")
        mr_signer = Measurement(cur.take(32, "mr_signer"))
        cur.zeros(32, "reserved3")
        config_id = cur.take(64, "config_id")
        isv_prod_id, isv_svn = cur.u16("isv_prod_id"), cur.u16("isv_svn")
        config_svn = cur.u16("config_svn")
        cur.zeros(42, "reserved4")
        isv_family_id = cur.take(16, "isv_family_id")
        report_data = ReportData(cur.take(64, "report_data"))
        return cls(
            cpu_svn, misc_select, cet_attributes, isv_ext_prod_id, attributes, mr_enclave, mr_signer,
            config_id, isv_prod_id, isv_svn, config_svn, isv_family_id, report_data,
        )  # fmt: skip

    def encode(self) -> bytes:
        """The 384 bytes that `parse` reads."""
        return b"".join((
            self.cpu_svn,
            self.misc_select.to_bytes(4, "little"),
            self.cet_attributes.to_bytes(1, "little"),
            bytes(11),
            self.isv_ext_prod_id,
            self.attributes.encode(),
            self.mr_enclave,
            bytes(32),
            self.mr_signer,
            bytes(32),
            self.config_id,
            self.isv_prod_id.to_bytes(2, "little"),
            self.isv_svn.to_bytes(2, "little"),
            self.config_svn.to_bytes(2, "little"),
            bytes(42),
            self.isv_family_id,
            self.report_data,
        ))  # fmt: skip

    @property
    def debug(self) -> bool:
        """The host can read and write this enclave's memory."""
        return bool(self.attributes.flags & AttributeFlag.DEBUG)
