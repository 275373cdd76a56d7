"""Which of several collateral files belongs to a piece of evidence."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from intaglio.cli.failure import Usage
from intaglio.cli.reading import dearmoured, read_bytes
from intaglio.collateral.evidence import requests_for
from intaglio.collateral.freshness import freshness
from intaglio.collateral.source import fits
from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.verify.evidence import Kind, classify
from intaglio.wire.collateral_request import CollateralRequest, DcapRequest
from intaglio.wire.endorsement import Collateral, parse_collateral
from intaglio.wire.report_key import ReportKey
from intaglio.wire.snp_parts import SnpParts

__all__ = ["CollateralFile", "choose", "read_collateral_files", "read_requests"]


@dataclass(frozen=True, slots=True)
class CollateralFile:
    """One file as it was given."""

    path: Path
    collateral: Collateral


def read_collateral_files(paths: list[Path], evidence: Path | None = None, table: bytes = b"") -> list[CollateralFile]:
    """JSON, one file each; or AMD's certificates and lists, PEM or DER, which make up one set together.

    `table` is a certificate table that came behind the report in `evidence`. Raises `Usage` for a file that is no
    collateral, and for certificates without the ones that lead to the root.
    """
    files: list[CollateralFile] = []
    parts, given = SnpParts(), []
    for path in paths:
        data = read_bytes(path)
        try:
            if data.lstrip().startswith(b"{"):
                files.append(CollateralFile(path, parse_collateral(data)))
            else:
                parts.add(dearmoured(data)[0])
                given.append(path)
        except Malformed as error:
            raise Usage(f"{path}: not collateral: {error}") from error
    if given:
        files += _assembled(parts, given, table)
    elif table and evidence is not None:
        # The host put it there and the user did not ask for it: what it lacks is not the user's mistake.
        with suppress(Usage):
            files += _assembled(parts, [evidence], table)
    return files


def _assembled(parts: SnpParts, given: list[Path], table: bytes) -> list[CollateralFile]:
    try:
        if table:
            parts.add(table)
        return [CollateralFile(given[0], collateral) for collateral in parts.collateral()]
    except Malformed as error:
        names = ", ".join(map(str, given))
        raise Usage(f"{names}: not all that a report is judged by: {error}") from error


def choose(files: list[CollateralFile], evidence: bytes, at: UnixTime) -> CollateralFile | None:
    """The file that fits the evidence best: its platform, its CA, valid at `at`, and the newest of those.

    Nothing here is verified: a file that fits badly is handed on all the same, and the verdict says what is wrong.
    """
    requests, local = read_requests(evidence), _is_local(evidence)
    return max(
        files,
        key=lambda file: (isinstance(file.collateral, ReportKey) == local, _fitness(file.collateral, requests, at)),
        default=None,
    )


def read_requests(evidence: bytes) -> tuple[CollateralRequest, ...]:
    """What the evidence wants; nothing for bytes that are no evidence: whoever verifies them will say so."""
    try:
        return requests_for(evidence)
    except Malformed:
        return ()


def _is_local(evidence: bytes) -> bool:
    """An SGX report is judged by a key of its machine and by nothing else."""
    try:
        return classify(evidence)[1] is Kind.SGX_REPORT
    except Malformed:
        return False


def _fitness(
    collateral: Collateral, requests: tuple[CollateralRequest, ...], at: UnixTime
) -> tuple[bool, bool, bool, int]:
    try:
        facts = freshness(collateral)
    except Malformed:
        return False, False, False, 0
    try:
        fitting = any(fits(collateral, request) for request in requests)
    except Malformed:
        fitting = False
    family = any(isinstance(request, DcapRequest) and request.fmspc == facts.fmspc for request in requests)
    valid = all(facts.documents[name].issued <= at for name in facts.dated) and at <= facts.next_update
    return family, fitting, valid, facts.issued
