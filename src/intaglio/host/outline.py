"""Where messages begin and end, and which session they name: all that a courier reads of what it carries.

Frames and hellos have fixed layouts (docs/protocol.md §4, §6); the numbers here are those of `intaglio.wire`, which
the host does not load, and a test holds the two together.
"""

from intaglio.errors import Malformed

__all__ = ["is_offer", "session_of_accept", "session_of_frame", "session_of_hello", "split_frames"]

_FRAME_START = bytes.fromhex("d0835824a301030455")
_FRAME_HEAD = 41
_EXTRA = {0x58: 1, 0x59: 2, 0x5A: 4}
"""Bytes of length after the initial byte of a CBOR byte string."""

_OFFER_START = b"\x83\x70intaglio/1 offer"
_HELLO_START = b"\x89\x70intaglio/1 hello"
_ACCEPT_START = b"\x86\x71intaglio/1 accept"
_OFFER_HASH = b"\x58\x20"
_SESSION = b"\x50"


def split_frames(message: bytes) -> list[bytes]:
    """The frames of a message: one or several, back to back. Raises `Malformed` where it is anything else."""
    frames: list[bytes] = []
    at = 0
    while at < len(message):
        head = message[at + _FRAME_HEAD : at + _FRAME_HEAD + 5]
        if not message.startswith(_FRAME_START, at) or not head:
            raise Malformed(f"message.frame[{len(frames)}]", "not a frame of protocol version 1")
        extra = _EXTRA.get(head[0], 0)
        size = int.from_bytes(head[1 : 1 + extra], "big") if extra else head[0] - 0x40
        end = at + _FRAME_HEAD + 1 + extra + size
        if not (extra or 0x40 <= head[0] <= 0x57) or len(head) < 1 + extra or end > len(message):
            raise Malformed(f"message.frame[{len(frames)}]", "its end can't be found")
        frames.append(message[at:end])
        at = end
    if not frames:
        raise Malformed("message", "empty")
    return frames


def session_of_frame(frame: bytes) -> bytes:
    """The 16 bytes of session id in a frame that `split_frames` gave."""
    return frame[9:25]


def session_of_hello(hello: bytes) -> bytes:
    """The 16 bytes of session id in a hello. Raises `Malformed`."""
    at = len(_HELLO_START) + 1
    if (
        not hello.startswith(_HELLO_START)
        or not hello.startswith(_OFFER_HASH, at)
        or not hello.startswith(_SESSION, at + 34)
        or len(hello) < at + 51
    ):
        raise Malformed("hello", "not a hello of protocol version 1")
    return hello[at + 35 : at + 51]


def is_offer(data: bytes) -> bool:
    """Whether it begins as every offer does. Whether it is a good one is the enclave's to say."""
    return data.startswith(_OFFER_START)


def session_of_accept(accept: bytes) -> bytes | None:
    """The 16 bytes of session id in an Accept; None where it is something else, such as a portal's page."""
    at = len(_ACCEPT_START)
    if not accept.startswith(_ACCEPT_START + _SESSION) or len(accept) < at + 17:
        return None
    return accept[at + 1 : at + 17]
