"""What uvicorn leaves open on a connection: a request's head has a largest size and a longest time.

Without these a peer could make us keep headers for ever, or hold a connection on which it never says anything. Bodies
have their own bounds in `app`.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedProtocol"]

MAX_HEAD = 64 * 1024
"""Bytes of a request line and headers; a host's take 200."""
HEAD_SECONDS = 20.0
"""From a connection's beginning, or a head's first piece, until the head is complete."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection with bounded heads. A head that arrives in one piece costs nothing more."""

    _head_bytes = 0
    _in_head = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD:
            self.send_400_response("Request head too large.")
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._stop_timer()
        super().on_headers_complete()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
