"""Attestation verification reports of Intel's attestation service (IAS), as archives keep them.

IAS judged EPID quotes until 2 April 2025 (API specification 7.1, §4.2). It answered with a JSON body and two HTTP
headers: the signature over that body (RSA, PKCS#1 v1.5, SHA-256) and the signing certificates. A report is worth
something only with all three. `SignedReport` reads them from one JSON object or from the HTTP response itself; the
signature is over the exact bytes of the body, which are never serialised again. `IasReport` reads the body.
"""

import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire import strict_json
from intaglio.wire.epid import EpidBody
from intaglio.wire.strict_json import Json
from intaglio.wire.x509 import read_pem_chain

__all__ = ["IasReport", "QuoteStatus", "SignedReport", "looks_like_ias"]

MAX_REPORT = 64 * 1024
"""Body, signature and chain of a real report have 6 kB, and twice that as base64 with escapes."""

MAX_ANSWERS = 3
"""Of a recorded exchange: the final one, after "100 Continue" or a proxy's."""

_BODY = frozenset(("report", "body", "raw_report"))
_SIGNATURE = frozenset(("signature", "signed_report", "x-iasreport-signature"))
_CERTIFICATES = frozenset(("certificates", "signing_cert", "x-iasreport-signing-certificate"))
"""How the three parts are called where people keep them, the names of the HTTP headers among them (in any case)."""

_SIGNATURE_HEADER = b"x-iasreport-signature"
_CERTIFICATES_HEADER = b"x-iasreport-signing-certificate"

_WHITE = b" \t\r\n"
_NAME = re.compile(rb'"([A-Za-z_-]{1,40})"\s*:')
_HEADERS = re.compile(rb"HTTP/|[A-Za-z0-9-]{1,64}:")
_HEADER = re.compile(rb"([A-Za-z0-9-]{1,64}):[ \t]*(.*)")
_EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_ADVISORY = re.compile(r"[A-Z0-9-]{1,64}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?", re.ASCII)


class QuoteStatus(Enum):
    """What the service found the quote to be (API specification, isvEnclaveQuoteStatus)."""

    OK = "OK"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    GROUP_REVOKED = "GROUP_REVOKED"
    SIGNATURE_REVOKED = "SIGNATURE_REVOKED"
    KEY_REVOKED = "KEY_REVOKED"
    SIGRL_VERSION_MISMATCH = "SIGRL_VERSION_MISMATCH"
    GROUP_OUT_OF_DATE = "GROUP_OUT_OF_DATE"
    CONFIGURATION_NEEDED = "CONFIGURATION_NEEDED"
    SW_HARDENING_NEEDED = "SW_HARDENING_NEEDED"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "CONFIGURATION_AND_SW_HARDENING_NEEDED"


