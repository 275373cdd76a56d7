"""SEV-SNP reports before they are signed: every part can be changed, and `build` signs again what hangs on it.

A draft begins as what an honest platform and AMD's service would produce. A fault (`intaglio.sim.faults.snp`) changes
one thing in it. What is signed again shows what the attacker is assumed to hold: a host holds none of these keys.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from intaglio.sim.amd_pki import AmdAuthority, AmdPlan, RsaHolder, issue, issue_crl, vek_plan
from intaglio.sim.pki import DAY
from intaglio.types import Measurement, ReportData, UnixTime
from intaglio.wire.snp import ECDSA_P384_SHA384, SigningKey, SnpReport, signed_part
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.snp_fields import FirmwareVersion, GuestPolicy, PlatformInfo, Product, TcbVersion
from intaglio.wire.vcek import VekExtensions

__all__ = ["SnpDraft", "SnpEvidence", "VekKind"]

VekKind = Literal["vcek", "vlek"]

CSP_ID = "CN=cc-lab.intaglio.invalid"
CPUIDS = {Product.MILAN: (0x19, 0x01, 1), Product.GENOA: (0x19, 0x11, 1), Product.TURIN: (0x1A, 0x02, 1)}
NAMES = {Product.MILAN: "Milan-B0", Product.GENOA: "Genoa", Product.TURIN: "Turin"}
TCBS = {
    Product.MILAN: TcbVersion(bootloader=4, tee=0, snp=24, microcode=219),
    Product.GENOA: TcbVersion(bootloader=10, tee=0, snp=25, microcode=84),
    Product.TURIN: TcbVersion(fmc=1, bootloader=1, tee=1, snp=4, microcode=79),
}
"""As real platforms of 2025 had them."""

POLICY = GuestPolicy(0x30000)
"""SMT allowed, nothing else."""


@dataclass(frozen=True, slots=True)
class SnpEvidence:
    """What a verifier is given. `root`: DER of the root that it is told to trust; `at`: when it judges."""

    report: bytes
    collateral: SnpCollateral
    root: bytes
    at: UnixTime


@dataclass(slots=True)
class SnpDraft:
    """One report of one guest on one chip, with its certificates, still open to change.

    `key` signs the report and `vek_key` is the one in the certificate. `edits` are applied to the finished bytes of the
    report: what a host without any key can do. `certificate` replaces what `vek` and `issuer` would make.
    """

    authority: AmdAuthority
    product: Product
    at: UnixTime
    report: SnpReport
    extensions: VekExtensions
    key: ec.EllipticCurvePrivateKey
    vek_key: ec.EllipticCurvePrivateKey
    vek: AmdPlan
    issuer: RsaHolder
    ask: bytes
    ark: bytes
    root: bytes
    crl: bytes
    certificate: bytes | None = None
    edits: list[Callable[[bytes], bytes]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        authority: AmdAuthority,
        at: UnixTime,
        *,
        product: Product = Product.MILAN,
        version: int = 3,
        kind: VekKind = "vcek",
        report_data: ReportData | None = None,
    ) -> Self:
        """The honest draft: a guest in production mode on a platform that is up to date."""
        report = honest_report(product, version, kind, report_data or ReportData(bytes(range(64))))
        hwid = report.chip_id[: product.chip_id_size] if kind == "vcek" else None
        extensions = VekExtensions(
            int(product.has_fmc), NAMES[product], product, report.reported_tcb, hwid, None if hwid else CSP_ID
        )
        key = ec.generate_private_key(ec.SECP384R1())
        issuer = authority.ask(product) if kind == "vcek" else authority.asvk(product)
        ark = authority.ark(product)
        start = UnixTime(at - at % DAY - DAY)
        crl = issue_crl(ark.name, ark.key, (), start, UnixTime(start + 30 * DAY))
        plan = vek_plan(extensions, start)
        return cls(
            authority, product, at, report, extensions, key, key, plan, issuer, issuer.der, ark.der, ark.der, crl
        )

    def endorse(self, **changes: object) -> None:
        """AMD certifies something else: `changes` of the extensions, with everything around them kept."""
        # mypy can't see through the keywords; VekExtensions itself refuses none.
        self.extensions = replace(self.extensions, **changes)  # type: ignore[arg-type]
        self.vek = replace(self.vek, extensions=self.extensions.encode())

    def edit(self, offset: int, value: int = 1) -> None:
        """The host flips bits of one byte of the finished report."""

        def flip(report: bytes) -> bytes:
            return report[:offset] + bytes((report[offset] ^ value,)) + report[offset + 1 :]

        self.edits.append(flip)

    def build(self) -> SnpEvidence:
        """Signs everything that is signed and assembles it."""
        vek = self.certificate
        if vek is None:
            vek = issue(self.vek, self.vek_key.public_key(), self.issuer.name, self.issuer.key)
        report = sign_report(self.report, self.key).encode()
        for edit in self.edits:
            report = edit(report)
        return SnpEvidence(report, SnpCollateral(vek, self.ask, self.ark, self.crl), self.root, self.at)


def honest_report(product: Product, version: int, kind: VekKind, report_data: ReportData) -> SnpReport:
    """Unsigned."""
    tcb, firmware = TCBS[product], FirmwareVersion(1, 55, 29)
    return SnpReport(
        version=version,
        guest_svn=3,
        policy=POLICY,
        family_id=bytes(16),
        image_id=bytes(16),
        vmpl=0,
        signature_algo=ECDSA_P384_SHA384,
        current_tcb=tcb,
        platform_info=PlatformInfo(0x25 if version > 2 else 0x01),
        flags=(SigningKey.VLEK if kind == "vlek" else SigningKey.VCEK) << 2,
        report_data=report_data,
        measurement=Measurement(b"\x9f" * 48),
        host_data=bytes(32),
        id_key_digest=bytes(48),
        author_key_digest=bytes(48),
        report_id=b"\x71" * 32,
        report_id_ma=b"\xff" * 32,
        reported_tcb=tcb,
        cpuid=CPUIDS[product] if version > 2 else None,
        chip_id=(b"\xc1" * product.chip_id_size).ljust(64, b"\0") if kind == "vcek" else bytes(64),
        committed_tcb=tcb,
        current=firmware,
        committed=firmware,
        launch_tcb=tcb,
        launch_mit_vector=11 if version > 4 else None,
        current_mit_vector=11 if version > 4 else None,
        signature=bytes(96),
    )


def sign_report(report: SnpReport, key: ec.EllipticCurvePrivateKey) -> SnpReport:
    """`report` with a fresh signature by `key`."""
    r, s = decode_dss_signature(key.sign(signed_part(report.encode()), ec.ECDSA(SHA384())))
    return replace(report, signature=r.to_bytes(48, "big") + s.to_bytes(48, "big"))
