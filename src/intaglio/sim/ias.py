"""The lab's stand-in for Intel's attestation service: its PKI, and its reports before they are signed.

A root with RSA-3072 and one signer under it, as Intel's were; only the organisation differs. A draft begins as what the
honest service would have said of an honest quote while it was there; a fault (`intaglio.sim.faults`) changes one thing
in it, and `build` signs again what hangs on it.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Self
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from intaglio.sim.pki import YEAR, key_usage, when
from intaglio.types import Measurement, ReportData, UnixTime
from intaglio.wire.epid import EpidBody
from intaglio.wire.sgx import AttributeFlag, Attributes, ReportBody

__all__ = ["IasAuthority", "IasDraft", "IasEvidence", "IasPlan", "holder"]

Form = Literal["json", "http", "body"]
Body = dict[str, object]

ROOT_NAME = "Intaglio Lab SGX Attestation Report Signing CA"
SIGNER_NAME = "Intaglio Lab SGX Attestation Report Signing"
REPORT = ReportBody(
    cpu_svn=bytes.fromhex("0c0c0303ff8006000000000000000000"), misc_select=0, cet_attributes=0,
    isv_ext_prod_id=bytes(16), attributes=Attributes(AttributeFlag.INIT | AttributeFlag.MODE64, 7),
    mr_enclave=Measurement(b"\x5e" * 32), mr_signer=Measurement(b"\x51" * 32), config_id=bytes(64), isv_prod_id=1,
    isv_svn=2, config_svn=0, isv_family_id=bytes(16), report_data=ReportData(bytes(range(64))),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class IasPlan:
    """What a certificate shall say. `unknown` is a critical extension that nobody knows."""

    name: str
    not_before: UnixTime
    not_after: UnixTime
    ca: bool = False
    path_length: int | None = None
    signs_certificates: bool = False
    signs_data: bool = True
    unknown: bool = False


@dataclass(slots=True)
class IasHolder:
    """A key with what its certificate shall say."""

    key: rsa.RSAPrivateKey
    plan: IasPlan
    certified: ec.EllipticCurvePublicKey | None = None
    """Another key, which the certificate names instead."""


def holder(plan: IasPlan, bits: int = 2048) -> IasHolder:
    """One with a fresh key."""
    return IasHolder(rsa.generate_private_key(public_exponent=65537, key_size=bits), plan)


@dataclass(frozen=True, slots=True)
class IasAuthority:
    """Everything that only the service would hold."""

    root: IasHolder
    signer: IasHolder

    @classmethod
    def create(cls, at: UnixTime, bits: int = 3072) -> Self:
        """Fresh keys; the root is as old as `at` minus two years. Tests take fewer `bits` to save time."""
        start = UnixTime(at - 2 * YEAR)
        root = IasPlan(
            ROOT_NAME, start, UnixTime(start + 33 * YEAR), ca=True, path_length=0, signs_certificates=True,
            signs_data=False,
        )  # fmt: skip
        signer = IasPlan(SIGNER_NAME, start, UnixTime(start + 10 * YEAR))
        return cls(holder(root, bits), holder(signer))


@dataclass(frozen=True, slots=True)
class IasEvidence:
    """What a verifier is given. `root`: DER of the root that it is told to trust; `at`: when it judges."""

    report: bytes
    root: bytes
    at: UnixTime


@dataclass(slots=True)
class IasDraft:
    """One report on one quote, still open to change.

    `chain` begins with the signer; each certificate is signed by the next, the last by itself. `serve` changes the body
    after it was signed; `edits` are applied to the finished file.
    """

    at: UnixTime
    root: bytes
    chain: list[IasHolder]
    quote: EpidBody
    body: Body
    form: Form = "json"
    encode: Callable[[Body], bytes] = lambda body: json.dumps(body, separators=(",", ":")).encode()
    show: Callable[[list[x509.Certificate]], list[x509.Certificate]] = list
    signing_key: rsa.RSAPrivateKey | None = None
    issuers: dict[int, IasHolder] = field(default_factory=dict)
    serve: Callable[[bytes], bytes] = bytes
    edits: list[Callable[[bytes], bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, authority: IasAuthority, at: UnixTime, *, report_data: ReportData | None = None) -> Self:
        """The honest draft: version 5, a linkable quote of a production enclave, and nothing to complain of."""
        report = replace(REPORT, report_data=report_data or REPORT.report_data)
        body: Body = {
            "nonce": "0123456789abcdef",
            "id": "165171271757108173876306223827987629752",
            "timestamp": when(at).strftime("%Y-%m-%dT%H:%M:%S.154323"),
            "version": 5,
            "epidPseudonym": base64.b64encode(bytes(128)).decode(),
            "advisoryURL": "https://security-center.intel.com",
            "advisoryIDs": [],
            "isvEnclaveQuoteStatus": "OK",
            "tcbEvaluationDataNumber": 17,
        }
        chain = [replace(authority.signer), replace(authority.root)]
        root = _issue(chain[1], chain[1]).public_bytes(Encoding.DER)
        return cls(at, root, chain, EpidBody(2, True, 0xC80, 13, 13, 0, bytes(32), report), body)

    def plan(self, which: int, **changes: object) -> None:
        """Intel certifies something else: `changes` of one certificate's plan."""
        # mypy can't see through the keywords; IasPlan itself refuses none.
        self.chain[which].plan = replace(self.chain[which].plan, **changes)  # type: ignore[arg-type]

    def measured(self, **changes: object) -> None:
        """The quote is of another enclave: `changes` of its report."""
        report = replace(self.quote.report, **changes)  # type: ignore[arg-type]
        self.quote = replace(self.quote, report=report)

    def signed_body(self) -> bytes:
        """As it is signed."""
        return self.encode({"isvEnclaveQuoteBody": base64.b64encode(self.quote.encode()).decode(), **self.body})

    def build(self) -> IasEvidence:
        """Signs everything that is signed and assembles it."""
        body = self.signed_body()
        key = self.signing_key or self.chain[0].key
        signature = base64.b64encode(key.sign(body, PKCS1v15(), SHA256())).decode()
        pem = "".join(each.public_bytes(Encoding.PEM).decode() for each in self.show(self._certificates()))
        file = _file(self.form, self.serve(body), signature, pem)
        for edit in self.edits:
            file = edit(file)
        return IasEvidence(file, self.root, self.at)

    def _certificates(self) -> list[x509.Certificate]:
        after = [*self.chain[1:], self.chain[-1]]
        return [
            _issue(each, self.issuers.get(index, issuer))
            for index, (each, issuer) in enumerate(zip(self.chain, after, strict=True))
        ]


