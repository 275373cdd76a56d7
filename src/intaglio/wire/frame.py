"""A frame (docs/protocol.md §6): one COSE_Encrypt0 with a fixed layout, and the content inside it.

The head is 41 bytes at fixed places, so building one is concatenation and reading one is slicing; any COSE library can
still read it. ``kid`` is session (16) ‖ direction (1) ‖ epoch (4, big-endian) and names the key; ``Partial IV`` is the
sequence number (8, big-endian), XORed onto the key's IV as RFC 9052 §3.1 says.
"""

from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import cbor2

from intaglio.errors import Malformed
from intaglio.types import Direction, SessionId
from intaglio.wire import cbor, cose

__all__ = [
    "HEAD",
    "MAX_FRAME",
    "TAG",
    "Content",
    "Frame",
    "Kind",
    "Record",
    "aad_of",
    "encode_content",
    "encode_control",
    "encode_records",
    "head_prefix",
    "parse_content",
    "parse_frame",
    "split_frames",
]

# D0          tag 16 (COSE_Encrypt0)
# 83          array of three
# 58 24         protected: 36 bytes
# A3              map of three
# 01 03             alg: A256GCM
# 04 55 …           kid: 21 bytes
# 06 48 …           Partial IV: 8 bytes
# A0            unprotected: empty
#               ciphertext: byte string
_START = bytes.fromhex("d0835824a301030455")
_IV = bytes.fromhex("0648")
_KID_AT, _EPOCH_AT, _IV_AT, _SEQ_AT, HEAD = 9, 26, 30, 32, 41
_PROTECTED = slice(4, 40)
TAG = 16
"""AES-GCM's authentication tag, bytes."""
MAX_FRAME = 1024 * 1024
"""Bytes: a batch of ten thousand small records; larger values belong in several records."""

_AAD_PREFIX = cose.encrypt0_aad(bytes(36))[: -36 - 1]
_MAX_RECORDS = 65536


class Kind(IntEnum):
    """What a frame's content is."""

    RECORDS = 0
    """Body: the records."""
    REKEY = 1
    """Body: the next epoch. The last frame of its epoch and direction."""
    CHECKPOINT = 2
    """Body: first and last sequence, leaves, root, previous checkpoint (docs/protocol.md §8)."""
    END = 3
    """Body: null. The sender will send nothing more in this session and direction."""


class Record(NamedTuple):
    """One value: its name (`get_size`), content type (a media type) and bytes."""

    name: str
    content_type: str
    value: bytes


class Frame(NamedTuple):
    """A frame's head and ciphertext, nothing authenticated yet. `aad` is what the ciphertext's tag covers."""

    session: SessionId
    direction: Direction
    epoch: int
    sequence: int
    aad: bytes
    ciphertext: bytes


class Content(NamedTuple):
    """What a frame held: `body` by kind: records, the next epoch, a checkpoint's bytes, or None. `signature` is 64
    bytes in epoch 0, else None; `signed_part` is the encoding of [kind, body] that it covers."""

    kind: Kind
    body: tuple[Record, ...] | int | bytes | None
    signature: bytes | None
    signed_part: bytes


def head_prefix(session: SessionId, direction: Direction, epoch: int) -> bytes:
    """The first 32 bytes of every frame of one key: everything before the sequence number."""
    return b"".join((_START, session, bytes((direction,)), epoch.to_bytes(4, "big"), _IV))


def aad_of(head: bytes) -> bytes:
    """Enc_structure of a frame that begins with `head` (41 bytes or more): RFC 9052 §5.3, no external data."""
    return b"".join((_AAD_PREFIX, head[_PROTECTED], b"\x40"))


def parse_frame(data: bytes) -> Frame:
    """Slices a frame. Raises `Malformed` for anything but the one layout."""
    if len(data) > MAX_FRAME:
        raise Malformed("frame", f"{len(data)} bytes, at most {MAX_FRAME}")
    if len(data) < HEAD + 1 + TAG:
        raise Malformed("frame", f"need at least {HEAD + 1 + TAG} bytes, found {len(data)}")
    if data[:_KID_AT] != _START or data[_IV_AT:_SEQ_AT] != _IV or data[40] != 0xA0 or data[25] > 1:
        raise Malformed("frame.head", "not a frame of protocol version 1")
    size = len(data) - HEAD
    size -= 1 if size <= 24 else 2 if size <= 257 else 3 if size <= 65538 else 5
    if data[HEAD : len(data) - size] != cbor.bytes_head(size):
        raise Malformed("frame.ciphertext", "its length does not match the bytes that follow")
    return Frame(
        SessionId(data[9:25]),
        Direction(data[25]),
        int.from_bytes(data[_EPOCH_AT:_IV_AT], "big"),
        int.from_bytes(data[_SEQ_AT:40], "big"),
        b"".join((_AAD_PREFIX, data[_PROTECTED], b"\x40")),
        data[len(data) - size :],
    )


