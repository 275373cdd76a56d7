"""Readers of what a TEE signs, and of any file that people bring."""

import json
from collections.abc import Callable
from typing import Protocol

from fuzz import seeds
from fuzz.target import expect, read, target
from intaglio.cli.formats import identify
from intaglio.cli.formats.facts import to_json
from intaglio.verify.event_log import replay
from intaglio.verify.evidence import classify, detect
from intaglio.wire.boot_events import proof_of, read_fact
from intaglio.wire.ccel import EventLog
from intaglio.wire.cursor import Cursor
from intaglio.wire.dcap import CertificationType, PckIdentifier, Quote, QuoteHeader
from intaglio.wire.epid import EpidBody, EpidQuote
from intaglio.wire.ias import IasReport, SignedReport, looks_like_ias
from intaglio.wire.nitro import NitroDocument
from intaglio.wire.sgx import LocalReport, ReportBody
from intaglio.wire.sigstruct import Sigstruct
from intaglio.wire.snp import SnpReport, signed_part
from intaglio.wire.snp_certs import CertificateTable
from intaglio.wire.snp_parts import SnpParts, split_extended_report
from intaglio.wire.tdx import TdReport
from intaglio.wire.x509 import Certificate
from tests.event_logs import boot_log, runtime_log


class _Encoded(Protocol):
    def encode(self) -> bytes: ...


def _one_spelling(reader: Callable[[bytes], _Encoded], data: bytes) -> None:
    found = read(reader, data)
    expect(found is None or found.encode() == data, "what was read is encoded as it came")


@target(seeds.quotes)
def quote(data: bytes) -> None:
    """Either a quote whose encoding is these bytes, or Malformed."""
    found = read(Quote.parse, data)
    if found is not None:
        expect(found.encode() == data, "a quote is encoded as it was read")
        expect(data.startswith(found.signed), "what is signed is the beginning of the quote")


@target(seeds.quotes)
def quote_header(data: bytes) -> None:
    """Either a header whose encoding is the first 48 bytes, or Malformed."""
    found = read(lambda raw: QuoteHeader.read(Cursor(raw, "quote")), data)
    if found is not None:
        expect(found.encode() == data[:48], "a header is encoded as it was read")


@target(lambda: [bytes([kind]) + bytes(size + 20) for kind, size in ((1, 16), (2, 256), (3, 384))])
def pck_identifier(data: bytes) -> None:
    """Either an identifier whose encoding is these bytes (after the first, which is its type), or Malformed."""
    kind = CertificationType(1 + data[0] % 3 if data else 1)
    found = read(lambda raw: PckIdentifier.parse(kind, raw), data[1:])
    if found is not None:
        expect(found.encode() == data[1:], "an identifier is encoded as it was read")


@target(seeds.td_reports)
def td_report(data: bytes) -> None:
    """Either a TD report of one of three layouts whose encoding is these bytes, or Malformed."""
    found = read(TdReport.parse, data)
    if found is not None:
        expect(found.encode() == data, "a report is encoded as it was read")
        json.dumps(found.to_json())


@target(lambda: [boot_log(), boot_log(unused=b"")])
def event_log(data: bytes) -> None:
    """Either a log whose replay is four registers and whose events can be shown, or Malformed."""
    found = read(EventLog.parse, data)
    if found is not None:
        _check_log(found)


@target(lambda: [runtime_log(("app-id", b"\1"), ("ready", b"")), runtime_log(("ready", b""), digests=False)])
def event_log_json(data: bytes) -> None:
    """Either run-time events whose replay is four registers and which can be shown, or Malformed."""
    found = read(EventLog.parse_json, data)
    if found is not None:
        _check_log(found)


def _check_log(log: EventLog) -> None:
    expect([len(register) for register in replay(log.events)] == [48] * 4, "a replay is four registers")
    for event in log.events:
        expect(str(read_fact(event)).isprintable(), "what an event says moves nobody's cursor")
        proof_of(event, read_fact(event))


@target(seeds.reports)
def sgx_report(data: bytes) -> None:
    """Either a report body whose encoding is these bytes, or Malformed."""
    found = read(ReportBody.parse, data)
    if found is not None:
        expect(found.encode() == data, "a report is encoded as it was read")
        json.dumps(found.to_json())


@target(lambda: [body + bytes(48) for body in seeds.reports()[:3]])
def local_report(data: bytes) -> None:
    """Either a local report whose encoding is these bytes, or Malformed."""
    _one_spelling(LocalReport.parse, data)


@target(seeds.sigstructs)
def sigstruct(data: bytes) -> None:
    """Either a SIGSTRUCT whose encoding is these bytes, or Malformed."""
    found = read(Sigstruct.parse, data)
    if found is not None:
        expect(found.encode() == data, "a SIGSTRUCT is encoded as it was read")
        expect(len(found.signed_bytes) == 256, "the signature covers 256 bytes")