def _file(form: Form, body: bytes, signature: str, pem: str) -> bytes:
    if form == "body":
        return body
    if form == "json":
        return json.dumps({"report": body.decode(), "signature": signature, "certificates": pem}).encode()
    lines = (
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        f"X-IASReport-Signature: {signature}",
        f"X-IASReport-Signing-Certificate: {quote(pem)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def _issue(subject: IasHolder, issuer: IasHolder) -> x509.Certificate:
    plan = subject.plan
    usage = key_usage(data=plan.signs_data, commitment=plan.signs_data, certificates=plan.signs_certificates)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(plan.name))
        .issuer_name(_name(issuer.plan.name))
        .public_key(subject.certified or subject.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(when(plan.not_before))
        .not_valid_after(when(plan.not_after))
        .add_extension(usage, critical=True)
        .add_extension(x509.BasicConstraints(plan.ca, plan.path_length if plan.ca else None), critical=True)
    )
    if plan.unknown:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    return builder.sign(issuer.key, SHA256())


def _name(common_name: str) -> x509.Name:
    oids = x509.NameOID
    return x509.Name(
        [
            x509.NameAttribute(oids.COUNTRY_NAME, "US"),
            x509.NameAttribute(oids.ORGANIZATION_NAME, "Intaglio Lab (simulated)"),
            x509.NameAttribute(oids.COMMON_NAME, common_name),
        ]
    )
