"""Evidence and collateral before they are signed: every part can be changed, and `build` signs again what hangs
on it.

A draft begins as what an honest platform and service would produce. A fault (`intaglio.sim.faults`) changes one
thing in it. What is signed again shows what the attacker is assumed to hold: a host holds none of these keys,
the owner of an extracted attestation key one of them, and some faults show the vendor's own PKI signing
something wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from typing import Any, Generic, Self, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificates

from intaglio.sim.authority import PCK_CRL_URL, PCK_NAME
from intaglio.sim.cpu import Enclave, LaunchOptions
from intaglio.sim.machine import Machine
from intaglio.sim.measure import Image
from intaglio.sim.pck import sgx_extension
from intaglio.sim.pki import DAY, YEAR, Holder, Plan, issue, pem_chain
from intaglio.sim.publication import JsonObject, compact
from intaglio.sim.quoting import QE_AUTH_DATA, QuotingEnclave, raw_point, sign_raw
from intaglio.sim.signing import EnclaveTerms, sign_enclave
from intaglio.sim.world import Lab
from intaglio.types import ReportData, Tee, UnixTime
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.dcap import CertificationData, CertificationType, Quote, QuoteHeader, signed_part
from intaglio.wire.sgx import ReportBody
from intaglio.wire.tdx import TdReport

__all__ = ["Draft", "Evidence", "QuoteDraft", "SignedDocument"]

B = TypeVar("B", ReportBody, TdReport)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verifier is given. `root`: DER of the root that it is told to trust; `at`: when it judges."""

    quote: bytes
    collateral: DcapCollateral
    root: bytes
    at: UnixTime


@dataclass(slots=True)
class SignedDocument:
    """TCB info or QE identity. `serve` turns the signed bytes into the served ones (an edit without the key)."""

    content: JsonObject
    key: ec.EllipticCurvePrivateKey
    chain: list[x509.Certificate]
    encode: Callable[[JsonObject], bytes] = compact
    serve: Callable[[bytes], bytes] = bytes

    def sign_as(self, holder: Holder, *issuers: Holder) -> None:
        """Signs with another key and shows another chain."""
        self.key = holder.key
        self.chain = [holder.certificate, *(issuer.certificate for issuer in issuers)]

    def build(self) -> tuple[bytes, bytes, bytes]:
        """Served body, raw signature, PEM chain."""
        body = self.encode(self.content)
        return self.serve(body), sign_raw(self.key, body), pem_chain(*self.chain).encode("ascii")


