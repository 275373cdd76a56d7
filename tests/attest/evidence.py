"""Evidence as each TEE makes it, for the devices of `intaglio.sim.devices`: complete, and about the data asked for.

Attesters do not judge signatures, so the TDX quotes here have none that would hold.
"""

import hashlib
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec

from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.nitro import NitroAuthority, NitroDraft
from intaglio.sim.snp import honest_report, sign_report
from intaglio.types import Measurement, ReportData, Tee, UnixTime
from intaglio.wire.dcap import ECDSA_P256, INTEL_QE_VENDOR_ID, CertificationData, Quote, QuoteHeader
from intaglio.wire.sgx import ReportBody
from intaglio.wire.snp import SnpReport
from intaglio.wire.snp_fields import Product
from intaglio.wire.tdx import TdReport

NOON = UnixTime(1_780_315_200)
"""2026-06-01T12:00:00Z."""
ASKED = ReportData(hashlib.sha512(b"asked").digest())
OTHER = ReportData(hashlib.sha512(b"other").digest())
IMAGE = Image((TrustedFile("meter.py", b"script\n"), TrustedFile("dc.pub", b"pinned\n")))

_KEY = ec.generate_private_key(ec.SECP384R1())
_NITRO = NitroAuthority.create(NOON)


def snp_report(report_data: bytes, vmpl: int = 0) -> bytes:
    own = snp_guest()
    return sign_report(replace(own, report_data=ReportData(report_data), vmpl=vmpl), _KEY).encode()


def snp_guest() -> SnpReport:
    return replace(honest_report(Product.MILAN, 3, "vcek", ASKED), host_data=b"\x0d" * 32)


def td_quote(report_data: bytes) -> bytes:
    header = QuoteHeader(4, ECDSA_P256, Tee.TDX, 0, 0, INTEL_QE_VENDOR_ID, bytes(20))
    zero = Measurement(bytes(48))
    body = TdReport(
        bytes(16), zero, zero, 0, 0, 0, Measurement(b"\xda" * 48), Measurement(b"\xc1" * 48), zero, zero, zero, zero,
        zero, zero, ReportData(report_data),
    )  # fmt: skip
    return quote_of(header, body)


def quote_of(header: QuoteHeader, body: TdReport | ReportBody) -> bytes:
    qe = ReportBody.parse(bytes(384))
    return Quote.assemble(
        header, body, signature=bytes(64), attestation_key=bytes(64), qe_report=qe, qe_report_signature=bytes(64),
        qe_auth_data=b"", certification=CertificationData(5, b"chain"),
    ).encode()  # fmt: skip


def nitro_document(user_data: bytes) -> bytes:
    return NitroDraft.of(_NITRO, NOON, report_data=user_data).build().document
