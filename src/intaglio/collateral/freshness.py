"""How new a set of collateral says it is, and when somebody has to act. Unverified: whoever served it chose these
numbers; they decide when to ask again and what not to go back behind, never whether evidence is good.
"""

from dataclasses import dataclass

from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire.collateral import DcapCollateral, EnclaveIdentity, TcbInfo
from intaglio.wire.collateral_bundle import Entry
from intaglio.wire.endorsement import Collateral
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.x509 import Certificate, RevocationList

__all__ = ["DAY", "Document", "Forecast", "Freshness", "forecast", "freshness", "issuing_ca"]

DAY = 86400
REFRESH_FRACTION = 10
"""Ask again once a tenth of the lifetime is left: three days of Intel's thirty, time for a person to repair
things."""
RECHECK = DAY
"""AMD's revocation lists are valid for months. They are asked for every day, or a revocation would not be noticed."""
_NEVER = UnixTime(2**53)
"""A list may promise no next update."""


@dataclass(frozen=True, slots=True)
class Document:
    """One part: when it was issued, its TCB evaluation data number (0 where it has none), and when it ends."""

    issued: UnixTime
    number: int
    next_update: UnixTime


@dataclass(frozen=True, slots=True)
class Freshness:
    """`documents` by name. Those in `dated` must never go back: an older one, still within its dates, may hide a
    revocation or a TCB recovery. `evaluation_number`: the lower of both documents', None where there is none."""

    documents: dict[str, Document]
    dated: tuple[str, ...]
    evaluation_number: int | None
    fmspc: str | None = None

    @property
    def next_update(self) -> UnixTime:
        """The earliest of all parts."""
        return min(document.next_update for document in self.documents.values())

    @property
    def ends_first(self) -> str:
        """The name of the part whose next update is due first."""
        return min(self.documents, key=lambda name: self.documents[name].next_update)

    @property
    def issued(self) -> UnixTime:
        """Of the part that services renew most often."""
        return self.documents[self.dated[0]].issued

    def fresh(self, at: UnixTime, checked: UnixTime) -> bool:
        """Whether it need not be asked for; `checked` is when it was last."""
        if self.evaluation_number is None:
            return at < min(self.next_update, checked + RECHECK)
        lifetime = self.next_update - min(self.documents[name].issued for name in ("tcb_info", "qe_identity"))
        return at < self.next_update - max(0, lifetime) // REFRESH_FRACTION

    def went_back(self, held: "Freshness") -> list[str]:
        """The parts that are older than in `held`, or have a lower number."""
        return [
            name
            for name in self.dated
            if name in held.documents
            and (
                self.documents[name].issued < held.documents[name].issued
                or self.documents[name].number < held.documents[name].number
            )
        ]


def freshness(collateral: Collateral) -> Freshness:
    """Reads the dates and numbers. Raises `Malformed` where a part can't be read, a missing CRL of Intel's included."""
    if isinstance(collateral, DcapCollateral):
        return _dcap(collateral)
    if isinstance(collateral, SnpCollateral):
        return _snp(collateral)
    raise Malformed("collateral", "a report key has no dates")


def _dcap(collateral: DcapCollateral) -> Freshness:
    tcb = TcbInfo.parse(collateral.tcb_info)
    identity = EnclaveIdentity.parse(collateral.qe_identity)
    documents = {
        "tcb_info": Document(tcb.issue_date, tcb.evaluation_number, tcb.next_update),
        "qe_identity": Document(identity.issue_date, identity.evaluation_number, identity.next_update),
        "root_ca_crl": _list(collateral.root_ca_crl),
        "pck_crl": _list(collateral.pck_crl),
    }
    number = min(tcb.evaluation_number, identity.evaluation_number)
    return Freshness(documents, tuple(documents), number, tcb.fmspc.hex())


def _snp(collateral: SnpCollateral) -> Freshness:
    documents: dict[str, Document] = {}
    for name, der in (("vek", collateral.vek), ("ask", collateral.ask), ("ark", collateral.ark)):
        certificate = Certificate.parse(der, serial_zero=True)
        documents[name] = Document(certificate.not_before, 0, certificate.not_after)
    if collateral.crl:
        documents["crl"] = _list(collateral.crl)
        return Freshness(documents, ("crl",), None)
    return Freshness(documents, ("vek",), None)


def _list(der: bytes) -> Document:
    crl = RevocationList.parse(der)
    return Document(crl.this_update, 0, crl.next_update if crl.next_update is not None else _NEVER)


def issuing_ca(collateral: DcapCollateral) -> str:
    """ "platform" or "processor", by the name in the PCK CRL. Raises `Malformed` for any other issuer."""
    name = RevocationList.parse(collateral.pck_crl).issuer_name
    for ca in ("platform", "processor"):
        if f"PCK {ca.title()} CA" in name:
            return ca
    raise Malformed("pck_crl.issuer", f"neither the platform nor the processor CA: {name[:200]}")


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is held for one request, and when it ends."""

    entry: Entry
    facts: Freshness

    @property
    def next_update(self) -> UnixTime:
        return self.facts.next_update

    def days(self, at: UnixTime) -> float:
        """Until it expires, to a tenth, rounded down; negative once it has."""
        return (self.next_update - at) * 10 // DAY / 10

    def to_json(self, at: UnixTime) -> dict[str, object]:
        facts = self.facts
        return {
            "request": self.entry.request.to_json(),
            "source": self.entry.source,
            "fetched_at": self.entry.fetched_at,
            "next_update": self.next_update,
            "expires_first": facts.ends_first,
            "days": self.days(at),
            "tcb_evaluation_number": facts.evaluation_number,
            "documents": {
                name: {"issued": part.issued, "number": part.number or None, "next_update": part.next_update}
                for name, part in facts.documents.items()
            },
        }


def forecast(entry: Entry) -> Forecast:
    """Raises `Malformed`."""
    return Forecast(entry, freshness(entry.collateral))
