"""The lab's Provisioning Certification Service: current collateral as values, and Intel's PCS v4 API as request
and answer.

In process: `Pcs.collateral` gives the nine fields that verifiers take. Over HTTP: `Pcs.respond` answers the
paths, parameters, headers and status codes of Intel's API (and `rootcacrl` of PCCS); `intaglio.sim.pcs_http`
puts a socket in front of it. The moment is always an argument. Documents carry the start of their UTC day as
issue date, as if re-made every midnight.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, quote, urlsplit
from uuid import uuid4

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_crl

from intaglio.sim.authority import Authority
from intaglio.sim.pki import DAY, Ca, Holder, issue_crl, pem_chain
from intaglio.sim.publication import Edition, QeIdentity, Window, compact, iso, qe_identity_json, tcb_info_json
from intaglio.sim.quoting import QE_PROD_ID, TD_QE_PROD_ID, sign_raw
from intaglio.sim.signing import signer_of
from intaglio.types import Tee, UnixTime

__all__ = ["Answer", "Pcs", "Published", "RequestRefused", "Update"]

Update = Literal["standard", "early"]
ROOT_CRL_LIFETIME = 365 * DAY
_TEES = {"sgx": Tee.SGX, "tdx": Tee.TDX}
_FMSPC_LENGTH = 12
_QE_IDS = {Tee.SGX: "QE", Tee.TDX: "TD_QE"}


@dataclass(frozen=True, slots=True)
class Published:
    """What the service serves. `standard`: the number of the edition that ordinary requests get; `early` ones
    get the newest. `revoked`: serial numbers, whichever CA issued them. `frozen_at`: a service that stopped
    making documents."""

    editions: tuple[Edition, ...]
    standard: int
    revoked: frozenset[int] = frozenset()
    lifetime: int = 30 * DAY
    frozen_at: UnixTime | None = None
    pce_ids: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return {
            "editions": [edition.to_json() for edition in self.editions],
            "standard": self.standard,
            "revoked": sorted(self.revoked),
            "lifetime": self.lifetime,
            "frozen_at": self.frozen_at,
            "pce_ids": dict(self.pce_ids),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError or TypeError for anything else."""
        return cls(
            editions=tuple(Edition.from_json(edition) for edition in value["editions"]),
            standard=value["standard"],
            revoked=frozenset(value["revoked"]),
            lifetime=value["lifetime"],
            frozen_at=value["frozen_at"],
            pce_ids=value["pce_ids"],
        )


