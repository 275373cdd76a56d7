"""Where a verifier's collateral comes from: one interface, and the source that reads files given by hand.

A source returns what it has and judges nothing; expired or forged collateral is for `intaglio.verify` to name.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from intaglio.errors import Malformed, Unavailable
from intaglio.types import UnixTime
from intaglio.wire.collateral import DcapCollateral, EnclaveIdentity, TcbInfo
from intaglio.wire.x509 import RevocationList

__all__ = ["CollateralSource", "DirectorySource", "Freshness", "Issue", "freshness", "issuing_ca", "read_collateral"]

MAX_FILE = 16 << 20
"""Hexadecimal doubles a CRL of 4 MiB, and nothing else in the file comes near."""


class CollateralSource(Protocol):
    """What the gateway asks. Implementations may be called from several threads."""

    def get(self, fmspc: str, ca: str, at: UnixTime) -> DcapCollateral:
        """Collateral for quotes of the platform family `fmspc` (twelve hex digits) whose PCK certificate was
        issued by `ca` ("platform" or "processor"), as current at the moment `at` as the source can make it.

        Raises `Unavailable` (with `retry_after`) where there is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class Issue:
    """When a document was issued, and its TCB evaluation data number."""

    issued: UnixTime
    number: int


@dataclass(frozen=True, slots=True)
class Freshness:
    """How new a set of collateral says it is. Unverified: whoever served it chose these numbers."""

    fmspc: str
    tcb_info: Issue
    qe_identity: Issue
    root_ca_crl: UnixTime
    pck_crl: UnixTime
    """When the CRLs were issued."""
    next_update: UnixTime
    """The earliest of both documents and both CRLs."""


def freshness(collateral: DcapCollateral) -> Freshness:
    """Reads the dates and numbers. Raises `Malformed` where a part can't be read, a missing CRL included."""
    tcb = TcbInfo.parse(collateral.tcb_info)
    identity = EnclaveIdentity.parse(collateral.qe_identity)
    lists = [RevocationList.parse(der) for der in (collateral.root_ca_crl, collateral.pck_crl)]
    dates = [tcb.next_update, identity.next_update, *(crl.next_update for crl in lists)]
    return Freshness(
        fmspc=tcb.fmspc.hex(),
        tcb_info=Issue(tcb.issue_date, tcb.evaluation_number),
        qe_identity=Issue(identity.issue_date, identity.evaluation_number),
        root_ca_crl=lists[0].this_update,
        pck_crl=lists[1].this_update,
        next_update=min(date for date in dates if date is not None),
    )


def issuing_ca(collateral: DcapCollateral) -> str:
    """ "platform" or "processor", by the name in the PCK CRL. Raises `Malformed` for any other issuer."""
    name = RevocationList.parse(collateral.pck_crl).issuer_name
    for ca in ("platform", "processor"):
        if f"PCK {ca.title()} CA" in name:
            return ca
    raise Malformed("pck_crl.issuer", f"neither the platform nor the processor CA: {name[:200]}")


class DirectorySource:
    """The files `*.json` of a folder, each the nine-field collateral of one platform family, put there by a
    person.

    The folder is read at every request: replacing a file takes effect at once. Of several that fit, the one
    issued last.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, fmspc: str, ca: str, at: UnixTime) -> DcapCollateral:  # noqa: ARG002
        """Raises `Unavailable` where no file fits; it names the files that can't be read."""
        found: list[tuple[UnixTime, DcapCollateral]] = []
        unreadable: list[str] = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                collateral = read_collateral(path)
                facts = freshness(collateral)
                if facts.fmspc == fmspc.lower() and issuing_ca(collateral) == ca:
                    found.append((facts.tcb_info.issued, collateral))
            except (Malformed, OSError) as error:
                unreadable.append(f"{path.name} ({error})")
        if not found:
            broken = f"; can't read {', '.join(unreadable)}" if unreadable else ""
            raise Unavailable(f"{self._folder}: no collateral for FMSPC {fmspc}, {ca} CA{broken}")
        return max(found, key=lambda item: item[0])[1]


def read_collateral(path: Path) -> DcapCollateral:
    """One file. Raises `Malformed`, OSError."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise Malformed(path.name, f"more than {MAX_FILE} bytes")
    return DcapCollateral.parse_json(data)