@target(seeds.snp_reports)
def snp_report(data: bytes) -> None:
    """Either an SEV-SNP report whose encoding is these bytes, or Malformed."""
    found = read(SnpReport.parse, data)
    if found is not None:
        expect(found.encode() == data, "a report is encoded as it was read")
        expect(data.startswith(signed_part(data)), "what is signed is the beginning of the report")
        json.dumps(found.to_json())


@target(seeds.snp_tables)
def certificate_table(data: bytes) -> None:
    """Either a table of certificates that read the same after they were encoded, or Malformed."""
    found = read(CertificateTable.parse, data)
    if found is not None and not found.others:
        expect(CertificateTable.parse(found.encode()) == found, "a table survives its encoding")


@target(lambda: [report + table for report in seeds.snp_reports()[:3] for table in seeds.snp_tables()[:2]])
def extended_report(data: bytes) -> None:
    """Either a report and the table behind it, or the whole; together they are these bytes."""
    report, table = split_extended_report(data)
    expect(report + table == data, "nothing is lost and nothing is added")
    expect(not table or read(SnpReport.parse, report) is not None, "what has a table behind it is a report")


@target(lambda: [*seeds.snp_tables(), *seeds.certificates(), *seeds.chains()[:2], *seeds.crls()])
def snp_parts(data: bytes) -> None:
    """Either certificates that lead from each leaf to a root by their names, or Malformed."""
    parts = SnpParts()
    read(parts.add, data)
    for each in read(lambda _: parts.collateral(), data) or ():
        leaf, ask, ark = (Certificate.parse(part, serial_zero=True) for part in (each.vek, each.ask, each.ark))
        expect(leaf.issuer == ask.subject and ask.issuer == ark.subject, "each is named as the issuer of the other")


@target(seeds.nitro_documents)
def nitro_document(data: bytes) -> None:
    """Either a document whose payload stands in these bytes as it was signed, or Malformed."""
    found = read(NitroDocument.parse, data)
    if found is not None:
        expect(found.payload in data and found.signed.endswith(found.payload), "the payload is what was signed")
        expect(all(len(value) in (32, 48, 64) for value in found.pcrs.values()), "registers have a hash's size")
        json.dumps(found.to_json())


@target(seeds.epid_quotes)
def epid_body(data: bytes) -> None:
    """Either the signed part of an EPID quote whose encoding is these bytes, or Malformed."""
    _one_spelling(EpidBody.parse, data[:432])


@target(seeds.epid_quotes)
def epid_quote(data: bytes) -> None:
    """Either an EPID quote whose signature fills the rest of these bytes, or Malformed."""
    found = read(EpidQuote.parse, data)
    if found is not None:
        expect(data == found.body.encode() + len(found.signature).to_bytes(4, "little") + found.signature, "no rest")


@target(lambda: [SignedReport.parse(each).body for each in seeds.ias_reports()])
def ias_report(data: bytes) -> None:
    """Either the body of a report whose quote is one, or Malformed."""
    found = read(IasReport.parse, data)
    expect(found is None or EpidBody.parse(found.quote.encode()) == found.quote, "the quote is one")


@target(seeds.ias_reports)
def ias_signed_report(data: bytes) -> None:
    """Either body, signature and at most nine certificates, or Malformed, however the three are kept."""
    found = read(SignedReport.parse, data)
    looks_like_ias(data)
    if found is not None:
        expect(len(found.certificates) <= 9, "a chain is bounded")
        expect(sum(map(len, (found.body, found.signature, *found.certificates))) <= len(data), "nothing is added")


@target(lambda: [*seeds.quotes(), *seeds.snp_reports(), *seeds.nitro_documents(), seeds.quotes()[0].hex().encode()])
def evidence_kind(data: bytes) -> None:
    """Either a kind of evidence that raw bytes keep when they are looked at again, or Malformed."""
    found = read(detect, data)
    if found is not None:
        expect(classify(found.raw) == (found.tee, found.kind), "text and bytes are of one kind")


@target(
    lambda: [
        *seeds.quotes()[:3], *seeds.collaterals()[:2], *seeds.chains()[:2], *seeds.crls()[:2],
        *seeds.certificates()[:2], *seeds.snp_reports()[:2], *seeds.nitro_documents()[:2], *seeds.sigstructs(),
        *seeds.messages(), b"{}",
    ]
)  # fmt: skip
def identify_file(data: bytes) -> None:
    """Either facts that are JSON, or Malformed, for any file."""
    found = read(identify, data)
    if found is not None:
        json.dumps(to_json(found.facts))
