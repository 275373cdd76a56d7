"""The data centre as the host sees it: five requests over HTTP (docs/protocol.md §10), and what their answers mean.

http.client alone: one connection kept alive, redirects not followed, proxies ignored, answers bounded. Whether the
network lies makes no difference to what is protected; TLS keeps the metadata from onlookers.
"""

import base64
import binascii
import contextlib
import http.client
import io
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from intaglio.errors import LocalProtocolError, Unavailable
from intaglio.host.errors import HelloRejected, StatementRefused

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["DataCentre", "Delivered", "TooLarge"]

MAX_ANSWER = 1024 * 1024
"""Bytes: offers and Accepts stay below 64 kB, a frames answer below 10 kB."""
MAX_RECEIVED = 2 * MAX_ANSWER
"""Bytes of an answer with its head, as they come."""
MAX_RETRY_AFTER = 3600
"""Seconds: longer waits are cut to this, so that a mistake over there does not silence an enclave for a week."""


_NAME = re.compile(r"[A-Za-z0-9_ -]{1,64}")
"""What a code, reason or id in an answer looks like: nothing else gets into a log or an error."""
_HOST = re.compile(r"[^\s\x00-\x1f\x7f/\\@]+")
"""A host's name or address, as far as it can be told from no host at all: the resolver knows the rest."""


class TooLarge(Unavailable):
    """The data centre (or a proxy before it) takes no body of this size: send less at once."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of the frames of one body, by index: `status` 200, 425, 404 or 403; refused and unknown ones must
    not be sent again, pending ones must, after `retry_after` seconds or more."""

    status: int
    stored: int
    duplicate: int
    pending: frozenset[int]
    unknown: frozenset[int]
    refused: frozenset[int]
    retry_after: int


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    retry_after: int


