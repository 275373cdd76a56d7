"""The enclave's end of the pipe to its host: length-bounded messages on a stream.

Each message is a length (u32, big-endian, 1 to 16 MiB) and that many bytes of CBOR. The host may send anything; a
length out of bounds or a cut message ends the pipe, and with it the enclave.
"""

from intaglio.enclave import values
from intaglio.enclave.transport import Stream
from intaglio.enclave.values import Plain
from intaglio.errors import RemoteProtocolError

__all__ = ["MAX_MESSAGE", "Pipe"]

MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of one message: room for a call's arguments; a frame takes at most 1 MiB."""


class Pipe:
    """Messages over `stream`, which stays the caller's to close."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def receive(self) -> bytes | None:
        """The next message, or None where the host has closed the pipe between two messages.

        Raises `RemoteProtocolError` for a length out of bounds or a message cut short.
        """
        head = self._read(4, at_start=True)
        if head is None:
            return None
        length = int.from_bytes(head, "big")
        if not 1 <= length <= MAX_MESSAGE:
            raise RemoteProtocolError(f"pipe: a message of {length} bytes, at most {MAX_MESSAGE}")
        return self._read(length, at_start=False)

    def send(self, message: list[Plain]) -> None:
        """Raises OSError where the host is gone."""
        data = values.encode(message, "answer")
        self._stream.sendall(len(data).to_bytes(4, "big") + data)

    def _read(self, count: int, *, at_start: bool) -> bytes | None:
        data = bytearray()
        while len(data) < count:
            part = self._stream.recv(min(count - len(data), 65536))
            if not part:
                if at_start and not data:
                    return None
                raise RemoteProtocolError(f"pipe: need {count} bytes, the host closed after {len(data)}")
            data += part
        return bytes(data)
