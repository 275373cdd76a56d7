"""Readers of Intaglio's own messages: each reads one encoding only, so what was read is encoded as it came."""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import cbor2

from fuzz import seeds
from fuzz.target import expect, read, target
from intaglio.session.offers import read_offer
from intaglio.types import Direction, SessionId
from intaglio.wire import cbor
from intaglio.wire.address import parse_address
from intaglio.wire.cbor_keys import check_keys
from intaglio.wire.checkpoint import Checkpoint
from intaglio.wire.collateral_bundle import Bundle, Entry, SignedBundle
from intaglio.wire.content import (
    ContentReader,
    Kind,
    Record,
    encode_content,
    encode_control,
    encode_records,
    split_signature,
)
from intaglio.wire.cose import Signed
from intaglio.wire.downward import Acknowledgement, Command, ItemOutcome, Secret, SecretKind
from intaglio.wire.ear import Ear, worst
from intaglio.wire.ear_cbor import decode_ear, encode_ear
from intaglio.wire.frame import HEAD, head_prefix, parse_frame, split_frames
from intaglio.wire.hello import Accept, Hello, Result, SealedEvidence
from intaglio.wire.identity import KeyCertificate, Pin, Suite
from intaglio.wire.jws import Jws, signing_input
from intaglio.wire.jws import encode as encode_jws
from intaglio.wire.local_exchange import Message1, Message2, Message3
from intaglio.wire.offer import Offer, OfferBody
from intaglio.wire.peer import PeerAccept, PeerHello, PeerOffer, PeerOfferBody, PeerResult
from intaglio.wire.sgx import LocalReport, ReportBody
from intaglio.wire.state import StateStep
from intaglio.wire.statement import Question, Statement, StatementBody
from intaglio.wire.target_info import TargetInfo


class _Encoded(Protocol):
    def encode(self) -> bytes: ...


def _one_spelling(reader: Callable[[bytes], _Encoded], data: bytes) -> None:
    found = read(reader, data)
    expect(found is None or found.encode() == data, "what was read is encoded as it came")


@target(seeds.messages)
def cbor_item(data: bytes) -> None:
    """Either a value whose deterministic encoding is these bytes, or Malformed."""
    found = read(lambda raw: (cbor.decode(raw, "data"),), data)
    with suppress(ValueError):
        check_keys(data, cbor.MAX_DEPTH)
    expect(found is None or cbor.encode(found[0]) == data, "what was read is encoded as it came")
    expect((found is not None) == _deterministic(data), "what another decoder reads and writes again is read")


def _deterministic(data: bytes) -> bool:
    """By the general decoder: whether encoding what it reads gives these bytes."""
    try:
        value = cbor2.loads(data, max_depth=cbor.MAX_DEPTH, allow_indefinite=False, allow_duplicate_keys=False)
        return cbor.encode(value) == data
    except (cbor2.CBORError, ValueError, TypeError, OverflowError):
        return False


@target(lambda: seeds.message("offer"))
def offer(data: bytes) -> None:
    """Either an offer whose encoding is these bytes, or Malformed; the same for its body."""
    _one_spelling(Offer.parse, data)
    read(read_offer, data)


@target(lambda: seeds.message("offer body"))
def offer_body(data: bytes) -> None:
    """Either the body of an offer whose encoding is these bytes, or Malformed."""
    _one_spelling(OfferBody.parse, data)


@target(lambda: seeds.message("statement"))
def statement(data: bytes) -> None:
    """Either a statement whose encoding is these bytes, or Malformed."""
    _one_spelling(Statement.parse, data)


@target(lambda: [StatementBody(suite, "dc", bytes(32), 7, 5, seeds.NOON, each).encode()
                 for suite in Suite for each in (None, b"{}")])  # fmt: skip
def statement_body(data: bytes) -> None:
    """Either the body of a statement whose encoding is these bytes, or Malformed."""
    _one_spelling(StatementBody.parse, data)


@target(lambda: [Question(bytes(32), None).encode(), Question(bytes(32), b"evidence").encode()])
def statement_question(data: bytes) -> None:
    """Either a question for a statement whose encoding is these bytes, or Malformed."""
    _one_spelling(Question.parse, data)


@target(lambda: seeds.message("hello"))
def hello(data: bytes) -> None:
    """Either a hello whose encoding is these bytes, or Malformed."""
    _one_spelling(Hello.parse, data)


@target(lambda: seeds.message("accept"))
def accept(data: bytes) -> None:
    """Either an Accept whose encoding is these bytes, or Malformed."""
    _one_spelling(Accept.parse, data)


@target(lambda: seeds.message("evidence"))
def sealed_evidence(data: bytes) -> None:
    """Either evidence whose encoding is these bytes, or Malformed."""
    _one_spelling(SealedEvidence.parse, data)


@target(lambda: seeds.message("peer offer"))
def peer_offer(data: bytes) -> None:
    """Either a peer's offer whose encoding is these bytes, or Malformed."""
    _one_spelling(PeerOffer.parse, data)


