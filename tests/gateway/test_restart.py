"""What was acknowledged is there after any end of the process, sessions go on, and keys at rest grow old and die."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Event, Semaphore, Thread

import pytest

from intaglio.errors import Unavailable
from intaglio.gateway.config import Misconfigured
from intaglio.gateway.housekeeping import Housekeeping
from intaglio.gateway.keystore import Keystore
from intaglio.gateway.query import Reader
from intaglio.gateway.server import Gateway
from intaglio.session.enclave import EnclaveChannel
from intaglio.types import UnixTime
from intaglio.wire import cbor
from intaglio.wire.content import Record
from tests.conftest import ROOT
from tests.gateway.test_frames import reasons
from tests.gateway.world import DAY, HOUR, HUNDRED, NOON, World, ask, told

SEQ = {"Content-Type": "application/cbor-seq"}
MAX_FRAMES = 30_000
"""All of a session's together are one delivery in the end, of less than 4 MiB."""


def number(n: int) -> Record:
    return Record("number", "application/cbor", cbor.encode(n))


@contextmanager
def victim(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A gateway as a child process, which is gone in the end whatever the test did with it."""
    command = [sys.executable, "-m", "tests.gateway.victim", str(folder), str(NOON)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://")
            yield process, url
        finally:
            process.kill()


def hello(world: World, url: str) -> EnclaveChannel:
    guest = world.guest(ask(url, "GET", "/v1/offer").body)
    return guest.accept(ask(url, "POST", "/v1/hello", guest.hello).body)


class Sender(Thread):
    """A host that delivers one session's records as fast as answers come, until the gateway is gone."""

    def __init__(self, url: str, channel: EnclaveChannel) -> None:
        super().__init__()
        self.url = url
        self.channel = channel
        self.frames = [channel.farewell]
        self.acknowledged = 0
        self.wrong: str | None = None
        """What was answered that should not have been: an exception of a thread fails no test."""

    def run(self) -> None:
        while len(self.frames) < MAX_FRAMES:
            batch = [self.channel.up.protect([number(len(self.frames) + n)]) for n in range(3)]
            self.frames += batch
            try:
                reply = ask(self.url, "POST", "/v1/frames", b"".join(self.frames[self.acknowledged :]), SEQ)
            except (OSError, HTTPException):
                return
            if reply.status != 200:
                self.wrong = f"{reply.status} {reply.body[:200]!r}"
                return
            self.acknowledged = len(self.frames)


def test_killed_under_load_nothing_acknowledged_is_lost_or_doubled(world: World, tmp_path: Path) -> None:
    """At random points, ten times; `make soak` does it two hundred times."""
    (tmp_path / "collateral").mkdir()
    (tmp_path / "collateral" / "alpha.json").write_bytes(world.lab.collateral("alpha", NOON))
    seed = os.environ.get("INTAGLIO_SOAK_SEED") or os.urandom(4).hex()
    chance = random.Random(seed)  # noqa: S311  # when a process dies is no secret
    senders: list[Sender] = []
    for attempt in range(int(os.environ.get("INTAGLIO_SOAK_KILLS", "10"))):
        with victim(tmp_path) as (process, url):
            # A third session begins with its host's first answers, half-way.
            wanted = 2 if attempt < 5 else 3
            senders = [resumed(old, url) for old in senders]
            senders += [Sender(url, hello(world, url)) for _ in range(wanted - len(senders))]
            goal = senders[0].acknowledged + chance.randrange(60)
            for sender in senders:
                sender.start()
            while senders[0].acknowledged < goal and all(sender.is_alive() for sender in senders):
                senders[0].join(chance.random() / 500)
            process.send_signal(signal.SIGKILL)
            for sender in senders:
                sender.join(20)
                assert not sender.is_alive(), f"seed {seed}"
                assert sender.wrong is None, f"seed {seed}: {sender.wrong}"
            assert senders[0].acknowledged >= goal, f"seed {seed}"
    with victim(tmp_path) as (process, url):
        for sender in senders:
            reply = ask(url, "POST", "/v1/frames", b"".join(sender.frames), SEQ).json
            assert reply["duplicate"] >= sender.acknowledged, f"seed {seed}"
            assert reply["stored"] + reply["duplicate"] == len(sender.frames), f"seed {seed}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    with Reader(world.settings.database) as reader:
        for sender in senders:
            found = all_values(reader, sender.channel)
            assert found == list(range(1, len(sender.frames))), f"seed {seed}"


def resumed(old: Sender, url: str) -> Sender:
    """The same host after the gateway came back: it sends again what was not acknowledged."""
    new = Sender(url, old.channel)
    new.frames, new.acknowledged = old.frames, old.acknowledged
    return new


def all_values(reader: Reader, channel: EnclaveChannel) -> list[int]:
    values: list[tuple[int, int]] = []
    after = 0
    while page := reader.records(after=after, limit=1000, session=channel.up.session):
        values += [(record.sequence, int(str(cbor.decode(record.value, "value")))) for record in page]
        after = page[-1].id
    return [value for _, value in sorted(values)]


def test_a_restart_keeps_sessions_numbers_and_epochs(world: World) -> None:
    with world.gateway() as dc:
        _, channel = dc.session()
        first = [channel.farewell, channel.up.protect([HUNDRED]), channel.up.rekey()]
        skipped = channel.up.protect([HUNDRED])
        second = channel.up.protect([HUNDRED])
        assert dc.frames(*first, second).json == told(stored=4)
    with world.gateway() as dc:
        third = channel.up.protect([HUNDRED])
        assert dc.frames(*first, skipped, second, third).json == told(stored=2, duplicate=4)
    with world.reader() as reader:
        (session,) = reader.sessions()
        assert (session.frames, session.records, session.missing, session.replays) == (6, 4, 0, 4)


def test_after_a_crash_the_numbers_are_read_back_from_the_frames(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash writes no state back: what stands in the row is older than the frames."""
    monkeypatch.setattr("intaglio.gateway.live.LiveSessions.save_all", lambda *_: None)
    with world.gateway() as dc:
        _, channel = dc.session()
        frames = [channel.up.protect([HUNDRED]) for _ in range(50)]
        assert dc.frames(*frames[::3]).json == told(stored=17)
    with world.gateway() as dc:
        assert dc.frames(*frames).json == told(stored=33, duplicate=17)


def test_sessions_pushed_out_of_memory_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intaglio.gateway.live.LiveSessions.__init__.__defaults__", (1,))
    with world.gateway() as dc:
        channels = [dc.session()[1] for _ in range(3)]
        for _ in range(2):
            for channel in channels:
                assert dc.frames(channel.up.protect([HUNDRED])).json == told(stored=1)
        frames = [channel.farewell for channel in channels]
        assert dc.frames(*frames).json == told(stored=3)
        assert dc.frames(*frames).json == told(duplicate=3)


def test_a_failed_commit_is_no_acknowledgement_and_no_loss(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.gateway() as dc:
        _, channel = dc.session()
        dc.frames(channel.farewell)
        frame = channel.up.protect([HUNDRED])
        flush = "intaglio.gateway.live.LiveSessions.flush"

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(flush, full)
            reply = dc.frames(frame)
            assert (reply.status, reply.json["error"]) == (503, "unavailable")
            assert int(reply.headers["retry-after"]) >= 1
            assert dc.ask("GET", "/v1/health/ready").status == 503
        assert dc.ask("GET", "/v1/health/ready").status == 200
        assert dc.frames(frame).json == told(stored=1)
        assert dc.frames(frame).json == told(duplicate=1)


def test_two_gateways_do_not_share_a_folder(world: World) -> None:
    with world.gateway(), pytest.raises(Misconfigured, match="another gateway runs"):
        Gateway(world.settings, clock=world.clock)
    with world.gateway():
        pass


def test_wrapping_keys_change_daily_and_old_ones_die(world: World) -> None:
    with world.gateway() as dc:
        _, channel = dc.session()
        for day in range(1, 4):
            world.clock.now = NOON + day * DAY
            dc.gateway.turn()
            (key,) = Keystore.open(world.settings.keystore, world.settings.secret).wrapping
            assert key.number == day + 1
        assert dc.frames(channel.farewell).json == told(stored=1)
    with world.gateway() as dc:
        late = channel.up.protect([HUNDRED])
        assert dc.frames(late).json == told(stored=1)


def test_an_old_back_up_opens_nothing_once_its_key_is_destroyed(world: World, tmp_path: Path) -> None:
    """The database of yesterday with the keystore of today: the session is known and its frames have to wait."""
    with world.gateway() as dc:
        _, channel = dc.session()
    backup = world.settings.database.read_bytes()
    world.clock.now += DAY
    with world.gateway() as dc:
        dc.gateway.turn()
    world.settings.database.write_bytes(backup)
    world.clock.now -= HOUR
    with world.gateway() as dc:
        assert dc.frames(channel.farewell).json == told(pending=[0])


def test_a_row_moved_to_another_session_does_not_open(world: World) -> None:
    with world.gateway() as dc:
        channels = [dc.session()[1] for _ in range(2)]
    connection = sqlite3.connect(world.settings.database)
    connection.execute("UPDATE sessions SET up_state = (SELECT up_state FROM sessions WHERE id = 1) WHERE id = 2")
    connection.commit()
    connection.close()
    with world.gateway() as dc:
        assert dc.frames(channels[0].farewell).json == told(stored=1)
        assert dc.frames(channels[1].farewell).json == told(pending=[0])
        assert reasons(dc) == {}


def test_state_in_the_database_is_wrapped(world: World) -> None:
    with world.gateway() as dc:
        _, channel = dc.session()
        dc.frames(channel.farewell, channel.up.rekey())
    keystore = Keystore.open(world.settings.keystore, world.settings.secret)
    files = b"".join(path.read_bytes() for path in world.settings.folder.iterdir())
    assert keystore.wrapping[-1].key not in files
    connection = sqlite3.connect(world.settings.database)
    ((session, epoch, state),) = connection.execute("SELECT session, up_epoch, up_state FROM sessions")
    connection.close()
    assert (session, epoch) == (channel.up.session, 2)
    assert channel.up.session not in state


def test_a_store_that_takes_no_row_is_not_ready(world: World) -> None:
    """An empty commit succeeds on a full disk, too."""
    writing = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)

    def deny(action: int, *_: object) -> int:
        return sqlite3.SQLITE_DENY if action in writing else sqlite3.SQLITE_OK

    with world.gateway() as dc:
        dc.gateway._writer.submit(lambda connection: connection.set_authorizer(deny)).result()
        assert dc.ask("GET", "/v1/health/ready").status == 503
        dc.gateway._writer.submit(lambda connection: connection.set_authorizer(None)).result()
        assert dc.ask("GET", "/v1/health/ready").status == 200


@pytest.mark.parametrize("failure", [KeyError("a bug"), Unavailable("the store failed", retry_after=5)])
def test_housekeeping_outlives_whatever_it_meets(
    world: World, failure: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its thread offers and keys would grow old, and nobody would be told."""
    turn, turns, mended = Housekeeping.turn, Semaphore(0), Event()

    def failing(self: Housekeeping, at: UnixTime) -> None:
        turns.release()
        if not mended.is_set():
            raise failure
        turn(self, at)

    def two_more_turns() -> bool:
        """What the first of them found is known once the second began."""
        while turns.acquire(blocking=False):
            pass
        return all(turns.acquire(timeout=10) for _ in range(2))

    monkeypatch.setattr(Housekeeping, "turn", failing)
    monkeypatch.setattr("intaglio.gateway.server.EVERY", 0.01)
    with world.gateway() as dc:
        assert two_more_turns()
        reply = dc.ask("GET", "/v1/health/ready")
        assert (reply.status, reply.json) == (503, {"status": "not ready: housekeeping failed"})
        mended.set()
        assert two_more_turns()
        assert dc.ask("GET", "/v1/health/ready").status == 200
        (old,) = Keystore.open(world.settings.keystore, world.settings.secret).wrapping
        world.clock.now = NOON + DAY
        assert two_more_turns()
        (new,) = Keystore.open(world.settings.keystore, world.settings.secret).wrapping
        assert new.number > old.number
    logged = [record for record in caplog.records if record.getMessage().startswith("housekeeping failed")]
    assert {record.levelname for record in logged} == {"ERROR"}
    assert all(str(failure) in caplog.text and bool(r.exc_info) is isinstance(failure, KeyError) for r in logged)
