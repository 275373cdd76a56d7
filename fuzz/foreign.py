"""Readers of protocols that others defined: Intel's Sigma, and certificates with evidence (RA-TLS)."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

from fuzz import seeds
from fuzz.target import expect, read, target
from intaglio.errors import Rejected
from intaglio.ratls.certificate import EvidenceCertificate
from intaglio.ratls.evidence import DICE, find_evidence
from intaglio.ratls.make import make_certificate
from intaglio.sigma.curve import ProviderKey
from intaglio.sigma.enclave import EnclaveSigma
from intaglio.sigma.frames import SigmaReceiver, SigmaSender, parse_sigma_frame, split_sigma_frames
from intaglio.sigma.messages import Msg1, Msg2, Msg3, Msg4
from intaglio.sigma.provider import ProviderSigma
from intaglio.types import Direction, SessionId, Tee, UnixTime
from intaglio.wire.content import Record

_SESSION, _KEY = SessionId(bytes(range(16))), bytes(16)


class _Encoded(Protocol):
    def encode(self) -> bytes: ...


def _one_spelling(reader: Callable[[bytes], _Encoded], data: bytes) -> None:
    found = read(reader, data)
    expect(found is None or found.encode() == data, "what was read is encoded as it came")


@lru_cache(1)
def _handshake() -> tuple[bytes, bytes, bytes]:
    """msg1, msg2, and a msg3 with a real quote in it."""
    key = ProviderKey(7)
    enclave, provider = EnclaveSigma(key.public, os.urandom), ProviderSigma(key, os.urandom)
    msg1 = enclave.msg1()
    msg3 = Msg3(bytes(16), msg1[:64], bytes(256), seeds.evidence()[0].quote)
    return msg1, provider.answer(Msg1.parse(msg1)), msg3.encode()


@lru_cache(1)
def _frames() -> Sequence[bytes]:
    sender = SigmaSender(_SESSION, Direction.UP, _KEY)
    return [sender.protect([Record("get_size", "application/cbor", bytes(size))]) for size in (0, 1, 300)]


@lru_cache(1)
def _certificates() -> Sequence[bytes]:
    key, quote = derive_private_key(7, SECP256R1()), seeds.evidence()[0].quote
    made = make_certificate(
        key, lambda _: quote, tee=Tee.SGX, name="meter", serial=7, not_before=UnixTime(0), lifetime=60
    )
    return [made]


@target(lambda: [_handshake()[0]])
def sigma_msg1(data: bytes) -> None:
    """Either a msg1 whose encoding is these bytes, or Malformed."""
    _one_spelling(Msg1.parse, data)


@target(lambda: [_handshake()[1], _handshake()[1][:-4] + b"\3\0\0\0abc"])
def sigma_msg2(data: bytes) -> None:
    """Either a msg2 whose encoding is these bytes, or Malformed."""
    _one_spelling(Msg2.parse, data)


@target(lambda: [_handshake()[2]])
def sigma_msg3(data: bytes) -> None:
    """Either a msg3 whose encoding is these bytes, or Malformed."""
    _one_spelling(Msg3.parse, data)


@target(lambda: [Msg4(_SESSION, bytes(16), b"sealed").encode()])
def sigma_msg4(data: bytes) -> None:
    """Either a msg4 whose encoding is these bytes, or Malformed."""
    _one_spelling(Msg4.parse, data)


@target(_frames)
def sigma_frame(data: bytes) -> None:
    """A frame whose head reads is one frame of a body, and opens only if it is one that was sealed."""
    found = read(parse_sigma_frame, data)
    frames = read(split_sigma_frames, data)
    expect(found is None or frames == [data], "a frame is a body of one frame")
    with suppress(Rejected):
        opened = read(SigmaReceiver(_SESSION, Direction.UP, _KEY).open, data)
        expect(opened is None or data in _frames(), "nothing opens that was not sealed")


@target(_certificates)
def ratls_certificate(data: bytes) -> None:
    """Evidence is found only beside claims that hold the hash of the certificate's own key."""
    certificate = read(EvidenceCertificate.parse, data)
    if certificate is None:
        return
    with suppress(Rejected):
        found = read(lambda _: find_evidence(certificate), data)
        if found is not None and DICE in certificate.extensions:
            expect("pubkey-hash" in found.claims, "claims without the key's hash bind nothing")
