"""Fetching SGX collateral from Intel's PCS, a PCCS, or the lab's: the requests, headers and encodings of PCS
API v4.

Judges nothing: what it returns is what the service said, put into the one shape that verifiers take. TCB info
and QE identity are kept as the exact bytes that were served, because those are what is signed (check 16). The
facts about paths and headers are those of section 4 of the verification notes.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_to_bytes

from intaglio.collateral.http import Endpoint, Response
from intaglio.errors import Malformed
from intaglio.wire.collateral import DcapCollateral, signed_body
from intaglio.wire.x509 import decode_crl

__all__ = ["INTEL_PCS", "INTEL_ROOT_CRL", "PcsClient"]

INTEL_PCS = "https://api.trustedservices.intel.com"
INTEL_ROOT_CRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
"""Intel's PCS does not serve the root's CRL; its certificates name this place."""

DEFAULT_TIMEOUT = 20.0
"""Seconds for one request; Intel's service answers within two."""

_FMSPC = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class _Signed:
    """A signed document: its exact bytes, the raw signature, and its signer's chain (PEM)."""

    body: bytes
    signature: bytes
    chain: bytes


class PcsClient:
    """`base_url`: without `/sgx/...`, for instance `INTEL_PCS` or `https://pccs.example:8081`.

    `root_crl_url`: where the root's CRL lies if the service has no `rootcacrl`; Intel's own is known. `update`:
    "early" asks for a TCB recovery's new levels at once, "standard" after Intel's grace period.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api: str = "v4",
        update: Literal["standard", "early"] = "standard",
        root_crl_url: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        if api not in ("v3", "v4"):
            raise ValueError(f"api: v3 or v4, not {api}")
        self._service = Endpoint.parse(base_url, timeout)
        self._prefix = f"/sgx/certification/{api}"
        # v3 knows no early updates.
        self._update = f"update={update}" if api == "v4" else ""
        if root_crl_url is None and base_url.rstrip("/") == INTEL_PCS:
            root_crl_url = INTEL_ROOT_CRL
        self._root_crl = Endpoint.parse(root_crl_url, timeout) if root_crl_url else None

    def collateral(self, fmspc: str, ca: str) -> DcapCollateral:
        """Everything needed to verify quotes of the family `fmspc` (twelve hex digits) whose PCK was issued by
        `ca` ("platform" or "processor").

        Raises `Unavailable` where the service does not answer or does not have it, `Malformed` where an answer
        is not what the API promises, `ValueError` for arguments that are neither.
        """
        fmspc = fmspc.lower()
        if not _FMSPC.fullmatch(fmspc) or ca not in ("platform", "processor"):
            raise ValueError(f"fmspc {fmspc!r} or ca {ca!r} is not a name of Intel's API")
        tcb = self._signed("tcb", "tcbInfo", f"fmspc={fmspc}", "tcb-info-issuer-chain")
        identity = self._signed("qe/identity", "enclaveIdentity", "", "sgx-enclave-identity-issuer-chain")
        crl = self._get("pckcrl", f"ca={ca}&encoding=der")
        return DcapCollateral(
            pck_crl_issuer_chain=_chain(crl, "sgx-pck-crl-issuer-chain"),
            root_ca_crl=decode_crl(self._fetch_root_crl()),
            pck_crl=decode_crl(crl.body),
            tcb_info_issuer_chain=tcb.chain,
            tcb_info=tcb.body,
            tcb_info_signature=tcb.signature,
            qe_identity_issuer_chain=identity.chain,
            qe_identity=identity.body,
            qe_identity_signature=identity.signature,
        )

    def _signed(self, path: str, name: str, query: str, header: str) -> _Signed:
        response = self._get(path, "&".join(part for part in (query, self._update) if part))
        body, signature = signed_body(response.body, name)
        return _Signed(body, signature, _chain(response, header, f"sgx-{header}"))

    def _fetch_root_crl(self) -> bytes:
        if self._root_crl is not None:
            return self._root_crl.get("").body
        return self._get("rootcacrl", "").body

    def _get(self, path: str, query: str) -> Response:
        return self._service.get(f"{self._prefix}/{path}" + (f"?{query}" if query else ""))


def _chain(response: Response, *names: str) -> bytes:
    """The PEM chain in the first of these headers that is there; percent-encoded, as every service sends it."""
    for name in names:
        if name in response.headers:
            chain = unquote_to_bytes(response.headers[name])
            if b"-----BEGIN CERTIFICATE-----" not in chain:
                raise Malformed(name, "no PEM certificate in the header")
            return chain
    raise Malformed(names[0], "the answer has no such header")
