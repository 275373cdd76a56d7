"""The gateway over HTTP (docs/protocol.md §10), as an ASGI application.

Five bare routes carry the protocol's messages, four more those of Sigma where it is served; everything else goes to
the documented JSON API. A body's limit holds while it streams in: what is too long is answered with 413 and not read. A
peer learns a status and the JSON that the protocol defines, never a traceback; a 2xx is sent after commit.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Executor
from functools import lru_cache
from itertools import count
from secrets import token_hex
from time import perf_counter
from typing import Any, TypeVar

from intaglio.errors import Malformed, Unavailable
from intaglio.gateway.downward import DownDesk
from intaglio.gateway.frames import INTAGLIO_FRAMES, SIGMA_FRAMES, FrameIntake, Framing, Outcomes
from intaglio.gateway.hellos import Answer, HelloDesk
from intaglio.gateway.metrics import AnswerTimes
from intaglio.gateway.offers import OfferBook
from intaglio.gateway.sigma import SigmaDesk
from intaglio.gateway.statements import StatementDesk
from intaglio.gateway.store.quarantine import Quarantine, Refusal
from intaglio.gateway.store.writer import Writer
from intaglio.reasons import Reason
from intaglio.sigma.frames import split_sigma_frames
from intaglio.sigma.messages import MAX_MSG3
from intaglio.types import SessionId, UnixTime
from intaglio.wire.frame import split_frames
from intaglio.wire.hello import MAX_HELLO
from intaglio.wire.statement import MAX_QUESTION

__all__ = ["MAX_FRAMES_BODY", "Application", "Clock"]

MAX_FRAMES_BODY = 4 << 20
"""Bytes of one POST of frames: forty thousand small records."""
MAX_HELLOS = 256
"""Hellos under way at once: with their bodies 32 MB, and a tenth of a second's work."""
MAX_STATEMENTS = 8
"""Statements under way at once: they share the threads of hellos and must not keep those waiting."""
MAX_RECEIVING = 256 << 20
"""Bytes of bodies that are under way, all together: peers that send slowly, on as many connections as they like, must
not fill our memory. A body that comes in one piece, as nearly all do, needs none of it."""
BODY_SECONDS = 60
"""For a whole body: a peer that drips bytes gets 408."""
_SMALL = 4096
"""msg0 and msg1 have 72 bytes together."""

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive], Awaitable["Response"]]
Clock = Callable[[], UnixTime]
_Answering = Callable[[bytes, UnixTime, str | None], Answer]

