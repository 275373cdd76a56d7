"""One GET, bounded: in time, in bytes, and in where it goes.

Redirects are not followed: a collateral service that moves is a change of configuration, not of a header.
Everything that the world can do to a request becomes `Unavailable` with its cause; `Malformed` is for answers
that came and are nonsense.
"""

import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import Timer
from time import monotonic
from typing import Self
from urllib.parse import SplitResult, urlsplit

from intaglio.errors import Malformed, Unavailable

__all__ = ["MAX_BODY", "Absent", "Busy", "Endpoint", "Response"]

MAX_BODY = 4 << 20
"""A CRL of 20,000 entries is 0.8 MB, the largest TCB info 0.1 MB; five times the largest."""
_CHUNK = 64 << 10
_PRINTABLE = re.compile(r"[!-~]+")
_RETRY_LEAST, _RETRY_MOST = 1, 24 * 3600
"""A server's Retry-After is believed within these seconds."""
_RETRY_DEFAULT = 30
_OK, _NOT_MODIFIED, _NOT_FOUND, _TOO_MANY, _NO_SERVICE = 200, 304, 404, 429, 503
_RETRY_NOT_FOUND = 3600
"""What a collateral service does not have now it will hardly have in a minute."""


class Absent(Unavailable):
    """The service answers, and does not have it (404)."""


class Busy(Unavailable):
    """The service asks us to wait, whatever we want of it (429, or 503 with Retry-After)."""


@dataclass(frozen=True, slots=True)
class Response:
    """A 200 answer. `headers` by lower-case name; of a repeated header the last counts."""

    headers: dict[str, str]
    body: bytes

    @property
    def validators(self) -> dict[str, str]:
        """The request headers that ask whether this answer still holds (RFC 9110 §13.1); none if it gave no name."""
        pairs = (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
        return {ask: self.headers[name] for ask, name in pairs if name in self.headers}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server and the base path below which it is asked. `timeout`: seconds for one whole request."""

    scheme: str
    host: str
    port: int | None
    path: str
    timeout: float

    @classmethod
    def parse(cls, url: str, timeout: float) -> Self:
        """Raises `ValueError` for anything but http(s)://host[:port][/path]."""
        parts = _split(url)
        if (
            parts is None
            or parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            # What stands before an @ may be a password, and this goes to a log.
            shown = f"...{url[url.rindex('@') :]}" if "@" in url else url
            raise ValueError(f"{shown}: not http(s)://host[:port][/path]")
        return cls(parts.scheme, parts.hostname, parts.port, parts.path.rstrip("/"), timeout)

    def get(self, target: str, *, headers: Mapping[str, str] | None = None, known: Response | None = None) -> Response:
        """GET base path + `target`; `known` is an earlier answer, returned if the service says that it still holds.
        Raises `Unavailable` (with the cause) and `Malformed` (a body too large)."""
        validators = known.validators if known is not None else {}
        deadline = monotonic() + self.timeout
        connection = self._connection()
        # A head that drips gets the socket's timeout anew with each line, and can have interim answers without end.
        timer = Timer(self.timeout, _hang_up, (connection,))
        timer.start()
        try:
            asked = {"Accept-Encoding": "identity", **(headers or {}), **validators}
            connection.request("GET", self.path + target, headers=asked)
            response = connection.getresponse()
            if response.status == _NOT_MODIFIED and known is not None and validators:
                return known
            if response.status != _OK:
                raise self._refusal(target, response)
            found = {name.lower(): value for name, value in response.getheaders()}
            return Response(found, self._read(target, response, deadline))
        except (OSError, HTTPException) as error:
            raise Unavailable(f"{self._label(target)}: {type(error).__name__} {error}") from error
        finally:
            timer.cancel()
            connection.close()

    def _connection(self) -> HTTPConnection:
        if self.scheme == "http":
            return HTTPConnection(self.host, self.port, timeout=self.timeout)
        return HTTPSConnection(self.host, self.port, timeout=self.timeout, context=ssl.create_default_context())

    def _read(self, target: str, response: HTTPResponse, deadline: float) -> bytes:
        """Piece by piece, so that a server which drips bytes can't hold us beyond the deadline."""
        pieces: list[bytes] = []
        size = 0
        while piece := response.read1(_CHUNK):
            size += len(piece)
            if size > MAX_BODY:
                raise Malformed(self._label(target), f"more than {MAX_BODY} bytes")
            if monotonic() > deadline:
                raise Unavailable(f"{self._label(target)}: not complete after {self.timeout:g} s")
            pieces.append(piece)
        if response.length:
            raise Unavailable(f"{self._label(target)}: the answer broke off, {response.length} bytes missing")
        return b"".join(pieces)

    def _refusal(self, target: str, response: HTTPResponse) -> Unavailable:
        status = response.status
        retry = _RETRY_NOT_FOUND if status == _NOT_FOUND else _RETRY_DEFAULT
        asked = response.getheader("Retry-After", "")
        if asked.isdecimal():
            retry = min(max(int(asked[:10]), _RETRY_LEAST), _RETRY_MOST)
        busy = status == _TOO_MANY or (status == _NO_SERVICE and asked.isdecimal())
        kind = Busy if busy else Absent if status == _NOT_FOUND else Unavailable
        return kind(f"{self._label(target)}: HTTP {status} {response.reason}", retry_after=retry)

    def _label(self, target: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        return f"{self.scheme}://{host}{port}{self.path}{target}"


def _split(url: str) -> SplitResult | None:
    """None for what no request can be sent to: what is no address is an error of whoever configured it, and must not
    be one of the first hello."""
    if not _PRINTABLE.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")  # as the resolver does, which fails otherwise
        usable = parts.port is None or parts.port
    except ValueError:
        return None
    return parts if usable else None


def _hang_up(connection: HTTPConnection) -> None:
    stream: socket.socket | None = connection.sock
    if stream is not None:
        with suppress(OSError):  # closed meanwhile
            stream.shutdown(socket.SHUT_RDWR)
