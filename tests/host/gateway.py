"""A data centre over HTTP that keeps what it gets and answers as it is told: the contract's host side, in a thread."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from intaglio.wire.frame import parse_frame, split_frames
from intaglio.wire.hello import Hello
from tests.enclave.world import DataCentreSide


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(status: int, body: dict[str, object], **headers: str) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})


def rejected(*reasons: str) -> Answer:
    body: dict[str, object] = {
        "error": "rejected",
        "reasons": list(reasons),
        "id": "q-17",
        "report": base64.b64encode(b"sealed").decode(),
    }
    return json_answer(403, body)


def frames_answer(status: int, **lists: object) -> Answer:
    return json_answer(status, {"stored": 0, "duplicate": 0, "pending": [], "unknown": [], "refused": [], **lists})


UNDECIDABLE = json_answer(503, {"error": "undecidable", "reasons": ["COLLATERAL_MISSING"]}, **{"Retry-After": "7"})
BUSY = json_answer(503, {"error": "unavailable"})


class Gateway:
    """`next_answers[path]` are given before the honest ones, one a request; None there means: be honest once."""

    def __init__(self) -> None:
        self.dc = DataCentreSide()
        self.requests: list[tuple[str, str, bytes]] = []
        self.stored: dict[tuple[bytes, int], bytes] = {}
        self.order: list[bytes] = []
        self.accepts: dict[bytes, bytes] = {}
        self.next_answers: dict[str, list[Answer | None]] = {}
        self.life = 3600
        self.offer_epoch = 1
        self.lock = threading.Lock()
        self.arrived = threading.Condition(self.lock)

    def handle(self, method: str, path: str, content_type: str, body: bytes) -> Answer:
        with self.lock:
            self.requests.append((f"{method} {path}", content_type, body))
            self.arrived.notify_all()
            told = self.next_answers.get(path, [])
            answer = told.pop(0) if told else None
            return answer or self._honest(path, body)

    def paths(self) -> list[str]:
        with self.lock:
            return [request[0] for request in self.requests]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until a request makes it true."""
        with self.arrived:
            assert self.arrived.wait_for(condition, 20.0)

    def values(self) -> list[bytes]:
        """The values of all stored records, in the order of arrival."""
        return [record.value for frame in self.order for record in self.dc.records(frame)]

    def _honest(self, path: str, body: bytes) -> Answer:
        if path == "/v1/offer":
            return Answer(200, self.dc.offer(epoch=self.offer_epoch), {"Content-Type": "application/cbor"})
        if path == "/v1/hello":
            session = Hello.parse(body).session
            if session not in self.accepts:
                self.accepts[session] = self.dc.accept(body, life=self.life)
            return Answer(200, self.accepts[session], {"Content-Type": "application/cbor"})
        if path == "/v1/frames":
            return self._frames(split_frames(body))
        return Answer(404, b"")

    def _frames(self, frames: list[bytes]) -> Answer:
        stored = 0
        unknown: list[int] = []
        for index, data in enumerate(frames):
            frame = parse_frame(data)
            if frame.session not in self.accepts:
                unknown.append(index)
            elif (frame.session, frame.sequence) not in self.stored:
                self.stored[frame.session, frame.sequence] = data
                self.order.append(data)
                stored += 1
        duplicate = len(frames) - stored - len(unknown)
        return frames_answer(404 if unknown else 200, stored=stored, duplicate=duplicate, unknown=unknown)


@contextmanager
def serving(gateway: Gateway, port: int = 0) -> Iterator[str]:
    """Serves on a free port (or the given one) of the loopback; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer = gateway.handle(method, self.path, self.headers.get("Content-Type", ""), body)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is no news here."""

    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
