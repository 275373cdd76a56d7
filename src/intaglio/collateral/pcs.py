"""Fetching SGX and TDX collateral from Intel's PCS, a PCCS, Azure's service or the lab's: the requests of PCS API v4.

Judges nothing: what it returns is what the service said, put into the one shape that verifiers take. TCB info
and QE identity are kept as the exact bytes that were served, because those are what is signed (check 16). The
facts about paths and headers are those of section 4 of the verification notes.
"""

from collections.abc import Mapping

from intaglio.collateral.http import Response
from intaglio.collateral.pcs_answers import (
    EvaluationNumber,
    Signed,
    pck_certificates,
    pem_chain,
    read_evaluation_numbers,
    revocation_list,
)  # fmt: skip
from intaglio.collateral.service import DEFAULT_TIMEOUT, Service
from intaglio.types import Tee, UnixTime
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.collateral_request import CollateralRequest, DcapRequest, TcbUpdate
from intaglio.wire.dcap import PckIdentifier
from intaglio.wire.x509 import decode_crl

__all__ = ["AZURE_THIM", "INTEL_PCS", "INTEL_ROOT_CRL", "PcsClient"]

INTEL_PCS = "https://api.trustedservices.intel.com"
AZURE_THIM = "https://global.acccache.azure.net"
INTEL_ROOT_CRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
"""Neither of the two serves the root's CRL; Intel's certificates name this place."""

_SUBSCRIPTION = "Ocp-Apim-Subscription-Key"
_ENCRYPTED_PPID = 384
"""Bytes of a PPID encrypted with RSA-3072, the only form that the API takes."""


class PcsClient:
    """`base_url`: with or without `/sgx/certification/v4`, for instance `INTEL_PCS` or `https://pccs.example:8081`.

    `root_crl_url`: where the root's CRL lies if the service has no `rootcacrl`; Intel's own is known.
    `subscription_key`: what Intel asks for where it hands out PCK certificates. Raises `ValueError` for a URL that is
    none. For several threads.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api: str = "v4",
        root_crl_url: str | None = None,
        subscription_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        if api not in ("v3", "v4"):
            raise ValueError(f"api: v3 or v4, not {api}")
        base_url = base_url.rstrip("/").removesuffix(f"/sgx/certification/{api}")
        extra = {_SUBSCRIPTION: subscription_key} if subscription_key else {}
        self._service = Service(base_url, timeout=timeout, headers={**(headers or {}), **extra})
        self._api = api
        if root_crl_url is None and base_url in (INTEL_PCS, AZURE_THIM):
            root_crl_url = INTEL_ROOT_CRL
        self._root_crl = Service(root_crl_url, timeout=timeout) if root_crl_url else None

    @property
    def name(self) -> str:
        return self._service.url

    def serves(self, request: CollateralRequest) -> bool:
        """v3 of the API knows neither TDX nor early updates nor numbers."""
        if not isinstance(request, DcapRequest):
            return False
        return self._api == "v4" or (request.tee is Tee.SGX and request.update == TcbUpdate.STANDARD)

    def fetch(self, request: CollateralRequest, held: object, at: UnixTime) -> DcapCollateral:  # noqa: ARG002
        """Everything needed to verify quotes of this family. What is `held` already is no help here.

        Raises `Unavailable` where the service does not answer or does not have it, `Malformed` where an answer
        is not what the API promises, `ValueError` for a request that it does not serve.
        """
        if not isinstance(request, DcapRequest) or not self.serves(request):
            raise ValueError(f"{request}: not served by version {self._api} of the API")
        update = _update(request.update) if self._api == "v4" else ""
        tcb = self._signed(request.tee, "tcb", "tcbInfo", f"fmspc={request.fmspc}", update, "tcb-info-issuer-chain", at)
        identity = self._signed(
            request.tee, "qe/identity", "enclaveIdentity", "", update, "sgx-enclave-identity-issuer-chain", at
        )
        crl = self._get(Tee.SGX, "pckcrl", f"ca={request.ca}&encoding=der", at)
        return DcapCollateral(
            pck_crl_issuer_chain=pem_chain(crl, "sgx-pck-crl-issuer-chain"),
            root_ca_crl=decode_crl(self._fetch_root_crl(at)),
            pck_crl=decode_crl(revocation_list(crl)),
            tcb_info_issuer_chain=tcb.chain,
            tcb_info=tcb.body,
            tcb_info_signature=tcb.signature,
            qe_identity_issuer_chain=identity.chain,
            qe_identity=identity.body,
            qe_identity_signature=identity.signature,
        )

    def evaluation_numbers(self, tee: Tee, at: UnixTime) -> tuple[EvaluationNumber, ...]:
        """The TCB evaluation data numbers that may be asked for, highest first. Raises as `fetch`."""
        return read_evaluation_numbers(self._get(tee, "tcbevaluationdatanumbers", "", at))

    def pck_chain(self, identifier: PckIdentifier, at: UnixTime) -> bytes:
        """The PCK certificate of a platform whose quotes carry none, with its issuers (PEM). Raises as `fetch`;
        `ValueError` for an identifier without a PPID encrypted for Intel, by which nobody can be found."""
        if len(identifier.ppid) != _ENCRYPTED_PPID:
            raise ValueError(f"PPID of {len(identifier.ppid)} bytes: need one encrypted with RSA-3072")
        query = (
            f"encrypted_ppid={identifier.ppid.hex()}&cpusvn={identifier.cpu_svn.hex()}"
            f"&pcesvn={identifier.pce_svn.to_bytes(2, 'little').hex()}"
            f"&pceid={identifier.pce_id.to_bytes(2, 'little').hex()}"
        )
        return pck_certificates(self._get(Tee.SGX, "pckcert", query, at))

    def _signed(self, tee: Tee, path: str, name: str, query: str, update: str, header: str, at: UnixTime) -> Signed:
        response = self._get(tee, path, "&".join(part for part in (query, update) if part), at)
        return Signed.read(response, name, header)

    def _fetch_root_crl(self, at: UnixTime) -> bytes:
        if self._root_crl is None:
            return self._get(Tee.SGX, "rootcacrl", "", at).body
        return self._root_crl.get("", at).body

    def _get(self, tee: Tee, path: str, query: str, at: UnixTime) -> Response:
        target = f"/{tee.value}/certification/{self._api}/{path}"
        return self._service.get(target + (f"?{query}" if query else ""), at)


def _update(update: TcbUpdate) -> str:
    """As the API wants it: `update` and `tcbEvaluationDataNumber` exclude each other."""
    number = update.number
    return f"update={update}" if number is None else f"tcbEvaluationDataNumber={number}"
