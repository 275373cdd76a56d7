"""The three messages with which two enclaves on one CPU attest each other: Intel's dh_msg1, dh_msg2 and dh_msg3
(Intel SGX SDK, sgx_dh.h). Byte for byte, so that an enclave built with that SDK can be at the other end.

A point is x and y, 32 bytes each, little-endian. Whether it lies on the curve is for whoever computes with it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire.cursor import Cursor
from intaglio.wire.sgx import LOCAL_REPORT_SIZE, LocalReport
from intaglio.wire.target_info import TargetInfo

__all__ = [
    "KDF_ID",
    "MAX_PROPERTIES",
    "POINT_SIZE",
    "PROTOCOL_MARK",
    "PROTOCOL_SPEC",
    "Message1",
    "Message2",
    "Message3",
    "Variant",
]

POINT_SIZE = 64
_MAC = 16
MAX_PROPERTIES = 64 * 1024
"""Bytes of additional properties. Intel's length field has 32 bits; what is sent there is a few words."""

KDF_ID = (1).to_bytes(2, "little")
"""LAv1 names its key derivation, AES-CMAC, in the report data of message 2, after the hash."""

PROTOCOL_MARK = b"SGX LA"
_FIELDS = (0x0600, 0x0405, 0x0304, 0x0140, 0x1041, 0x0102, 0x0C06)
"""LAv2: a count of six, then of each field of a TARGETINFO its place in a REPORT (the upper 12 bits) and the logarithm
of its size: MRENCLAVE, ATTRIBUTES, CET_ATTRIBUTES, CONFIGSVN, MISCSELECT, CONFIGID."""
PROTOCOL_SPEC = (PROTOCOL_MARK + bytes((2, 0)) + b"".join(field.to_bytes(2, "little") for field in _FIELDS)).ljust(
    64, b"\0"
)
"""LAv2, version 2 revision 0: the only specification that is published, and the only one that is accepted here."""


class Variant(Enum):
    """How reports and keys are bound. The initiator chooses; a responder sees it in message 2."""

    LAV1 = "LAv1"
    LAV2 = "LAv2"


@dataclass(frozen=True, slots=True)
class Message1:
    """Responder to initiator, 576 bytes: the responder's point, and how to address a report to it. Nothing in it is
    authenticated before message 3."""

    g_a: bytes
    target: TargetInfo

    @classmethod
    def parse(cls, data: bytes) -> Self:
        cur = Cursor(data, "dh_msg1")
        message = cls(cur.take(POINT_SIZE, "g_a"), TargetInfo.read(cur))
        cur.end()
        return message

    def encode(self) -> bytes:
        return self.g_a + self.target.encode()


@dataclass(frozen=True, slots=True)
class Message2:
    """Initiator to responder, 512 bytes. In LAv2 the report data that travel are the protocol's specification, and
    those under the report's MAC are a hash."""

    g_b: bytes
    report: LocalReport
    mac: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        cur = Cursor(data, "dh_msg2")
        g_b = cur.take(POINT_SIZE, "g_b")
        message = cls(g_b, LocalReport.parse(cur.take(LOCAL_REPORT_SIZE, "report")), cur.take(_MAC, "cmac"))
        cur.end()
        return message

    def encode(self) -> bytes:
        return self.g_b + self.report.encode() + self.mac


@dataclass(frozen=True, slots=True)
class Message3:
    """Responder to initiator, 452 bytes and the additional properties, which the protocol carries and authenticates
    and does not interpret."""

    mac: bytes
    report: LocalReport
    properties: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        cur = Cursor(data, "dh_msg3")
        mac = cur.take(_MAC, "cmac")
        report = LocalReport.parse(cur.take(LOCAL_REPORT_SIZE, "report"))
        length = cur.u32("additional_prop_length")
        if length > MAX_PROPERTIES:
            raise Malformed("dh_msg3.additional_prop_length", f"{length} bytes, at most {MAX_PROPERTIES}")
        message = cls(mac, report, cur.take(length, "additional_prop"))
        cur.end()
        return message

    @property
    def body(self) -> bytes:
        """Everything but the MAC: what LAv1 authenticates."""
        return self.report.encode() + len(self.properties).to_bytes(4, "little") + self.properties

    def encode(self) -> bytes:
        return self.mac + self.body
