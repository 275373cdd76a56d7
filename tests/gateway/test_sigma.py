"""Sigma over HTTP: an application that speaks `sgx_ra_*` delivers records, and every attack on it has its answer."""

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from intaglio.errors import Malformed
from intaglio.gateway.config import Misconfigured
from intaglio.gateway.sigma import HANDSHAKE_SECONDS
from intaglio.gateway.sigma_key import create_sigma_key, open_sigma_key, pin_hash, read_pem_key
from intaglio.gateway.store.migrate import migrate
from intaglio.sigma.curve import ProviderKey
from intaglio.sigma.enclave import EnclaveSigma, SigmaChannel
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.cpu import LaunchOptions
from intaglio.sim.draft import launch
from intaglio.sim.signing import EnclaveTerms
from intaglio.sim.world import Lab
from intaglio.wire.content import Record
from intaglio.wire.sgx import AttributeFlag
from tests.gateway.world import DAY, HUNDRED, IMAGE, NOON, Dc, Reply, World, told

KEY = ProviderKey(0xC0FFEE)
KSS = AttributeFlag.MODE64 | AttributeFlag.KSS


@pytest.fixture
def world(tmp_path: Path, drawn_lab: Lab) -> World:
    world = World.make(tmp_path, drawn_lab.copy())
    create_sigma_key(tmp_path / "sp.key", world.settings.secret, KEY)
    return replace(world, settings=replace(world.settings, sigma_key=tmp_path / "sp.key"))


@pytest.fixture
def dc(world: World) -> Iterator[Dc]:
    with world.gateway() as running:
        yield running


@dataclass(frozen=True, slots=True)
class App:
    """An application with its enclave, as its host runs it."""

    dc: Dc
    enclave: EnclaveSigma
    attester: SimulatedAttester

    def post(self, what: str, body: bytes) -> Reply:
        return self.dc.ask("POST", f"/v1/sigma/{what}", body)

    def msg3(self) -> bytes:
        reply = self.post("msg1", self.enclave.msg1())
        assert reply.status == 200
        return self.enclave.msg3(reply.body, self.attester.evidence)

    def accepted(self) -> SigmaChannel:
        reply = self.post("msg3", self.msg3())
        assert reply.status == 200, reply.body
        return self.enclave.msg4(reply.body)


def app(dc: Dc, *, debug: bool = False) -> App:
    machine = dc.world.lab.machine()
    enclave = launch(dc.world.lab, machine, IMAGE, NOON, None, LaunchOptions(debug=debug))
    return App(dc, EnclaveSigma(KEY.public, os.urandom), SimulatedAttester(machine, enclave))


def refused(reply: Reply, reason: str) -> None:
    assert (reply.status, reply.json["reasons"]) == (403, [reason])


def test_records_of_sigma_are_stored_like_any_others(dc: Dc) -> None:
    application = app(dc)
    assert application.post("msg0", bytes(4)).body == b""
    channel = application.accepted()
    assert (channel.result.workload, channel.result.time) == ("meter", NOON)
    assert channel.result.expires == NOON + DAY
    frames = [channel.up.protect([HUNDRED]), channel.up.protect([HUNDRED, Record("note", "text/plain", b"hi")])]
    assert application.post("frames", frames[1] + frames[0]).json == told(stored=2)
    with dc.world.reader() as reader:
        (session,) = reader.sessions()
        assert (session.protocol, session.offer, session.tee, session.simulated) == ("sigma", None, "sgx", True)
        assert (session.frames, session.records, session.missing) == (2, 3, 0)
        assert session.session == channel.up.session
        assert [(r.name, r.value, r.workload, r.status) for r in reader.records()] == [
            ("get_size", b"\x18\x64", "meter", "ACCEPTED"),
            ("note", b"hi", "meter", "ACCEPTED"),
            ("get_size", b"\x18\x64", "meter", "ACCEPTED"),
        ]
    told_by_api = dc.api("sessions").json["sessions"][0]
    assert (told_by_api["protocol"], told_by_api["offer"]) == ("sigma", None)


