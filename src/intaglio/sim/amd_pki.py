"""The lab's stand-in for AMD: an ARK, ASK and ASVK for each product, and the certificates of signing keys.

Certificates have the names, extensions and order of AMD's, down to the serial number 0 of every VCEK and VLEK; only the
organisation differs, so that a person who meets one knows where it came from. All signatures are RSA-PSS with SHA-384.
One set of keys serves all products: making one takes seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding

from intaglio.sim.pki import DAY, YEAR, when
from intaglio.types import UnixTime
from intaglio.wire import der
from intaglio.wire.snp_fields import Product
from intaglio.wire.vcek import VekExtensions

__all__ = ["AmdAuthority", "AmdPlan", "RsaHolder", "issue", "issue_crl", "vek_plan"]

RSA_BITS = 4096
PSS = padding.PSS(padding.MGF1(SHA384()), 48)
CRL_URL = "https://kdsintf.lab.intaglio.invalid/{kind}/v1/{product}/crl"
_SERIAL_ONE, _SERIAL_ZERO = bytes.fromhex("a003020102020101"), bytes.fromhex("a003020102020100")
_BIT_STRING = 0x03


@dataclass(frozen=True, slots=True)
class RsaHolder:
    """An authority's key with its certificate (DER)."""

    name: str
    key: rsa.RSAPrivateKey
    der: bytes


@dataclass(frozen=True, slots=True)
class AmdPlan:
    """What a certificate shall say. `serial` 0 is written although no tool offers it. `extensions` are AMD's."""

    name: str
    not_before: UnixTime
    not_after: UnixTime
    serial: int = 0
    ca: bool = False
    path_length: int | None = None
    signs_certificates: bool = False
    signs_crls: bool = False
    crl_url: str = ""
    extensions: Mapping[str, bytes] = field(default_factory=dict)
    critical: frozenset[str] = frozenset()
    """Which of `extensions` are marked critical; none of AMD's is."""


@dataclass(frozen=True, slots=True)
class AmdAuthority:
    """Everything that only AMD would hold, for all products."""

    start: UnixTime
    ark_key: rsa.RSAPrivateKey
    ask_key: rsa.RSAPrivateKey
    asvk_key: rsa.RSAPrivateKey

    @classmethod
    def create(cls, now: UnixTime, bits: int = RSA_BITS) -> Self:
        """Fresh keys, certificates valid from the day before `now`. Tests take fewer `bits` to save time."""
        keys = [rsa.generate_private_key(public_exponent=65537, key_size=bits) for _ in range(3)]
        return cls(UnixTime(now - now % DAY - DAY), *keys)

    def ark(self, product: Product, plan: AmdPlan | None = None) -> RsaHolder:
        name = f"ARK-{product.value}"
        plan = plan or self.ark_plan(product)
        return RsaHolder(name, self.ark_key, issue(plan, self.ark_key.public_key(), name, self.ark_key))

    def ask(self, product: Product, plan: AmdPlan | None = None) -> RsaHolder:
        """Issues VCEK certificates."""
        plan = plan or self.intermediate_plan(product, "vcek")
        return RsaHolder(plan.name, self.ask_key, self.certify(plan, self.ask_key.public_key(), product))

    def asvk(self, product: Product) -> RsaHolder:
        """Issues VLEK certificates."""
        plan = self.intermediate_plan(product, "vlek")
        return RsaHolder(plan.name, self.asvk_key, self.certify(plan, self.asvk_key.public_key(), product))

    def certify(self, plan: AmdPlan, public: rsa.RSAPublicKey, product: Product) -> bytes:
        """A certificate by the ARK."""
        return issue(plan, public, f"ARK-{product.value}", self.ark_key)

    def ark_plan(self, product: Product) -> AmdPlan:
        url = CRL_URL.format(kind="vcek", product=product.value)
        return AmdPlan(
            f"ARK-{product.value}", self.start, UnixTime(self.start + 25 * YEAR), serial=0x10000, ca=True,
            signs_certificates=True, signs_crls=True, crl_url=url,
        )  # fmt: skip

    def intermediate_plan(self, product: Product, kind: str) -> AmdPlan:
        """Of the ASK (`vcek`) or the ASVK (`vlek`)."""
        name, serial = ("SEV-", 0x10001) if kind == "vcek" else ("SEV-VLEK-", 0x10101)
        return AmdPlan(
            f"{name}{product.value}", self.start, UnixTime(self.start + 25 * YEAR), serial=serial, ca=True,
            path_length=0, signs_certificates=True, crl_url=CRL_URL.format(kind=kind, product=product.value),
        )  # fmt: skip


