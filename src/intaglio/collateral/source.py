"""Where a verifier's collateral comes from: one interface, and the source that reads files given by hand.

A source returns what it has and judges nothing; expired or forged collateral is for `intaglio.verify` to name.
"""

from pathlib import Path
from typing import Protocol

from intaglio.collateral.freshness import freshness, issuing_ca
from intaglio.collateral.http import Absent
from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire.collateral import DcapCollateral, TcbInfo
from intaglio.wire.collateral_request import CollateralRequest, DcapRequest, SnpRequest
from intaglio.wire.endorsement import Collateral, parse_collateral
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.vcek import VekExtensions
from intaglio.wire.x509 import Certificate

__all__ = ["CollateralSource", "DirectorySource", "fits", "read_collateral"]

MAX_FILE = 16 << 20
"""Hexadecimal doubles a CRL of 4 MiB, and nothing else in the file comes near."""


class CollateralSource(Protocol):
    """What the gateway asks. Implementations may be called from several threads."""

    def get(self, request: CollateralRequest, at: UnixTime) -> Collateral:
        """The collateral that was asked for, as current at the moment `at` as the source can make it.

        Raises `Unavailable` (with `retry_after`) where there is none, `Malformed` where only nonsense came.
        """
        ...


class DirectorySource:
    """The files `*.json` of a folder, each the collateral of one platform family or one SNP chip, put there by a
    person.

    The folder is read at every request: replacing a file takes effect at once. Of several that fit, the one
    issued last. The channel of TCB updates is not written in collateral, so only a number that was asked for counts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, request: CollateralRequest, at: UnixTime) -> Collateral:  # noqa: ARG002
        """Raises `Unavailable` where no file fits; it names the files that can't be read."""
        found: list[tuple[UnixTime, Collateral]] = []
        unreadable: list[str] = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                collateral = read_collateral(path)
                if fits(collateral, request):
                    found.append((freshness(collateral).issued, collateral))
            except (Malformed, OSError) as error:
                unreadable.append(f"{path.name} ({error})")
        if not found:
            broken = f"; can't read {', '.join(unreadable)}" if unreadable else ""
            raise Absent(f"{self._folder}: no collateral for {request}{broken}")
        return max(found, key=lambda item: item[0])[1]


def fits(collateral: Collateral, request: CollateralRequest) -> bool:
    """Whether it is what was asked for, as far as it says itself. Raises `Malformed`."""
    if isinstance(request, DcapRequest):
        return isinstance(collateral, DcapCollateral) and _fits_family(collateral, request)
    if not isinstance(collateral, SnpCollateral):
        return False
    return _fits_chip(Certificate.parse(collateral.vek, serial_zero=True), request)


def _fits_family(collateral: DcapCollateral, request: DcapRequest) -> bool:
    info = TcbInfo.parse(collateral.tcb_info)
    number = request.update.number
    return (
        info.fmspc.hex() == request.fmspc
        and info.id == request.tee.name
        and issuing_ca(collateral) == request.ca
        and (number is None or info.evaluation_number == number)
    )


def _fits_chip(certificate: Certificate, request: SnpRequest) -> bool:
    facts = VekExtensions.parse(certificate.extensions)
    hwid = None if request.vlek else request.hwid
    return (facts.product, facts.tcb, facts.hwid) == (request.product, request.tcb, hwid)


def read_collateral(path: Path) -> Collateral:
    """One file. Raises `Malformed`, OSError."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise Malformed(path.name, f"more than {MAX_FILE} bytes")
    return parse_collateral(data)