class RequestRefused(LookupError):
    """The service has nothing under this request: `status` is the HTTP status that says so."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Pcs:
    """The service at one moment of its life: who signs, and what is published."""

    authority: Authority
    published: Published

    def collateral(
        self,
        fmspc: str,
        ca: Ca,
        now: UnixTime,
        *,
        update: Update = "standard",
        version: int = 3,
        tee: Tee = Tee.SGX,
    ) -> bytes:
        """Everything a verifier needs, as the JSON object of nine text fields. Raises `RequestRefused` (404)."""
        edition = self.edition(update)
        tcb_info, tcb_signature = self.signed(self.tcb_info(edition, fmspc, now, version=version, tee=tee))
        identity, identity_signature = self.signed(self.qe_identity(edition, now, _QE_IDS[tee]))
        signers = pem_chain(self.authority.tcb_signer.certificate, self.authority.root.certificate)
        fields = {
            "pck_crl_issuer_chain": pem_chain(self.authority.pck_ca(ca).certificate, self.authority.root.certificate),
            "root_ca_crl": self.root_crl(now).hex(),
            "pck_crl": self.pck_crl(ca, now).hex(),
            "tcb_info_issuer_chain": signers,
            "tcb_info": tcb_info.decode("ascii"),
            "tcb_info_signature": tcb_signature.hex(),
            "qe_identity_issuer_chain": signers,
            "qe_identity": identity.decode("ascii"),
            "qe_identity_signature": identity_signature.hex(),
        }
        return json.dumps(fields, indent=1).encode("ascii")

    def edition(self, update: Update = "standard", number: int | None = None) -> Edition:
        """Raises `RequestRefused` (404) for a number that was never published."""
        if number is None:
            number = max(e.number for e in self.published.editions) if update == "early" else self.published.standard
        for edition in self.published.editions:
            if edition.number == number:
                return edition
        raise RequestRefused(404, f"no TCB evaluation data number {number}")

    def window(self, now: UnixTime, lifetime: int | None = None) -> Window:
        """From the start of the day (or of the day on which the service froze) for `lifetime` seconds."""
        made = self.published.frozen_at if self.published.frozen_at is not None else now
        start = made - made % DAY
        return Window(UnixTime(start), UnixTime(start + (lifetime or self.published.lifetime)))

    def tcb_info(
        self, edition: Edition, fmspc: str, now: UnixTime, *, version: int = 3, tee: Tee = Tee.SGX
    ) -> dict[str, object]:
        """The unsigned document. Raises `RequestRefused` (404) for a family that the edition does not know."""
        if fmspc not in edition.levels:
            raise RequestRefused(404, f"no TCB info for FMSPC {fmspc}")
        pce_id = bytes.fromhex(self.published.pce_ids.get(fmspc, "0000"))
        return tcb_info_json(edition, fmspc, pce_id, self.window(now), version=version, tee=tee)

    def qe_identity(self, edition: Edition, now: UnixTime, kind: str = "QE") -> dict[str, object]:
        product = TD_QE_PROD_ID if kind == "TD_QE" else QE_PROD_ID
        identity = QeIdentity(signer_of(self.authority.quoting_signer), product, id=kind)
        return qe_identity_json(edition, identity, self.window(now))

    def signed(self, document: Mapping[str, object]) -> tuple[bytes, bytes]:
        """The bytes that are served and the TCB signer's raw signature over exactly them."""
        body = compact(document)
        return body, sign_raw(self.authority.tcb_signer.key, body)

    def pck_crl(self, ca: Ca, now: UnixTime) -> bytes:
        return self._crl(self.authority.pck_ca(ca), self.window(now))

    def root_crl(self, now: UnixTime) -> bytes:
        return self._crl(self.authority.root, self.window(now, ROOT_CRL_LIFETIME))

    def revoking(self, *serials: int) -> Self:
        """This service after the authority revoked these certificates."""
        return replace(self, published=replace(self.published, revoked=self.published.revoked | set(serials)))

    def respond(self, target: str, now: UnixTime) -> Answer:
        """The answer to `GET target` (path and query)."""
        try:
            return self._route(target, now)
        except RequestRefused as refused:
            return Answer(refused.status, _request_id(), b"")

    def _crl(self, issuer: Holder, window: Window) -> bytes:
        return issue_crl(issuer, self.published.revoked, this_update=window.issued, next_update=window.next_update)

    def _route(self, target: str, now: UnixTime) -> Answer:
        url = urlsplit(target)
        parts = tuple(part for part in url.path.split("/") if part)
        if parts == ("IntaglioLabSGXRootCA.der",):
            return Answer(200, {"Content-Type": "application/pkix-crl"}, self.root_crl(now))
        if len(parts) < 4 or parts[0] not in _TEES or parts[1] != "certification" or parts[2] not in ("v3", "v4"):
            raise RequestRefused(404, url.path)
        tee, query = _TEES[parts[0]], _query(url.query)
        match tee, parts[2], parts[3:]:
            case (_, "v4", ("tcb",)):
                return self._tcb(query, now, version=3, tee=tee)
            case (Tee.SGX, "v3", ("tcb",)):
                return self._tcb(query, now, version=2, tee=tee)
            case (Tee.SGX, _, ("qe" | "qve" as kind, "identity")):
                return self._identity(query, now, kind.upper())
            case (Tee.TDX, "v4", ("qe", "identity")):
                return self._identity(query, now, _QE_IDS[tee])
            case (Tee.SGX, _, ("pckcrl",)):
                return self._pck_crl(query, now)
            case (Tee.SGX, _, ("rootcacrl",)):
                return Answer(200, {"Content-Type": "text/plain"}, self.root_crl(now).hex().encode())
            case (Tee.SGX, _, ("tcbevaluationdatanumbers",)):
                return self._numbers(query, now)
        raise RequestRefused(404, url.path)

    def _tcb(self, query: dict[str, str], now: UnixTime, *, version: int, tee: Tee) -> Answer:
        edition = self._chosen_edition(query)
        fmspc = query.pop("fmspc", "").lower()
        _none_left(query)
        if len(fmspc) != _FMSPC_LENGTH or set(fmspc) - set("0123456789abcdef"):
            raise RequestRefused(400, "fmspc is not twelve hexadecimal digits")
        header = "TCB-Info-Issuer-Chain" if version == 3 else "SGX-TCB-Info-Issuer-Chain"
        return self._document("tcbInfo", self.tcb_info(edition, fmspc, now, version=version, tee=tee), header)

    def _identity(self, query: dict[str, str], now: UnixTime, kind: str) -> Answer:
        edition = self._chosen_edition(query)
        _none_left(query)
        document = self.qe_identity(edition, now, kind)
        return self._document("enclaveIdentity", document, "SGX-Enclave-Identity-Issuer-Chain")

    def _pck_crl(self, query: dict[str, str], now: UnixTime) -> Answer:
        ca, encoding = query.pop("ca", ""), query.pop("encoding", "pem")
        _none_left(query)
        if ca not in ("platform", "processor") or encoding not in ("pem", "der"):
            raise RequestRefused(400, "ca is platform or processor, encoding pem or der")
        chosen: Ca = "platform" if ca == "platform" else "processor"
        crl = self.pck_crl(chosen, now)
        if encoding == "pem":
            crl = load_der_x509_crl(crl).public_bytes(Encoding.PEM)
        kind = "application/pkix-crl" if encoding == "der" else "application/x-pem-file"
        chain = (self.authority.pck_ca(chosen), self.authority.root)
        return Answer(200, {"Content-Type": kind, **_request_id(), **_chain("SGX-PCK-CRL-Issuer-Chain", *chain)}, crl)

    def _numbers(self, query: dict[str, str], now: UnixTime) -> Answer:
        _none_left(query)
        window = self.window(now)
        document = {
            "id": "SGX",
            "version": 1,
            "issueDate": iso(window.issued),
            "nextUpdate": iso(window.next_update),
            "tcbEvalNumbers": [
                {"tcbEvaluationDataNumber": e.number, "tcbRecoveryEventDate": e.date, "tcbDate": e.date}
                for e in sorted(_dated(self.published.editions), key=lambda e: -e.number)
            ],
        }
        return self._document("tcbEvaluationDataNumbers", document, "TCB-Evaluation-Data-Numbers-Issuer-Chain")

    def _document(self, name: str, document: Mapping[str, object], header: str) -> Answer:
        """`{"name":<exact signed bytes>,"signature":"<hex>"}`, with the signer's chain in `header`."""
        body, signature = self.signed(document)
        whole = b'{"' + name.encode() + b'":' + body + b',"signature":"' + signature.hex().encode() + b'"}'
        chain = _chain(header, self.authority.tcb_signer, self.authority.root)
        return Answer(200, {"Content-Type": "application/json", **_request_id(), **chain}, whole)

    def _chosen_edition(self, query: dict[str, str]) -> Edition:
        """`update` and `tcbEvaluationDataNumber` exclude each other (400), as in Intel's API."""
        update, number = query.pop("update", None), query.pop("tcbEvaluationDataNumber", None)
        if update is not None and number is not None:
            raise RequestRefused(400, "update and tcbEvaluationDataNumber are exclusive")
        if number is not None:
            if not number.isdecimal():
                raise RequestRefused(400, "tcbEvaluationDataNumber is not a number")
            return self.edition(number=int(number))
        if update not in (None, "standard", "early"):
            raise RequestRefused(400, "update is standard or early")
        return self.edition("early" if update == "early" else "standard")


@dataclass(frozen=True, slots=True)
class _Dated:
    number: int
    date: str


def _dated(editions: tuple[Edition, ...]) -> list[_Dated]:
    """Each edition with the date of its newest level."""
    return [_Dated(e.number, iso(max((level.date for level in e.qe_levels), default=UnixTime(0)))) for e in editions]


def _query(text: str) -> dict[str, str]:
    """Raises `RequestRefused` (400) for a parameter given twice or without a value."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError as error:
        raise RequestRefused(400, "not a query string") from error
    if len(dict(pairs)) != len(pairs):
        raise RequestRefused(400, "a parameter is given twice")
    return dict(pairs)


def _none_left(query: Mapping[str, str]) -> None:
    if query:
        raise RequestRefused(400, f"unknown parameter {min(query)}")


def _chain(header: str, *holders: Holder) -> dict[str, str]:
    """Percent-encoded PEM, as Intel sends chains in headers."""
    return {header: quote(pem_chain(*(holder.certificate for holder in holders)), safe="")}


def _request_id() -> dict[str, str]:
    return {"Request-ID": uuid4().hex}
