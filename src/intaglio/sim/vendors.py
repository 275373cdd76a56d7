"""What a lab's folder keeps of AMD and AWS, beside Intel's part: the keys of their authorities, and one AMD chip.

    guests/amd.pem      the ARK's, ASK's and ASVK's key and the chip's VCEK key, one after another
    guests/aws.pem      the root's key
    guests/start        when all this was made, in unix seconds
    guests/amd-root.pem, guests/aws-root.pem     what `intaglio serve --lab` is given
    guests/collateral/snp.json                   the chip's certificates, for `intaglio serve --collateral`

Certificates are made again at every start; roots are pinned by their keys, and those stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from intaglio.files import create_private, replace_private
from intaglio.sim.amd_pki import AmdAuthority
from intaglio.sim.nitro import NitroAuthority, NitroDraft
from intaglio.sim.snp import SnpDraft
from intaglio.types import Measurement, ReportData, UnixTime
from intaglio.wire.snp_fields import Product

__all__ = ["PRODUCT", "Amd", "Aws", "amd", "aws", "create_vendors", "refresh"]

PRODUCT: Final = Product.MILAN
AMD_BITS = 2048
"""AMD's keys have twice that, and take seconds to make."""
_END = b"-----END PRIVATE KEY-----\n"


@dataclass(frozen=True, slots=True)
class Amd:
    """AMD's authorities and one chip, on which every SEV-SNP guest of the lab runs."""

    authority: AmdAuthority
    chip: ec.EllipticCurvePrivateKey

    def draft(self, at: UnixTime, report_data: ReportData | None = None) -> SnpDraft:
        """An honest report of the chip, still open to change."""
        draft = SnpDraft.of(self.authority, at, product=PRODUCT, report_data=report_data)
        draft.key = draft.vek_key = self.chip
        return draft

    def report(self, at: UnixTime, report_data: bytes, measurement: Measurement, vmpl: int) -> bytes:
        draft = self.draft(at, ReportData(report_data))
        draft.report = replace(draft.report, measurement=measurement, vmpl=vmpl)
        return draft.build().report


@dataclass(frozen=True, slots=True)
class Aws:
    """AWS's root; what hangs on it is made anew for each document."""

    root: ec.EllipticCurvePrivateKey

    def document(self, at: UnixTime, user_data: bytes, image: Measurement) -> bytes:
        draft = self.draft(at, user_data)
        draft.fields["pcrs"] = {**draft.fields["pcrs"], 0: image}
        return draft.build().document

    def draft(self, at: UnixTime, user_data: bytes = b"") -> NitroDraft:
        authority = NitroAuthority.create(at)
        root, *others = authority.holders
        return NitroDraft.of(NitroAuthority((replace(root, key=self.root), *others)), at, report_data=user_data)


def create_vendors(lab: Path, now: UnixTime) -> None:
    """Adds both to a lab's folder. Raises FileExistsError where they are there already."""
    folder = lab / "guests"
    folder.mkdir(mode=0o700, exist_ok=True)
    made = AmdAuthority.create(now, AMD_BITS)
    keys = (made.ark_key, made.ask_key, made.asvk_key, ec.generate_private_key(ec.SECP384R1()))
    create_private(folder / "amd.pem", b"".join(_pem(key) for key in keys))
    create_private(folder / "aws.pem", _pem(ec.generate_private_key(ec.SECP384R1())))
    create_private(folder / "start", f"{made.start}\n".encode("ascii"))
    (folder / "collateral").mkdir()
    refresh(lab, now)


def refresh(lab: Path, now: UnixTime) -> None:
    """Writes roots and collateral anew: certificates and lists of a lab live for some weeks."""
    folder = lab / "guests"
    evidence = amd(lab).draft(now).build()
    replace_private(folder / "collateral" / "snp.json", evidence.collateral.encode_json())
    for name, der in (("amd", evidence.root), ("aws", aws(lab).draft(now).build().root)):
        pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
        replace_private(folder / f"{name}-root.pem", pem)


def amd(lab: Path) -> Amd:
    """Raises FileNotFoundError where `create_vendors` was not called, ValueError for keys that are none."""
    *authority, chip = _load(lab / "guests" / "amd.pem")
    start = UnixTime(int((lab / "guests" / "start").read_text("ascii")))
    made = AmdAuthority(start, *cast(Sequence[rsa.RSAPrivateKey], authority))
    return Amd(made, cast(ec.EllipticCurvePrivateKey, chip))


def aws(lab: Path) -> Aws:
    """Raises as `amd`."""
    (root,) = _load(lab / "guests" / "aws.pem")
    return Aws(cast(ec.EllipticCurvePrivateKey, root))


def _load(path: Path) -> list[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]:
    blocks = path.read_bytes().split(_END)[:-1]
    return [cast(rsa.RSAPrivateKey, load_pem_private_key(block + _END, None)) for block in blocks]


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
