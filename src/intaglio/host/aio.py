"""`AsyncRelay`: a `Relay` for asyncio. The same core, with each method run in a worker thread."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from intaglio.host.relay import Receipt, Relay
from intaglio.host.sessions import LiveEnclave

__all__ = ["AsyncRelay"]

P = ParamSpec("P")
R = TypeVar("R")


class AsyncRelay:
    """See `Relay`. A cancelled `send` or `call` still takes place: what an enclave has said is not taken back."""

    def __init__(self, enclave: LiveEnclave, url: str, **options: object) -> None:
        """`options`: those of `Relay`."""
        make: Callable[..., Relay] = Relay
        self._relay = make(enclave, url, **options)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._relay.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._relay.__exit__, kind, error, trace)

    async def send(self, message: bytes) -> Receipt:
        return await asyncio.to_thread(self._relay.send, message)

    async def call(self, name: str, /, *args: object, **kwargs: object) -> Receipt:
        return await asyncio.to_thread(partial(self._relay.call, name, *args, **kwargs))

    async def renew(self) -> None:
        await asyncio.to_thread(self._relay.renew)

    async def flush(self, timeout: float) -> int:  # noqa: ASYNC109 - the same API; it bounds the work, not the wait
        return await asyncio.to_thread(self._relay.flush, timeout)

    @property
    def pending(self) -> int:
        return self._relay.pending

    @property
    def refused_files(self) -> list[Path]:
        return self._relay.refused_files

    @property
    def sessions(self) -> int:
        return self._relay.sessions
