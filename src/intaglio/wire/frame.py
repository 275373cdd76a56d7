"""A frame (docs/protocol.md §6): one COSE_Encrypt0 with a fixed layout.

The head is 41 bytes at fixed places, so building one is concatenation and reading one is slicing (the one reader
besides the cursor that slices, because it runs for every message); any COSE library can still read it. ``kid`` is
session (16) ‖ direction (1) ‖ epoch (4, big-endian) and names the key; ``Partial IV`` is the sequence number (8,
big-endian), XORed onto the key's IV as RFC 9052 §3.1 says.
"""

from typing import NamedTuple

from intaglio.errors import Malformed
from intaglio.types import Direction, SessionId
from intaglio.wire import cbor, cose

__all__ = [
    "AAD_END",
    "HEAD",
    "MAX_FRAME",
    "SESSION",
    "TAG",
    "Frame",
    "aad_prefix",
    "ciphertext_of",
    "head_prefix",
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
SESSION = slice(9, 25)
"""Where a frame says which session it belongs to."""
TAG = 16
"""AES-GCM's authentication tag, bytes."""
MAX_FRAME = 1024 * 1024
"""Bytes: a batch of ten thousand small records; larger values belong in several records."""

_AAD_START = cose.encrypt0_aad(bytes(36))[: -36 - 1]
AAD_END = b"\x40"
"""The end of a frame's Enc_structure: no external data."""
_DIRECTIONS = (Direction.UP, Direction.DOWN)


class Frame(NamedTuple):
    """A frame's head, nothing authenticated yet. `data` is the whole frame."""

    session: SessionId
    direction: Direction
    epoch: int
    sequence: int
    data: bytes


def head_prefix(session: SessionId, direction: Direction, epoch: int) -> bytes:
    """The first 32 bytes of every frame of one key: everything before the sequence number."""
    return b"".join((_START, session, bytes((direction,)), epoch.to_bytes(4, "big"), _IV))


def aad_prefix(prefix: bytes) -> bytes:
    """Enc_structure (RFC 9052 §5.3) of the frames of one key, up to the sequence number; `prefix` is `head_prefix`."""
    return _AAD_START + prefix[4:]


def parse_frame(data: bytes) -> Frame:
    """Slices a frame's head. Raises `Malformed` for anything but the one layout."""
    if len(data) < HEAD + 1 + TAG:
        raise Malformed("frame", f"need at least {HEAD + 1 + TAG} bytes, found {len(data)}")
    if data[:_KID_AT] != _START or data[_IV_AT:_SEQ_AT] != _IV or data[40] != 0xA0 or data[25] > 1:
        raise Malformed("frame.head", "not a frame of protocol version 1")
    ciphertext_of(data)
    return Frame(
        SessionId(data[SESSION]),
        _DIRECTIONS[data[25]],
        int.from_bytes(data[_EPOCH_AT:_IV_AT], "big"),
        int.from_bytes(data[_SEQ_AT:40], "big"),
        data,
    )


def ciphertext_of(data: bytes) -> bytes:
    """The ciphertext (with its tag) at the end of a frame. Raises `Malformed` unless its head is the shortest one for
    exactly the bytes that follow, and for a frame larger than `MAX_FRAME`."""
    if len(data) > MAX_FRAME:
        raise Malformed("frame", f"{len(data)} bytes, at most {MAX_FRAME}")
    size = len(data) - HEAD
    size -= 1 if size <= 24 else 2 if size <= 257 else 3 if size <= 65538 else 5
    if size < TAG or data[HEAD : len(data) - size] != cbor.bytes_head(size):
        raise Malformed("frame.ciphertext", "its length does not match the bytes that follow")
    return data[len(data) - size :]


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