@dataclass(frozen=True, slots=True)
class SignedReport:
    """A report's body with what vouches for it. `signature` and `certificates` are empty where only the body was kept;
    `certificates` are DER, the one that signed first."""

    body: bytes
    signature: bytes
    certificates: tuple[bytes, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads one JSON object of three texts, an HTTP response (headers, an empty line, the body), or a bare body.
        Raises `Malformed`."""
        if len(data) > MAX_REPORT:
            raise Malformed("ias", f"at most {MAX_REPORT} bytes, found {len(data)}")
        text = data.strip(_WHITE)
        if not text.startswith(b"{"):
            return cls(*_read_http(text))
        names = strict_json.members(text, "ias").keys()
        return cls(text, b"", ()) if "isvEnclaveQuoteBody" in names else cls(*_read_object(text))


@dataclass(frozen=True, slots=True)
class IasReport:
    """What the service said. `version` is 2 where the body names none, as it was before version 3. `advisory_ids` are
    part of the body since version 4, `tcb_evaluation_number` since version 5. What a body leaves out is None."""

    id: str
    timestamp: UnixTime
    version: int
    status: QuoteStatus
    quote: EpidBody
    revocation_reason: int | None
    pse_manifest_status: str | None
    pse_manifest_hash: bytes | None
    platform_info: bytes | None
    nonce: str | None
    epid_pseudonym: bytes | None
    advisory_url: str | None
    advisory_ids: tuple[str, ...]
    tcb_evaluation_number: int | None

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Reads a signed body. Raises `Malformed`, also for an unknown member or status."""
        document = strict_json.loads(body, "ias.body")
        if not isinstance(document, dict):
            raise Malformed("ias.body", "not an object")
        unknown = document.keys() - _MEMBERS
        if unknown:
            raise Malformed("ias.body", f"unknown: {min(unknown)[:64]!r}")
        read = _Members(document)
        version = read.number("version", 5) if "version" in document else 2
        if version not in (2, 3, 4, 5) or ("version" in document and version == 2):
            raise Malformed("ias.body.version", f"need 3, 4 or 5, found {version}")
        return cls(
            id=read.text("id", 64),
            timestamp=read.time("timestamp"),
            version=version,
            status=read.status("isvEnclaveQuoteStatus"),
            quote=EpidBody.parse(read.base64("isvEnclaveQuoteBody")),
            revocation_reason=read.number("revocationReason", 0xFFFF) if "revocationReason" in document else None,
            pse_manifest_status=read.optional_text("pseManifestStatus", 64),
            pse_manifest_hash=read.hexadecimal("pseManifestHash") if "pseManifestHash" in document else None,
            platform_info=read.hexadecimal("platformInfoBlob") if "platformInfoBlob" in document else None,
            nonce=read.optional_text("nonce", 32),
            epid_pseudonym=read.base64("epidPseudonym") if "epidPseudonym" in document else None,
            advisory_url=read.optional_text("advisoryURL", 256),
            advisory_ids=read.advisories("advisoryIDs") if "advisoryIDs" in document else (),
            tcb_evaluation_number=read.number(_EVALUATION, 0xFFFFFFFF) if _EVALUATION in document else None,
        )


_EVALUATION = "tcbEvaluationDataNumber"
_MEMBERS = frozenset((
    "id", "timestamp", "version", "isvEnclaveQuoteStatus", "isvEnclaveQuoteBody", "revocationReason",
    "pseManifestStatus", "pseManifestHash", "platformInfoBlob", "nonce", "epidPseudonym", "advisoryURL", "advisoryIDs",
    _EVALUATION,
))  # fmt: skip


def looks_like_ias(data: bytes) -> bool:
    """Whether these bytes are meant to be a report, with its signature or without. It promises nothing of the rest."""
    start = data[:MAX_REPORT].lstrip(_WHITE)
    if not start.startswith(b"{"):
        return _HEADERS.match(start) is not None and _SIGNATURE_HEADER in start.lower()
    names = {name.lower().decode("ascii") for name in _NAME.findall(start)}
    return "isvenclavequotebody" in names or all(names & part for part in (_BODY, _SIGNATURE, _CERTIFICATES))


def _read_object(text: bytes) -> tuple[bytes, bytes, tuple[bytes, ...]]:
    """The three parts of a JSON object, whatever they are called there."""
    document = strict_json.loads(text, "ias")
    found: dict[frozenset[str], Json] = {}
    for name, value in document.items() if isinstance(document, dict) else ():
        part = next((part for part in (_BODY, _SIGNATURE, _CERTIFICATES) if name.lower() in part), None)
        if part is None or part in found:
            raise Malformed("ias", f"unknown, or one of two spellings of the same part: {name[:64]!r}")
        found[part] = value
    if len(found) != 3:
        raise Malformed("ias", "need a report, its signature and its certificates")
    body = _ascii(found[_BODY], "body")
    return (
        body if body.startswith(b"{") else _decode_base64(body, "ias.body"),
        _decode_base64(_ascii(found[_SIGNATURE], "signature"), "ias.signature"),
        _read_certificates(_ascii(found[_CERTIFICATES], "certificates")),
    )


def _read_http(text: bytes) -> tuple[bytes, bytes, tuple[bytes, ...]]:
    """A response as `curl -i` shows it. Other headers don't matter; ours occur once."""
    found: dict[bytes, bytes] = {}
    rest = text
    for _ in range(MAX_ANSWERS):
        end = _EMPTY_LINE.search(rest)
        if end is None:
            raise Malformed("ias.http", "no empty line before the body")
        lines, rest = rest[: end.start()].splitlines(), rest[end.end() :]
        for line in lines[1:] if lines and lines[0].startswith(b"HTTP/") else lines:
            header = _HEADER.fullmatch(line)
            if header is None:
                raise Malformed("ias.http", "a line before the body is no header")
            name = header[1].lower()
            if name in found and name in (_SIGNATURE_HEADER, _CERTIFICATES_HEADER):
                raise Malformed("ias.http", f"{name.decode()} occurs twice")
            found[name] = header[2]
        if not rest.startswith(b"HTTP/"):
            break
    if not found.keys() >= {_SIGNATURE_HEADER, _CERTIFICATES_HEADER}:
        raise Malformed("ias.http", "need the headers X-IASReport-Signature and X-IASReport-Signing-Certificate")
    signature = _decode_base64(found[_SIGNATURE_HEADER], "ias.signature")
    return rest.strip(_WHITE), signature, _read_certificates(found[_CERTIFICATES_HEADER])


def _read_certificates(text: bytes) -> tuple[bytes, ...]:
    """PEM, percent-encoded or not: a + stands for itself, and a PEM text has no %."""
    return read_pem_chain(_ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode("ascii")), text))


