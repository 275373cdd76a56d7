"""Fetching a chip's certificates from AMD's Key Distribution Service (AMD publication 57230, chapter 4).

The service hands out one VCEK certificate each ten seconds to one address. So a certificate, which for one chip and
TCB version never changes, is asked for once in its life; chips take turns; and what a product's chips have in common
is asked for once a day. Judges nothing.
"""

from threading import Lock
from typing import NamedTuple

from intaglio.collateral.freshness import RECHECK
from intaglio.collateral.http import Absent
from intaglio.collateral.service import DEFAULT_TIMEOUT, Service
from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire.collateral_request import CollateralRequest, SnpRequest
from intaglio.wire.endorsement import Collateral
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.snp_fields import TcbVersion
from intaglio.wire.x509 import decode_certificate, decode_crl, read_pem_chain

__all__ = ["AMD_KDS", "VCEK_SECONDS", "KdsClient"]

AMD_KDS = "https://kdsintf.amd.com"
VCEK_SECONDS = 10
"""Between two VCEK certificates, as AMD allows them to one address."""


class _Product(NamedTuple):
    """What all chips of a product have in common, and when it was fetched."""

    ask: bytes
    ark: bytes
    crl: bytes
    fetched_at: UnixTime


class KdsClient:
    """`base_url`: AMD's service or a mirror of it. Raises `ValueError` for a URL that is none. For several threads."""

    def __init__(
        self, base_url: str = AMD_KDS, *, interval: int = VCEK_SECONDS, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self._service = Service(base_url, timeout=timeout, interval=interval)
        self._products: dict[str, _Product] = {}
        self._lock = Lock()

    @property
    def name(self) -> str:
        return self._service.url

    def serves(self, request: CollateralRequest) -> bool:
        return isinstance(request, SnpRequest)

    def fetch(self, request: CollateralRequest, held: Collateral | None, at: UnixTime) -> SnpCollateral:
        """The certificate that is `held` already is not asked for again, only what revokes it.

        Raises `Unavailable` where the service does not answer, does not have it or wants us to wait, `Malformed` where
        an answer is not what the service promises, `ValueError` for a request that is not AMD's.
        """
        if not isinstance(request, SnpRequest):
            raise ValueError(f"{request}: not of SEV-SNP")  # noqa: TRY004 - of the right type, for another service
        # First what costs no turn: a chip's turn must not be lost because the rest is not there.
        product = self._product(request, at)
        vek = held.vek if isinstance(held, SnpCollateral) else self._vcek(request, at)
        return SnpCollateral(vek, product.ask, product.ark, product.crl)

    def _vcek(self, request: SnpRequest, at: UnixTime) -> bytes:
        if request.vlek:
            raise Absent("a VLEK certificate is not AMD's to give: its cloud provider hands it out with the report")
        target = f"/vcek/v1/{request.product.value}/{request.hwid.hex()}?{_levels(request.tcb)}"
        return _certificate(self._service.get(target, at, counted=True).body)

    def _product(self, request: SnpRequest, at: UnixTime) -> _Product:
        base = f"/{request.signing_key}/v1/{request.product.value}"
        with self._lock:
            known = self._products.get(base)
            if known is None or not known.fetched_at <= at < known.fetched_at + RECHECK:
                ask, ark = _chain(self._service.get(f"{base}/cert_chain", at).body)
                known = _Product(ask, ark, self._crl(base, at), at)
                self._products[base] = known
            return known

    def _crl(self, base: str, at: UnixTime) -> bytes:
        """A service that has none says so, and then the policy decides."""
        try:
            return decode_crl(self._service.get(f"{base}/crl", at).body)
        except Absent:
            return b""


def _levels(tcb: TcbVersion) -> str:
    """AMD's names and form: SPL, security patch level, with two digits at least."""
    levels = {"blSPL": tcb.bootloader, "teeSPL": tcb.tee, "snpSPL": tcb.snp, "ucodeSPL": tcb.microcode}
    if tcb.fmc is not None:
        levels = {"fmcSPL": tcb.fmc, **levels}
    return "&".join(f"{name}={level:02}" for name, level in levels.items())


def _certificate(body: bytes) -> bytes:
    der = decode_certificate(body)
    if not der:
        raise Malformed("vcek", "an empty answer")
    return der


def _chain(body: bytes) -> tuple[bytes, bytes]:
    """The ASK and then the ARK, PEM."""
    found = read_pem_chain(body)
    if len(found) != 2:
        raise Malformed("cert_chain", f"need two certificates, got {len(found)}")
    return found[0], found[1]
