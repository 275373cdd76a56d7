"""`keygen`: two files, neither of which is ever overwritten."""

import stat
from pathlib import Path

import pytest

from intaglio.gateway.keystore import KeyFile, Keystore, Passphrase
from intaglio.wire.identity import Pin, Suite
from tests.cli.conftest import run


def test_a_key_file_is_made_and_opens_the_keystore(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    assert run("keygen", "dc", "--out", tmp_path, "--key-file", secret, "--suite", "2").status == 0
    pin = Pin.from_text((tmp_path / "dc.pub").read_text())
    assert (pin.audience, pin.minimum_suite) == ("dc", Suite.ED25519_ML_DSA_65)
    assert Keystore.open(tmp_path / "dc.key", KeyFile(secret)).pin == pin
    for private in (tmp_path / "dc.key", secret):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_a_passphrase_comes_from_the_environment(tmp_path: Path) -> None:
    env = {"INTAGLIO_PASSPHRASE": "correct horse"}
    assert run("keygen", "dc", "--out", tmp_path, "--audience", "dc.example", env=env).status == 0
    assert Keystore.open(tmp_path / "dc.key", Passphrase("correct horse")).pin.audience == "dc.example"


@pytest.mark.parametrize("existing", ["dc.key", "dc.pub"])
def test_nothing_is_overwritten(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("precious")
    ran = run("keygen", "dc", "--out", tmp_path, "--key-file", tmp_path / "secret")
    assert ran.status == 2
    assert "exists already" in ran.err
    assert (tmp_path / existing).read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == [existing]


def test_without_a_person_and_without_a_secret_nothing_is_made(tmp_path: Path) -> None:
    ran = run("keygen", "dc", "--out", tmp_path)
    assert ran.status == 2
    assert "INTAGLIO_PASSPHRASE" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../dc", "a/b", "..", ""])
def test_a_name_is_not_a_path(tmp_path: Path, name: str) -> None:
    assert run("keygen", name, "--out", tmp_path, "--key-file", tmp_path / "secret").status == 2
    assert list(tmp_path.iterdir()) == []
