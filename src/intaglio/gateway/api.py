"""The documented JSON API, for people and dashboards: reading only, behind a bearer token, health apart.

OpenAPI at `/api/v1/openapi.json`. It reads the database through connections that can't write.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Event, local
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

from intaglio.errors import Unavailable
from intaglio.gateway import models
from intaglio.gateway.access import Guards, Right
from intaglio.gateway.app import Clock
from intaglio.gateway.metrics import CONTENT_TYPE, AnswerTimes, metrics_text
from intaglio.gateway.outlook import CollateralOutlook
from intaglio.gateway.query import MAX_PAGE, Reader
from intaglio.gateway.stream import RecordStreams
from intaglio.types import SessionId

__all__ = ["Readers", "make_api"]

_After = Annotated[int, Query(ge=0, le=2**63 - 1, description="the last id of the page before")]
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
_Session = Annotated[str | None, Query(pattern=r"^[0-9a-fA-F]{32}$", description="a session id, 32 hex digits")]


class Readers:
    """One reader a thread of the pool that FastAPI runs plain functions in."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._local = local()
        self._all: list[Reader] = []

    def __call__(self) -> Reader:
        reader: Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = Reader(self._database)
            self._all.append(reader)
        return reader

    def close(self) -> None:
        """Once no request runs any more."""
        for reader in self._all:
            reader.close()


def make_api(
    readers: Readers,
    clock: Clock,
    trouble: Callable[[], str | None],
    outlook: CollateralOutlook,
    times: AnswerTimes,
    stopping: Event,
) -> FastAPI:
    """`trouble`: why the gateway is not ready, or None. `outlook`: when the collateral ends. `times`: of the protocol's
    answers. `stopping`: set when what goes on must end."""
    app = FastAPI(
        title="Intaglio gateway",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        exception_handlers={Unavailable: _unavailable},
    )
    guard = Guards(readers, clock)
    _add_health(app, trouble)
    _add_records(app, readers, guard)
    _add_stream(app, RecordStreams(readers, stopping), guard)
    _add_quarantine(app, readers, guard)
    _add_status(app, readers, clock, outlook, guard)
    _add_metrics(app, readers, clock, outlook, times, guard)
    return app


def _add_health(app: FastAPI, trouble: Callable[[], str | None]) -> None:
    @app.get("/v1/health/live")
    async def live() -> models.Health:
        """The process answers."""
        return models.Health(status="ok")

    @app.get("/v1/health/ready", responses={503: {"model": models.Health}})
    async def is_ready() -> JSONResponse:
        """It can also store, and its last housekeeping succeeded."""
        found = await asyncio.to_thread(trouble)
        return JSONResponse({"status": f"not ready: {found}" if found else "ok"}, 503 if found else 200)


def _add_records(app: FastAPI, readers: Readers, guard: Guards) -> None:
    @app.get("/api/v1/records", dependencies=guard(Right.DATA))
    def records(
        session: _Session = None, name: str | None = None, after: _After = 0, limit: _Limit = 100
    ) -> models.Records:
        """Records in the order in which they were stored. `status` LATE: authentic, but not accepted."""
        found = readers().records(after=after, limit=limit, session=_session(session), name=name)
        following = found[-1].id if len(found) == limit else None
        return models.Records(records=[models.Record.of(record) for record in found], next=following)

    @app.get("/api/v1/sessions", dependencies=guard(Right.DATA))
    def sessions(after: _After = 0, limit: _Limit = 100) -> models.Sessions:
        """Sessions in the order in which they were accepted."""
        found = readers().sessions(after=after, limit=limit)
        following = found[-1].number if len(found) == limit else None
        return models.Sessions(sessions=[models.Session.of(each) for each in found], next=following)

    @app.get("/api/v1/sessions/{session}", dependencies=guard(Right.EVIDENCE))
    def one_session(session: str) -> models.SessionWithVerdict:
        """One session and the whole verdict on its evidence."""
        found = readers().session(_session_or_404(session))
        if found is None:
            raise HTTPException(404, "no such session")
        return models.SessionWithVerdict.with_verdict(found)


def _add_stream(app: FastAPI, streams: RecordStreams, guard: Guards) -> None:
    @app.get(
        "/api/v1/records/stream",
        dependencies=guard(Right.DATA),
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}, 503: {"description": "too many streams are open"}},
    )
    async def stream(
        session: _Session = None,
        name: str | None = None,
        after: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
        last_event_id: Annotated[int | None, Header(ge=0, le=2**63 - 1)] = None,
    ) -> StreamingResponse:
        """Records as they arrive, as server-sent events; from the record `after` on, or from now on. A client that
        comes back with `Last-Event-ID` goes on where it was."""
        return streams.response(after if last_event_id is None else last_event_id, _session(session), name)


def _add_quarantine(app: FastAPI, readers: Readers, guard: Guards) -> None:
    @app.get("/api/v1/quarantine", dependencies=guard(Right.EVIDENCE))
    def quarantine(
        reason: str | None = None, session: _Session = None, after: _After = 0, limit: _Limit = 100
    ) -> models.Quarantine:
        """What was refused, and why; without its bytes."""
        found = readers().quarantine(after=after, limit=limit, reason=reason, session=_session(session))
        following = found[-1].number if len(found) == limit else None
        return models.Quarantine(entries=[models.Refused.of(each) for each in found], next=following)

    @app.get("/api/v1/quarantine/{name}", dependencies=guard(Right.EVIDENCE))
    def one_refused(name: str) -> models.RefusedWithBytes:
        """One entry, by the id that its sender was told, with the beginning of its bytes."""
        found = readers().quarantine_entry(name)
        if found is None:
            raise HTTPException(404, "no such entry")
        return models.RefusedWithBytes.with_bytes(found)


def _add_status(app: FastAPI, readers: Readers, clock: Clock, outlook: CollateralOutlook, guard: Guards) -> None:
    @app.get("/api/v1/status", dependencies=guard(Right.DATA))
    def status() -> models.Status:
        """Totals, and when the collateral ends."""
        at = clock()
        return models.Status.of(readers().status(at), readers().tallies(), outlook(at), at)


def _add_metrics(
    app: FastAPI, readers: Readers, clock: Clock, outlook: CollateralOutlook, times: AnswerTimes, guard: Guards
) -> None:
    @app.get("/metrics", dependencies=guard(Right.METRICS), response_class=PlainTextResponse)
    def metrics() -> PlainTextResponse:
        """For Prometheus: what is stored, refused and missing, when collateral ends, how long answers take."""
        at = clock()
        text = metrics_text(readers().status(at), outlook(at), at) + times.text()
        return PlainTextResponse(text, media_type=CONTENT_TYPE)


def _session(text: str | None) -> SessionId | None:
    return None if text is None else SessionId(bytes.fromhex(text))


def _session_or_404(text: str) -> SessionId:
    try:
        return SessionId(bytes.fromhex(text))
    except ValueError as error:
        raise HTTPException(404, "no such session") from error


async def _unavailable(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001  # Starlette's interface
    retry = error.retry_after if isinstance(error, Unavailable) else 1
    return JSONResponse({"error": "unavailable"}, 503, {"Retry-After": str(retry)})