@dataclass(slots=True, kw_only=True)
class QuoteDraft(Generic[B]):
    """One quote made on one machine, with its collateral, still open to change.

    `edits` are applied to the finished bytes: what a host without any key can do. `certification` None: the chain.
    """

    lab: Lab
    machine: Machine
    at: UnixTime
    root: x509.Certificate
    header: QuoteHeader
    body: B
    attestation_key: ec.EllipticCurvePrivateKey
    qe_auth_data: bytes
    qe_report: ReportBody
    pck_key: ec.EllipticCurvePrivateKey
    pck_plan: Plan
    chain: list[x509.Certificate]
    certification: CertificationData | None
    tcb_info: SignedDocument
    qe_identity: SignedDocument
    pck_crl: bytes
    root_crl: bytes
    pck_crl_chain: list[x509.Certificate]
    edits: list[Callable[[bytes], bytes]] = field(default_factory=list)

    @classmethod
    def drawn(
        cls, lab: Lab, machine: Machine, at: UnixTime, header: QuoteHeader, body: B, quoting: QuotingEnclave, **own: Any
    ) -> Self:
        """What an honest `quoting` enclave and the lab's service make of `body`; `own` are the fields of subclasses."""
        record, pcs, tee = machine.record, lab.pcs, header.tee
        edition = pcs.edition()
        signers = [lab.authority.tcb_signer.certificate, lab.authority.root.certificate]
        start = UnixTime(at - at % DAY - DAY)
        plan = Plan(
            PCK_NAME,
            start,
            UnixTime(start + 7 * YEAR),
            crl_url=PCK_CRL_URL.format(ca=record.ca),
            sgx=sgx_extension(record.facts),
        )
        issuer = lab.authority.pck_ca(record.ca)
        signing_key = lab.authority.tcb_signer.key
        identity = pcs.qe_identity(edition, at, "TD_QE" if tee is Tee.TDX else "QE")
        return cls(
            lab=lab,
            machine=machine,
            at=at,
            root=lab.authority.root.certificate,
            header=header,
            body=body,
            attestation_key=quoting.attestation_key(),
            qe_auth_data=QE_AUTH_DATA,
            qe_report=quoting.certification[0],
            pck_key=quoting.pce.pck_key(),
            pck_plan=plan,
            chain=load_pem_x509_certificates(record.pck_chain.encode("ascii")),
            certification=None,
            tcb_info=SignedDocument(pcs.tcb_info(edition, record.fmspc, at, tee=tee), signing_key, list(signers)),
            qe_identity=SignedDocument(identity, signing_key, list(signers)),
            pck_crl=pcs.pck_crl(record.ca, at),
            root_crl=pcs.root_crl(at),
            pck_crl_chain=[issuer.certificate, lab.authority.root.certificate],
            **own,
        )

    @property
    def issuer(self) -> Holder:
        """The CA that issued the platform's PCK certificate."""
        return self.lab.authority.pck_ca(self.machine.record.ca)

    def become(self, other: Self) -> None:
        """Takes over everything of `other`: the change was in the lab, before any draft."""
        for part in fields(self):
            setattr(self, part.name, getattr(other, part.name))

    def recertify(self, report_data: bytes | None = None) -> None:
        """The PCE vouches for the current attestation key and QE auth data, or for `report_data` whatever it says."""
        bound = sha256(raw_point(self.attestation_key.public_key()) + self.qe_auth_data).digest()
        data = ReportData(bound + bytes(32) if report_data is None else report_data)
        self.qe_report = replace(self.qe_report, report_data=data)

    def reissue(self, plan: Plan, issuer: Holder | None = None) -> None:
        """The platform's CA (or `issuer`) issues another PCK certificate for the same key."""
        self.chain[0] = issue(plan, self.pck_key.public_key(), issuer or self.issuer)

    def serials(self) -> list[int]:
        return [certificate.serial_number for certificate in self.chain]

    def build(self) -> Evidence:
        """Signs everything that is signed and assembles it."""
        tcb_body, tcb_signature, tcb_chain = self.tcb_info.build()
        identity, identity_signature, identity_chain = self.qe_identity.build()
        collateral = DcapCollateral(
            pck_crl_issuer_chain=pem_chain(*self.pck_crl_chain).encode("ascii"),
            root_ca_crl=self.root_crl,
            pck_crl=self.pck_crl,
            tcb_info_issuer_chain=tcb_chain,
            tcb_info=tcb_body,
            tcb_info_signature=tcb_signature,
            qe_identity_issuer_chain=identity_chain,
            qe_identity=identity,
            qe_identity_signature=identity_signature,
        )
        quote = self.quote().encode()
        for edit in self.edits:
            quote = edit(quote)
        return Evidence(quote, collateral, Holder(self.lab.authority.root.key, self.root).der, self.at)

    def quote(self) -> Quote:
        """The quote as it stands, signed by the keys that the draft holds."""
        chain = CertificationData(CertificationType.PCK_CHAIN, pem_chain(*self.chain).encode("ascii") + b"\0")
        return Quote.assemble(
            self.header,
            self.body,
            signature=sign_raw(self.attestation_key, signed_part(self.header, self.body)),
            attestation_key=raw_point(self.attestation_key.public_key()),
            qe_report=self.qe_report,
            qe_report_signature=sign_raw(self.pck_key, self.qe_report.encode()),
            qe_auth_data=self.qe_auth_data,
            certification=self.certification or chain,
        )


@dataclass(slots=True, kw_only=True)
class Draft(QuoteDraft[ReportBody]):
    """One quote of one enclave."""

    image: Image

    @classmethod
    def of(
        cls,
        lab: Lab,
        image: Image,
        at: UnixTime,
        *,
        platform: str = "alpha",
        report_data: ReportData | None = None,
    ) -> Self:
        """The honest draft: `image`, signed by the lab's vendor and launched in production mode on `platform`."""
        machine = lab.machine(platform)
        enclave = launch(lab, machine, image, at)
        body = replace(enclave.identity, report_data=report_data or ReportData(bytes(range(64))))
        return cls.drawn(lab, machine, at, machine.quoting.header(), body, machine.quoting, image=image)

    def relaunch(self, terms: EnclaveTerms | None = None, options: LaunchOptions | None = None) -> None:
        """The host launches the vendor's enclave again, in another way; everything after that is genuine."""
        enclave = launch(self.lab, self.machine, self.image, self.at, terms, options)
        self.body = replace(enclave.identity, report_data=self.body.report_data)


def launch(
    lab: Lab,
    machine: Machine,
    image: Image,
    at: UnixTime,
    terms: EnclaveTerms | None = None,
    options: LaunchOptions | None = None,
) -> Enclave:
    """`image`, signed by the lab's vendor, on `machine`."""
    sigstruct = sign_enclave(lab.vendor, image.mr_enclave(), terms or EnclaveTerms(), now=at)
    return machine.launch(image, sigstruct.encode(), options)
