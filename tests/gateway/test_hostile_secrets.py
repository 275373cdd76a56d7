"""A day of one session with every logger at DEBUG: no secret and no value but where it belongs, and none on disk that
opens what was closed."""

import logging
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from intaglio.errors import Malformed
from intaglio.gateway.keystore import Keystore
from intaglio.gateway.vault import Vault
from intaglio.session import schedule
from intaglio.session.channel import UpReceiver
from intaglio.types import Direction, SessionId
from intaglio.wire.content import Record
from tests.gateway.world import DAY, HUNDRED, World, told

PASSWORD = Record("the-name-of-a-record", "text/x-kind-of-a-record", b"correct horse battery staple")


def test_logs_and_files_hold_no_secret_and_no_value(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: set[bytes] = set()
    expand = schedule.epoch_keys

    def watched(secret: bytes, *context: object) -> bytes:
        made: bytes = expand(secret, *context)  # type: ignore[arg-type]
        drawn.update((secret, made, made[:32], made[32:44], made[44:]))
        return made

    monkeypatch.setattr(schedule, "epoch_keys", watched)
    with caplog.at_level(logging.DEBUG), world.gateway() as dc:
        guest, channel = dc.session()
        frames = [guest.early(PASSWORD), channel.farewell, channel.up.protect([PASSWORD]), channel.up.rekey()]
        dc.frames(*frames, frames[2][:-1] + b"\0", channel.up.protect([PASSWORD]))
        dc.frames(*frames)
        dc.frames(b"".join(frames) + PASSWORD.value)
        dc.hello(guest.hello[:-1] + b"\0")
        dc.hello(PASSWORD.value)
        dc.ask("GET", "/v1/" + PASSWORD.value.decode().replace(" ", "-"))
        world.clock.now += DAY
        dc.gateway.turn()
        token = world.settings.token_file.read_text().strip().encode()
        opened = Keystore.open(world.settings.keystore, world.settings.secret)
    keys = [key.key for key in opened.wrapping] + [offer.key.private_bytes() for offer in opened.offers.values()]
    keys += [part for key in keys for part in (key[:32], key[32:64]) if part]
    secrets = {*keys, *drawn, token, opened.signer.keys.private_bytes()[:32], world.settings.secret.read()}  # type: ignore[attr-defined]
    assert len(drawn) > 10
    logged = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records).encode()
    assert b"session accepted" in logged
    files = {path: path.read_bytes() for path in world.settings.folder.parent.rglob("*") if path.is_file()}
    for secret in secrets:
        for form in (secret, secret.hex().encode(), repr(secret).encode()[2:-1]):
            assert form not in logged
            for path, content in files.items():
                known = path == world.settings.token_file or path.name == "keystore.key"
                assert known or form not in content, path.name
    for value in (
        PASSWORD.value,
        PASSWORD.name.encode(),
        PASSWORD.content_type.encode(),
        PASSWORD.value.hex().encode(),
    ):
        assert value not in logged


def test_an_old_database_with_todays_keystore_opens_no_closed_epoch(world: World, tmp_path: Path) -> None:
    """Its pages, its WAL and what SQLite has not overwritten yet: after the day's turn the wrapping key is gone."""
    with world.gateway() as dc:
        _, channel = dc.session()
        assert dc.frames(channel.farewell).json == told(stored=1)
        shutil.copytree(world.settings.folder, tmp_path / "stolen")  # while it runs: database and WAL
        closed = channel.up.protect([HUNDRED])
        assert dc.frames(closed, channel.up.rekey()).json == told(stored=2)
        world.clock.now += DAY
        dc.gateway.turn()
        keystore = Keystore.open(world.settings.keystore, world.settings.secret)
    connection = sqlite3.connect(tmp_path / "stolen" / "gateway.db")
    ((session, epoch, state),) = connection.execute("SELECT session, up_epoch, up_state FROM sessions")
    connection.close()
    with pytest.raises(Malformed, match="not in the keystore"):
        Vault(keystore, bytes).unwrap(SessionId(session), Direction.UP, epoch, state)
    connection = sqlite3.connect(world.settings.database)
    ((session, epoch, state),) = connection.execute("SELECT session, up_epoch, up_state FROM sessions")
    connection.close()
    receiver = UpReceiver.parse(Vault(keystore, bytes).unwrap(SessionId(session), Direction.UP, epoch, state))
    assert receiver.epochs == (2,)


def test_the_same_hello_many_times_at_once_has_one_accept_and_one_session(world: World) -> None:
    with world.gateway() as dc:
        guest = dc.guest()
        early = guest.early()
        with ThreadPoolExecutor(12) as pool:
            hellos = [pool.submit(dc.hello, guest.hello) for _ in range(8)]
            frames = [pool.submit(dc.frames, early) for _ in range(4)]
            replies = [each.result() for each in hellos]
            statuses = {each.result().status for each in frames}
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body for reply in replies}) == 1
        assert statuses <= {200, 425, 404}
        channel = guest.accept(replies[0].body)
        assert dc.frames(channel.farewell, channel.up.protect([HUNDRED])).json == told(stored=2)
        assert dc.frames(early).status == 200
    with world.reader() as reader:
        (session,) = reader.sessions()
        assert (session.frames, session.missing) == (3, 0)


def test_a_store_that_was_a_labs_takes_nothing_simulated_afterwards(world: World) -> None:
    with world.gateway() as dc:
        _, channel = dc.session()
        assert dc.frames(channel.farewell).json == told(stored=1)
        offer = dc.offer()
        waiting = world.guest(offer)
    world.settings = replace(world.settings, lab_roots=())
    with world.gateway() as dc:
        frames = [channel.up.protect([HUNDRED]), channel.up.protect([HUNDRED])]
        assert dc.frames(*frames).json == told(stored=2)
        assert dc.hello(waiting.hello).status == 403
        status = dc.api("status").json
        assert (status["live_sessions"], status["late"], status["simulated"]) == (0, 2, True)
        records = dc.api("records").json["records"]
        assert {(record["status"], record["simulated"]) for record in records} == {("LATE", True)}