@target(lambda: seeds.message("peer offer body"))
def peer_offer_body(data: bytes) -> None:
    """Either the body of a peer's offer whose encoding is these bytes, or Malformed."""
    _one_spelling(PeerOfferBody.parse, data)


@target(lambda: seeds.message("peer hello"))
def peer_hello(data: bytes) -> None:
    """Either a peer's hello whose encoding is these bytes, or Malformed."""
    _one_spelling(PeerHello.parse, data)


@target(lambda: seeds.message("peer accept"))
def peer_accept(data: bytes) -> None:
    """Either a peer's Accept whose encoding is these bytes, or Malformed."""
    _one_spelling(PeerAccept.parse, data)


@target(lambda: [PeerResult(seeds.NOON, "meter").encode(), PeerResult(seeds.NOON, None).encode()])
def peer_result(data: bytes) -> None:
    """Either a peer's result whose encoding is these bytes, or Malformed."""
    _one_spelling(PeerResult.parse, data)


@target(lambda: [StateStep(bytes(16), 0, bytes(32), None).encode(), StateStep(bytes(16), 7, *[bytes(32)] * 2).encode()])
def state_step(data: bytes) -> None:
    """Either a step whose encoding is these bytes, or Malformed."""
    _one_spelling(StateStep.parse, data)


@target(lambda: [Secret(bytes(16), "key", 1, SecretKind.TEXT, b"one").encode(), Command(bytes(16), "a", b"{}").encode(),
                 Acknowledgement(bytes(16), ItemOutcome.FAILED).encode()])  # fmt: skip
def downward(data: bytes) -> None:
    """A secret, a command or an acknowledgement that is read has one spelling."""
    for parse in (Secret.parse, Command.parse, Acknowledgement.parse):
        _one_spelling(parse, data)


@target(lambda: seeds.message("result"))
def result(data: bytes) -> None:
    """Either a result whose encoding is these bytes, or Malformed."""
    _one_spelling(Result.parse, data)


@target(lambda: [*seeds.message("signed"), *seeds.message("detached")])
def cose_signed(data: bytes) -> None:
    """Either one or two signatures whose encoding is these bytes, or Malformed."""
    _one_spelling(lambda raw: Signed.parse(raw, "signed"), data)


@target(lambda: seeds.message("certificate"))
def key_certificate(data: bytes) -> None:
    """Either a key certificate whose encoding is these bytes, or Malformed."""
    _one_spelling(KeyCertificate.parse, data)


@target(lambda: seeds.message("pin"))
def pin(data: bytes) -> None:
    """Either a pin whose encoding is these bytes, or Malformed."""
    _one_spelling(Pin.parse, data)


@target(lambda: [Pin.parse(each).to_text().encode() for each in seeds.message("pin")])
def pin_text(data: bytes) -> None:
    """Either a pin whose text is this one, or Malformed."""
    text = data.decode("latin-1")
    found = read(lambda _: Pin.from_text(text), data)
    expect(found is None or found.to_text() == text, "a pin file has one form")


@target(lambda: [Checkpoint(0, 1, (bytes(32),) * 2, bytes(32), None, bytes(64)).encode(),
                 Checkpoint(300, 300, (bytes(32),), bytes(32), bytes(32), bytes(64)).encode()])  # fmt: skip
def checkpoint(data: bytes) -> None:
    """Either a checkpoint whose encoding is these bytes, or Malformed."""
    _one_spelling(Checkpoint.parse, data)


def _contents() -> list[bytes]:
    records = [Record("get_size", "application/cbor", b"\x18d"), Record("n", "text/plain", bytes(300))]
    plain = [encode_records(records), encode_records(records[:1]), encode_records(records[:1] * 40)]
    plain += [encode_control(Kind.REKEY, 7), encode_control(Kind.CHECKPOINT, bytes(40)), encode_control(Kind.END, None)]
    return plain + [encode_content(each, bytes(64)) for each in plain[:2]]


@target(_contents)
def content(data: bytes) -> None:
    """Either a kind and a body whose encoding is these bytes, or Malformed; a reader's memory changes nothing."""
    found = read(ContentReader().read, data)
    warm = ContentReader()
    for _ in range(2):
        expect(read(warm.read, data) == found, "a reader that has seen it reads the same")
    expect(read(_warm().read, data) == found, "a reader that has seen others reads the same")
    if found is not None:
        kind, body = found
        again = encode_records(body) if isinstance(body, tuple) else encode_control(kind, body)
        expect(again == data, "what was read is encoded as it came")
    parts = read(split_signature, data)
    expect(parts is None or encode_content(*parts) == data, "the signature is split off exactly")


_REMEMBERED: list[ContentReader] = []


def _warm() -> ContentReader:
    """One reader for the whole run."""
    if not _REMEMBERED:
        _REMEMBERED.append(ContentReader())
    return _REMEMBERED[0]


