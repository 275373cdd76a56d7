"""What kind of evidence is this? One door for every TEE, so that callers need not know which one they hold.

`detect` reads what people keep in files: raw bytes, hexadecimal or base64. `Verifier` takes raw bytes only, because
hashes of evidence bind sessions: two spellings of one quote must not pass for the same evidence.
"""

import binascii
from enum import Enum
from typing import NamedTuple, Protocol

from intaglio.errors import Malformed
from intaglio.types import Tee, UnixTime
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.epid import EpidVerifier
from intaglio.verify.ias import IasVerifier
from intaglio.verify.local_report import LocalReportVerifier
from intaglio.verify.nitro import NitroVerifier
from intaglio.verify.roots import Roots
from intaglio.verify.snp import SnpVerifier
from intaglio.verify.verdict import Verdict
from intaglio.wire.endorsement import Collateral
from intaglio.wire.epid import EPID_BODY_SIZE
from intaglio.wire.ias import looks_like_ias
from intaglio.wire.sgx import LOCAL_REPORT_SIZE, REPORT_BODY_SIZE
from intaglio.wire.snp import SNP_REPORT_SIZE, VERSIONS

__all__ = ["Detected", "Kind", "Verifier", "classify", "detect"]

MAX_EVIDENCE_TEXT = 1024 * 1024
"""The longest evidence we know is 32 kB; as text, with room for white space, still far below this."""

_NITRO_PREFIXES = (b"\x84\x44\xa1\x01", b"\xd2\x84\x44\xa1\x01")
_TEE_TYPES = {b"\x00\x00\x00\x00": Tee.SGX, b"\x81\x00\x00\x00": Tee.TDX}


class Kind(Enum):
    """The formats that can be told apart."""

    ECDSA_QUOTE = "ECDSA quote"
    EPID_QUOTE = "EPID quote"
    IAS_REPORT = "IAS report"
    SGX_REPORT = "SGX report"
    SNP_REPORT = "SEV-SNP report"
    NITRO_DOCUMENT = "Nitro attestation document"


class Detected(NamedTuple):
    """The raw bytes of a piece of evidence, and what they are."""

    tee: Tee
    raw: bytes
    kind: Kind


def detect(data: bytes) -> Detected:
    """Finds evidence in raw bytes, hexadecimal or base64 text. Raises `Malformed` if it is no known kind."""
    try:
        tee, kind = classify(data)
    except Malformed:
        raw = _decode_text(data)
        tee, kind = classify(raw)
        return Detected(tee, raw, kind)
    return Detected(tee, data, kind)


def classify(raw: bytes) -> tuple[Tee, Kind]:
    """TEE and kind by magic numbers and sizes. Raises `Malformed`. It promises nothing about the rest."""
    version, second = int.from_bytes(raw[:2], "little"), raw[2:4]
    if len(raw) == SNP_REPORT_SIZE and version in VERSIONS and second == b"\0\0":
        return Tee.SNP, Kind.SNP_REPORT
    if raw.startswith(_NITRO_PREFIXES):
        return Tee.NITRO, Kind.NITRO_DOCUMENT
    if version in (3, 4, 5) and second != b"\0\0" and raw[4:8] in _TEE_TYPES:
        return _TEE_TYPES[raw[4:8]], Kind.ECDSA_QUOTE
    if len(raw) > EPID_BODY_SIZE and version in (1, 2) and raw[2:4] in (b"\0\0", b"\1\0"):
        return Tee.SGX, Kind.EPID_QUOTE
    if looks_like_ias(raw):
        return Tee.SGX, Kind.IAS_REPORT
    if len(raw) in (REPORT_BODY_SIZE, LOCAL_REPORT_SIZE):
        return Tee.SGX, Kind.SGX_REPORT
    raise Malformed("evidence", "no kind of evidence that is known here")


class FormatVerifier(Protocol):
    """What judges one kind of evidence. Safe for use from several threads; its memory is bounded."""

    def verify(self, evidence: bytes, collateral: Collateral | None, at: UnixTime) -> Verdict:
        """Judges raw bytes as of the time `at`. Bytes that are not of this kind give a verdict too: not genuine."""
        ...


class Verifier:
    """Judges evidence of every kind under one set of roots, each by the verifier of its format."""

    def __init__(self, roots: Roots) -> None:
        self._formats: dict[Kind, FormatVerifier] = {
            Kind.ECDSA_QUOTE: DcapVerifier(roots),
            Kind.SNP_REPORT: SnpVerifier(roots),
            Kind.NITRO_DOCUMENT: NitroVerifier(roots),
            Kind.IAS_REPORT: IasVerifier(roots),
            Kind.SGX_REPORT: LocalReportVerifier(),
            Kind.EPID_QUOTE: EpidVerifier(),
        }

    def verify(self, evidence: bytes, collateral: Collateral | None, at: UnixTime) -> Verdict:
        """Judges raw evidence as of the time `at`. Raises `Malformed` if it is no known kind of evidence."""
        return self._formats[classify(evidence)[1]].verify(evidence, collateral, at)


def _decode_text(data: bytes) -> bytes:
    if len(data) > MAX_EVIDENCE_TEXT:
        raise Malformed("evidence", f"at most {MAX_EVIDENCE_TEXT} bytes, got {len(data)}")
    text = b"".join(data.split())
    if text[:2] in (b"0x", b"0X"):
        text = text[2:]
    try:
        return binascii.unhexlify(text)
    except (binascii.Error, ValueError):
        pass
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(
            "evidence", "no kind of evidence that is known here, and neither hexadecimal nor base64"
        ) from error
