"""The ECDSA quote: Intel's envelope of versions 3, 4 and 5 around an SGX or TDX report (checks 1 to 9).

A quote is a header, a body, and authentication data of a declared length: a signature by the attestation key,
that key, and the quoting enclave's (QE) report on it with the data that leads to the platform's certificate.
Zero bytes may follow (real quotes come padded to 5,006 or 8,000 bytes), anything else may not. Numbers are
little-endian. What a field may contain is for `verify` to judge, except where another value means another
layout.
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import Tee
from intaglio.wire.cursor import Cursor
from intaglio.wire.sgx import REPORT_BODY_SIZE, ReportBody
from intaglio.wire.tdx import TdBody, TdReport

__all__ = [
    "ECDSA_P256", "INTEL_QE_VENDOR_ID", "MAX_QUOTE_SIZE", "CertificationData", "CertificationType",
    "PckIdentifier", "Quote", "QuoteHeader", "signed_part",
]  # fmt: skip

_HEADER = Struct("<HHIHH16s20s")
_BY_KEY = Struct("<64s64s")
_BY_PLATFORM = Struct("<384s64s")
MAX_QUOTE_SIZE = 64 * 1024
"""The longest real quotes are 8,000 bytes; eight times that still bounds what a stranger can make us hold."""

ECDSA_P256 = 2
"""The attestation key type of every quote that Intel's quoting enclaves make."""

INTEL_QE_VENDOR_ID = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")

_TEE_TYPES = {0x00: Tee.SGX, 0x81: Tee.TDX}
_TEE_NUMBERS = {tee: number for number, tee in _TEE_TYPES.items()}
_SGX_BODY = 1
_BODY_TYPES = {_SGX_BODY: (Tee.SGX, REPORT_BODY_SIZE), **{each.value: (Tee.TDX, each.size) for each in TdBody}}


class CertificationType(IntEnum):
    """What leads from the QE report to the platform's PCK certificate (check 9)."""

    PPID_CLEARTEXT = 1
    PPID_RSA2048 = 2
    PPID_RSA3072 = 3
    PCK_LEAF = 4
    PCK_CHAIN = 5
    QE_REPORT = 6
    """Only as the outer type of v4 and v5, where it holds the QE's report and an inner type."""


_PPID_SIZES = {
    CertificationType.PPID_CLEARTEXT: 16,
    CertificationType.PPID_RSA2048: 256,
    CertificationType.PPID_RSA3072: 384,
}