def split_frames(data: bytes) -> list[bytes]:
    """The frames of a CBOR sequence (RFC 8742), each as its own bytes and not yet parsed beyond its length.
    Raises `Malformed`, naming the frame, where the sequence can't be followed to its end."""
    frames: list[bytes] = []
    at = 0
    while at < len(data):
        head = data[at + HEAD : at + HEAD + 5]
        if len(head) < 5 or data[at : at + _KID_AT] != _START:
            raise Malformed(f"frame[{len(frames)}]", "not a frame of protocol version 1")
        size, extra = head[0] & 0x1F, {0x58: 1, 0x59: 2, 0x5A: 4}.get(head[0], 0)
        if extra:
            size = int.from_bytes(head[1 : 1 + extra], "big")
        elif not 0x40 <= head[0] <= 0x57:
            raise Malformed(f"frame[{len(frames)}].ciphertext", "not a byte string")
        end = at + HEAD + 1 + extra + size
        if end > len(data):
            raise Malformed(f"frame[{len(frames)}]", f"need {end - at} bytes, {len(data) - at} left")
        frames.append(data[at:end])
        at = end
    return frames


@lru_cache(maxsize=4096)
def _record_head(name: str, content_type: str, size: int) -> bytes:
    return b"\x83" + cbor2.dumps(name) + cbor2.dumps(content_type) + cbor.bytes_head(size)


def encode_records(records: Iterable[Record]) -> bytes:
    """[0, [records]], by concatenation. Raises `Malformed` for no records or too many."""
    parts: list[bytes] = []
    for record in records:
        parts.append(_record_head(record.name, record.content_type, len(record.value)))
        parts.append(record.value)
    return _records_head(len(parts) // 2) + b"".join(parts)


def _records_head(count: int) -> bytes:
    if not 0 < count <= _MAX_RECORDS:
        raise Malformed("records", f"need 1 to {_MAX_RECORDS}, found {count}")
    return b"\x82\x00" + _array_head(count)


def _array_head(count: int) -> bytes:
    if count < 24:
        return bytes((0x80 | count,))
    return bytes((0x98, count)) if count < 0x100 else b"\x99" + count.to_bytes(2, "big")


def encode_content(signed_part: bytes, signature: bytes | None) -> bytes:
    """The plaintext of a frame: [kind, body], or [kind, body, signature] in epoch 0."""
    if signature is None:
        return signed_part
    return b"\x83" + signed_part[1:] + cbor.bytes_head(len(signature)) + signature


def encode_control(kind: Kind, body: int | bytes | None) -> bytes:
    """[kind, body] for every kind but records."""
    return cbor.encode([int(kind), body])


def parse_content(plaintext: bytes, *, signed: bool) -> Content:
    """Reads a frame's plaintext; `signed` for epoch 0, where a 64-byte signature must be there. Raises `Malformed`."""
    try:
        value = cbor2.loads(plaintext, allow_indefinite=False, allow_duplicate_keys=False, max_depth=4)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise Malformed("content", f"not CBOR ({error})") from error
    items = cbor.array(value, "content", 3 if signed else 2)
    signature = cbor.bstr(items[2], "content.signature", 64) if signed else None
    signed_part = b"\x82" + plaintext[1:-66] if signed else plaintext
    if items[0] == Kind.RECORDS and not isinstance(items[0], bool):
        records = _parse_records(items[1], len(signed_part))
        return Content(Kind.RECORDS, records, signature, signed_part)
    kind, body = _parse_control(items[0], items[1])
    if encode_content(encode_control(kind, body), signature) != plaintext:
        raise Malformed("content", "not deterministically encoded CBOR")
    return Content(kind, body, signature, signed_part)


def _parse_records(rows: object, size: int) -> tuple[Record, ...]:
    """The records, whose deterministic encoding must take `size` bytes with its two-byte start. A longer head than
    needed is the only freedom that arrays and strings leave, and it makes the encoding longer: so length decides."""
    if not isinstance(rows, list) or not 0 < len(rows) <= _MAX_RECORDS:
        raise Malformed("content.records", f"need an array of 1 to {_MAX_RECORDS}")
    least = len(_records_head(len(rows)))
    records: list[Record] = []
    for row in rows:
        if type(row) is not list or len(row) != 3:
            raise Malformed("content.record", "need [name, content type, value]")
        name, content_type, value = row
        if type(name) is not str or type(content_type) is not str or type(value) is not bytes:
            raise Malformed("content.record", "need [name, content type, value]")
        least += len(_record_head(name, content_type, len(value))) + len(value)
        records.append(Record(name, content_type, value))
    if least != size:
        raise Malformed("content", "not deterministically encoded CBOR")
    return tuple(records)


def _parse_control(kind: object, body: object) -> tuple[Kind, int | bytes | None]:
    match cbor.uint(kind, "content.kind"):
        case Kind.REKEY:
            return Kind.REKEY, cbor.uint(body, "content.next_epoch", limit=2**32 - 1)
        case Kind.CHECKPOINT:
            return Kind.CHECKPOINT, cbor.bstr(body, "content.checkpoint")
        case Kind.END if body is None:
            return Kind.END, None
    raise Malformed("content.kind", f"unknown kind {kind} or a body that does not belong to it")