def test_msg0_and_msg1_may_come_together(dc: Dc) -> None:
    application = app(dc)
    reply = application.post("msg1", bytes(4) + application.enclave.msg1())
    assert (reply.status, len(reply.body)) == (200, 168)
    assert reply.headers["content-type"] == "application/octet-stream"


def test_frames_are_stored_once(dc: Dc) -> None:
    application = app(dc)
    channel = application.accepted()
    frame = channel.up.protect([HUNDRED])
    assert application.post("frames", frame).json == told(stored=1)
    assert application.post("frames", frame + frame).json == told(duplicate=2)
    other = channel.up.protect([HUNDRED])
    altered = other[:-1] + bytes((other[-1] ^ 1,))
    reply = application.post("frames", other + altered)
    assert (reply.status, reply.json) == (403, told(stored=1, refused=[1]))
    with dc.world.reader() as reader:
        assert reader.sessions()[0].replays == 2
        assert [entry.reasons for entry in reader.quarantine()] == [("FRAME_AUTHENTICATION",)]


def test_a_restart_keeps_the_session(world: World) -> None:
    with world.gateway() as dc:
        channel = app(dc).accepted()
        first = channel.up.protect([HUNDRED])
        assert app(dc).post("frames", first).json == told(stored=1)
    with world.gateway() as dc:
        assert app(dc).post("frames", first).json == told(duplicate=1)
        assert app(dc).post("frames", channel.up.protect([HUNDRED])).json == told(stored=1)
        world.clock.now += DAY + 1
        assert app(dc).post("frames", channel.up.protect([HUNDRED])).json == told(stored=1)
    with world.reader() as reader:
        assert [record.status for record in reader.records()] == ["ACCEPTED", "ACCEPTED", "LATE"]


def test_keys_are_wrapped_anew_and_destroyed(world: World) -> None:
    with world.gateway() as dc:
        channel = app(dc).accepted()
        world.clock.now += DAY
        dc.gateway.turn()
        assert app(dc).post("frames", channel.up.protect([HUNDRED])).json == told(stored=1)
        world.clock.now += world.settings.spool_window + DAY
        dc.gateway.turn()
        reply = app(dc).post("frames", channel.up.protect([HUNDRED]))
        assert (reply.status, reply.json) == (403, told(refused=[0]))
    with world.reader() as reader:
        assert reader.sessions()[0].keys_destroyed


def test_frames_of_one_protocol_do_not_pass_for_the_others(dc: Dc) -> None:
    channel = app(dc).accepted()
    guest, main = dc.session()
    assert dc.frames(main.farewell).json == told(stored=1)
    # A frame of the main protocol that names the Sigma session, and the other way round.
    frame = main.up.protect([HUNDRED])
    relabelled = frame[:9] + channel.up.session + frame[25:]
    assert dc.frames(relabelled).json == told(refused=[0])
    sigma = channel.up.protect([HUNDRED])
    assert app(dc).post("frames", sigma[:8] + guest.session + sigma[24:]).json == told(refused=[0])
    assert dc.frames(frame).json == told(stored=1)
    assert app(dc).post("frames", sigma).json == told(stored=1)


def test_msg3_is_taken_once(dc: Dc) -> None:
    application = app(dc)
    msg3 = application.msg3()
    assert application.post("msg3", msg3).status == 200
    refused(application.post("msg3", msg3), "SIGMA_HANDSHAKE")


def test_msg3_that_comes_too_late_is_refused(dc: Dc) -> None:
    application = app(dc)
    msg3 = application.msg3()
    dc.world.clock.now += HANDSHAKE_SECONDS + 1
    refused(application.post("msg3", msg3), "SIGMA_HANDSHAKE")


