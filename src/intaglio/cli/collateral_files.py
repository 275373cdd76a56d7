"""Which of several collateral files belongs to a quote."""

from dataclasses import dataclass
from pathlib import Path

from intaglio.cli.failure import Usage
from intaglio.cli.reading import read_bytes
from intaglio.collateral.source import freshness, issuing_ca
from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire.collateral import DcapCollateral, TcbInfo
from intaglio.wire.dcap import CertificationType, Quote
from intaglio.wire.pck import PckExtension
from intaglio.wire.x509 import Certificate, read_pem_chain

__all__ = ["CollateralFile", "choose", "platform_of", "read_collateral_files"]


@dataclass(frozen=True, slots=True)
class CollateralFile:
    """One file as it was given."""

    path: Path
    collateral: DcapCollateral


@dataclass(frozen=True, slots=True)
class QuotePlatform:
    """What a quote says of its platform, unverified: FMSPC as hexadecimal, and the CA that issued its certificate."""

    fmspc: str
    ca: str


def read_collateral_files(paths: list[Path]) -> list[CollateralFile]:
    """Raises `Usage` for a file that is not the nine-field JSON."""
    files: list[CollateralFile] = []
    for path in paths:
        try:
            files.append(CollateralFile(path, DcapCollateral.parse_json(read_bytes(path))))
        except Malformed as error:
            raise Usage(f"{path}: not collateral: {error}") from error
    return files


def choose(files: list[CollateralFile], evidence: bytes, at: UnixTime) -> CollateralFile | None:
    """The file that fits the quote's platform best: its FMSPC, its CA, valid at `at`, and the newest of those.

    Nothing here is verified: a file that fits badly is handed on all the same, and the verdict says what is wrong.
    """
    platform = platform_of(evidence)
    return max(files, key=lambda file: _fitness(file.collateral, platform, at), default=None)


def platform_of(evidence: bytes) -> QuotePlatform | None:
    """None where the bytes are no quote or carry no readable PCK certificate."""
    try:
        certification = Quote.parse(evidence).certification
        if certification.kind != CertificationType.PCK_CHAIN:
            return None
        for der in read_pem_chain(certification.data):
            certificate = Certificate.parse(der)
            if certificate.sgx_extension is not None:
                extension = PckExtension.parse(certificate.sgx_extension)
                return QuotePlatform(
                    extension.fmspc.hex(), "processor" if b"Processor" in certificate.issuer else "platform"
                )
    except Malformed:
        pass  # whoever verifies it will say so
    return None


def _fitness(collateral: DcapCollateral, platform: QuotePlatform | None, at: UnixTime) -> tuple[bool, bool, bool, int]:
    try:
        info = TcbInfo.parse(collateral.tcb_info)
    except Malformed:
        return False, False, False, 0
    family = platform is not None and info.fmspc.hex() == platform.fmspc
    try:
        ca = platform is not None and issuing_ca(collateral) == platform.ca
        valid = info.issue_date <= at <= freshness(collateral).next_update
    except Malformed:
        ca = valid = False
    return family, ca, valid, info.issue_date
