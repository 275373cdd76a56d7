"""TDX guests: quotes from either of Linux's interfaces. A TD has no sealing key here: TDX modules that offer one
(TDG.MR.KEY.GET) are newer than what Linux passes on."""

from collections.abc import Callable

from intaglio.attest.base import SealPolicy
from intaglio.attest.binding import OWN, bound, td_report
from intaglio.attest.errors import CannotAttest, Problem, WrongEvidence
from intaglio.attest.image import ImageFolder
from intaglio.attest.tdx_guest import TdxGuest
from intaglio.types import ReportData, Tee

__all__ = ["TdxAttester"]


class TdxAttester:
    """Implements `intaglio.attest.base.Attester`."""

    def __init__(
        self, quote: Callable[[ReportData], bytes], source: str, image: ImageFolder, device: TdxGuest | None
    ) -> None:
        """`quote` makes one, `source` says where in errors; `device` None: there is none. Raises `CannotAttest`,
        `WrongEvidence`."""
        self._quote = quote
        self._source = source
        self._image = image
        quoted = bound(td_report, quote(OWN), OWN, source).mr_config_id
        # A quote comes by way of the host, and nobody in here checks its signature: what this TD is it does not say.
        # The TDX module does, in a TDREPORT.
        self._mr_config_id = _of_module(device) or bytes(quoted)
        if quoted != self._mr_config_id:
            raise WrongEvidence(
                f"{source}: a quote of another TD came back (MRCONFIGID {self._mr_config_id.hex()} here, "
                f"{quoted.hex()} there); see what makes quotes on the host"
            )

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
        return self._mr_config_id.ljust(64, b"\0")

    def seal_key(self, policy: SealPolicy, key_id: bytes, isv_svn: int) -> bytes:  # noqa: ARG002
        """Raises `CannotAttest`, always."""
        raise CannotAttest(
            "TDX", Problem.NO_KEY, "a TD has no sealing key",
            "keep state at the data centre, which gives it back after attestation",
        )  # fmt: skip

    def trusted_file(self, name: str) -> bytes:
        """From the guest's file system: measured if the guest was built so (docs/enclave.md)."""
        return self._image.read(name)


def _of_module(device: TdxGuest | None) -> bytes | None:
    """None where this process has no such device, or may not use it: neither is the host's doing."""
    if device is None:
        return None
    try:
        return device.mr_config_id(OWN)
    except CannotAttest as error:
        if error.problem in (Problem.MISSING, Problem.FORBIDDEN):
            return None
        raise
