"""Records as they arrive, as server-sent events (WHATWG HTML §9.2): one GET that goes on until somebody ends it.

Every event's id is its record's, so a client that lost its connection says where it was (`Last-Event-ID`) and misses
nothing and gets nothing twice. A stream looks at the store and not at the intake: what it tells is committed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from threading import Event

from fastapi import HTTPException
from fastapi.responses import StreamingResponse

from intaglio.gateway import models
from intaglio.gateway.query import Reader
from intaglio.types import SessionId

__all__ = ["RecordStreams"]

MAX_STREAMS = 64
"""Under way at once: each looks at the store twice a second."""
POLL = 0.5
"""Seconds between two looks at the store while nothing comes."""
_QUIET = 30
"""Looks without a record after which a comment is sent: proxies cut connections on which nothing moves for a minute."""
LIFETIME = 3600
"""Seconds after which a stream ends and its client comes again, with a token that is looked at anew."""
_PAGE = 500
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second keeps a well-known proxy from collecting events."""


class RecordStreams:
    """`readers` gives a reader for the calling thread; all streams end soon after `stopping` is set."""

    def __init__(self, readers: Callable[[], Reader], stopping: Event) -> None:
        self._readers = readers
        self._stopping = stopping
        self._open = 0

    def response(self, after: int | None, session: SessionId | None, name: str | None) -> StreamingResponse:
        """The stream of what is stored after the record `after`, or from now on. Raises HTTPException(503) where too
        many are open."""
        if self._open >= MAX_STREAMS:
            raise HTTPException(503, "too many streams are open", {"Retry-After": "10"})
        events = self._events(after, session, name)
        return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)

    async def _events(self, after: int | None, session: SessionId | None, name: str | None) -> AsyncIterator[str]:
        self._open += 1
        try:
            last = await asyncio.to_thread(lambda: self._readers().last_record()) if after is None else after
            # At once, so that a client knows from which record on it misses nothing.
            yield f"id: {last}\n: from here on\n\n"
            quiet, clock = 0, asyncio.get_running_loop().time
            until = clock() + LIFETIME
            while not self._stopping.is_set() and clock() < until:
                events, last = await asyncio.to_thread(self._page, last, session, name)
                if events:
                    quiet = 0
                    yield events
                    continue
                quiet += 1
                if quiet % _QUIET == 0:
                    yield ": nothing new\n\n"
                await asyncio.sleep(POLL)
        finally:
            self._open -= 1

    def _page(self, after: int, session: SessionId | None, name: str | None) -> tuple[str, int]:
        """The next events as text, and the record that they end with."""
        found = self._readers().records(after=after, limit=_PAGE, session=session, name=name)
        if not found:
            return "", after
        # One line each: JSON has no line ends of its own.
        lines = (
            f"id: {each.id}\nevent: record\ndata: {models.Record.of(each).model_dump_json()}\n\n" for each in found
        )
        return "".join(lines), found[-1].id
