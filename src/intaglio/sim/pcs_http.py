"""The lab's PCS behind a socket, on the loopback interface, for programs that fetch collateral over HTTP.

`python -m intaglio.sim.pcs_http --lab DIR --port N` serves a lab's folder until it is interrupted.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

from intaglio.errors import IntaglioError
from intaglio.sim.pcs import Answer, Pcs
from intaglio.sim.world import Lab
from intaglio.types import UnixTime

__all__ = ["PcsServer", "main"]

MAX_TARGET = 4096
"""No request of the API is longer, a PCK certificate's encrypted PPID included."""
IDLE_SECONDS = 10


class PcsServer:
    """Serves what `pcs()` is at each request, at the moment that `clock()` says. A context manager.

    `answer`, where given, stands in for the service: tests use it to answer 429, garbage or nothing.
    """

    def __init__(
        self,
        pcs: Callable[[], Pcs],
        clock: Callable[[], UnixTime],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        answer: Callable[[str], Answer] | None = None,
    ) -> None:
        respond = answer or (lambda target: pcs().respond(target, clock()))
        self._server = ThreadingHTTPServer((host, port), _handler(respond))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """`http://host:port`, without a path: clients append `/sgx/certification/v4/...`."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> Self:
        self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Serves in this thread until it is interrupted."""
        self._server.serve_forever()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves what the folder holds at each request, so that a change by another process counts at once."""
    parser = argparse.ArgumentParser(prog="python -m intaglio.sim.pcs_http", description="Serve a lab's collateral.")
    parser.add_argument("--lab", type=Path, required=True, help="the lab's folder")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="default: any free port; the address is printed")
    options = parser.parse_args(arguments)
    folder: Path = options.lab
    try:
        lab = Lab.open(folder)
        server = PcsServer(lambda: _current(lab), _now, host=options.host, port=options.port)
    except (IntaglioError, OSError, TypeError, ValueError) as error:
        sys.stderr.write(f"intaglio.sim.pcs_http: {error}\n")
        return 1
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


def _current(lab: Lab) -> Pcs:
    lab.refresh()
    return lab.pcs


def _now() -> UnixTime:
    return UnixTime(int(time.time()))


def _handler(respond: Callable[[str], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = IDLE_SECONDS

        def do_GET(self) -> None:
            if len(self.path) > MAX_TARGET:
                self._send(Answer(414, {}, b""))
                return
            self._send(respond(self.path))

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """A lab's service keeps no log."""

    return Handler


if __name__ == "__main__":
    sys.exit(main())
