"""What evidence is judged by, whatever the TEE: one union, and one door to read it from a file or a database."""

from intaglio.errors import Malformed
from intaglio.wire import strict_json
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.report_key import ReportKey
from intaglio.wire.snp_collateral import SnpCollateral

__all__ = ["Collateral", "parse_collateral"]

Collateral = DcapCollateral | SnpCollateral | ReportKey
"""Each has a `digest` and `encode_json`, which `parse_collateral` reads."""


def parse_collateral(data: bytes) -> Collateral:
    """Reads the JSON of any kind of collateral. Raises `Malformed`."""
    document = strict_json.loads(data, "collateral")
    if isinstance(document, dict) and "vek" in document:
        return SnpCollateral.parse_json(data)
    if isinstance(document, dict) and "tcb_info" in document:
        return DcapCollateral.parse_json(data)
    if isinstance(document, dict) and "report_key" in document:
        return ReportKey.parse_json(data)
    raise Malformed("collateral", "neither DCAP's nine fields nor SEV-SNP's certificates nor a report key")
