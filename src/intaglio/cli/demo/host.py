"""The host, honest and hostile: it launches enclaves and holds every message in its hands before it delivers it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from intaglio.cli.demo.model import DemoFailed
from intaglio.host.data_centre import DataCentre, Delivered
from intaglio.host.process import EnclaveProcess, launch
from intaglio.host.relay import Fate, Relay
from intaglio.types import SessionId
from intaglio.wire.frame import parse_frame, split_frames

__all__ = ["HostileHost", "enclave"]


@contextmanager
def enclave(script: Path, runner: Sequence[str]) -> Iterator[EnclaveProcess]:
    """An enclave in a process of its own, for as long as the block."""
    with launch(script, command=runner) as process:
        yield process


class HostileHost:
    """A host that does first what `Relay` does, and then whatever it likes. A context manager."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._stack = ExitStack()
        self._meter: EnclaveProcess | None = None
        self._data_centre: DataCentre | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def be_honest(self, script: Path, runner: Sequence[str], url: str) -> bytes:
        """Carries one `get_size()` with the ordinary relay; returns the message as the host saw it."""
        with enclave(script, runner) as meter, Relay(meter, url, spool=self._spool) as relay:
            message = meter.call("get_size")
            receipt = relay.send(message)
        if receipt.fate is not Fate.STORED:
            raise DemoFailed(f"an honest message was not stored but {receipt.fate.value}")
        return message

    def join(self, script: Path, runner: Sequence[str], url: str) -> SessionId:
        """Launches the enclave anew and brings it into session by hand, every message in the host's own hands."""
        self._meter = meter = self._stack.enter_context(enclave(script, runner))
        self._data_centre = data_centre = DataCentre(url)
        self._stack.callback(data_centre.close)
        accept = data_centre.deliver_hello(meter.hello(data_centre.offer()))
        frames = meter.accept(accept)
        self.deliver(*frames)
        return parse_frame(frames[-1]).session

    def call(self, name: str) -> bytes:
        """One frame with what the enclave returned."""
        if self._meter is None:
            raise DemoFailed("the host has no enclave yet")
        (frame,) = split_frames(self._meter.call(name))
        return frame

    def deliver(self, *frames: bytes) -> Delivered:
        """Delivers frames in one body, in this order."""
        if self._data_centre is None:
            raise DemoFailed("the host knows no data centre yet")
        return self._data_centre.deliver_frames(frames)
