"""The host's end of the pipe to an enclave's process: one request, one answer, within a time limit.

Each message is a length (u32, big-endian, 1 to 16 MiB) and that many bytes of CBOR. What the enclave sends is not
trusted either: it may be broken, or something else.
"""

import socket
import time

import cbor2

from intaglio.errors import Malformed
from intaglio.wire.cbor import NO_TAGS
from intaglio.wire.cbor_keys import check_keys

__all__ = ["MAX_MESSAGE", "decode", "encode", "receive", "send"]

MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of one message, as the enclave's end has it."""
_MAX_DEPTH = 18


def encode(request: list[object]) -> bytes:
    """Raises `Malformed` for arguments that are not plain values."""
    try:
        data = cbor2.dumps(request)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise Malformed("request", f"not plain values ({error})") from error
    if len(data) > MAX_MESSAGE:
        raise Malformed("request", f"{len(data)} bytes, at most {MAX_MESSAGE}")
    return data


def decode(data: bytes) -> list[object]:
    """Raises `Malformed` for anything but a CBOR array that begins with a text."""
    try:
        check_keys(data, _MAX_DEPTH)
        value = cbor2.loads(
            data, semantic_decoders=NO_TAGS, allow_indefinite=False, allow_duplicate_keys=False, max_depth=_MAX_DEPTH
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise Malformed("answer", f"not CBOR ({error})") from error
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        raise Malformed("answer", "need an array that begins with a text")
    return value


def send(stream: socket.socket, data: bytes, deadline: float) -> None:
    """Raises TimeoutError or another OSError. `deadline` is of `time.monotonic`."""
    _limit(stream, deadline)
    stream.sendall(len(data).to_bytes(4, "big") + data)


def receive(stream: socket.socket, deadline: float) -> bytes:
    """Raises EOFError where the enclave closed, `Malformed` for a length out of bounds, TimeoutError, OSError."""
    length = int.from_bytes(_read(stream, 4, deadline), "big")
    if not 1 <= length <= MAX_MESSAGE:
        raise Malformed("answer", f"a message of {length} bytes, at most {MAX_MESSAGE}")
    return _read(stream, length, deadline)


def _read(stream: socket.socket, count: int, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < count:
        _limit(stream, deadline)
        part = stream.recv(min(count - len(data), 65536))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def _limit(stream: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    stream.settimeout(left)
