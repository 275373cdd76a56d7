"""The platform's own enclaves: the quoting enclave (QE) turns a local report into a quote, the provisioning
certification enclave (PCE) vouches for the QE with the platform's PCK key.

As in Intel's: the PCK key follows from the provisioning fuses, CPUSVN and PCESVN; the attestation key follows
from the QE's sealing key, so it survives restarts and belongs to one platform; the QE signs only reports
addressed to it by the same CPU.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from intaglio.sim.cpu import Enclave, Processor
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.signing import EnclaveTerms, sign_enclave
from intaglio.sim.structures import (
    KeyName,
    KeyPolicy,
    KeyRequest,
    SgxCode,
    SgxFault,
)
from intaglio.types import ReportData, Tee, UnixTime
from intaglio.wire.dcap import (
    ECDSA_P256,
    INTEL_QE_VENDOR_ID,
    CertificationData,
    CertificationType,
    Quote,
    QuoteHeader,
    signed_part,
)
from intaglio.wire.sgx import AttributeFlag, LocalReport, ReportBody
from intaglio.wire.target_info import TargetInfo

__all__ = ["QE_PROD_ID", "TD_QE_PROD_ID", "Pce", "QuotingEnclave", "raw_point", "sign_platform_enclaves", "sign_raw"]

QE_PROD_ID = 1
TD_QE_PROD_ID = 2
QE_AUTH_DATA = bytes(range(32))
"""Intel's QE puts these 32 bytes there; they mean nothing and are bound by the QE report."""
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

QE_IMAGE = Image((TrustedFile("quoting-enclave", b"intaglio simulated quoting enclave, interface 3\n"),))
PCE_IMAGE = Image((TrustedFile("provisioning-certification-enclave", b"intaglio simulated PCE, interface 1\n"),))


def sign_platform_enclaves(
    signer: rsa.RSAPrivateKey, *, qe_svn: int, pce_svn: int, now: UnixTime
) -> tuple[bytes, bytes]:
    """SIGSTRUCTs of the QE and the PCE: neither may run in debug mode, both may ask for provisioning keys."""
    flags = AttributeFlag.MODE64 | AttributeFlag.PROVISION_KEY
    qe = EnclaveTerms(isv_prod_id=QE_PROD_ID, isv_svn=qe_svn, flags=flags, debuggable=False)
    pce = EnclaveTerms(isv_prod_id=QE_PROD_ID, isv_svn=pce_svn, flags=flags, debuggable=False)
    return (
        sign_enclave(signer, QE_IMAGE.mr_enclave(), qe, now=now).encode(),
        sign_enclave(signer, PCE_IMAGE.mr_enclave(), pce, now=now).encode(),
    )


@dataclass(frozen=True, slots=True)
class Pce:
    """Holds the PCK key of the platform's current TCB."""

    enclave: Enclave

    @classmethod
    def launch(cls, processor: Processor, sigstruct: bytes) -> "Pce":
        return cls(processor.launch(PCE_IMAGE, sigstruct))

    @property
    def target_info(self) -> TargetInfo:
        return self.enclave.target_info

    @property
    def svn(self) -> int:
        return self.enclave.identity.isv_svn

    def pck_key(self) -> ec.EllipticCurvePrivateKey:
        """The key that the PCK certificate of this platform and TCB level is about."""
        secret = self.enclave.get_key(KeyRequest(KeyName.PROVISION, isv_svn=self.svn))
        return _derive_key(secret, b"intaglio simulated PCK key")

    def certify(self, report: bytes) -> bytes:
        """The PCK key's raw signature over the body of a QE report that is addressed to this PCE. Raises
        `SgxFault`."""
        local = _checked(self.enclave, report, "PCE")
        if not local.body.attributes.has(AttributeFlag.PROVISION_KEY):
            raise SgxFault("PCE", SgxCode.INVALID_ATTRIBUTE, "only an enclave with PROVISION_KEY is certified")
        return sign_raw(self.pck_key(), local.body.encode())


