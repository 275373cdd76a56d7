"""What several SEV-SNP structures have in common: products, TCB versions, and the two bit fields of a report.

AMD publications 56860 (firmware ABI: TCB_VERSION, GUEST_POLICY, PLATFORM_INFO) and 57230 (VCEK certificates: products).
"""

from dataclasses import dataclass, fields
from enum import Enum
from typing import Self

from intaglio.errors import Malformed

__all__ = ["FirmwareVersion", "GuestPolicy", "PlatformInfo", "Product", "TcbVersion"]


class Product(Enum):
    """A product line has a root key of its own. Siena and Bergamo belong to Genoa's."""

    MILAN = "Milan"
    GENOA = "Genoa"
    TURIN = "Turin"

    @classmethod
    def of_cpuid(cls, family: int, model: int) -> "Product | None":
        """From the combined (base plus extended) family and model."""
        if family == 0x19 and model <= 0x0F:
            return cls.MILAN
        if family == 0x19 and (0x10 <= model <= 0x1F or 0xA0 <= model <= 0xAF):
            return cls.GENOA
        if family == 0x1A and model <= 0x11:
            return cls.TURIN
        return None

    @classmethod
    def named(cls, name: str) -> "Product | None":
        """From a certificate's product name: the product, or the product and a stepping (`Milan-B0`)."""
        line, _, stepping = name.partition("-")
        if name != line and not (len(stepping) == 2 and stepping[0].isupper() and stepping[1].isdigit()):
            return None
        return _BY_NAME.get(line)

    @property
    def has_fmc(self) -> bool:
        """TCB versions of this product have the layout with an FMC."""
        return self is Product.TURIN

    @property
    def chip_id_size(self) -> int:
        return 8 if self is Product.TURIN else 64


_BY_NAME = {product.value: product for product in Product} | {"Siena": Product.GENOA, "Bergamo": Product.GENOA}


@dataclass(frozen=True, slots=True)
class TcbVersion:
    """TCB_VERSION: security version numbers of a platform's firmware. `fmc` exists from Turin on; None before.

    Milan and Genoa: bootloader, tee, four reserved bytes, snp, microcode. Turin: fmc, bootloader, tee, snp, three
    reserved bytes, microcode.
    """

    bootloader: int
    tee: int
    snp: int
    microcode: int
    fmc: int | None = None

    @classmethod
    def parse(cls, data: bytes, has_fmc: bool, field: str) -> Self:
        """Reads 8 bytes. Raises `Malformed`."""
        if has_fmc:
            fmc, bootloader, tee, snp, *reserved, microcode = data
        else:
            fmc = None
            bootloader, tee, *reserved, snp, microcode = data
        if any(reserved):
            raise Malformed(f"snp_report.{field}", "reserved bytes are not zero")
        return cls(bootloader, tee, snp, microcode, fmc)

    def encode(self) -> bytes:
        if self.fmc is None:
            return bytes((self.bootloader, self.tee, 0, 0, 0, 0, self.snp, self.microcode))
        return bytes((self.fmc, self.bootloader, self.tee, self.snp, 0, 0, 0, self.microcode))

    def reaches(self, minimum: "TcbVersion") -> bool:
        """Every component is at least that of `minimum`. A component that only the other has reaches nothing."""
        return (self.fmc is None) == (minimum.fmc is None) and all(
            ours >= least
            for ours, least in (
                (self.bootloader, minimum.bootloader),
                (self.tee, minimum.tee),
                (self.snp, minimum.snp),
                (self.microcode, minimum.microcode),
                (self.fmc or 0, minimum.fmc or 0),
            )
        )

    def to_json(self) -> dict[str, int]:
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value is not None}

    def __str__(self) -> str:
        return " ".join(f"{name} {value}" for name, value in self.to_json().items())


