"""The SEV-SNP attestation report: 1,184 bytes in which AMD's firmware states what a guest is.

Versions 2 to 5 (AMD publication 56860, SEV-SNP Firmware ABI, revisions 1.55 to 1.58, "Attestation Report"). All
integers are little-endian. Bytes that a version reserves must be zero; single bits that AMD may name later are kept
and not judged here. Nothing else is judged either: a debug guest parses like any other.
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import Measurement, ReportData
from intaglio.wire.cursor import Cursor
from intaglio.wire.snp_fields import FirmwareVersion, GuestPolicy, PlatformInfo, Product, TcbVersion

__all__ = ["ECDSA_P384_SHA384", "SNP_REPORT_SIZE", "VERSIONS", "SigningKey", "SnpReport", "signed_part"]

SNP_REPORT_SIZE = 1184
VERSIONS = range(2, 6)
ECDSA_P384_SHA384 = 1
"""The only SIGNATURE_ALGO that AMD has defined."""

_LAYOUT = Struct("<IIQ16s16sII8sQI4s64s48s32s48s48s32s32s8s3s21s64s8s3ss3ss8sQQ152s72s72s368s")
_SIGNED_SIZE = 0x2A0
_SCALAR = 48
_AUTHOR_KEY_EN, _MASK_CHIP_KEY, _SIGNING_KEY, _KNOWN_FLAGS = 1, 2, 7 << 2, 0x1F
_ZERO_CPUID = bytes(3)
_SIZES = (16, 16, 64, 48, 32, 48, 48, 32, 32, 64, 96)


class SigningKey(IntEnum):
    """What SIGNING_KEY may say; every other number is reserved."""

    VCEK = 0
    VLEK = 1
    NONE = 7


@dataclass(frozen=True, slots=True)
class SnpReport:
    """One guest as its firmware sees it. Field names are AMD's.

    `flags` holds AUTHOR_KEY_EN, MASK_CHIP_KEY and SIGNING_KEY. `cpuid` is family, model and stepping from version 3
    on, the mitigation vectors are there from version 5 on; None before. `signature` is r || s, each 48 bytes
    big-endian, over the `signed_part` of the very bytes that were read.
    """

    version: int
    guest_svn: int
    policy: GuestPolicy
    family_id: bytes
    image_id: bytes
    vmpl: int
    signature_algo: int
    current_tcb: TcbVersion
    platform_info: PlatformInfo
    flags: int
    report_data: ReportData
    measurement: Measurement
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: TcbVersion
    cpuid: tuple[int, int, int] | None
    chip_id: bytes
    committed_tcb: TcbVersion
    current: FirmwareVersion
    committed: FirmwareVersion
    launch_tcb: TcbVersion
    launch_mit_vector: int | None
    current_mit_vector: int | None
    signature: bytes

    def __post_init__(self) -> None:
        sizes = (
            len(self.family_id), len(self.image_id), len(self.report_data), len(self.measurement),
            len(self.host_data), len(self.id_key_digest), len(self.author_key_digest), len(self.report_id),
            len(self.report_id_ma), len(self.chip_id), len(self.signature),
        )  # fmt: skip
        if sizes != _SIZES:
            raise Malformed("snp_report", f"a field has a wrong length: {sizes}")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` unless `data` is exactly one report of a known version."""
        if len(data) != SNP_REPORT_SIZE:
            raise Malformed("snp_report.size", f"need {SNP_REPORT_SIZE} bytes, got {len(data)}")
        (
            version, guest_svn, policy, family_id, image_id, vmpl, signature_algo, current_tcb, platform_info, flags,
            reserved0, report_data, measurement, host_data, id_key_digest, author_key_digest, report_id, report_id_ma,
            reported_tcb, cpuid, reserved1, chip_id, committed_tcb, current, reserved2, committed, reserved3,
            launch_tcb, launch_mit_vector, current_mit_vector, reserved4, r, s, reserved5,
        ) = _LAYOUT.unpack(data)  # fmt: skip
        if version not in VERSIONS:
            raise Malformed("snp_report.version", f"expected 2 to 5, got {version}")
        if (reserved0 + reserved1 + reserved2 + reserved3 + reserved4 + reserved5).strip(b"\0"):
            raise Malformed("snp_report.reserved", "reserved bytes are not zero")
        if version < 3 and cpuid != _ZERO_CPUID:
            raise Malformed("snp_report.reserved", "version 2 has no CPUID, and its place is not zero")
        if version < 5 and (launch_mit_vector or current_mit_vector):
            raise Malformed("snp_report.reserved", f"version {version} has no mitigation vectors, and theirs is not 0")
        has_fmc = _has_fmc(version, cpuid, chip_id)
        return cls(
            version, guest_svn, GuestPolicy(policy), family_id, image_id, vmpl, signature_algo,
            TcbVersion.parse(current_tcb, has_fmc, "current_tcb"), PlatformInfo(platform_info), flags,
            ReportData(report_data), Measurement(measurement), host_data, id_key_digest, author_key_digest,
            report_id, report_id_ma, TcbVersion.parse(reported_tcb, has_fmc, "reported_tcb"),
            (cpuid[0], cpuid[1], cpuid[2]) if version > 2 else None, chip_id,
            TcbVersion.parse(committed_tcb, has_fmc, "committed_tcb"), FirmwareVersion.parse(current),
            FirmwareVersion.parse(committed), TcbVersion.parse(launch_tcb, has_fmc, "launch_tcb"),
            launch_mit_vector if version > 4 else None, current_mit_vector if version > 4 else None,
            _scalar(r, "r") + _scalar(s, "s"),
        )  # fmt: skip

    def encode(self) -> bytes:
        """The 1,184 bytes that `parse` reads."""
        r, s = self.signature[:_SCALAR][::-1], self.signature[_SCALAR:][::-1]
        return _LAYOUT.pack(
            self.version, self.guest_svn, self.policy.bits, self.family_id, self.image_id, self.vmpl,
            self.signature_algo, self.current_tcb.encode(), self.platform_info.bits, self.flags, b"",
            self.report_data, self.measurement, self.host_data, self.id_key_digest, self.author_key_digest,
            self.report_id, self.report_id_ma, self.reported_tcb.encode(), bytes(self.cpuid or ()), b"", self.chip_id,
            self.committed_tcb.encode(), self.current.encode(), b"", self.committed.encode(), b"",
            self.launch_tcb.encode(), self.launch_mit_vector or 0, self.current_mit_vector or 0, b"", r, s, b"",
        )  # fmt: skip

    @property
    def debug(self) -> bool:
        """The host can read and write this guest's memory."""
        return self.policy.debug

    @property
    def author_key_en(self) -> bool:
        """An author key signed the ID key, and `author_key_digest` is its digest."""
        return bool(self.flags & _AUTHOR_KEY_EN)

    @property
    def mask_chip_key(self) -> bool:
        """The platform does not sign with its VCEK."""
        return bool(self.flags & _MASK_CHIP_KEY)

    @property
    def signing_key(self) -> int:
        """A value of `SigningKey`, or a reserved number."""
        return (self.flags & _SIGNING_KEY) >> 2

    @property
    def unknown_flags(self) -> int:
        return self.flags & ~_KNOWN_FLAGS

    @property
    def product(self) -> Product | None:
        """From the CPUID; None in version 2, and for a processor that is not known here."""
        return Product.of_cpuid(self.cpuid[0], self.cpuid[1]) if self.cpuid else None

    @property
    def chip_id_masked(self) -> bool:
        """The platform's owner hides CHIP_ID (MaskChipId): it is all zero."""
        return not self.chip_id.strip(b"\0")

    def to_json(self) -> dict[str, object]:
        """The facts, as `Verdict.to_json` shows them."""
        return {
            "version": self.version,
            "measurement": self.measurement.hex(),
            "report_data": self.report_data.hex(),
            "host_data": self.host_data.hex(),
            "guest_svn": self.guest_svn,
            "vmpl": self.vmpl,
            "debug": self.debug,
            "policy": self.policy.to_json(),
            "platform_info": self.platform_info.to_json(),
            "product": self.product.value if self.product else None,
            "family_id": self.family_id.hex(),
            "image_id": self.image_id.hex(),
            "id_key_digest": self.id_key_digest.hex(),
            "author_key_en": self.author_key_en,
            "author_key_digest": self.author_key_digest.hex(),
            "report_id": self.report_id.hex(),
            "report_id_ma": self.report_id_ma.hex(),
            "chip_id": self.chip_id.hex(),
            "mask_chip_key": self.mask_chip_key,
            "signing_key": self.signing_key,
            "cpuid": list(self.cpuid) if self.cpuid else None,
            "current_tcb": self.current_tcb.to_json(),
            "reported_tcb": self.reported_tcb.to_json(),
            "committed_tcb": self.committed_tcb.to_json(),
            "launch_tcb": self.launch_tcb.to_json(),
            "current_version": str(self.current),
            "committed_version": str(self.committed),
            "launch_mit_vector": self.launch_mit_vector,
            "current_mit_vector": self.current_mit_vector,
        }


def signed_part(report: bytes) -> bytes:
    """The 672 bytes of an encoded report that its signature covers. Raises `Malformed`."""
    return Cursor(report, "snp_report").take(_SIGNED_SIZE, "signed")


def _has_fmc(version: int, cpuid: bytes, chip_id: bytes) -> bool:
    """Which layout the TCB versions have: with the FMC from Turin on.

    Version 2 does not name its processor, but chip ids have 8 bytes from Turin on and 64 before.
    """
    if version > 2:
        return cpuid[0] > 0x19
    return not chip_id[8:].strip(b"\0") and bool(chip_id.strip(b"\0"))


def _scalar(field: bytes, name: str) -> bytes:
    if field[_SCALAR:].strip(b"\0"):
        raise Malformed(f"snp_report.signature.{name}", "more than 48 bytes")
    return field[_SCALAR - 1 :: -1]