def test_msg3_after_a_restart_is_refused(world: World) -> None:
    with world.gateway() as dc:
        msg3 = app(dc).msg3()
    with world.gateway() as dc:
        refused(app(dc).post("msg3", msg3), "SIGMA_HANDSHAKE")


def test_an_undecidable_msg3_may_come_again(dc: Dc) -> None:
    application = app(dc)
    msg3 = application.msg3()
    dc.world.source.down = True
    reply = application.post("msg3", msg3)
    assert (reply.status, reply.json["reasons"], reply.headers["retry-after"]) == (503, ["COLLATERAL_MISSING"], "7")
    dc.world.source.down = False
    dc.world.clock.now += 60
    reply = application.post("msg3", msg3)
    assert application.enclave.msg4(reply.body).result.workload == "meter"


def test_a_quote_of_another_handshake_is_refused(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that runs the enclave's part itself, and has a genuine quote of that enclave from another session."""
    honest = app(dc).msg3()[336:]
    monkeypatch.setattr("intaglio.sigma.enclave._quoted", lambda quote, wanted: quote(wanted))
    thief = app(dc)
    msg2 = thief.post("msg1", thief.enclave.msg1()).body
    refused(thief.post("msg3", thief.enclave.msg3(msg2, lambda _: honest)), "REPORT_DATA")
    thief = app(dc)
    msg2 = thief.post("msg1", thief.enclave.msg1()).body
    altered = thief.enclave.msg3(msg2, lambda wanted: honest[:368] + wanted + honest[432:])
    reply = thief.post("msg3", altered)
    assert (reply.status, reply.json["reasons"][0]) == (403, "QUOTE_SIGNATURE")


def test_a_debug_enclave_is_refused_and_quarantined(dc: Dc) -> None:
    application = app(dc, debug=True)
    refused(application.post("msg3", application.msg3()), "DEBUG_ENCLAVE")
    with dc.world.reader() as reader:
        (entry,) = reader.quarantine()
        assert (entry.what, entry.detail["message"], entry.reasons) == ("hello", "msg3", ("DEBUG_ENCLAVE",))
        assert reader.sessions() == []


@pytest.mark.parametrize(
    ("what", "body", "field"),
    [
        ("msg0", b"", "msg0.extended_epid_group_id"),
        ("msg1", bytes(67), "msg1.gid"),
        ("msg1", bytes(69), "msg1"),
        ("msg1", bytes(68), "msg1.g_a"),
        ("msg3", bytes(336), "msg3.quote"),
    ],
)
def test_malformed_messages_are_named(dc: Dc, what: str, body: bytes, field: str) -> None:
    reply = dc.ask("POST", f"/v1/sigma/{what}", body)
    assert (reply.status, reply.json["reason"], reply.json["field"]) == (400, "MALFORMED_MESSAGE", field)


def test_epid_groups_are_refused(dc: Dc) -> None:
    refused(dc.ask("POST", "/v1/sigma/msg0", b"\1\0\0\0"), "SIGMA_UNSUPPORTED")
    refused(dc.ask("POST", "/v1/sigma/msg1", b"\1\0\0\0" + KEY.public + bytes(4)), "SIGMA_UNSUPPORTED")
    refused(dc.ask("POST", "/v1/sigma/msg1", KEY.public + b"\1\0\0\0"), "SIGMA_UNSUPPORTED")


def test_what_is_too_large_is_not_read(dc: Dc) -> None:
    assert dc.ask("POST", "/v1/sigma/msg1", bytes(5000)).status == 413
    assert dc.ask("POST", "/v1/sigma/msg3", bytes((128 << 10) + 1)).status == 413
    assert dc.ask("GET", "/v1/sigma/msg1").status == 405


def test_a_body_of_frames_that_cannot_be_split_is_malformed(dc: Dc) -> None:
    reply = dc.ask("POST", "/v1/sigma/frames", b"ISF1")
    assert (reply.status, reply.json["field"]) == (400, "frames.direction")


def test_begun_handshakes_are_bounded(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intaglio.gateway.sigma.MAX_HANDSHAKES", 2)
    first, *others = (app(dc) for _ in range(3))
    msg3 = first.msg3()
    later = [each.msg3() for each in others]
    refused(first.post("msg3", msg3), "SIGMA_HANDSHAKE")
    assert [each.post("msg3", body).status for each, body in zip(others, later, strict=True)] == [200, 200]


def test_without_a_key_nothing_is_served(world: World) -> None:
    bare = replace(world, settings=replace(world.settings, sigma_key=None))
    with bare.gateway() as dc:
        assert dc.ask("POST", "/v1/sigma/msg1", bytes(68)).status == 404


def test_a_policy_that_changes_ends_sigma_sessions_too(world: World) -> None:
    with world.gateway() as dc:
        channel = app(dc).accepted()
    text = world.settings.policy.read_text()
    world.settings.policy.write_text(text.replace(IMAGE.mr_enclave().hex(), "00" * 32))
    with world.gateway() as dc:
        assert app(dc).post("frames", channel.up.protect([HUNDRED])).json == told(stored=1)
    with world.reader() as reader:
        assert [record.status for record in reader.records()] == ["LATE"]


def test_an_enclave_that_pins_by_config_id_pins_this_key(world: World) -> None:
    """`pin = "config_id"` means the provider's key here, and the data centre's identity in the main protocol."""
    text = world.settings.policy.read_text().replace('pin = "measured"', 'pin = "config_id"')
    world.settings.policy.write_text(text)
    with world.gateway() as dc:
        for config_id, status in ((pin_hash(KEY), 200), (world.pin.hash, 403)):
            machine = world.lab.machine()
            options = LaunchOptions(config_id=config_id + bytes(32))
            enclave = launch(world.lab, machine, IMAGE, NOON, EnclaveTerms(flags=KSS), options)
            application = App(dc, EnclaveSigma(KEY.public, os.urandom), SimulatedAttester(machine, enclave))
            reply = application.post("msg3", application.msg3())
            assert reply.status == status, reply.body
            if status == 403:
                assert reply.json["reasons"] == ["WRONG_PIN"]


def test_a_database_of_the_first_schema_keeps_its_sessions(world: World) -> None:
    with world.gateway() as dc:
        guest, channel = dc.session()
        assert dc.frames(channel.farewell).json == told(stored=1)
    database = world.settings.database
    with sqlite3.connect(database) as connection:
        for table in ("recalled_sessions", "recalls", "session_facts", "checkpoints", "chains", "named_tokens"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP TABLE down_frames")
        connection.execute("DROP TABLE down_items")
        connection.execute("DROP TABLE state_steps")
        connection.execute("DROP TABLE states")
        connection.execute("ALTER TABLE sessions DROP COLUMN protocol")
        connection.execute("ALTER TABLE frames DROP COLUMN salt")
        connection.execute("ALTER TABLE handshakes DROP COLUMN confirm_hash")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()
    migrate(database)
    with world.gateway() as dc:
        assert dc.frames(channel.up.protect([HUNDRED])).json == told(stored=1)
    with world.reader() as reader:
        (session,) = reader.sessions()
        assert (session.session, session.protocol) == (guest.session, "intaglio")
        assert session.offer


PEM = """-----BEGIN EC PRIVATE KEY-----
-----END EC PRIVATE KEY-----
"""


def test_the_keys_file(tmp_path: Path, world: World) -> None:
    secret = world.settings.secret
    assert open_sigma_key(tmp_path / "sp.key", secret).public == KEY.public
    with pytest.raises(Misconfigured):
        open_sigma_key(tmp_path / "other.key", secret)
    with pytest.raises(Malformed, match="not a Sigma key"):
        open_sigma_key(world.settings.keystore, secret)
    with pytest.raises(Malformed):
        read_pem_key(PEM.encode())
    with pytest.raises(Malformed):
        read_pem_key(b"")