@dataclass(frozen=True)
class QuotingEnclave:
    """Makes v3 quotes with certification data of type 5. `pck_chain` is PEM, leaf first."""

    enclave: Enclave
    pce: Pce
    pck_chain: str

    @classmethod
    def launch(cls, processor: Processor, sigstruct: bytes, pce: Pce, pck_chain: str) -> "QuotingEnclave":
        return cls(processor.launch(QE_IMAGE, sigstruct), pce, pck_chain)

    @property
    def target_info(self) -> TargetInfo:
        """To whom an enclave addresses the report that it wants quoted."""
        return self.enclave.target_info

    def attestation_key(self) -> ec.EllipticCurvePrivateKey:
        """From the sealing key of this signer on this CPU: the same at every start, another on every platform."""
        request = KeyRequest(KeyName.SEAL, KeyPolicy.MRSIGNER, isv_svn=self.enclave.identity.isv_svn)
        return _derive_key(self.enclave.get_key(request), b"intaglio simulated attestation key")

    def quote(self, report: bytes) -> bytes:
        """The quote over an enclave's REPORT (432 bytes).

        Raises `Malformed` for other bytes, `SgxFault` where the report was not made on this CPU for this QE.
        """
        body = _checked(self.enclave, report, "QE").body
        return self.quote_body(body).encode()

    def quote_body(self, body: ReportBody) -> Quote:
        """The quote over a body that was checked already."""
        key = self.attestation_key()
        header = self.header()
        qe_report, qe_report_signature = self.certification
        return Quote.assemble(
            header,
            body,
            signature=sign_raw(key, signed_part(header, body)),
            attestation_key=raw_point(key.public_key()),
            qe_report=qe_report,
            qe_report_signature=qe_report_signature,
            qe_auth_data=QE_AUTH_DATA,
            certification=CertificationData(CertificationType.PCK_CHAIN, self.pck_chain.encode("ascii") + b"\0"),
        )

    def header(self) -> QuoteHeader:
        platform_id = self.enclave.get_key(KeyRequest(KeyName.SEAL, KeyPolicy.MRSIGNER, key_id=b"QE_ID".ljust(32)))
        return QuoteHeader(
            version=3,
            attestation_key_type=ECDSA_P256,
            tee=Tee.SGX,
            qe_svn=self.enclave.identity.isv_svn,
            pce_svn=self.pce.svn,
            qe_vendor_id=INTEL_QE_VENDOR_ID,
            user_data=platform_id + bytes(4),
        )

    @cached_property
    def certification(self) -> tuple[ReportBody, bytes]:
        """The QE's report over its attestation key (check 22) and the PCK key's signature over that report.

        Made once, as by a real QE, which keeps it with its key: that part of a platform's quotes is always the same.
        """
        binding = sha256(raw_point(self.attestation_key().public_key()) + QE_AUTH_DATA).digest()
        report = self.enclave.report(self.pce.target_info, ReportData(binding + bytes(32)))
        return LocalReport.parse(report).body, self.pce.certify(report)


def sign_raw(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ECDSA P-256 with SHA-256 as quotes and collateral carry it: r || s, 32 bytes each, big-endian."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def raw_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """x || y, 64 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def _checked(enclave: Enclave, report: bytes, who: str) -> LocalReport:
    local = LocalReport.parse(report)
    if not enclave.accepts(local):
        raise SgxFault(who, SgxCode.INVALID_SIGNATURE, "the report is not addressed to this enclave on this CPU")
    return local


def _derive_key(secret: bytes, label: bytes) -> ec.EllipticCurvePrivateKey:
    """A P-256 key from a 16-byte secret: 48 bytes reduced modulo n - 1 (FIPS 186-5 A.2.1, extra random bits)."""
    wide = HKDFExpand(SHA256(), 48, label).derive(secret)
    return ec.derive_private_key(int.from_bytes(wide, "big") % (_P256_ORDER - 1) + 1, ec.SECP256R1())
