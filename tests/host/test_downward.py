"""What the host does for the downward direction: it asks, hands over and sends the answers, and is no worse off where
the data centre or the network answers nonsense. And the example, as processes."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cbor2
import pytest

from intaglio.gateway.server import running
from intaglio.host.relay import Fate, Relay
from intaglio.sim.loader import measure
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from intaglio.wire.content import Record
from intaglio.wire.downward import SECRET_NAME, SECRET_TYPE, Secret, SecretKind
from tests.cli.conftest import run
from tests.conftest import ROOT
from tests.enclave.world import DataCentreSide
from tests.gateway.world import POLICY, World
from tests.host.enclave import LocalEnclave, local_enclave
from tests.host.gateway import Answer, Gateway, serving


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def enclave(gateway: Gateway) -> Iterator[LocalEnclave]:
    with local_enclave(gateway.dc) as made:
        yield made


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def frame_for(dc: DataCentreSide, session: bytes) -> bytes:
    secret = Secret(os.urandom(16), "key", 1, SecretKind.BYTES, b"one")
    return dc.accepted[session].down_sender(session).protect([Record(SECRET_NAME, SECRET_TYPE, secret.encode())])  # type: ignore[arg-type]


def path_of(enclave: LocalEnclave) -> str:
    status = enclave.status()
    session = status["session"]
    assert isinstance(session, bytes)
    return f"/v1/down?session={session.hex()}&next={status['down']}"


def test_a_relay_brings_it_down_and_sends_the_answer(gateway: Gateway, enclave: LocalEnclave) -> None:
    with serving(gateway) as url, Relay(enclave, url, down_every=0.02) as relay:
        until(lambda: enclave.status()["state"] == "established")
        session = enclave.status()["session"]
        assert isinstance(session, bytes)
        gateway.next_answers[path_of(enclave)] = [Answer(200, frame_for(gateway.dc, session))]
        until(lambda: enclave.status()["down"] == 1)
        until(lambda: relay.flush(1) == 0 and len(gateway.order) > 1)
        names = [record.name for data in gateway.order for record in gateway.dc.records(data)]
        assert names == ["intaglio.ack"]
    assert enclave.service._enclave.secrets["key"] == b"one"


@pytest.mark.parametrize(
    "answer",
    [Answer(200, b"\xff" * 50), Answer(200, b"\xd0\x83"), Answer(500, b""), Answer(302, b""), Answer(400, b"{}")],
)
def test_nonsense_changes_nothing_and_calls_go_on(gateway: Gateway, enclave: LocalEnclave, answer: Answer) -> None:
    with serving(gateway) as url, Relay(enclave, url, down_every=0.02) as relay:
        until(lambda: enclave.status()["state"] == "established")
        path = path_of(enclave)
        gateway.next_answers[path] = [answer] * 3
        until(lambda: not gateway.next_answers[path])
        assert relay.call("echo", 100).fate is Fate.STORED
        assert enclave.status()["down"] == 0


def test_a_frame_that_comes_again_is_handed_over_and_refused(gateway: Gateway, enclave: LocalEnclave) -> None:
    with serving(gateway) as url, Relay(enclave, url, down_every=0.02) as relay:
        until(lambda: enclave.status()["state"] == "established")
        session = enclave.status()["session"]
        assert isinstance(session, bytes)
        frame = frame_for(gateway.dc, session)
        gateway.next_answers[path_of(enclave)] = [Answer(200, frame + frame)]
        until(lambda: enclave.status()["down"] == 1)
        again = path_of(enclave)
        gateway.next_answers[again] = [Answer(200, frame)]
        until(lambda: not gateway.next_answers[again])
        assert relay.call("echo", 100).fate is Fate.STORED
        assert enclave.status()["down"] == 1


def test_the_example(tmp_path: Path) -> None:
    """examples/billing.py: no key, then the key and another rate, then a newer key."""
    Lab.create(tmp_path / "lab", UnixTime(int(time.time())))
    (tmp_path / "dc").mkdir()
    world = World.make(tmp_path / "dc", Lab.open(tmp_path / "lab"))
    world.clock.now = int(time.time())
    for name in ("vault.py", "billing.py"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    (tmp_path / "dc.pub").write_text(world.pin.to_text())
    world.settings.policy.write_text(POLICY.format(measurement=measure(tmp_path / "vault.py").hex()))
    keys = ["--store", world.settings.folder, "--keystore", world.settings.keystore]
    keys += ["--key-file", world.settings.keystore.with_name("keystore.key"), "--file", "-"]

    def answered(*command: str) -> Callable[[], bool]:
        def look() -> bool:
            found = run(*command, "--store", world.settings.folder, "--json").json
            return all(each.get("answered", 1) and each.get("state", "taken") == "taken" for each in found)

        return look

    with running(world.settings) as url:
        runner = [sys.executable, "-m", "intaglio.sim.run", "--lab", str(tmp_path / "lab"), "--platform", "alpha"]
        command = [sys.executable, str(tmp_path / "billing.py"), url, "--", *runner]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as host:
            assert host.stdin is not None
            assert host.stdout is not None
            assert host.stdout.readline() == "bill: stored\n"
            for key in (b"one", b"two"):
                put = ["secret", "put", "signing-key", "--workload", "meter", "--type", "text", *keys]
                assert run(*put, stdin=key).status == 0
                if key == b"one":
                    send = ["command", "send", "set_rate", "--workload", "meter", *keys]
                    assert run(*send, stdin=b'{"cents": 31}').status == 0
                until(answered("secret", "list"))
                until(answered("command", "list"))
                host.stdin.write("\n")
                host.stdin.flush()
                assert host.stdout.readline() == "bill: stored\n"
            host.stdin.close()
            assert host.wait(30) == 0
    with world.reader() as reader:
        bills = [cbor2.loads(record.value) for record in reader.records(name="bill")]
    assert bills[0] == {"type": "CallError", "message": "no signing key yet"}
    assert [(bill["amount"], bill["key"]) for bill in bills[1:]] == [(3100, 1), (3100, 2)]
    assert bills[1]["tag"] != bills[2]["tag"]
