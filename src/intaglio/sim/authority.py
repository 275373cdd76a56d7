"""The lab's stand-in for Intel: a root, the two PCK issuers, the TCB signer, and the key that signs quoting
enclaves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate

from intaglio.files import create_private
from intaglio.sim.pck import PckFacts, sgx_extension
from intaglio.sim.pki import DAY, YEAR, Ca, Holder, Plan, issue, issue_root, pem_chain
from intaglio.sim.signing import generate_vendor_key, load_vendor_key, save_vendor_key
from intaglio.types import UnixTime

__all__ = ["Authority"]

_PREFIX = "Intaglio Lab SGX"
ROOT_NAME = f"{_PREFIX} Root CA"
PLATFORM_CA_NAME = f"{_PREFIX} PCK Platform CA"
PROCESSOR_CA_NAME = f"{_PREFIX} PCK Processor CA"
TCB_SIGNER_NAME = f"{_PREFIX} TCB Signing"
PCK_NAME = f"{_PREFIX} PCK Certificate"
PCK_CRL_URL = "https://api.lab.intaglio.invalid/sgx/certification/v4/pckcrl?ca={ca}&encoding=der"


@dataclass(frozen=True, slots=True)
class Authority:
    """Everything that only the vendor of the CPUs would hold."""

    root: Holder
    platform_ca: Holder
    processor_ca: Holder
    tcb_signer: Holder
    quoting_signer: rsa.RSAPrivateKey

    @classmethod
    def create(cls, now: UnixTime, quoting_signer: rsa.RSAPrivateKey | None = None) -> Self:
        """Fresh keys, certificates valid from the day before `now`. Lifetimes are Intel's: 30, 15, 15 and 7 years."""
        start = UnixTime(now - now % DAY - DAY)

        def until(years: int) -> UnixTime:
            return UnixTime(start + years * YEAR)

        root = issue_root(Plan(ROOT_NAME, start, until(30), path_length=1), _new_key())
        return cls(
            root=root,
            platform_ca=_issue_new(Plan(PLATFORM_CA_NAME, start, until(15), path_length=0), root),
            processor_ca=_issue_new(Plan(PROCESSOR_CA_NAME, start, until(15), path_length=0), root),
            tcb_signer=_issue_new(Plan(TCB_SIGNER_NAME, start, until(7)), root),
            quoting_signer=quoting_signer or generate_vendor_key(),
        )

    def pck_ca(self, ca: Ca) -> Holder:
        return self.platform_ca if ca == "platform" else self.processor_ca

    def certify_pck(self, public: ec.EllipticCurvePublicKey, facts: PckFacts, ca: Ca, start: UnixTime) -> str:
        """The PCK certificate chain (leaf, intermediate, root; PEM) for a platform's key, valid for 7 years."""
        plan = Plan(
            PCK_NAME,
            start,
            UnixTime(start + 7 * YEAR),
            crl_url=PCK_CRL_URL.format(ca=ca),
            sgx=sgx_extension(facts),
        )
        issuer = self.pck_ca(ca)
        return pem_chain(issue(plan, public, issuer), issuer.certificate, self.root.certificate)

    def save(self, folder: Path) -> None:
        """Writes keys (mode 0600) and certificates into `folder`. Raises FileExistsError if they are there
        already."""
        for name, holder in self._holders().items():
            key = holder.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            create_private(folder / f"{name}.key", key)
            (folder / f"{name}.pem").write_text(holder.pem, "ascii")
        save_vendor_key(self.quoting_signer, folder / "quoting-signer.key")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises FileNotFoundError, TypeError or `ValueError` for a folder that `save` did not write."""
        return cls(
            root=_load(folder, "root"),
            platform_ca=_load(folder, "platform-ca"),
            processor_ca=_load(folder, "processor-ca"),
            tcb_signer=_load(folder, "tcb-signer"),
            quoting_signer=load_vendor_key(folder / "quoting-signer.key"),
        )

    def _holders(self) -> dict[str, Holder]:
        return {
            "root": self.root,
            "platform-ca": self.platform_ca,
            "processor-ca": self.processor_ca,
            "tcb-signer": self.tcb_signer,
        }


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _issue_new(plan: Plan, issuer: Holder) -> Holder:
    key = _new_key()
    return Holder(key, issue(plan, key.public_key(), issuer))


def _load(folder: Path, name: str) -> Holder:
    key = load_pem_private_key((folder / f"{name}.key").read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{name}.key: not an elliptic-curve key")
    return Holder(key, load_pem_x509_certificate((folder / f"{name}.pem").read_bytes()))
