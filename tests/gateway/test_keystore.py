"""The keystore: what opens it, what refuses, and that a change is on disk whole or not at all."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from intaglio.errors import LocalProtocolError, Malformed
from intaglio.gateway import sealed_file
from intaglio.gateway.config import Misconfigured
from intaglio.gateway.keystore import KeyFile, Keystore, Passphrase
from intaglio.session.kem import KemPrivateKey
from intaglio.session.offers import OfferTerms, check_offer, make_offer
from intaglio.types import UnixTime
from intaglio.wire.identity import Pin, Suite
from tests.gateway.world import NOON


@dataclass(frozen=True)
class Made:
    path: Path
    secret: KeyFile
    pin: Pin

    def open(self) -> Keystore:
        return Keystore.open(self.path, self.secret)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    secret = KeyFile.create(tmp_path / "key")
    return Made(tmp_path / "keystore", secret, Keystore.create(tmp_path / "keystore", "dc", Suite.ED25519, secret))


@pytest.mark.parametrize("suite", Suite)
def test_what_was_created_is_what_opens(tmp_path: Path, suite: Suite) -> None:
    secret = Passphrase("correct horse")
    pin = Keystore.create(tmp_path / "keystore", "dc.example", suite, secret)
    keystore = Keystore.open(tmp_path / "keystore", secret)
    assert keystore.pin == pin == Pin.from_text(pin.to_text())
    assert keystore.signer.suite is suite
    assert keystore.signer.keys.public == pin.identities[0]
    assert stat.S_IMODE((tmp_path / "keystore").stat().st_mode) == 0o600


def test_a_wrong_passphrase_is_told_from_damage(tmp_path: Path) -> None:
    path = tmp_path / "keystore"
    Keystore.create(path, "dc", Suite.ED25519, Passphrase("right"))
    with pytest.raises(Misconfigured, match="wrong passphrase"):
        Keystore.open(path, Passphrase("wrong"))
    with pytest.raises(Misconfigured, match="is opened with a passphrase"):
        Keystore.open(path, KeyFile.create(tmp_path / "key"))


def test_a_wrong_key_file_is_named(made: Made, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="wrong key file"):
        Keystore.open(made.path, KeyFile.create(tmp_path / "other"))
    (tmp_path / "other").write_bytes(b"short")
    with pytest.raises(Misconfigured, match="has 32 bytes, this one 5"):
        Keystore.open(made.path, KeyFile(tmp_path / "other"))


def test_no_byte_may_change_and_none_may_be_missing(made: Made) -> None:
    good = made.path.read_bytes()
    for position in range(len(good)):
        for damaged in (good[:position] + bytes((good[position] ^ 1,)) + good[position + 1 :], good[:position]):
            made.path.write_bytes(damaged)
            with pytest.raises((Malformed, Misconfigured)):
                made.open()
    made.path.write_bytes(good + b"\0")
    with pytest.raises(Malformed):
        made.open()
    made.path.write_bytes(good)
    assert made.open().pin == made.pin


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_file_that_others_can_read_is_refused(made: Made, mode: int) -> None:
    made.path.chmod(mode)
    with pytest.raises(Misconfigured, match=f"mode {mode:04o} lets others read it; chmod 600"):
        made.open()
    made.path.chmod(0o600)
    made.secret.path.chmod(mode)
    with pytest.raises(Misconfigured, match="lets others read it"):
        made.open()


def test_a_link_or_a_folder_is_no_keystore(made: Made, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(made.path)
    for path in (tmp_path / "link", tmp_path, tmp_path / "missing"):
        with pytest.raises(Misconfigured):
            Keystore.open(path, made.secret)


def test_nothing_is_overwritten(made: Made) -> None:
    before = made.path.read_bytes()
    with pytest.raises(FileExistsError):
        Keystore.create(made.path, "dc", Suite.ED25519, made.secret)
    with pytest.raises(FileExistsError):
        KeyFile.create(made.secret.path)
    assert made.path.read_bytes() == before


def test_parameters_that_would_stall_us_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_file, "_MEMORY", 64)
    monkeypatch.setattr(sealed_file, "_MOST_MEMORY", 32)
    Keystore.create(tmp_path / "keystore", "dc", Suite.ED25519, Passphrase("p"))
    with pytest.raises(Malformed, match="out of range"):
        Keystore.open(tmp_path / "keystore", Passphrase("p"))


def test_an_empty_passphrase_is_none() -> None:
    with pytest.raises(Misconfigured):
        Passphrase("")


def test_secrets_have_no_repr(made: Made) -> None:
    keystore = made.open()
    keystore.add_wrapping_key(NOON)
    key = KemPrivateKey.generate(os.urandom)
    keystore.add_offer(b"offer", key, 1)
    shown = f"{keystore!r} {keystore.offers!r} {keystore.wrapping!r} {Passphrase('hunter2')!r} {keystore.signer!r}"
    secrets = (key.private_bytes(), keystore.wrapping[0].key, keystore.signer.keys.private_bytes())
    assert "hunter2" not in shown
    for secret in secrets:
        assert secret.hex() not in shown
        assert repr(secret) not in shown
        assert secret not in made.path.read_bytes()


def test_offer_keys_and_epochs_survive_and_are_destroyed(made: Made) -> None:
    keystore = made.open()
    terms = OfferTerms(NOON, NOON, NOON, 7, 0, bytes(32), "dc")
    offer = make_offer(terms, keystore.signer, os.urandom)
    keystore.add_offer(offer.data, offer.key, 7)
    again = made.open()
    assert again.offers[offer.hash].key.private_bytes() == offer.key.private_bytes()
    again.destroy_offers(frozenset((offer.hash,)))
    last = made.open()
    assert not last.offers
    assert last.highest_epoch == 7


def test_wrapping_keys_rise_and_the_newest_stays(made: Made) -> None:
    keystore = made.open()
    first, second = keystore.add_wrapping_key(NOON), keystore.add_wrapping_key(UnixTime(NOON + 1))
    assert (first.number, second.number) == (1, 2)
    with pytest.raises(LocalProtocolError):
        keystore.destroy_wrapping_key(2)
    keystore.destroy_wrapping_key(1)
    again = made.open()
    assert again.wrapping == (second,)
    with pytest.raises(Malformed, match="wrapping key 1 is not in the keystore"):
        again.wrapping_key(1)


@pytest.mark.parametrize("suite", Suite)
def test_a_delegated_keystore_signs_what_enclaves_accept_and_has_no_identity(tmp_path: Path, suite: Suite) -> None:
    secret = KeyFile.create(tmp_path / "key")
    pin = Keystore.create(tmp_path / "home", "dc", suite, secret)
    home = Keystore.open(tmp_path / "home", secret)
    home.delegate(tmp_path / "away", secret, epoch_from=NOON, epoch_to=NOON + 10)
    away = Keystore.open(tmp_path / "away", secret)
    assert away.pin == pin
    offer = make_offer(OfferTerms(NOON, NOON, NOON, NOON + 5, 0, bytes(32), "dc"), away.signer, os.urandom)
    assert not check_offer(pin, offer.data).by_identity
    with pytest.raises(LocalProtocolError, match="identity key is not in this keystore"):
        away.delegate(tmp_path / "further", secret, epoch_from=0, epoch_to=1)


def test_a_failed_write_leaves_the_old_file(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    keystore = made.open()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keystore.add_wrapping_key(NOON)
    assert keystore.wrapping == ()
    monkeypatch.undo()
    assert made.open().wrapping == ()
    assert sorted(path.name for path in made.path.parent.iterdir()) == ["key", "keystore"]
