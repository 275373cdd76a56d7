"""An enclave with secrets and commands, run by the real SDK on a simulated platform, and what provisions it."""

import os
from contextlib import ExitStack
from pathlib import Path

import cbor2

from intaglio.enclave.calls import Enclave
from intaglio.enclave.loading import loaded
from intaglio.enclave.serving import Service
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.draft import launch
from intaglio.sim.measure import Image, TrustedFile
from intaglio.wire.frame import split_frames
from tests.cli.conftest import Ran, run
from tests.gateway.world import NOON, POLICY, Dc, Reply, World

SCRIPT = b"""
from intaglio.enclave import Enclave

enclave = Enclave()
enclave.secrets.declare("text", str)
ran = []

@enclave.call
def get_size() -> int:
    return 100

@enclave.command
def add(left: int, right: int = 1) -> int:
    ran.append(left)
    enclave.emit("runs", len(ran))
    return left + right

@enclave.command
def fail() -> None:
    ran.append(0)
    raise ValueError("a secret")
"""


STATEFUL = (
    SCRIPT
    + b"""
state = enclave.sealed_state()

@enclave.command
def keep(text: str) -> None:
    state.update(text.encode())
"""
)


def image_of(world: World, script: bytes = SCRIPT) -> Image:
    return Image((TrustedFile("vault.py", script), TrustedFile("dc.pub", world.pin.to_text().encode())))


def expect_vaults(world: World, script: bytes = SCRIPT) -> None:
    """Before the gateway starts."""
    world.settings.policy.write_text(POLICY.format(measurement=image_of(world, script).mr_enclave().hex()))


class Vault:
    """One run of the enclave, and its host's hands."""

    def __init__(self, dc: Dc, script: bytes = SCRIPT) -> None:
        self.dc = dc
        world = dc.world
        machine = world.lab.machine()
        attester = SimulatedAttester(machine, launch(world.lab, machine, image_of(world, script), NOON))
        with ExitStack() as stack:
            self.enclave: Enclave = stack.enter_context(loaded(Path("elsewhere/vault.py"), attester))
        self.service = Service(self.enclave, attester, os.urandom, "vault.py")
        self.session = b""

    def ask(self, *request: object) -> list[object]:
        answer: list[object] = cbor2.loads(cbor2.dumps(self.service.answer(cbor2.dumps(list(request)))))
        return answer

    def begin(self) -> "Vault":
        kind, hello = self.ask("hello", self.dc.offer())
        assert (kind, type(hello)) == ("hello", bytes)
        assert isinstance(hello, bytes)
        accept = self.dc.hello(hello)
        assert accept.status == 200, accept.body
        _, frames = self.ask("accept", accept.body)
        assert isinstance(frames, list)
        assert self.dc.frames(*frames).status == 200
        self.session = self.status["session"]  # type: ignore[assignment]
        return self

    @property
    def status(self) -> dict[str, object]:
        (_, status) = self.ask("status")
        assert isinstance(status, dict)
        return status

    def poll(self, first: int | None = None, session: bytes | None = None, dc: Dc | None = None) -> Reply:
        number = self.status["down"] if first is None else first
        named = (session or self.session).hex()
        return (dc or self.dc).ask("GET", f"/v1/down?session={named}&next={number}")

    def polled(self, first: int | None = None) -> list[bytes]:
        reply = self.poll(first)
        assert reply.status in (200, 204), reply.body
        return split_frames(reply.body) if reply.body else []

    def hand(self, frame: bytes) -> list[object]:
        return self.ask("down", frame)

    def fetch(self) -> int:
        """What an honest host does; gives how many frames came."""
        count = 0
        while frames := self.polled():
            for frame in frames:
                kind, answers = self.hand(frame)
                assert kind == "frames", answers
                assert isinstance(answers, list)
                assert self.dc.frames(*answers).status == 200
                count += 1
        return count


def keys(world: World) -> list[object]:
    key_file = world.settings.keystore.with_name("keystore.key")
    return ["--store", world.settings.folder, "--keystore", world.settings.keystore, "--key-file", key_file]


def put(world: World, name: str, value: bytes, *more: object, kind: str = "bytes") -> Ran:
    given = ["secret", "put", name, "--workload", "meter", "--type", kind, "--file", "-", *keys(world), *more]
    return run(*given, stdin=value)


def send(world: World, name: str, arguments: bytes = b"{}", *more: object) -> Ran:
    return run("command", "send", name, "--workload", "meter", "--file", "-", *keys(world), *more, stdin=arguments)


def shown(world: World, *command: object) -> Ran:
    return run(*command, "--store", world.settings.folder, "--json")