def _frames() -> list[bytes]:
    frames = [_frame(size) for size in (16, 24, 25, 300, 70_000)]
    return [*frames[:4], b"".join(frames)]


def _frame(size: int) -> bytes:
    head = head_prefix(SessionId(bytes(range(16))), Direction.UP, 0) + bytes(8) + b"\xa0"
    return head + cbor.bytes_head(size) + bytes(size)


@target(_frames)
def frame(data: bytes) -> None:
    """Either a frame's head, or Malformed; a sequence is split into frames that join to these bytes, or Malformed."""
    found = read(parse_frame, data)
    if found is not None:
        expect(found.data == data and len(data) > HEAD, "a frame keeps its bytes")
        expect(split_frames(data) == [data], "one frame is a sequence of one")
    frames = read(split_frames, data)
    expect(frames is None or b"".join(frames) == data, "a sequence is split without a rest")


@target(lambda: [entry.encode() for entry in seeds.entries()])
def collateral_entry(data: bytes) -> None:
    """Either an entry of a bundle or cache that reads the same after it was encoded, or Malformed."""
    found = read(Entry.parse, data)
    expect(found is None or Entry.parse(found.encode()) == found, "an entry survives its encoding")


@target(lambda: [Bundle.of("dc", seeds.NOON, 7, seeds.entries()).encode()])
def collateral_bundle(data: bytes) -> None:
    """Either a bundle with one entry for each request that reads the same after it was encoded, or Malformed."""
    found = read(Bundle.parse, data)
    if found is not None:
        expect(Bundle.parse(found.encode()) == found, "a bundle survives its encoding")
        expect(len({entry.request.key for entry in found.entries}) == len(found.entries), "one entry for each request")


@target(lambda: [SignedBundle(b"signed", None).encode(), SignedBundle(b"signed", b"certificate").encode()])
def signed_bundle(data: bytes) -> None:
    """Either a signed bundle whose encoding is these bytes, or Malformed."""
    _one_spelling(SignedBundle.parse, data)


@target(lambda: [seeds.EAR.to_json()])
def ear_json(data: bytes) -> None:
    """Either a result that reads the same after it was encoded, no better than its worst claim, or Malformed."""
    found = read(Ear.from_json, data)
    if found is not None:
        expect(Ear.from_json(found.to_json()) == found, "a result survives its encoding")
        _check_ear(found)


@target(lambda: [encode_ear(seeds.EAR)])
def ear_cbor(data: bytes) -> None:
    """Either a result that is no better than its worst claim, or Malformed, from CBOR."""
    found = read(decode_ear, data)
    if found is not None:
        _check_ear(found)


def _check_ear(ear: Ear) -> None:
    for appraisal in ear.appraisals.values():
        expect(ear.status.trust <= appraisal.status.trust <= worst(appraisal.vector).trust, "no better than its worst")


@target(lambda: [encode_jws(signing_input({"alg": "EdDSA", "typ": "JWT"}, seeds.EAR.to_json()), bytes(64))])
def jws(data: bytes) -> None:
    """Either a token in three parts that is spelled as it was encoded, or Malformed."""
    found = read(Jws.parse, data)
    expect(found is None or encode_jws(found.signed, found.signature) == data, "a token has one spelling")


def _exchange() -> dict[str, bytes]:
    """Intel's three messages between two enclaves on one CPU, with nothing authentic in them."""
    report = LocalReport(ReportBody.parse(seeds.reports()[0]), bytes(32), bytes(16))
    return {
        "1": Message1(bytes(64), TargetInfo.of(report.body)).encode(),
        "2": Message2(bytes(64), report, bytes(16)).encode(),
        "3": Message3(bytes(16), report, b"properties").encode(),
    }


@target(lambda: [TargetInfo.of(ReportBody.parse(each)).encode() for each in seeds.reports()[:3]])
def target_info(data: bytes) -> None:
    """Either a TARGETINFO whose encoding is these bytes, or Malformed."""
    _one_spelling(TargetInfo.parse, data)


@target(lambda: [_exchange()["1"]])
def local_message_1(data: bytes) -> None:
    """Either the first message of local attestation whose encoding is these bytes, or Malformed."""
    _one_spelling(Message1.parse, data)


@target(lambda: [_exchange()["2"]])
def local_message_2(data: bytes) -> None:
    """Either the second message of local attestation whose encoding is these bytes, or Malformed."""
    _one_spelling(Message2.parse, data)


@target(lambda: [_exchange()["3"]])
def local_message_3(data: bytes) -> None:
    """Either the third message of local attestation whose encoding is these bytes, or Malformed."""
    _one_spelling(Message3.parse, data)


@target(lambda: [b"unix:/run/enclave.sock", b"vsock:any:5000", b"vsock:16:7", b"stdio"])
def address(data: bytes) -> None:
    """Either an address that reads the same after it was written, or Malformed."""
    text = data.decode("utf-8", "surrogateescape")
    found = read(lambda _: parse_address(text), data)
    expect(found is None or parse_address(str(found)) == found, "an address survives its text")
