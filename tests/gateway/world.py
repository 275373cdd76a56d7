"""A data centre, its enclaves and their host, for tests: the real gateway and verifier, the simulator's real quotes."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from intaglio.errors import Unavailable
from intaglio.gateway.config import Settings
from intaglio.gateway.keystore import KeyFile, Keystore
from intaglio.gateway.query import Reader
from intaglio.gateway.server import Gateway, serving
from intaglio.session.enclave import EnclaveChannel, EnclaveHandshake
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.cpu import LaunchOptions
from intaglio.sim.draft import launch
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.world import Lab
from intaglio.types import Tee, UnixTime
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.collateral_request import CollateralRequest, DcapRequest
from intaglio.wire.content import Record
from intaglio.wire.identity import Pin, Suite

NOON = UnixTime(1_780_315_200)
"""2026-06-01T12:00:00Z."""
HOUR, DAY = 3600, 86400
IMAGE = Image((TrustedFile("meter.py", b"def get_size():\n    return 100\n"),))
HUNDRED = Record("get_size", "application/cbor", b"\x18\x64")

POLICY = """
[[accept]]
name = "meter"
tee = "sgx"
mr_enclave = ["{measurement}"]
tcb = ["UpToDate"]
advisories = []
min_tcb_evaluation_number = 1
debug = false
platforms = "any"
max_session_age = "24h"
max_offer_age = "2h"
heartbeat = "none"
pin = "measured"
"""


@dataclass(slots=True)
class Clock:
    """Tests move it; nobody sleeps."""

    now: int = NOON

    def __call__(self) -> UnixTime:
        return UnixTime(self.now)


@dataclass(slots=True)
class LabSource:
    """Collateral from the lab's PCS, in process; `down` makes it unavailable, `spoiled` breaks a signature,
    `issued` freezes its issue date."""

    lab: Lab
    down: bool = False
    spoiled: bool = False
    issued: UnixTime | None = None
    asked: int = 0
    _made: dict[UnixTime, DcapCollateral] = field(default_factory=dict)

    def get(self, request: CollateralRequest, at: UnixTime) -> DcapCollateral:
        assert request == DcapRequest(Tee.SGX, self.lab.records["alpha"].fmspc, "platform")
        self.asked += 1
        if self.down:
            raise Unavailable("the lab's PCS is down", retry_after=7)
        issued = self.issued or UnixTime(at - at % DAY)
        if issued not in self._made:
            self._made[issued] = DcapCollateral.parse_json(self.lab.collateral("alpha", issued))
        made = self._made[issued]
        return replace(made, tcb_info_signature=bytes(64)) if self.spoiled else made


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


@dataclass(slots=True)
class Guest:
    """An enclave's session seen from inside: its handshake, hello, and channel once accepted."""

    handshake: EnclaveHandshake
    hello: bytes

    @property
    def session(self) -> bytes:
        return self.handshake.session

    def early(self, *records: Record) -> bytes:
        """A frame of epoch 0."""
        return self.handshake.sender.protect(records or (HUNDRED,))

    def accept(self, accept: bytes) -> EnclaveChannel:
        return self.handshake.accept(accept)


@dataclass(slots=True)
class World:
    """One data centre in a folder, and everybody who talks to it."""

    settings: Settings
    pin: Pin
    lab: Lab
    clock: Clock
    source: LabSource

    @classmethod
    def make(cls, folder: Path, lab: Lab, suite: Suite = Suite.ED25519, **changes: object) -> "World":
        secret = KeyFile.create(folder / "keystore.key")
        pin = Keystore.create(folder / "keystore", "dc.example", suite, secret)
        (folder / "policy.toml").write_text(POLICY.format(measurement=IMAGE.mr_enclave().hex()))
        (folder / "root.pem").write_text(lab.root_pem)
        source = LabSource(lab)
        settings = Settings(
            folder=folder / "data",
            keystore=folder / "keystore",
            secret=secret,
            policy=folder / "policy.toml",
            collateral=(source,),
            port=0,
            lab_roots=(folder / "root.pem",),
        )
        return cls(replace(settings, **changes), pin, lab, Clock(), source)  # type: ignore[arg-type]

    @contextmanager
    def gateway(self) -> Iterator["Dc"]:
        with Gateway(self.settings, clock=self.clock) as gateway, serving(gateway) as url:
            yield Dc(self, gateway, url)

    def guest(self, offer: bytes, image: Image = IMAGE, *, debug: bool = False, pin: Pin | None = None) -> Guest:
        """A new enclave that took `offer` and made its hello."""
        machine = self.lab.machine()
        enclave = launch(self.lab, machine, image, NOON, None, LaunchOptions(debug=debug))
        attester = SimulatedAttester(machine, enclave)
        handshake = EnclaveHandshake(pin or self.pin, attester.tee, os.urandom)
        handshake.offer(offer)
        return Guest(handshake, handshake.hello(attester.evidence, {}))

    def reader(self) -> Reader:
        return Reader(self.settings.database)


@dataclass(slots=True)
class Dc:
    """A gateway that is running."""

    world: World
    gateway: Gateway
    url: str

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        return ask(self.url, method, path, body, headers)

    def offer(self) -> bytes:
        reply = self.ask("GET", "/v1/offer")
        assert reply.status == 200
        return reply.body

    def hello(self, hello: bytes) -> Reply:
        return self.ask("POST", "/v1/hello", hello, {"Content-Type": "application/cbor"})

    def frames(self, *frames: bytes) -> Reply:
        kind = "application/cose" if len(frames) == 1 else "application/cbor-seq"
        return self.ask("POST", "/v1/frames", b"".join(frames), {"Content-Type": kind})

    def api(self, path: str) -> Reply:
        token = self.world.settings.token_file.read_text().strip()
        return self.ask("GET", f"/api/v1/{path}", None, {"Authorization": f"Bearer {token}"})

    def guest(self) -> Guest:
        return self.world.guest(self.offer())

    def session(self) -> tuple[Guest, EnclaveChannel]:
        """A guest that was accepted."""
        guest = self.guest()
        reply = self.hello(guest.hello)
        assert reply.status == 200, reply.body[:200]
        return guest, guest.accept(reply.body)


def ask(url: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def told(stored: int = 0, duplicate: int = 0, **lists: list[int]) -> dict[str, object]:
    """The JSON that answers frames."""
    empty: dict[str, object] = {"pending": [], "unknown": [], "refused": []}
    return {"stored": stored, "duplicate": duplicate, **empty, **lists}
