"""The TD report body: what the TDX module states of a trust domain (check 31, Intel DCAP quote format, TDREPORT).

Three layouts share their first 584 bytes: TDX 1.0, TDX 1.5 (648 bytes) and the extended body of TDX 1.5 (885 bytes).
All integers are little-endian, and no layout has a gap. Nothing here judges: a TD in debug mode parses like any other.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from struct import Struct
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import Measurement, ReportData
from intaglio.wire.cursor import Cursor

__all__ = ["TdAttribute", "TdBody", "TdExtension", "TdReport"]

_BASE = Struct("<16s48s48sQQQ48s48s48s48s48s48s48s48s64s")
_RECENT = Struct("<16s48s")
_EXTENSION = Struct("<B32s48s48sQ16s16s12s48sQ")


class TdBody(IntEnum):
    """The body types of a v5 quote that hold a TD report (check 5). A v4 quote has the first without saying so."""

    TDX_1_0 = 2
    TDX_1_5 = 3
    TDX_1_5_EXTENDED = 4

    @property
    def size(self) -> int:
        return _SIZES[self]


_SIZES = {
    TdBody.TDX_1_0: _BASE.size,
    TdBody.TDX_1_5: _BASE.size + _RECENT.size,
    TdBody.TDX_1_5_EXTENDED: _BASE.size + _RECENT.size + _EXTENSION.size,
}
_TYPES = {size: body_type for body_type, size in _SIZES.items()}


class TdAttribute(IntFlag):
    """The bits of TDATTRIBUTES that Intel has named; the others are reserved and zero.

    Bits 0 to 7 are the group TUD, "TD under debug": with any of them the host sees into the TD. Bits 8 to 31 may
    matter to its security, the rest do not.
    """

    DEBUG = 1 << 0
    HGS_PLUS_PROF = 1 << 4
    PERF_PROF = 1 << 5
    PMT_PROF = 1 << 6
    ICSSD = 1 << 16
    SERVTD_EXT = 1 << 17
    LASS = 1 << 27
    SEPT_VE_DISABLE = 1 << 28
    MIGRATABLE = 1 << 29
    PKS = 1 << 30
    KL = 1 << 31
    TPA = 1 << 62
    PERFMON = 1 << 63


_UNDER_DEBUG = 0xFF
_NAMED = sum(attribute.value for attribute in TdAttribute)


@dataclass(frozen=True, slots=True)
class TdExtension:
    """What the extended body adds: which of a TD's virtual machines asked, and the TD's past across migrations.

    `init_tee_fmspc` describes the model on which `init_tee_tcb_svn` was captured; it is longer than an FMSPC.
    """

    vm_id: int
    td_id: bytes
    device_info: bytes
    init_service_td_hash: Measurement
    init_service_td_attributes: int
    init_cpu_svn: bytes
    init_tee_tcb_svn: bytes
    init_tee_fmspc: bytes
    current_service_td_hash: Measurement
    current_service_td_attributes: int

    def __post_init__(self) -> None:
        sizes = (
            len(self.td_id), len(self.device_info), len(self.init_service_td_hash), len(self.init_cpu_svn),
            len(self.init_tee_tcb_svn), len(self.init_tee_fmspc), len(self.current_service_td_hash),
        )  # fmt: skip
        if sizes != (32, 48, 48, 16, 16, 12, 48):
            raise Malformed("td_report.extension", f"a field has a wrong length: {sizes}")

    @classmethod
    def read(cls, cur: Cursor) -> Self:
        """Reads the last 237 bytes of an extended body. Raises `Malformed`."""
        vm, td, device, first, first_attributes, cpu_svn, svn, fmspc, now, now_attributes = _EXTENSION.unpack(
            cur.take(_EXTENSION.size, "body")
        )
        return cls(
            vm, td, device, Measurement(first), first_attributes, cpu_svn, svn, fmspc, Measurement(now), now_attributes
        )

    def encode(self) -> bytes:
        return _EXTENSION.pack(
            self.vm_id, self.td_id, self.device_info, self.init_service_td_hash, self.init_service_td_attributes,
            self.init_cpu_svn, self.init_tee_tcb_svn, self.init_tee_fmspc, self.current_service_td_hash,
            self.current_service_td_attributes,
        )  # fmt: skip

    def to_json(self) -> dict[str, object]:
        return {
            "vm_id": self.vm_id,
            "td_id": self.td_id.hex(),
            "device_info": self.device_info.hex(),
            "init_service_td_hash": self.init_service_td_hash.hex(),
            "init_service_td_attributes": _octets(self.init_service_td_attributes),
            "init_cpu_svn": self.init_cpu_svn.hex(),
            "init_tee_tcb_svn": self.init_tee_tcb_svn.hex(),
            "init_tee_fmspc": self.init_tee_fmspc.hex(),
            "current_service_td_hash": self.current_service_td_hash.hex(),
            "current_service_td_attributes": _octets(self.current_service_td_attributes),
        }


@dataclass(frozen=True, slots=True)
class TdReport:
    """One trust domain as its TDX module sees it. Field names are Intel's, spelled out.

    `tee_tcb_svn` is the module's at the TD's launch, `tee_tcb_svn2` the one that runs now; that one and
    `mr_service_td` are None where the body is of TDX 1.0, `extension` where it is not the extended one.
    """

    tee_tcb_svn: bytes
    mr_seam: Measurement
    mr_signer_seam: Measurement
    seam_attributes: int
    td_attributes: int
    xfam: int
    mr_td: Measurement
    mr_config_id: Measurement
    mr_owner: Measurement
    mr_owner_config: Measurement
    rtmr0: Measurement
    rtmr1: Measurement
    rtmr2: Measurement
    rtmr3: Measurement
    report_data: ReportData
    tee_tcb_svn2: bytes | None = None
    mr_service_td: Measurement | None = None
    extension: TdExtension | None = None

    def __post_init__(self) -> None:
        measurements = {len(each) for each in (*self._measurements, *self.rtmrs)}
        if (len(self.tee_tcb_svn), measurements, len(self.report_data)) != (16, {48}, 64):
            raise Malformed("td_report", "a field has a wrong length")
        svn2, service_td = self.tee_tcb_svn2, self.mr_service_td
        if (svn2 is None) != (service_td is None) or (svn2 is None and self.extension is not None):
            raise Malformed("td_report", "the fields of TDX 1.5 are there together or not at all")
        if svn2 is not None and service_td is not None and (len(svn2), len(service_td)) != (16, 48):
            raise Malformed("td_report", "a field of TDX 1.5 has a wrong length")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` unless `data` has exactly the size of one of the three layouts."""
        body_type = _TYPES.get(len(data))
        if body_type is None:
            raise Malformed("td_report", f"need {' or '.join(map(str, _TYPES))} bytes, got {len(data)}")
        cur = Cursor(data, "td_report")
        report = cls.read(cur, body_type)
        cur.end()
        return report

    @classmethod
    def read(cls, cur: Cursor, body_type: TdBody) -> Self:
        """Reads the next body of `cur`. Raises `Malformed`."""
        (
            tee_tcb_svn, mr_seam, mr_signer_seam, seam_attributes, td_attributes, xfam, mr_td, mr_config_id, mr_owner,
            mr_owner_config, rtmr0, rtmr1, rtmr2, rtmr3, report_data,
        ) = _BASE.unpack(cur.take(_BASE.size, "body"))  # fmt: skip
        svn2, service_td, extension = None, None, None
        if body_type is not TdBody.TDX_1_0:
            svn2, service_td = _RECENT.unpack(cur.take(_RECENT.size, "body"))
        if body_type is TdBody.TDX_1_5_EXTENDED:
            extension = TdExtension.read(cur)
        return cls(
            tee_tcb_svn, mr_seam, mr_signer_seam, seam_attributes, td_attributes, xfam, mr_td, mr_config_id, mr_owner,
            mr_owner_config, rtmr0, rtmr1, rtmr2, rtmr3, report_data, svn2, service_td, extension,
        )  # fmt: skip

    def encode(self) -> bytes:
        """The bytes that `parse` reads."""
        encoded = _BASE.pack(
            self.tee_tcb_svn, self.mr_seam, self.mr_signer_seam, self.seam_attributes, self.td_attributes, self.xfam,
            self.mr_td, self.mr_config_id, self.mr_owner, self.mr_owner_config, *self.rtmrs, self.report_data,
        )  # fmt: skip
        if self.tee_tcb_svn2 is not None:
            encoded += _RECENT.pack(self.tee_tcb_svn2, self.mr_service_td)
        return encoded + (self.extension.encode() if self.extension else b"")

    @property
    def body_type(self) -> TdBody:
        if self.extension is not None:
            return TdBody.TDX_1_5_EXTENDED
        return TdBody.TDX_1_0 if self.tee_tcb_svn2 is None else TdBody.TDX_1_5

    @property
    def rtmrs(self) -> tuple[Measurement, Measurement, Measurement, Measurement]:
        """The run-time measurement registers, by number."""
        return self.rtmr0, self.rtmr1, self.rtmr2, self.rtmr3

    @property
    def debug(self) -> bool:
        """The host can see into this TD: a bit of the group "TD under debug" is set, DEBUG or another one."""
        return self.td_attributes & _UNDER_DEBUG != 0

    @property
    def unknown_attributes(self) -> int:
        """The bits of TDATTRIBUTES that this release has no name for."""
        return self.td_attributes & ~_NAMED

    def has(self, attribute: TdAttribute) -> bool:
        # Not `self.td_attributes & attribute`: that would build a TdAttribute, which costs a hundred times more.
        return int.__and__(self.td_attributes, attribute) != 0

    def to_json(self) -> dict[str, object]:
        """The report's facts, as verdicts show them: byte strings as they stand, in lower-case hexadecimal."""
        facts: dict[str, object] = {
            "mr_td": self.mr_td.hex(),
            **{f"rtmr{number}": rtmr.hex() for number, rtmr in enumerate(self.rtmrs)},
            "mr_config_id": self.mr_config_id.hex(),
            "mr_owner": self.mr_owner.hex(),
            "mr_owner_config": self.mr_owner_config.hex(),
            "td_attributes": _octets(self.td_attributes),
            "attributes_set": [attribute.name for attribute in TdAttribute if self.has(attribute)],
            "debug": self.debug,
            "xfam": _octets(self.xfam),
            "mr_seam": self.mr_seam.hex(),
            "mr_signer_seam": self.mr_signer_seam.hex(),
            "seam_attributes": _octets(self.seam_attributes),
            "tee_tcb_svn": self.tee_tcb_svn.hex(),
        }
        if self.tee_tcb_svn2 is not None and self.mr_service_td is not None:
            facts |= {"tee_tcb_svn2": self.tee_tcb_svn2.hex(), "mr_service_td": self.mr_service_td.hex()}
        if self.extension is not None:
            facts |= {"extension": self.extension.to_json()}
        return {**facts, "report_data": self.report_data.hex()}

    @property
    def _measurements(self) -> tuple[Measurement, ...]:
        return (
            self.mr_seam, self.mr_signer_seam, self.mr_td, self.mr_config_id, self.mr_owner, self.mr_owner_config,
        )  # fmt: skip


def _octets(value: int) -> str:
    """Eight bytes as they stand in a report."""
    return value.to_bytes(8, "little").hex()
