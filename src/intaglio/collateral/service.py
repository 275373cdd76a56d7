"""A collateral service as we use it: one address, what it asked of us, and what it need not send again.

A service that says "too many requests" is left alone by everybody until the time it named. Answers that have an ETag
or a date are kept, so that the service can say that nothing changed.
"""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from intaglio.collateral.http import Busy, Endpoint, Response
from intaglio.collateral.turns import Turns
from intaglio.types import UnixTime

__all__ = ["DEFAULT_TIMEOUT", "Service"]

DEFAULT_TIMEOUT = 20.0
"""Seconds for one request; Intel's service answers within two."""
MAX_KEPT = 64
MAX_KEPT_BYTES = 16 << 20
"""Answers kept to be asked about: a few families and products; four of the largest possible."""


class Service:
    """`url`: the base that targets are appended to. `headers` go with every request. `interval`: seconds between two
    requests that are counted (`get(counted=...)`). Raises `ValueError` for a URL that is none. For several threads."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        headers: Mapping[str, str] | None = None,
        interval: int = 0,
    ) -> None:
        self.url = url.rstrip("/")
        self._endpoint = Endpoint.parse(url, timeout)
        self._headers = dict(headers or {})
        self._turns = Turns(interval)
        self._quiet_until = 0
        self._kept: OrderedDict[str, Response] = OrderedDict()
        self._lock = Lock()

    def get(self, target: str, at: UnixTime, *, counted: bool = False) -> Response:
        """Raises `Unavailable` (`Busy`, `Absent` and `Queued` among them) and `Malformed`."""
        if at < self._quiet_until:
            wait = self._quiet_until - at
            raise Busy(f"{self.url}: asked to be left alone for another {wait} s", retry_after=wait)
        if counted:
            self._turns.take(target, at)
        with self._lock:
            known = self._kept.get(target)
        try:
            response = self._endpoint.get(target, headers=self._headers, known=known)
        except Busy as busy:
            self._quiet_until = at + busy.retry_after
            self._turns.defer(busy.retry_after, at)
            raise
        if response.validators:
            self._keep(target, response)
        return response

    def _keep(self, target: str, response: Response) -> None:
        with self._lock:
            self._kept[target] = response
            self._kept.move_to_end(target)
            while len(self._kept) > MAX_KEPT or sum(len(kept.body) for kept in self._kept.values()) > MAX_KEPT_BYTES:
                self._kept.popitem(last=False)