def vek_plan(extensions: VekExtensions, start: UnixTime) -> AmdPlan:
    """A VCEK certificate, valid for seven years, or a VLEK certificate, valid for one."""
    name, years = ("SEV-VCEK", 7) if extensions.hwid is not None else ("SEV-VLEK", 1)
    return AmdPlan(name, start, UnixTime(start + years * YEAR), extensions=extensions.encode())


def issue(
    plan: AmdPlan, public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, issuer: str, key: rsa.RSAPrivateKey
) -> bytes:
    """A certificate (DER) for `public`, signed by `key` in the name of `issuer`."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(plan.name))
        .issuer_name(_name(issuer))
        .public_key(public)
        .serial_number(plan.serial or 1)
        .not_valid_before(when(plan.not_before))
        .not_valid_after(when(plan.not_after))
    )
    for extension, critical in _profile(plan, public):
        builder = builder.add_extension(extension, critical)
    made = builder.sign(key, SHA384(), rsa_padding=PSS)
    return made.public_bytes(Encoding.DER) if plan.serial else _with_serial_zero(made, key)


def issue_crl(
    issuer: str,
    key: rsa.RSAPrivateKey,
    revoked: Iterable[int],
    this_update: UnixTime,
    next_update: UnixTime,
    *critical: x509.ExtensionType,
) -> bytes:
    """A revocation list (DER) in the name of `issuer`."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(_name(issuer))
        .last_update(when(this_update))
        .next_update(when(next_update))
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    for serial in sorted(revoked):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when(this_update)).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, SHA384(), rsa_padding=PSS).public_bytes(Encoding.DER)


def _profile(
    plan: AmdPlan, public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
) -> Iterable[tuple[x509.ExtensionType, bool]]:
    """Authorities have the usual extensions, the keys of reports have AMD's and nothing else."""
    if plan.ca or plan.signs_certificates or plan.signs_crls:
        usage = x509.KeyUsage(
            False, False, False, False, False, plan.signs_certificates, plan.signs_crls, False, False
        )  # fmt: skip
        yield usage, True
        yield x509.SubjectKeyIdentifier.from_public_key(public), False
    if plan.ca:
        yield x509.BasicConstraints(ca=True, path_length=plan.path_length), True
    if plan.crl_url:
        location = x509.UniformResourceIdentifier(plan.crl_url)
        yield x509.CRLDistributionPoints([x509.DistributionPoint([location], None, None, None)]), False
    for oid, value in plan.extensions.items():
        yield x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), oid in plan.critical


def _with_serial_zero(made: x509.Certificate, key: rsa.RSAPrivateKey) -> bytes:
    """The same certificate with the serial number 0, signed again."""
    signed = made.tbs_certificate_bytes.replace(_SERIAL_ONE, _SERIAL_ZERO, 1)
    outer = der.sole(made.public_bytes(Encoding.DER), der.SEQUENCE, "certificate")
    _, at = der.raw(outer, 0, "certificate.signed")
    algorithm, _ = der.raw(outer, at, "certificate.algorithm")
    signature = key.sign(signed, PSS, SHA384())
    return der.encode(der.SEQUENCE, signed + algorithm + der.encode(_BIT_STRING, b"\0" + signature))


def _name(common_name: str) -> x509.Name:
    """A distinguished name with the attributes and order of AMD's."""
    oids = x509.NameOID
    return x509.Name([
        x509.NameAttribute(oids.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
        x509.NameAttribute(oids.COUNTRY_NAME, "US"),
        x509.NameAttribute(oids.LOCALITY_NAME, "Santa Clara"),
        x509.NameAttribute(oids.STATE_OR_PROVINCE_NAME, "CA"),
        x509.NameAttribute(oids.ORGANIZATION_NAME, "Intaglio Lab (simulated)"),
        x509.NameAttribute(oids.COMMON_NAME, common_name),
    ])  # fmt: skip