class DataCentre:
    """A gateway at `url`. Its methods may be called from several threads; requests go one after another.

    Each raises `Unavailable` where no answer that means anything came, for whatever reason: try again later.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, ca_file: Path | None = None) -> None:
        """`timeout`: seconds for each wait on the network. `ca_file`: PEM of the authorities to believe, instead of
        the system's. Raises `LocalProtocolError` for a URL that is not plain http(s)."""
        parts = _address(url)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._path = parts.path.rstrip("/")
        self._timeout = timeout
        self._tls = ssl.create_default_context(cafile=ca_file) if self._secure else None
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()

    def offer(self) -> bytes:
        """The current offer."""
        answer = self._request("GET", "/v1/offer", None, "")
        if answer.status != 200:
            raise _unavailable("offer", answer)
        return answer.body

    def deliver_hello(self, hello: bytes) -> bytes:
        """Gives the Accept. Raises `HelloRejected`, too; a hello that is not decided yet is `Unavailable`."""
        answer = self._request("POST", "/v1/hello", hello, "application/cbor")
        if answer.status == 200:
            return answer.body
        if answer.status == 403 and (rejection := _rejection(answer.body)) is not None:
            raise rejection
        if answer.status == 400 and _json(answer.body).get("error") == "malformed":
            raise HelloRejected(("MALFORMED_MESSAGE",))
        raise _unavailable("hello", answer)

    def deliver_frames(self, frames: Sequence[bytes]) -> Delivered:
        """Raises `TooLarge` where fewer at once may pass."""
        kind = "application/cose" if len(frames) == 1 else "application/cbor-seq"
        answer = self._request("POST", "/v1/frames", b"".join(frames), kind)
        if answer.status == 413:
            raise TooLarge(f"frames: {len(frames)} at once are too large", retry_after=answer.retry_after)
        if answer.status not in (200, 403, 404, 425):
            raise _unavailable("frames", answer)
        delivered = _delivered(answer, len(frames))
        if delivered is None:
            raise Unavailable(f"frames: answered {answer.status} without saying which", retry_after=answer.retry_after)
        return delivered

    def down(self, session: bytes, first: int) -> bytes:
        """The frames for the session's enclave from number `first` on, one after another; empty where there are none,
        where the session has ended, and where the data centre is too old to send any."""
        answer = self._request("GET", f"/v1/down?session={session.hex()}&next={first}", None, "")
        if answer.status in (204, 404):
            return b""
        if answer.status != 200:
            raise _unavailable("down", answer)
        return answer.body

    def statement(self, nonce: bytes, evidence: bytes | None) -> bytes:
        """The signed time and, for raw evidence, its collateral: for the enclave that drew `nonce` (32 bytes). Raises
        `StatementRefused` for evidence that is not genuine."""
        # Here, because it brings cbor2, and a host that only relays does with the standard library.
        from intaglio.wire.statement import Question  # noqa: PLC0415

        answer = self._request("POST", "/v1/statement", Question(nonce, evidence).encode(), "application/cbor")
        if answer.status == 200:
            return answer.body
        if answer.status == 403 and (rejection := _rejection(answer.body)) is not None:
            raise StatementRefused(rejection.reasons)
        raise _unavailable("statement", answer)

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _request(self, method: str, path: str, body: bytes | None, content_type: str) -> _Answer:
        headers = {"Accept": "application/cbor, application/json", "User-Agent": "intaglio-relay"}
        if body is not None:
            headers["Content-Type"] = content_type
        with self._lock:
            if self._connection is not None:
                # It may have been closed over there meanwhile; all our requests can be repeated.
                with contextlib.suppress(ConnectionError):
                    return self._exchange(method, path, body, headers)
            return self._exchange(method, path, body, headers)

    def _exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> _Answer:
        """Raises ConnectionError where a connection kept alive broke, `Unavailable` for every other trouble."""
        kept_alive = self._connection is not None
        connection = self._connection = self._connection or self._connect()
        try:
            if connection.sock is not None:
                connection.sock.settimeout(self._timeout)  # the last answer left less
            connection.request(method, self._path + path, body, headers)
            response = connection.getresponse()
            data = response.read(MAX_ANSWER + 1)
        # ValueError: http.client passes some of a stranger's numbers on to functions that take no such number.
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._drop()
            if kept_alive and isinstance(error, ConnectionError):
                raise
            raise Unavailable(f"{method} {path}: {type(error).__name__}: {error}", retry_after=0) from error
        left = response.length or 0  # what is still to come of the body; `read` says nothing of a body cut short
        if response.will_close or left or len(data) > MAX_ANSWER:
            self._drop()
        if len(data) > MAX_ANSWER:
            raise Unavailable(f"{method} {path}: an answer of more than {MAX_ANSWER} bytes")
        if left:
            raise Unavailable(f"{method} {path}: the answer was cut short, {left} bytes are missing")
        return _Answer(response.status, data, _retry_after(response.getheader("Retry-After")))

    def _connect(self) -> http.client.HTTPConnection:
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
            if self._tls is None
            else http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        )
        connection.response_class = _BoundedResponse
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Incoming(io.RawIOBase):
    """What comes from a socket within its timeout, all together, and up to `MAX_RECEIVED` bytes. By itself a socket
    gives each piece its timeout anew, so that an answer which drips holds us for ever."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._file = stream.makefile("rb", buffering=0)
        self._deadline = time.monotonic() + (stream.gettimeout() or 0.0)
        self._room = MAX_RECEIVED

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer does not end")
        self._stream.settimeout(left)
        count = self._file.readinto(buffer)
        self._room -= count or 0
        if self._room < 0:
            raise OSError(f"an answer of more than {MAX_RECEIVED} bytes")
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """Reads its head and body from `_Incoming`."""

    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self.fp.close()
        self.fp = io.BufferedReader(_Incoming(sock))


def _unavailable(what: str, answer: _Answer) -> Unavailable:
    code = _json(answer.body).get("error")
    code = code if isinstance(code, str) and _NAME.fullmatch(code) else ""
    return Unavailable(f"{what}: answered {answer.status} {code}".rstrip(), retry_after=answer.retry_after)


def _retry_after(value: str | None) -> int:
    """Seconds; 0 where the header is absent or a date (whose clock would be another one)."""
    if value is None or not (value.isascii() and value.isdigit()):
        return 0
    return min(int(value), MAX_RETRY_AFTER) if len(value) < 10 else MAX_RETRY_AFTER


def _json(body: bytes) -> dict[str, object]:
    """An answer's JSON object, or an empty one: what a proxy says is no answer of the data centre."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _address(url: str) -> SplitResult:
    """Raises `LocalProtocolError`, whose text leaves the URL out: a password may stand in it."""
    wrong = LocalProtocolError("url: need http(s)://host[:port][/path], without user, query and fragment")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError as error:
        raise wrong from error
    beyond = parts.query or parts.fragment or parts.username or not _HOST.fullmatch(host)
    if parts.scheme not in ("http", "https") or beyond or not parts.path.isprintable() or " " in parts.path:
        raise wrong
    return parts


def _rejection(body: bytes) -> HelloRejected | None:
    said = _json(body)
    reasons = said.get("reasons")
    if said.get("error") != "rejected" or not isinstance(reasons, list):
        return None
    entry, report = said.get("id"), said.get("report")
    return HelloRejected(
        tuple(reason for reason in reasons[:64] if isinstance(reason, str) and _NAME.fullmatch(reason)),
        entry if isinstance(entry, str) and _NAME.fullmatch(entry) else None,
        _base64(report) if isinstance(report, str) else None,
    )


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _delivered(answer: _Answer, count: int) -> Delivered | None:
    said = _json(answer.body)
    numbers = [said.get(name) for name in ("stored", "duplicate")]
    lists = [said.get(name, []) for name in ("pending", "unknown", "refused")]
    if not all(isinstance(number, int) for number in numbers):
        return None
    sets: list[frozenset[int]] = []
    for row in lists:
        if not isinstance(row, list) or not all(type(index) is int and 0 <= index < count for index in row):
            return None
        sets.append(frozenset(row))
    stored, duplicate = (number for number in numbers if isinstance(number, int))
    if answer.status == 200 and (stored + duplicate != count or any(sets)):
        return None
    pending, unknown, refused = sets
    return Delivered(answer.status, stored, duplicate, pending, unknown, refused, answer.retry_after)
