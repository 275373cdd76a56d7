"""An enclave without a process: the real SDK behind the methods of `EnclaveProcess`."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cbor2

from intaglio.enclave.loading import loaded
from intaglio.enclave.serving import Service
from intaglio.host.errors import EnclaveDied, EnclaveRefused
from tests.enclave.world import DataCentreSide, FakeAttester

SCRIPT = b"""
from intaglio.enclave import Enclave
enclave = Enclave()

@enclave.call
def echo(value):
    return value
"""


class LocalEnclave:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.dead = False
        self._lock = threading.Lock()

    def hello(self, offer: bytes) -> bytes:
        data = self._ask("hello", offer)
        assert isinstance(data, bytes)
        return data

    def accept(self, accept: bytes) -> list[bytes]:
        return self._frames("accept", accept)

    def call(self, name: str, /, *args: object, **kwargs: object) -> bytes:
        return b"".join(self._frames("call", name, list(args), kwargs))

    def end(self) -> bytes:
        return b"".join(self._frames("end"))

    def down(self, frame: bytes) -> bytes:
        return b"".join(self._frames("down", frame))

    def status(self) -> dict[str, object]:
        status = self._ask("status")
        assert isinstance(status, dict)
        return status

    def _frames(self, *request: object) -> list[bytes]:
        frames = self._ask(*request)
        assert isinstance(frames, list)
        return frames

    def _ask(self, *request: object) -> object:
        if self.dead:
            raise EnclaveDied("gone", None)
        with self._lock:  # as `EnclaveProcess` has it: the enclave answers one after another
            kind, *rest = cbor2.loads(cbor2.dumps(self.service.answer(cbor2.dumps(list(request)))))
        if kind == "error":
            raise EnclaveRefused(*rest)
        return rest[0]


@contextmanager
def local_enclave(dc: DataCentreSide) -> Iterator[LocalEnclave]:
    attester = FakeAttester({"meter.py": SCRIPT, "dc.pub": dc.pin.to_text().encode()})
    with loaded(Path("elsewhere/meter.py"), attester) as enclave:
        yield LocalEnclave(Service(enclave, attester, os.urandom, "meter.py"))