@dataclass(frozen=True, slots=True)
class QuoteHeader:
    """The first 48 bytes. In v3 the TEE type is a reserved field and zero, which is SGX."""

    version: int
    attestation_key_type: int
    tee: Tee
    qe_svn: int
    pce_svn: int
    qe_vendor_id: bytes
    user_data: bytes

    @classmethod
    def read(cls, cur: Cursor) -> Self:
        """Raises `Malformed` for a version or TEE type whose layout is unknown (check 2)."""
        version, attestation_key_type, tee_type, qe_svn, pce_svn, qe_vendor_id, user_data = _HEADER.unpack(
            cur.take(_HEADER.size, "header")
        )
        if version not in (3, 4, 5):
            raise Malformed("quote.header.version", f"expected 3, 4 or 5, got {version}")
        tee = _TEE_TYPES.get(tee_type)
        if tee is None or (version == 3 and tee is not Tee.SGX):
            raise Malformed("quote.header.tee_type", f"{tee_type:#x} is not known in version {version}")
        return cls(version, attestation_key_type, tee, qe_svn, pce_svn, qe_vendor_id, user_data)

    def encode(self) -> bytes:
        return _HEADER.pack(
            self.version, self.attestation_key_type, _TEE_NUMBERS[self.tee], self.qe_svn, self.pce_svn,
            self.qe_vendor_id, self.user_data,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PckIdentifier:
    """Certification data of types 1 to 3: by what to ask a PCS for the PCK certificate. `ppid` may be
    encrypted."""

    ppid: bytes
    cpu_svn: bytes
    pce_svn: int
    pce_id: int

    @classmethod
    def parse(cls, kind: int, data: bytes) -> Self:
        """Raises `Malformed` unless `data` has the exact size of its type."""
        cur = Cursor(data, "quote.certification_data")
        identifier = cls(
            ppid=cur.take(_PPID_SIZES[CertificationType(kind)], "ppid"),
            cpu_svn=cur.take(16, "cpu_svn"),
            pce_svn=cur.u16("pce_svn"),
            pce_id=cur.u16("pce_id"),
        )
        cur.end()
        return identifier

    def encode(self) -> bytes:
        return self.ppid + self.cpu_svn + self.pce_svn.to_bytes(2, "little") + self.pce_id.to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class CertificationData:
    """`kind` is a `CertificationType` where it is one of those; `data` is PEM for types 4 and 5."""

    kind: int
    data: bytes

    @classmethod
    def read(cls, cur: Cursor, field: str) -> Self:
        kind = cur.u16(f"{field}.type")
        return cls(kind, cur.take(cur.u32(f"{field}.size"), f"{field}.data"))

    def encode(self) -> bytes:
        return self.kind.to_bytes(2, "little") + len(self.data).to_bytes(4, "little") + self.data

    @property
    def identifier(self) -> PckIdentifier | None:
        """For types 1 to 3; None for the others. Raises `Malformed` if the data has the wrong size."""
        return PckIdentifier.parse(self.kind, self.data) if self.kind in _PPID_SIZES else None


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote with every declared length consumed exactly. Signatures are raw r || s, the key raw x || y.

    `signed` and `qe_report_signed` are the exact bytes under the two signatures. `body` is a `ReportBody` for
    SGX and a `TdReport` for TDX. `padding` counts the zero bytes that followed.
    """

    header: QuoteHeader
    body: ReportBody | TdReport
    signed: bytes
    signature: bytes
    attestation_key: bytes
    qe_report: ReportBody
    qe_report_signed: bytes
    qe_report_signature: bytes
    qe_auth_data: bytes
    certification: CertificationData
    padding: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`, naming the field, for anything but one quote and zero bytes after it."""
        if len(data) > MAX_QUOTE_SIZE:
            raise Malformed("quote", f"at most {MAX_QUOTE_SIZE} bytes, got {len(data)}")
        cur = Cursor(data, "quote")
        header = QuoteHeader.read(cur)
        body = _read_body(cur, header)
        signed = data[: cur.position]
        authentication = cur.take(cur.u32("authentication.size"), "authentication")
        padding = cur.left
        if cur.rest().strip(b"\0"):
            raise Malformed("quote.padding", "bytes other than zero follow the authentication data")
        return cls._read_authentication(authentication, header, body, signed, padding)

    @classmethod
    def _read_authentication(
        cls, data: bytes, header: QuoteHeader, body: ReportBody | TdReport, signed: bytes, padding: int
    ) -> Self:
        """Checks 7 and 8: the QE's part follows the key directly in v3, and inside a container of type 6
        later."""
        cur = outer = Cursor(data, "quote.authentication")
        signature, attestation_key = _BY_KEY.unpack(cur.take(_BY_KEY.size, "signature and key"))
        if header.version > 3:
            kind = cur.u16("certification.type")
            if kind != CertificationType.QE_REPORT:
                raise Malformed("quote.authentication.certification.type", f"expected 6, got {kind}")
            inner = cur.take(cur.u32("certification.size"), "certification.data")
            cur = Cursor(inner, "quote.authentication.certification")
        qe_report_signed, qe_report_signature = _BY_PLATFORM.unpack(cur.take(_BY_PLATFORM.size, "qe_report"))
        qe_auth_data = cur.take(cur.u16("qe_auth_data.size"), "qe_auth_data")
        certification = CertificationData.read(cur, "certification_data")
        cur.end()
        outer.end()
        # A wrong size is the quote's fault, not the fault of whoever looks at the identifier later.
        _ = certification.identifier
        return cls(
            header, body, signed, signature, attestation_key, ReportBody.parse(qe_report_signed),
            qe_report_signed, qe_report_signature, qe_auth_data, certification, padding,
        )  # fmt: skip

    @classmethod
    def assemble(
        cls,
        header: QuoteHeader,
        body: ReportBody | TdReport,
        *,
        signature: bytes,
        attestation_key: bytes,
        qe_report: ReportBody,
        qe_report_signature: bytes,
        qe_auth_data: bytes,
        certification: CertificationData,
    ) -> Self:
        """For whoever makes quotes: the bytes under the signatures follow from `header`, `body` and
        `qe_report`."""
        return cls(
            header, body, signed_part(header, body), signature, attestation_key, qe_report,
            qe_report.encode(), qe_report_signature, qe_auth_data, certification,
        )  # fmt: skip

    def encode(self) -> bytes:
        """The bytes that `parse` reads, padding included."""
        qe_part = b"".join((
            self.qe_report_signed,
            self.qe_report_signature,
            len(self.qe_auth_data).to_bytes(2, "little"),
            self.qe_auth_data,
            self.certification.encode(),
        ))  # fmt: skip
        if self.header.version > 3:
            qe_part = CertificationData(CertificationType.QE_REPORT, qe_part).encode()
        authentication = self.signature + self.attestation_key + qe_part
        size = len(authentication).to_bytes(4, "little")
        return self.signed + size + authentication + bytes(self.padding)


def signed_part(header: QuoteHeader, body: ReportBody | TdReport) -> bytes:
    """What the attestation key signs (check 23): header, in v5 the body's descriptor, and body."""
    encoded = body.encode()
    if header.version < 5:
        return header.encode() + encoded
    kind = _SGX_BODY if isinstance(body, ReportBody) else body.body_type
    return header.encode() + kind.to_bytes(2, "little") + len(encoded).to_bytes(4, "little") + encoded


def _read_body(cur: Cursor, header: QuoteHeader) -> ReportBody | TdReport:
    """Check 5: v3 and v4 imply the body's type, v5 declares it and its size, which must be the size of its type."""
    kind: int = _SGX_BODY if header.tee is Tee.SGX else TdBody.TDX_1_0
    if header.version == 5:
        kind, declared = cur.u16("body.type"), cur.u32("body.size")
        tee, size = _BODY_TYPES.get(kind, (None, 0))
        if tee is not header.tee:
            raise Malformed("quote.body.type", f"{kind} is not a {header.tee.value} body")
        if declared != size:
            raise Malformed("quote.body.size", f"type {kind} has {size} bytes, got {declared}")
    if header.tee is Tee.SGX:
        return ReportBody.read(cur)
    return TdReport.read(cur, TdBody(kind))
