"""TDX guests: quotes from either of Linux's interfaces. A TD has no sealing key here: TDX modules that offer one
(TDG.MR.KEY.GET) are newer than what Linux passes on."""

from collections.abc import Callable

from intaglio.attest.base import SealPolicy
from intaglio.attest.binding import OWN, bound, td_report
from intaglio.attest.errors import CannotAttest, Problem
from intaglio.attest.image import ImageFolder
from intaglio.types import ReportData, Tee

__all__ = ["TdxAttester"]


class TdxAttester:
    """Implements `intaglio.attest.base.Attester`."""

    def __init__(self, quote: Callable[[ReportData], bytes], source: str, image: ImageFolder) -> None:
        """`quote` makes one, `source` says where in errors. Raises `CannotAttest`, `WrongEvidence`."""
        self._quote = quote
        self._source = source
        self._image = image
        self._own = bound(td_report, quote(OWN), OWN, source)

    @property
    def tee(self) -> Tee:
        return Tee.TDX

    def evidence(self, report_data: ReportData) -> bytes:
        evidence = self._quote(report_data)
        bound(td_report, evidence, report_data, self._source)
        return evidence

    @property
    def isv_svn(self) -> int:
        return 0

    @property
    def config_id(self) -> bytes:
        """MRCONFIGID and 16 zero bytes."""
        return self._own.mr_config_id.ljust(64, b"\0")

    def seal_key(self, policy: SealPolicy, key_id: bytes, isv_svn: int) -> bytes:  # noqa: ARG002
        """Raises `CannotAttest`, always."""
        raise CannotAttest(
            "TDX", Problem.NO_KEY, "a TD has no sealing key",
            "keep state at the data centre, which gives it back after attestation",
        )  # fmt: skip

    def trusted_file(self, name: str) -> bytes:
        """From the guest's file system: measured if the guest was built so (docs/enclave.md)."""
        return self._image.read(name)
