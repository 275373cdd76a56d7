"""Which collateral: the typed request that sources answer, caches name their files by and bundles carry.

A request says everything that makes two answers different, the channel of TCB updates included. AWS Nitro needs no
collateral: a document carries its certificates, and AWS publishes no revocation list.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from intaglio.errors import Malformed
from intaglio.types import Tee
from intaglio.wire import cbor
from intaglio.wire.snp_fields import Product, TcbVersion

__all__ = ["CollateralRequest", "DcapRequest", "SnpRequest", "TcbUpdate", "parse_request"]

_FMSPC = re.compile(r"[0-9a-f]{12}")
_CAS = ("platform", "processor")
_STANDARD, _EARLY = "standard", "early"
_MAX_NUMBER = 0xFFFFFFFF
_CHIP_ID = 64


@dataclass(frozen=True, slots=True)
class TcbUpdate:
    """Which of Intel's TCB levels: those of the standard or the early channel, or those of one TCB evaluation data
    number. Early has a TCB recovery's new levels on the day it is announced, standard months later.

    Written "standard", "early", or the number.
    """

    text: str

    STANDARD: ClassVar["TcbUpdate"]
    EARLY: ClassVar["TcbUpdate"]

    def __post_init__(self) -> None:
        if self.text not in (_STANDARD, _EARLY) and not self._is_number():
            raise ValueError(f"TCB update {self.text[:32]!r}: need standard, early or a TCB evaluation data number")

    def _is_number(self) -> bool:
        text = self.text
        short = 0 < len(text) <= len(str(_MAX_NUMBER)) and text.isascii() and text.isdigit()
        # One spelling for each number: it is part of a file's name.
        return short and int(text) <= _MAX_NUMBER and str(int(text)) == text

    @property
    def number(self) -> int | None:
        """The TCB evaluation data number, where one was asked for."""
        return None if self.text in (_STANDARD, _EARLY) else int(self.text)

    def __str__(self) -> str:
        return self.text


TcbUpdate.STANDARD = TcbUpdate(_STANDARD)
TcbUpdate.EARLY = TcbUpdate(_EARLY)


@dataclass(frozen=True, slots=True)
class DcapRequest:
    """Intel's collateral for quotes of one platform family. `fmspc`: twelve hexadecimal digits, lower case; `ca`: who
    issued its PCK certificates, "platform" or "processor". Raises `ValueError` for anything else."""

    tee: Tee
    fmspc: str
    ca: str
    update: TcbUpdate = TcbUpdate.STANDARD

    def __post_init__(self) -> None:
        if self.tee not in (Tee.SGX, Tee.TDX) or not _FMSPC.fullmatch(self.fmspc) or self.ca not in _CAS:
            named = f"tee {self.tee.value}, fmspc {self.fmspc[:32]!r} or ca {self.ca[:32]!r}"
            raise ValueError(f"{named} is not a name of Intel's API")

    @property
    def key(self) -> str:
        """A name for it, fit for a file."""
        return f"{self.tee.value}-{self.fmspc}-{self.ca}-{self.update}"

    def to_cbor(self) -> cbor.Value:
        return ["dcap", self.tee.value, self.fmspc, self.ca, self.update.text]

    def to_json(self) -> dict[str, str]:
        return {"tee": self.tee.value, "fmspc": self.fmspc, "ca": self.ca, "update": self.update.text}

    def __str__(self) -> str:
        return f"{self.tee.value.upper()} FMSPC {self.fmspc}, {self.ca} CA, update {self.update}"

    @classmethod
    def from_items(cls, items: list[object]) -> Self:
        """The inverse of `to_cbor`. Raises `Malformed`, `ValueError`."""
        _, tee, fmspc, ca, update = cbor.array(items, "request", 5)
        return cls(
            Tee(cbor.tstr(tee, "request.tee")),
            cbor.tstr(fmspc, "request.fmspc"),
            cbor.tstr(ca, "request.ca"),
            TcbUpdate(cbor.tstr(update, "request.update")),
        )


@dataclass(frozen=True, slots=True)
class SnpRequest:
    """AMD's certificates for reports of one chip at one TCB version. `chip_id`: the 64 bytes of the report; with
    `vlek` it plays no part and is zero, because a VLEK belongs to a cloud provider and not to a chip."""

    product: Product
    chip_id: bytes
    tcb: TcbVersion
    vlek: bool = False

    def __post_init__(self) -> None:
        if len(self.chip_id) != _CHIP_ID or self.product.has_fmc != (self.tcb.fmc is not None):
            raise ValueError(f"need a chip id of {_CHIP_ID} bytes and a TCB version of {self.product.value}")
        beyond = self.chip_id[0 if self.vlek else self.product.chip_id_size :]
        if beyond.strip(b"\0"):
            raise ValueError(f"the chip id has more bytes than one of {self.product.value}")

    @property
    def hwid(self) -> bytes:
        """The chip id as certificates and AMD's service have it: eight bytes from Turin on, 64 before."""
        return self.chip_id[: self.product.chip_id_size]

    @property
    def signing_key(self) -> str:
        return "vlek" if self.vlek else "vcek"

    @property
    def key(self) -> str:
        """A name for it, fit for a file."""
        chip = "" if self.vlek else f"-{self.hwid.hex()}"
        return f"snp-{self.product.value.lower()}-{self.signing_key}{chip}-{self.tcb.encode().hex()}"

    def to_cbor(self) -> cbor.Value:
        return ["snp", self.product.value, self.chip_id, self.tcb.encode(), self.signing_key]

    def to_json(self) -> dict[str, object]:
        return {
            "tee": Tee.SNP.value,
            "product": self.product.value,
            "signing_key": self.signing_key,
            "chip_id": None if self.vlek else self.hwid.hex(),
            "tcb": self.tcb.to_json(),
        }

    def __str__(self) -> str:
        chip = "" if self.vlek else f" of chip {self.hwid.hex()[:16]}..."
        return f"SNP {self.product.value} {self.signing_key.upper()}{chip}, TCB {self.tcb}"

    @classmethod
    def from_items(cls, items: list[object]) -> Self:
        """The inverse of `to_cbor`. Raises `Malformed`, `ValueError`."""
        _, name, chip_id, tcb, signing_key = cbor.array(items, "request", 5)
        product = Product(cbor.tstr(name, "request.product"))
        if signing_key not in ("vcek", "vlek"):
            raise Malformed("request.signing_key", "neither vcek nor vlek")
        version = TcbVersion.parse(cbor.bstr(tcb, "request.tcb", 8), product.has_fmc, "request.tcb")
        return cls(product, cbor.bstr(chip_id, "request.chip_id", _CHIP_ID), version, signing_key == "vlek")


CollateralRequest = DcapRequest | SnpRequest


def parse_request(value: object) -> CollateralRequest:
    """Reads what `to_cbor` gives. Raises `Malformed`."""
    if not isinstance(value, list) or not value:
        raise Malformed("request", "not an array")
    try:
        match value[0]:
            case "dcap":
                return DcapRequest.from_items(value)
            case "snp":
                return SnpRequest.from_items(value)
    except ValueError as error:
        raise Malformed("request", str(error)) from error
    raise Malformed("request", "neither dcap nor snp")