@dataclass(frozen=True, slots=True, order=True)
class FirmwareVersion:
    """Of the SEV firmware; in the report the build comes first and the major number last."""

    major: int
    minor: int
    build: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Three bytes."""
        return cls(data[2], data[1], data[0])

    def encode(self) -> bytes:
        return bytes((self.build, self.minor, self.major))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.build}"


@dataclass(frozen=True, slots=True)
class GuestPolicy:
    """GUEST_POLICY: what the guest's owner lets a host do, and demands of a platform. The firmware enforces it."""

    bits: int

    @property
    def abi(self) -> tuple[int, int]:
        """The least firmware ABI (major, minor) that this guest runs on."""
        return self.bits >> 8 & 0xFF, self.bits & 0xFF

    @property
    def smt(self) -> bool:
        """Sibling threads may run while this guest does."""
        return self._has(16)

    @property
    def reserved_one(self) -> bool:
        """Bit 17, which is one in every policy."""
        return self._has(17)

    @property
    def migrate_ma(self) -> bool:
        """A migration agent may be associated with this guest."""
        return self._has(18)

    @property
    def debug(self) -> bool:
        """The host may read and write this guest's memory."""
        return self._has(19)

    @property
    def single_socket(self) -> bool:
        """The guest may be activated on one socket only."""
        return self._has(20)

    @property
    def cxl_allow(self) -> bool:
        """CXL devices or memory may be present."""
        return self._has(21)

    @property
    def mem_aes_256_xts(self) -> bool:
        """Memory must be encrypted with AES-256-XTS."""
        return self._has(22)

    @property
    def rapl_dis(self) -> bool:
        """Running-average power readings must be off."""
        return self._has(23)

    @property
    def ciphertext_hiding_dram(self) -> bool:
        """Ciphertext of memory must be hidden from the host."""
        return self._has(24)

    @property
    def page_swap_disable(self) -> bool:
        """The host may not move or swap this guest's pages."""
        return self._has(25)

    @property
    def unknown(self) -> int:
        """Bits without a meaning here."""
        return self.bits >> 26 << 26

    def to_json(self) -> dict[str, object]:
        names = (
            "smt", "migrate_ma", "debug", "single_socket", "cxl_allow", "mem_aes_256_xts", "rapl_dis",
            "ciphertext_hiding_dram", "page_swap_disable",
        )  # fmt: skip
        major, minor = self.abi
        return {"bits": f"{self.bits:#x}", "abi": f"{major}.{minor}", **{name: getattr(self, name) for name in names}}

    def _has(self, bit: int) -> bool:
        return bool(self.bits >> bit & 1)


@dataclass(frozen=True, slots=True)
class PlatformInfo:
    """PLATFORM_INFO: how the platform is configured while the report is made."""

    bits: int

    @property
    def smt_en(self) -> bool:
        """SMT is on."""
        return self._has(0)

    @property
    def tsme_en(self) -> bool:
        """All memory is encrypted, not only that of guests."""
        return self._has(1)

    @property
    def ecc_en(self) -> bool:
        """Memory has error-correcting codes."""
        return self._has(2)

    @property
    def rapl_dis(self) -> bool:
        """Running-average power readings are off."""
        return self._has(3)

    @property
    def ciphertext_hiding_dram_en(self) -> bool:
        """Ciphertext of memory is hidden from the host."""
        return self._has(4)

    @property
    def alias_check_complete(self) -> bool:
        """Since the last reset the firmware has found no two addresses for one place in memory (AMD-SB-3015)."""
        return self._has(5)

    @property
    def tio_en(self) -> bool:
        """Trusted devices (SEV-TIO) are enabled."""
        return self._has(7)

    @property
    def unknown(self) -> int:
        """Bits without a meaning here; bit 6 is reserved."""
        return self.bits & ~0xBF

    def to_json(self) -> dict[str, object]:
        names = (
            "smt_en", "tsme_en", "ecc_en", "rapl_dis", "ciphertext_hiding_dram_en", "alias_check_complete", "tio_en",
        )  # fmt: skip
        return {"bits": f"{self.bits:#x}", **{name: getattr(self, name) for name in names}}

    def _has(self, bit: int) -> bool:
        return bool(self.bits >> bit & 1)