def _decode_base64(text: bytes, field: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(field, f"not base64 ({error})") from error


def _ascii(value: Json, part: str) -> bytes:
    if not isinstance(value, str) or not value.isascii():
        raise Malformed(f"ias.{part}", "not ASCII text")
    return value.encode("ascii").strip(_WHITE)


class _Members:
    """The members of a report's body, each by its type."""

    def __init__(self, document: dict[str, Json]) -> None:
        self._document = document

    def text(self, name: str, limit: int) -> str:
        value = self._document.get(name)
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or len(value) > limit:
            raise Malformed(f"ias.body.{name}", f"missing, or not at most {limit} characters of ASCII text")
        return value

    def optional_text(self, name: str, limit: int) -> str | None:
        return self.text(name, limit) if name in self._document else None

    def number(self, name: str, limit: int) -> int:
        value = self._document.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
            raise Malformed(f"ias.body.{name}", f"missing, or not a number from 0 to {limit}")
        return value

    def base64(self, name: str) -> bytes:
        return _decode_base64(self.text(name, 4096).encode("ascii"), f"ias.body.{name}")

    def hexadecimal(self, name: str) -> bytes:
        text = self.text(name, 4096)
        if not _HEX.fullmatch(text):
            raise Malformed(f"ias.body.{name}", "not hexadecimal text")
        return bytes.fromhex(text)

    def status(self, name: str) -> QuoteStatus:
        text = self.text(name, 64)
        try:
            return QuoteStatus(text)
        except ValueError as error:
            raise Malformed(f"ias.body.{name}", f"unknown: {text!r}") from error

    def advisories(self, name: str) -> tuple[str, ...]:
        value = self._document.get(name)
        if not isinstance(value, list) or not all(
            isinstance(each, str) and _ADVISORY.fullmatch(each) for each in value
        ):
            raise Malformed(f"ias.body.{name}", "not a list of advisories such as INTEL-SA-00334")
        return tuple(map(str, value))

    def time(self, name: str) -> UnixTime:
        """UTC without saying so, with fractions of a second, which are dropped."""
        found = _TIME.fullmatch(self.text(name, 64))
        if found is None:
            raise Malformed(f"ias.body.{name}", "not a time such as 2019-11-26T17:16:07.795139")
        try:
            return UnixTime(int(datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()))
        except ValueError as error:
            raise Malformed(f"ias.body.{name}", f"no such time ({error})") from error
