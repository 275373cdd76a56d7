"""What a gateway refuses to start with, and that a refused start leaves nothing behind."""

import socket
from dataclasses import replace

import pytest

from intaglio.errors import Malformed
from intaglio.gateway import sealed_file
from intaglio.gateway.config import DAY, Misconfigured
from intaglio.gateway.keystore import KeyFile, Keystore, Passphrase
from intaglio.gateway.server import Gateway, running
from tests.gateway.world import NOON, World, ask


@pytest.mark.parametrize(
    "change",
    [
        {"offer_lifetime": 1},
        {"offer_lifetime": 600},
        {"spool_window": -1},
        {"spool_window": 30 * DAY},
        {"quarantine_bytes": 1000},
        {"hello_workers": 0},
    ],
)
def test_settings_that_can_not_work_are_refused(world: World, change: dict[str, int]) -> None:
    with pytest.raises(Misconfigured):
        replace(world.settings, **change)  # type: ignore[arg-type]


def test_a_secret_is_not_shown(world: World) -> None:
    assert "hunter2" not in repr(replace(world.settings, secret=Passphrase("hunter2")))


def test_a_refused_start_leaves_nothing_behind(world: World) -> None:
    policy, root = world.settings.policy.read_text(), world.settings.lab_roots[0].read_text()
    wrong = KeyFile.create(world.settings.folder.parent / "wrong.key")
    with pytest.raises(Misconfigured, match="wrong key file"):
        Gateway(replace(world.settings, secret=wrong), clock=world.clock)
    world.settings.policy.write_text(policy.replace("debug = false", ""))
    with pytest.raises(Malformed, match="debug"):
        Gateway(world.settings, clock=world.clock)
    world.settings.policy.unlink()
    with pytest.raises(Misconfigured, match="policy"):
        Gateway(world.settings, clock=world.clock)
    world.settings.policy.write_text(policy)
    world.settings.lab_roots[0].write_text("no certificate")
    with pytest.raises(Malformed):
        Gateway(world.settings, clock=world.clock)
    assert not world.settings.database.exists()
    world.settings.lab_roots[0].write_text(root)
    with running(world.settings, clock=world.clock) as url:
        assert ask(url, "GET", "/v1/health/ready").status == 200


def test_a_port_that_is_taken_is_named(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = replace(world.settings, port=port)
        with pytest.raises(Misconfigured, match=f"127.0.0.1:{port}"), running(settings, clock=world.clock):
            pass


def test_a_keystore_never_grows_beyond_what_opens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keystore = Keystore.open(world.settings.keystore, world.settings.secret)
    monkeypatch.setattr(sealed_file, "MAX_CONTENT", 100)
    with pytest.raises(Misconfigured, match="at most 100"):
        keystore.add_wrapping_key(NOON)
    assert Keystore.open(world.settings.keystore, world.settings.secret).wrapping == ()