_NO_SNIFF = (b"x-content-type-options", b"nosniff")
_FOR_BROWSERS = (
    _NO_SNIFF,
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""On the API's answers. The protocol's own go to programs, and every header costs each of them."""
_NO_STORE = (b"cache-control", b"no-store")
_JSON = (b"content-type", b"application/json")
_CBOR = (b"content-type", b"application/cbor")
_CBOR_SEQ = (b"content-type", b"application/cbor-seq")
_DOWN_QUERY = re.compile(rb"session=([0-9a-f]{32})&next=([0-9]{1,10})")
_BYTES = (b"content-type", b"application/octet-stream")

_log = logging.getLogger("intaglio.gateway.http")


class Response:
    """A status, headers and a body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
        self.status = status
        self.body = body
        self.headers = [*headers, (b"content-length", str(len(body)).encode()), _NO_SNIFF]

    @classmethod
    def of_json(cls, status: int, value: Mapping[str, object], *headers: tuple[bytes, bytes]) -> "Response":
        return cls(status, json.dumps(value).encode(), _JSON, _NO_STORE, *headers)


class _Gone(Exception):
    """The peer hung up before its body was complete."""


class _Refused(Exception):
    """The body will not be read to its end."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class Application:
    """The ASGI callable. `api` answers every path that is not a route of the protocol."""

    def __init__(
        self,
        offers: OfferBook,
        desk: HelloDesk,
        intake: FrameIntake,
        quarantine: Quarantine,
        writer: Writer,
        executor: Executor,
        clock: Clock,
        api: Callable[[Scope, Receive, Send], Awaitable[None]],
        down: DownDesk,
        statements: StatementDesk,
        times: AnswerTimes,
        sigma: SigmaDesk | None = None,
    ) -> None:
        self._offers = offers
        self._desk = desk
        self._intake = intake
        self._quarantine = quarantine
        self._writer = writer
        self._executor = executor
        self._clock = clock
        self._api = api
        self._down_desk = down
        self._statement_desk = statements
        self._times = times
        self._routes: dict[str, tuple[str, Handler]] = {
            "/v1/frames": ("POST", self._frames),
            "/v1/hello": ("POST", self._hello),
            "/v1/offer": ("GET", self._offer),
            "/v1/down": ("GET", self._down),
            "/v1/statement": ("POST", self._statement),
        }
        if sigma is not None:
            self._routes |= {
                "/v1/sigma/msg0": ("POST", self._sigma(sigma.msg0, _SMALL)),
                "/v1/sigma/msg1": ("POST", self._sigma(sigma.msg1, _SMALL)),
                "/v1/sigma/msg3": ("POST", self._sigma(sigma.msg3, MAX_MSG3)),
                "/v1/sigma/frames": ("POST", self._sigma_frames),
            }
        self._hellos = 0
        self._statements = 0
        self._receiving = 0
        self._boot = token_hex(3)
        self._requests = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        route = self._routes.get(scope["path"])
        if route is None:
            await self._api(scope, receive, _secured(send))
            return
        method, handler = route
        begun = perf_counter()
        try:
            if scope["method"] == method:
                response = await handler(scope, receive)
            else:
                response = Response.of_json(405, {"error": "method not allowed"}, (b"allow", method.encode()))
        except _Gone:
            _log.info("peer hung up request=%s path=%s", self._request(), scope["path"])
            return
        except _Refused as refused:
            response = refused.response
        except Unavailable as error:
            _log.error("not served request=%s path=%s: %s", self._request(), scope["path"], error)
            response = Response.of_json(503, {"error": "unavailable", "reasons": []}, _retry(error.retry_after))
        if response.status >= 400:
            _log.info("answered request=%s path=%s status=%d", self._request(), scope["path"], response.status)
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        await send({"type": "http.response.body", "body": response.body})
        self._times.observe(scope["path"], response.status, perf_counter() - begun)

    async def _offer(self, scope: Scope, receive: Receive) -> Response:  # noqa: ARG002  # the shape of a handler
        at = self._clock()
        if self._offers.is_due(at):
            offer = await self._in_thread(lambda: self._offers.current(at))
        else:
            offer = self._offers.current(at)
        age = max(0, offer.not_after - at)
        return Response(200, offer.data, _CBOR, (b"cache-control", f"public, max-age={age}".encode()))

    async def _hello(self, scope: Scope, receive: Receive) -> Response:
        return await self._handshake(self._desk.answer, MAX_HELLO, _CBOR, scope, receive)

    def _sigma(self, answer: _Answering, limit: int) -> Handler:
        async def handler(scope: Scope, receive: Receive) -> Response:
            return await self._handshake(answer, limit, _BYTES, scope, receive)

        return handler

    async def _handshake(
        self, answering: _Answering, limit: int, kind: tuple[bytes, bytes], scope: Scope, receive: Receive
    ) -> Response:
        body = await self._body(scope, receive, limit)
        at, remote = self._clock(), _remote(scope)
        if self._hellos >= MAX_HELLOS:
            raise Unavailable("too many hellos wait", retry_after=2)
        self._hellos += 1
        try:
            answer = await self._in_thread(lambda: answering(body, at, remote))
        finally:
            self._hellos -= 1
        return _answered(answer, kind)

    async def _statement(self, scope: Scope, receive: Receive) -> Response:
        body = await self._body(scope, receive, MAX_QUESTION)
        at = self._clock()
        if self._statements >= MAX_STATEMENTS:
            raise Unavailable("too many statements wait", retry_after=2)
        self._statements += 1
        try:
            return _answered(await self._in_thread(lambda: self._statement_desk.answer(body, at)), _CBOR)
        finally:
            self._statements -= 1

    async def _frames(self, scope: Scope, receive: Receive) -> Response:
        kind = _header(scope, b"content-type").partition(b";")[0].strip().lower()
        if kind not in (b"application/cose", b"application/cbor-seq"):
            return Response.of_json(415, {"error": "need application/cose or application/cbor-seq"})
        return await self._take(lambda body: _split(body, kind == b"application/cose"), INTAGLIO_FRAMES, scope, receive)

    async def _down(self, scope: Scope, receive: Receive) -> Response:  # noqa: ARG002  # the shape of a handler
        """The frames are committed before they are answered with; a GET may be repeated, and gives the same ones."""
        asked = _DOWN_QUERY.fullmatch(scope["query_string"])
        if asked is None:
            return Response.of_json(400, {"error": "need session=32 hexadecimal digits&next=number"})
        session, first = SessionId(bytes.fromhex(asked[1].decode())), int(asked[2])
        frames = await self._writer.write(self._down_desk.work(session, first, self._clock()))
        if frames is None:
            return Response.of_json(404, {"error": "no such session, or it has ended"})
        if not frames:
            return Response(204, b"", _NO_STORE)
        return Response(200, b"".join(frames), _CBOR_SEQ, _NO_STORE)

    async def _sigma_frames(self, scope: Scope, receive: Receive) -> Response:
        return await self._take(split_sigma_frames, SIGMA_FRAMES, scope, receive)

    async def _take(
        self, split: Callable[[bytes], list[bytes]], framing: Framing, scope: Scope, receive: Receive
    ) -> Response:
        body = await self._body(scope, receive, MAX_FRAMES_BODY)
        at, remote = self._clock(), _remote(scope)
        try:
            frames = split(body)
        except Malformed as error:
            return await self._no_frames(error, body, at, remote)
        outcomes = await self._writer.write(self._intake.work(frames, at, remote, framing), len(body))
        if outcomes.status == 200:
            return _all_stored(outcomes.stored, outcomes.duplicate)
        return Response.of_json(outcomes.status, _told(outcomes))

    async def _no_frames(self, error: Malformed, body: bytes, at: UnixTime, remote: str | None) -> Response:
        detail = {"field": error.field, "problem": error.problem}
        refusal = Refusal("body", (Reason.MALFORMED_MESSAGE,), detail, body, None, remote)
        await self._writer.write(lambda connection: self._quarantine.add(connection, refusal, at), len(body))
        reason = Reason.MALFORMED_MESSAGE.name
        return Response.of_json(400, {"error": "malformed", "reason": reason, "field": error.field})

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _body(self, scope: Scope, receive: Receive, limit: int) -> bytes:
        """The whole body. Raises `_Refused` (408, 413), `_Gone` and `Unavailable`."""
        declared = _header(scope, b"content-length")
        if declared and int(declared) > limit:
            raise _Refused(_too_large(limit))
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._pieces(receive, limit)
        except TimeoutError as error:
            raise _Refused(Response.of_json(408, {"error": "too slow"}, (b"connection", b"close"))) from error

    async def _pieces(self, receive: Receive, limit: int) -> bytes:
        body = bytearray()
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise _Gone
                piece: bytes = message.get("body", b"")
                if len(body) + len(piece) > limit:
                    raise _Refused(_too_large(limit))
                if not message.get("more_body"):
                    return bytes(body) + piece if body else piece
                body += piece
                self._receiving += len(piece)
                if self._receiving > MAX_RECEIVING:
                    raise Unavailable("too many bodies are under way", retry_after=2)
        finally:
            self._receiving -= len(body)

    def _request(self) -> str:
        """A name for a request in the log; made only when something is said of it."""
        return f"{self._boot}-{next(self._requests)}"


def _split(body: bytes, single: bool) -> list[bytes]:
    """Raises `Malformed`."""
    frames = split_frames(body)
    if not frames or (single and len(frames) > 1):
        raise Malformed("body", f"need {'one frame' if single else 'at least one frame'}, found {len(frames)}")
    return frames


def _answered(answer: Answer, kind: tuple[bytes, bytes]) -> Response:
    headers = [] if answer.retry_after is None else [_retry(answer.retry_after)]
    if answer.json is not None:
        return Response.of_json(answer.status, answer.json, *headers)
    return Response(answer.status, answer.accept, kind, _NO_STORE, *headers)


@lru_cache(1024)
def _all_stored(stored: int, duplicate: int) -> Response:
    """The answer of nearly every delivery, made once."""
    return Response.of_json(200, _told(Outcomes(stored, duplicate)))


def _told(outcomes: Outcomes) -> Mapping[str, object]:
    return {
        "stored": outcomes.stored,
        "duplicate": outcomes.duplicate,
        "pending": outcomes.pending,
        "unknown": outcomes.unknown,
        "refused": outcomes.refused,
    }


def _too_large(limit: int) -> Response:
    """The connection stays open and the server throws the rest away as it comes: a peer that is still sending would
    otherwise lose this answer with its connection."""
    return Response.of_json(413, {"error": "too large", "limit": limit})


def _header(scope: Scope, name: bytes) -> bytes:
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return b""


def _remote(scope: Scope) -> str | None:
    client = scope.get("client")
    return str(client[0]) if client else None


def _retry(seconds: int) -> tuple[bytes, bytes]:
    return b"retry-after", str(seconds).encode()


def _secured(send: Send) -> Send:
    """`send` with the security headers on whatever the API answers."""

    async def secured(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            extra = [pair for pair in _FOR_BROWSERS if pair[0] not in present]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return secured
