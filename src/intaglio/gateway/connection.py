"""What uvicorn leaves open on a connection: all that is not a body's bytes has a largest size and a longest time.

Without these a peer could make us keep headers or trailers for ever, or hold a connection on which it never says
anything, or goes on with what was answered already. Bodies have their own bounds in `app`.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedProtocol"]

MAX_HEAD = 64 * 1024
"""Bytes of a request line and headers; a host's take 200. The same for trailers and chunk extensions."""
HEAD_SECONDS = 20.0
"""From a connection's beginning, or a head's first piece, until the head is complete."""
DISCARD_SECONDS = 60.0
"""For the rest of a body that was answered before its end."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection with bounds. A request that arrives in one piece costs nothing more."""

    _between = 0
    """Bytes since the last one of a body, or of a whole head or message."""
    _in_head = False
    _in_message = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._close_after(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._between += len(data)
        super().data_received(data)
        if self._between > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("Too much that is no body.")
        elif self._in_head or (self._between and not self._in_message):
            # The beginning of a head, or line ends before one: either stopped the clock for idle connections.
            self._close_after(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        self._in_head = self._in_message = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._between = 0
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._between = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        self._between = 0
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_message:
            self._close_after(DISCARD_SECONDS)

    def _close_after(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
