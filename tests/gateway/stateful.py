"""An enclave that counts in a sealed state, run by the real SDK on a simulated platform, and the host that keeps its
blobs: honest unless a test says otherwise."""

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import cbor2

from intaglio.enclave.loading import loaded
from intaglio.enclave.serving import Service
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.draft import launch
from intaglio.sim.measure import Image, TrustedFile
from intaglio.wire.hello import Accept
from intaglio.wire.state import StateStep
from tests.gateway.world import NOON, POLICY, Dc, Reply, World

SCRIPT = b"""
from intaglio.enclave import Enclave

enclave = Enclave()
state = enclave.sealed_state()

@enclave.call
def count() -> int:
    number = int.from_bytes(state.value, "big") + 1
    state.update(number.to_bytes(8, "big"))
    return number

@enclave.call
def look() -> int:
    return int.from_bytes(state.value, "big")

@enclave.call
def fail() -> None:
    state.update(b"never")
    raise ValueError
"""


def image_of(world: World) -> Image:
    return Image((TrustedFile("counter.py", SCRIPT), TrustedFile("dc.pub", world.pin.to_text().encode())))


def expect_counters(world: World) -> None:
    """Before the gateway starts."""
    world.settings.policy.write_text(POLICY.format(measurement=image_of(world).mr_enclave().hex()))


@dataclass
class Host:
    """One machine's host. `blob` is the file that it keeps; `old` every blob that it was ever given."""

    dc: Dc
    blob: bytes | None = None
    old: list[bytes] = field(default_factory=list)

    def start(self) -> "Running":
        return Running(self, self.blob)

    def keep(self, blob: object) -> None:
        if isinstance(blob, bytes):
            self.blob = blob
            self.old.append(blob)


class Running:
    """One run of the enclave."""

    def __init__(self, host: Host, blob: bytes | None) -> None:
        self.host = host
        world = host.dc.world
        machine = world.lab.machine()
        attester = SimulatedAttester(machine, launch(world.lab, machine, image_of(world), NOON))
        self._stack = ExitStack()
        self.enclave = self._stack.enter_context(loaded(Path("elsewhere/counter.py"), attester))
        self._stack.close()  # the script is loaded; nothing else of it is imported later
        self.service = Service(self.enclave, attester, os.urandom, "counter.py")
        kind, kept = self.ask("restore", blob)
        assert kind == "restored"
        host.keep(kept)
        self.hello = b""

    def ask(self, *request: object) -> list[object]:
        answer: list[object] = cbor2.loads(cbor2.dumps(self.service.answer(cbor2.dumps(list(request)))))
        assert answer[0] != "error", answer
        return answer

    def greet(self) -> Reply:
        """A hello, and the data centre's answer."""
        kind, hello = self.ask("hello", self.host.dc.offer())
        assert kind == "hello"
        assert isinstance(hello, bytes)
        self.hello = hello
        return self.host.dc.hello(hello)

    def accept(self, reply: Reply) -> list[bytes]:
        """The frames that the enclave makes of the Accept."""
        assert reply.status == 200, reply.body
        Accept.parse(reply.body)
        _, frames = self.ask("accept", reply.body)
        assert isinstance(frames, list)
        return frames

    def begin(self) -> "Running":
        """A session, as an honest host begins one."""
        assert self.host.dc.frames(*self.accept(self.greet())).status == 200
        return self

    def make(self, call: str = "count", *, keep: bool = True) -> bytes:
        """The frame of a call; the blob is kept, unless the host is too slow for that."""
        kind, frames, *blob = self.ask("call", call, [], {})
        assert kind == ("sealed" if blob else "frames")
        if blob and keep:
            self.host.keep(blob[0])
        assert isinstance(frames, list)
        return b"".join(frames)

    def count(self) -> Reply:
        return self.host.dc.frames(self.make())

    @property
    def step(self) -> StateStep:
        assert self.enclave.state is not None
        return self.enclave.state.claim()
