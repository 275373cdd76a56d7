"""The SGX report body: the 384 bytes in which a CPU states what an enclave is (check 30, Intel SDM vol. 3D,
REPORT).

The same body is in a local report, in a quote, and in the quoting enclave's own report. All integers are
little-endian.
Nothing here judges: a debug enclave parses like any other.
"""

from dataclasses import dataclass
from enum import IntFlag
from struct import Struct
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import Measurement, ReportData
from intaglio.wire.cursor import Cursor

__all__ = ["LOCAL_REPORT_SIZE", "REPORT_BODY_SIZE", "AttributeFlag", "Attributes", "LocalReport", "ReportBody"]

REPORT_BODY_SIZE = 384
LOCAL_REPORT_SIZE = 432

_LAYOUT = Struct("<16sIB11s16sQQ32s32s32s32s64sHHH42s16s64s")
"""One read instead of eighteen: a data centre parses two bodies a quote. Its four gaps are the reserved
bytes."""

_RESERVED = bytes(11 + 32 + 32 + 42)


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
        # Not `self.flags & flag`: that would build an AttributeFlag, which costs a hundred times more.
        return int.__and__(self.flags, flag) != 0

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
        sizes = (
            len(self.cpu_svn), len(self.isv_ext_prod_id), len(self.mr_enclave), len(self.mr_signer),
            len(self.config_id), len(self.isv_family_id), len(self.report_data),
        )  # fmt: skip
        if sizes != (16, 16, 32, 32, 64, 16, 64):
            raise Malformed("report", f"a field has a wrong length: {sizes}")

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
        (
            cpu_svn, misc_select, cet_attributes, reserved1, isv_ext_prod_id, flags, xfrm, mr_enclave, reserved2,
            mr_signer, reserved3, config_id, isv_prod_id, isv_svn, config_svn, reserved4, isv_family_id, report_data,
        ) = _LAYOUT.unpack(cur.take(REPORT_BODY_SIZE, "body"))  # fmt: skip
        if (reserved1 + reserved2 + reserved3 + reserved4) != _RESERVED:
            raise Malformed("report.reserved", "reserved bytes are not zero")
        return cls(
            cpu_svn, misc_select, cet_attributes, isv_ext_prod_id, Attributes(flags, xfrm), Measurement(mr_enclave),
            Measurement(mr_signer), config_id, isv_prod_id, isv_svn, config_svn, isv_family_id,
            ReportData(report_data),
        )  # fmt: skip

    def encode(self) -> bytes:
        """The 384 bytes that `parse` reads."""
        return _LAYOUT.pack(
            self.cpu_svn, self.misc_select, self.cet_attributes, b"", self.isv_ext_prod_id, self.attributes.flags,
            self.attributes.xfrm, self.mr_enclave, b"", self.mr_signer, b"", self.config_id, self.isv_prod_id,
            self.isv_svn, self.config_svn, b"", self.isv_family_id, self.report_data,
        )  # fmt: skip

    @property
    def debug(self) -> bool:
        """The host can read and write this enclave's memory."""
        return self.attributes.has(AttributeFlag.DEBUG)

    def to_json(self) -> dict[str, object]:
        """Every field by its name; byte strings as lower-case hexadecimal."""
        return {
            "mr_enclave": self.mr_enclave.hex(),
            "mr_signer": self.mr_signer.hex(),
            "isv_prod_id": self.isv_prod_id,
            "isv_svn": self.isv_svn,
            "attributes": self.attributes.encode().hex(),
            "debug": self.debug,
            "misc_select": self.misc_select,
            "cpu_svn": self.cpu_svn.hex(),
            "isv_ext_prod_id": self.isv_ext_prod_id.hex(),
            "isv_family_id": self.isv_family_id.hex(),
            "config_id": self.config_id.hex(),
            "config_svn": self.config_svn,
            "report_data": self.report_data.hex(),
        }


@dataclass(frozen=True, slots=True)
class LocalReport:
    """REPORT, 432 bytes: body, key id, AES-128-CMAC over the body under the target's report key.

    EREPORT makes it for one other enclave on the same CPU, and only that enclave can ask for the key.
    """

    body: ReportBody
    key_id: bytes
    mac: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` unless `data` is exactly 432 well-formed bytes."""
        cur = Cursor(data, "local_report")
        report = cls(ReportBody.parse(cur.take(REPORT_BODY_SIZE, "body")), cur.take(32, "key_id"), cur.take(16, "mac"))
        cur.end()
        return report

    def encode(self) -> bytes:
        return self.body.encode() + self.key_id + self.mac
