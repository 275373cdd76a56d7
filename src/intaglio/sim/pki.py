"""The lab's provisioning authority: certificates and CRLs of the same shape as Intel's SGX PKI, under a root of
its own.

Root CA signs Platform CA, Processor CA and TCB Signing; the two CAs sign PCK certificates and their CRLs. Names
differ from Intel's only in their first words and organisation, so that a person who meets one knows where it
came from, and programs that look for the roles (`SGX Root CA`, `SGX PCK Certificate`, `SGX TCB Signing`) find
them. All keys are P-256.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from intaglio.types import UnixTime

__all__ = [
    "DAY",
    "ROOT_CRL_URL",
    "YEAR",
    "Ca",
    "Holder",
    "Plan",
    "holder_name",
    "issue",
    "issue_crl",
    "issue_root",
    "key_usage",
    "pem_chain",
    "when",
]

Ca = Literal["platform", "processor"]
"""Which intermediate issued a PCK certificate: multi-package platforms, or single-socket client processors."""

DAY = 24 * 3600
YEAR = 365 * DAY
ROOT_CRL_URL = "https://certificates.lab.intaglio.invalid/IntaglioLabSGXRootCA.der"
"""In every certificate, as Intel's is; .invalid never resolves, so nobody fetches it by accident."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A private key with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a certificate shall say. `path_length` None: not a CA. `sgx` is the DER value of the SGX extension."""

    name: str
    not_before: UnixTime
    not_after: UnixTime
    path_length: int | None = None
    crl_url: str = ROOT_CRL_URL
    sgx: bytes | None = None


SGX_EXTENSION = x509.ObjectIdentifier("1.2.840.113741.1.13.1")


def issue(plan: Plan, public: ec.EllipticCurvePublicKey, issuer: Holder) -> x509.Certificate:
    """A certificate for `public`, signed by `issuer`. The serial follows from the key and the name, so that revoking
    it means the same in every process of a lab."""
    return _sign(plan, public, issuer.certificate.subject, issuer.key)


def issue_root(plan: Plan, key: ec.EllipticCurvePrivateKey) -> Holder:
    """A self-signed certificate with its key."""
    return Holder(key, _sign(plan, key.public_key(), holder_name(plan.name), key))


def _sign(
    plan: Plan, public: ec.EllipticCurvePublicKey, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    ca = plan.path_length is not None
    builder = (
        x509.CertificateBuilder()
        .subject_name(holder_name(plan.name))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(_serial(public, plan.name))
        .not_valid_before(when(plan.not_before))
        .not_valid_after(when(plan.not_after))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(_distribution_point(plan.crl_url), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(key_usage(data=not ca, commitment=not ca, certificates=ca), critical=True)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=plan.path_length), critical=True)
    )
    if plan.sgx is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(SGX_EXTENSION, plan.sgx), critical=False)
    return builder.sign(key, SHA256())


def issue_crl(issuer: Holder, revoked: Iterable[int], *, this_update: UnixTime, next_update: UnixTime) -> bytes:
    """A DER CRL over `revoked` serial numbers, reason key compromise as in Intel's."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(when(this_update))
        .next_update(when(next_update))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    for serial in sorted(revoked):
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(serial)
            .revocation_date(when(this_update))
            .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
            .build()
        )
    return builder.sign(issuer.key, SHA256()).public_bytes(Encoding.DER)


def pem_chain(*certificates: x509.Certificate) -> str:
    """PEM, in the order given, each ending in a newline."""
    return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in certificates)


def holder_name(common_name: str) -> x509.Name:
    """A distinguished name with the attributes and order of Intel's."""
    oids = x509.NameOID
    return x509.Name(
        [
            x509.NameAttribute(oids.COMMON_NAME, common_name),
            x509.NameAttribute(oids.ORGANIZATION_NAME, "Intaglio Lab (simulated)"),
            x509.NameAttribute(oids.LOCALITY_NAME, "Santa Clara"),
            x509.NameAttribute(oids.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(oids.COUNTRY_NAME, "US"),
        ]
    )


def when(time: UnixTime) -> datetime:
    return datetime.fromtimestamp(time, UTC)


def _serial(public: ec.EllipticCurvePublicKey, name: str) -> int:
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    digest = bytearray(sha256(name.encode() + b"\0" + point).digest()[:20])
    digest[0] = digest[0] & 0x7F | 0x40
    return int.from_bytes(digest, "big")


def key_usage(*, data: bool, certificates: bool, commitment: bool = False) -> x509.KeyUsage:
    """What a key signs: data, certificates with their revocation lists, and whether with commitment to the content."""
    return x509.KeyUsage(
        digital_signature=data,
        content_commitment=commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _distribution_point(url: str) -> x509.CRLDistributionPoints:
    location = x509.UniformResourceIdentifier(url)
    return x509.CRLDistributionPoints([x509.DistributionPoint([location], None, None, None)])
