"""One keystore in two hands."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from intaglio.gateway import sealed_file
from intaglio.gateway.config import Misconfigured
from intaglio.gateway.keystore import KeyFile, Keystore
from intaglio.gateway.server import Gateway
from intaglio.wire.identity import Pin, Suite
from tests.gateway.world import World


def test_two_gateways_do_not_share_a_keystore(world: World, tmp_path: Path) -> None:
    """Each writes it whole: the keys of the one that wrote first would be lost, and its sessions with them."""
    other = replace(world.settings, folder=tmp_path / "other")
    with world.gateway(), pytest.raises(Misconfigured, match="another gateway"):
        Gateway(other, clock=world.clock)
    with Gateway(other, clock=world.clock):
        pass


def test_of_two_that_make_a_keystore_at_once_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the pin of the first would name a key that is gone."""
    secret = KeyFile.create(tmp_path / "key")
    path = tmp_path / "keystore"
    derive = sealed_file._derive
    pins: list[Pin] = []

    def slowly(*arguments: Any) -> bytes:
        monkeypatch.setattr(sealed_file, "_derive", derive)
        pins.append(Keystore.create(path, "dc.example", Suite.ED25519, secret))
        return derive(*arguments)

    monkeypatch.setattr(sealed_file, "_derive", slowly)
    with pytest.raises(FileExistsError):
        Keystore.create(path, "dc.example", Suite.ED25519, secret)
    assert Keystore.open(path, secret).pin == pins[0]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["key", "keystore"]


def test_a_copy_that_a_crash_left_does_not_outlive_the_next_start(world: World) -> None:
    """It is sealed under the same secret and holds keys that are destroyed later."""
    keystore = world.settings.keystore
    left = keystore.with_name(f".{keystore.name}.abc_1234")
    left.write_bytes(keystore.read_bytes())
    with world.gateway():
        assert not left.exists()
