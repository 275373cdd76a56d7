"""TARGETINFO: to which enclave a local report is addressed (Intel SDM vol. 3D, section 35.17), 512 bytes.

EREPORT keys the report's MAC by these fields, so only the enclave that has them, on the same CPU, can derive the key.
All integers are little-endian. An enclave may well get this from a host: a lie here makes a report that its peer can't
check, and nothing else.
"""

from dataclasses import dataclass
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import Measurement
from intaglio.wire.cursor import Cursor
from intaglio.wire.sgx import Attributes, ReportBody

__all__ = ["TARGET_INFO_SIZE", "TargetInfo"]

TARGET_INFO_SIZE = 512
_TAIL = 384


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """mr_enclave: 32 bytes; config_id: 64. A byte between cet_attributes and config_svn, eight before config_id and
    384 at the end are reserved."""

    mr_enclave: Measurement
    attributes: Attributes
    misc_select: int = 0
    cet_attributes: int = 0
    config_svn: int = 0
    config_id: bytes = bytes(64)

    def __post_init__(self) -> None:
        if len(self.mr_enclave) != 32 or len(self.config_id) != 64:
            raise Malformed("target_info", "mr_enclave is 32 bytes, config_id 64")

    @classmethod
    def of(cls, body: ReportBody) -> Self:
        """What addresses a report to the enclave that `body` is about."""
        return cls(
            body.mr_enclave, body.attributes, body.misc_select, body.cet_attributes, body.config_svn, body.config_id
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` unless `data` is exactly 512 bytes with zeros where the layout is reserved."""
        cur = Cursor(data, "target_info")
        target = cls.read(cur)
        cur.end()
        return target

    @classmethod
    def read(cls, cur: Cursor) -> Self:
        """Reads the next 512 bytes of `cur`. Raises `Malformed`."""
        mr_enclave = Measurement(cur.take(32, "mr_enclave"))
        attributes = Attributes(cur.u64("attributes.flags"), cur.u64("attributes.xfrm"))
        cet_attributes = cur.u8("cet_attributes")
        cur.zeros(1, "reserved1")
        config_svn = cur.u16("config_svn")
        misc_select = cur.u32("misc_select")
        cur.zeros(8, "reserved2")
        config_id = cur.take(64, "config_id")
        cur.zeros(_TAIL, "reserved3")
        return cls(mr_enclave, attributes, misc_select, cet_attributes, config_svn, config_id)

    def encode(self) -> bytes:
        """The 512 bytes that `parse` reads."""
        return b"".join(
            (
                self.mr_enclave,
                self.attributes.encode(),
                bytes((self.cet_attributes, 0)),
                self.config_svn.to_bytes(2, "little"),
                self.misc_select.to_bytes(4, "little"),
                bytes(8),
                self.config_id,
                bytes(_TAIL),
            )
        )
