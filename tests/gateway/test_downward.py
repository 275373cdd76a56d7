"""Secrets and commands on their way down: delivered once, rotated, revoked, and what a hostile host makes of them."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import cbor2
import pytest

from intaglio.sim.world import Lab
from intaglio.wire.content import Record
from intaglio.wire.downward import (
    ACK_NAME,
    ACK_TYPE,
    COMMAND_NAME,
    COMMAND_TYPE,
    Acknowledgement,
    Command,
    ItemOutcome,
)
from intaglio.wire.frame import parse_frame
from tests.cli.conftest import run
from tests.gateway.downward import STATEFUL, Vault, expect_vaults, image_of, keys, put, send, shown
from tests.gateway.world import DAY, HUNDRED, NOON, Dc, World, told

PLAIN = b"correct horse battery staple"


@pytest.fixture
def dc(tmp_path: Path, drawn_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dc]:
    world = World.make(tmp_path, drawn_lab.copy())
    expect_vaults(world)
    for module in ("secret", "command", "downward"):
        monkeypatch.setattr(f"intaglio.cli.{module}.time", SimpleNamespace(time=world.clock))
    with world.gateway() as running:
        yield running


def records(world: World, name: str) -> list[object]:
    with world.reader() as reader:
        return [cbor2.loads(record.value) for record in reader.records(name=name)]


def states(world: World, name: str) -> list[tuple[int, str]]:
    found = shown(world, "secret", "status", name, "--workload", "meter").json
    return [(version["version"], each["state"]) for version in found for each in version["sessions"]]


def on_disk(world: World) -> bytes:
    return b"".join(path.read_bytes() for path in world.settings.folder.iterdir() if path.is_file())


def test_a_secret_goes_down_once_and_is_acknowledged(dc: Dc) -> None:
    vault = Vault(dc).begin()
    assert vault.polled() == []
    assert put(dc.world, "text", PLAIN, kind="text").status == 0
    assert vault.fetch() == 1
    assert vault.enclave.secrets["text"] == PLAIN.decode()
    assert vault.polled() == []
    assert states(dc.world, "text") == [(1, "taken")]


def test_each_type_arrives_as_what_it_is(dc: Dc) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "raw", b"\xff\x00")
    put(dc.world, "text", "ÿ".encode(), kind="text")
    put(dc.world, "settings", b'{"a": [1, 2.5]}', kind="json")
    assert vault.fetch() == 3
    secrets = vault.enclave.secrets
    assert {name: secrets[name] for name in secrets} == {"raw": b"\xff\x00", "text": "ÿ", "settings": {"a": [1, 2.5]}}


def test_another_type_than_declared_is_refused_and_said(dc: Dc) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "text", PLAIN)
    vault.fetch()
    assert "text" not in vault.enclave.secrets
    assert states(dc.world, "text") == [(1, "refused")]


def test_a_new_version_replaces_the_old_and_its_value_is_destroyed(dc: Dc) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "key", b"one")
    vault.fetch()
    put(dc.world, "key", b"two")
    vault.fetch()
    assert (vault.enclave.secrets["key"], vault.enclave.secrets.version("key")) == (b"two", 2)
    assert states(dc.world, "key") == [(2, "taken"), (1, "taken")]
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        rows = connection.execute("SELECT version, blob IS NULL FROM down_items ORDER BY version").fetchall()
    assert rows == [(1, 1), (2, 0)]


def test_a_revoked_secret_is_forgotten_also_in_the_next_session_of_a_running_enclave(dc: Dc) -> None:
    first, second = Vault(dc).begin(), Vault(dc).begin()
    put(dc.world, "key", b"one")
    assert (first.fetch(), second.fetch()) == (1, 1)
    store = ["--store", dc.world.settings.folder]
    assert shown(dc.world, "secret", "revoke", "key", "--workload", "meter").json["version"] == 2
    first.fetch()
    assert "key" not in first.enclave.secrets
    second.begin().fetch()
    assert "key" not in second.enclave.secrets

    assert run("secret", "revoke", "key", "--workload", "meter", *store).status == 2


def test_a_revocation_reaches_those_to_whom_the_next_version_does_not_go(dc: Dc) -> None:
    vault, measured = Vault(dc).begin(), image_of(dc.world).mr_enclave().hex()
    put(dc.world, "key", b"one")
    assert vault.fetch() == 1
    shown(dc.world, "secret", "revoke", "key", "--workload", "meter")
    put(dc.world, "key", b"three", "--measurement", "ab" * 32)
    assert [item["version"] for item in shown(dc.world, "secret", "list").json] == [3]
    assert vault.fetch() == 1
    assert "key" not in vault.enclave.secrets
    put(dc.world, "key", b"four", "--measurement", measured)
    assert Vault(dc).begin().fetch() == 2
    put(dc.world, "key", b"five")
    assert vault.fetch() == 1
    assert Vault(dc).begin().fetch() == 1
    assert vault.enclave.secrets["key"] == b"five"


def test_only_the_enclaves_that_it_is_addressed_to_get_a_secret(dc: Dc) -> None:
    vault = Vault(dc).begin()
    measured = image_of(dc.world).mr_enclave().hex()
    put(dc.world, "ours", b"1", "--measurement", measured)
    put(dc.world, "theirs", b"2", "--measurement", "ab" * 32)
    put(dc.world, "stateful", b"3", "--lineage", "cd" * 16)
    put(dc.world, "elsewhere", b"4", "--workload", "other")
    assert vault.fetch() == 1
    assert list(vault.enclave.secrets) == ["ours"]


def test_each_session_gets_it_and_a_restarted_enclave_gets_it_anew(dc: Dc) -> None:
    put(dc.world, "key", b"one")
    for _ in range(2):
        vault = Vault(dc).begin()
        assert vault.fetch() == 1
        assert vault.enclave.secrets["key"] == b"one"
    assert states(dc.world, "key") == [(1, "taken")] * 2


def test_the_value_is_nowhere_but_in_the_enclave(dc: Dc, capfd: pytest.CaptureFixture[str]) -> None:
    vault = Vault(dc).begin()
    ran = put(dc.world, "text", PLAIN, kind="text")
    frames = vault.polled()
    assert PLAIN not in on_disk(dc.world)
    vault.fetch()
    for listed in (
        shown(dc.world, "secret", "list"),
        shown(dc.world, "secret", "status", "text", "--workload", "meter"),
    ):
        assert PLAIN.decode() not in listed.out
    assert PLAIN.decode() not in ran.out + ran.err + repr(vault.enclave.secrets) + "".join(capfd.readouterr())
    assert PLAIN not in b"".join(frames) + on_disk(dc.world)
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        (detail,) = connection.execute("SELECT detail FROM events WHERE kind = 'secret put'").fetchone()
    told = json.loads(detail)
    assert (told["name"], told["workload"], told["version"]) == ("text", "meter", 1)
    assert told["by"]


def test_what_is_no_text_is_refused_without_quoting_it(dc: Dc) -> None:
    for kind, value in (("text", b"\xffsecret"), ("json", b"{secret")):
        ran = put(dc.world, "text", value, kind=kind)
        assert ran.status == 2
        assert "secret" not in ran.err.replace("intaglio secret", "")
    assert put(dc.world, "text", b"").status == 2
    assert put(dc.world, "text", bytes(65_537)).status == 2


@pytest.mark.parametrize("odd", ["\udcff", "two\nlines", "\x1b[2J", "", "w" * 256])
def test_a_name_that_is_none_is_refused_and_keeps_nothing(dc: Dc, odd: str) -> None:
    store = ["--store", dc.world.settings.folder]
    assert run("secret", "revoke", odd, "--workload", "meter", *store).status == 2
    assert run("secret", "revoke", "key", "--workload", odd, *store).status == 2
    assert put(dc.world, odd, b"1").status == 2
    assert put(dc.world, "key", b"1", "--workload", odd).status == 2
    assert send(dc.world, odd).status == 2
    assert shown(dc.world, "secret", "list").json == []
    assert shown(dc.world, "command", "list").json == []


def test_another_keystore_is_refused(dc: Dc, tmp_path: Path, drawn_lab: Lab) -> None:
    (tmp_path / "other").mkdir()
    other = World.make(tmp_path / "other", drawn_lab.copy())
    given = [*keys(other)[2:], "--store", dc.world.settings.folder]

    ran = run("secret", "put", "key", "--workload", "meter", "--file", "-", *given, stdin=b"1")
    assert (ran.status, "not the keystore of this store" in ran.err) == (2, True)


# -- the host ----------------------------------------------------------------------------------------------------------


def test_a_dropped_frame_is_sent_again_as_the_same_bytes(dc: Dc) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "key", b"one")
    first = vault.polled()
    put(dc.world, "key", b"two")
    again = vault.polled()
    assert again[: len(first)] == first
    assert [parse_frame(frame).sequence for frame in again] == [0, 1]
    vault.fetch()
    assert vault.enclave.secrets["key"] == b"two"


def test_a_repeated_reordered_or_altered_frame_changes_nothing(dc: Dc) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "a", b"one")
    put(dc.world, "b", b"two")
    first, second = vault.polled()
    assert vault.hand(second)[1] == "rejected:OUT_OF_ORDER"
    altered = first[:-1] + bytes((first[-1] ^ 1,))
    assert vault.hand(altered)[1] == "rejected:FRAME_AUTHENTICATION"
    assert list(vault.enclave.secrets) == []
    assert vault.hand(first)[0] == "frames"
    assert vault.hand(first)[1] == "rejected:OUT_OF_ORDER"
    assert vault.fetch() == 1


def test_a_frame_of_another_session_is_refused(dc: Dc) -> None:
    ours, theirs = Vault(dc).begin(), Vault(dc).begin()
    put(dc.world, "key", b"one")
    (frame,) = theirs.polled()
    assert ours.hand(frame)[1] == "rejected:SESSION_UNKNOWN"
    assert ours.fetch() == 1


def test_a_frame_that_is_held_until_its_session_is_over_is_refused(dc: Dc) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "key", b"old")
    (frame,) = vault.polled()
    vault.begin()
    assert vault.hand(frame)[1] == "rejected:SESSION_UNKNOWN"
    put(dc.world, "key", b"new")
    vault.fetch()
    assert vault.enclave.secrets["key"] == b"new"
    vault.ask("end")
    assert vault.hand(frame)[:2] == ["error", "no-session"]


def test_a_session_that_is_over_gets_nothing(dc: Dc) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "key", b"one")
    dc.world.clock.now += DAY
    assert vault.poll().status == 404
    assert vault.poll(session=bytes(16)).status == 404


def test_what_is_no_question_is_refused_and_makes_no_frame(dc: Dc) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "key", b"one")
    named = vault.session.hex()
    for query in (
        "",
        f"session={named}",
        f"session={named}&next=-1",
        f"session={named}x&next=0",
        f"next=0&session={named}",
    ):
        assert dc.ask("GET", f"/v1/down?{query}").status == 400
    assert dc.ask("POST", f"/v1/down?session={named}&next=0", b"").status == 405
    assert vault.poll(first=7).status == 204
    assert [parse_frame(frame).sequence for frame in vault.polled()] == [0]


def test_one_answer_is_bounded_and_the_rest_follows(dc: Dc) -> None:
    vault = Vault(dc).begin()
    for number in range(11):
        put(dc.world, f"large-{number}", bytes(65_536))
    reply = vault.poll()
    assert len(reply.body) < 1 << 20
    assert vault.fetch() == 11


def test_an_enclave_that_dies_before_it_answers_gets_it_again_in_its_next_session(dc: Dc) -> None:
    vault = Vault(dc).begin()
    put(dc.world, "key", b"one")
    (frame,) = vault.polled()
    vault.hand(frame)  # its answer dies with it
    assert states(dc.world, "key") == [(1, "waiting")]
    assert vault.polled() == []
    after = Vault(dc).begin()
    assert (after.fetch(), after.enclave.secrets["key"]) == (1, b"one")
    assert sorted(states(dc.world, "key")) == [(1, "taken"), (1, "waiting")]
    dc.world.clock.now += DAY
    assert sorted(states(dc.world, "key")) == [(1, "taken"), (1, "unknown")]


def test_an_answer_to_what_was_never_sent_changes_nothing(dc: Dc) -> None:
    first, second = Vault(dc).begin(), Vault(dc).begin()
    send(dc.world, "add", b'{"left": 1}')
    (frame,) = first.polled()
    reference = bytes.fromhex(shown(dc.world, "command", "list").json[0]["reference"])
    channel = second.service._channel
    assert channel is not None
    ack = Acknowledgement(reference, ItemOutcome.TAKEN).encode()
    assert dc.frames(channel.up.protect([Record(ACK_NAME, ACK_TYPE, ack)])).status == 200
    assert listed(dc.world) == ["sent"]
    assert first.polled() == [frame]
    assert dc.frames(channel.up.protect([Record(ACK_NAME, ACK_TYPE, ack[:-1])])).status == 403


@pytest.mark.parametrize("cut", [0, 1])
def test_what_a_script_emits_is_no_answer(dc: Dc, cut: int) -> None:
    vault = Vault(dc).begin()
    send(dc.world, "add", b'{"left": 1}')
    (frame,) = vault.polled()
    channel = vault.service._channel
    assert channel is not None
    ack = Acknowledgement(bytes.fromhex(shown(dc.world, "command", "list").json[0]["reference"]), ItemOutcome.TAKEN)
    emitted = Record(ACK_NAME, ACK_TYPE, ack.encode()[: -cut or None])
    assert dc.frames(channel.up.protect([emitted, HUNDRED])).json == told(stored=1)
    assert listed(dc.world) == ["sent"]
    assert vault.polled() == [frame]


# -- commands ----------------------------------------------------------------------------------------------------------


def listed(world: World) -> list[str]:
    return [each["state"] for each in shown(world, "command", "list").json]


def test_a_command_runs_once_in_one_enclave_and_its_result_is_a_record(dc: Dc) -> None:
    first, second = Vault(dc).begin(), Vault(dc).begin()
    assert send(dc.world, "add", b'{"left": 40, "right": 2}').status == 0
    assert listed(dc.world) == ["waiting"]
    (frame,) = first.polled()
    assert (second.polled(), listed(dc.world)) == ([], ["sent"])
    _, answers = first.hand(frame)
    assert isinstance(answers, list)
    assert dc.frames(*answers).status == 200
    assert (records(dc.world, "add"), records(dc.world, "runs"), listed(dc.world)) == ([42], [1], ["taken"])
    assert (first.polled(), first.begin().polled(), second.polled()) == ([], [], [])
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        assert connection.execute("SELECT blob FROM down_items").fetchall() == [(None,)]


def test_the_same_id_never_runs_twice(dc: Dc) -> None:
    from intaglio.wire.content import Record

    vault = Vault(dc).begin()
    record = Record(COMMAND_NAME, COMMAND_TYPE, Command(bytes(16), "add", b'{"left": 1}').encode())
    first, second = vault.enclave.deliver([record]), vault.enclave.deliver([record])
    assert [each.name for each in first] == ["runs", "add", "intaglio.ack"]
    assert second == first[-1:]


def test_what_a_command_raises_and_what_is_none_are_told_apart(dc: Dc) -> None:
    vault = Vault(dc).begin()
    for name, arguments in (("fail", b"{}"), ("get_size", b"{}"), ("add", b'{"left": "x"}')):
        send(dc.world, name, arguments)
    assert vault.fetch() == 3
    assert listed(dc.world) == ["failed", "refused", "failed"]
    with dc.world.reader() as reader:
        assert not any(b"a secret" in record.value for record in reader.records())


def test_the_host_can_run_no_command(dc: Dc) -> None:
    vault = Vault(dc).begin()
    assert vault.ask("call", "add", [1], {})[:2] == ["error", "unknown-call"]


def test_a_command_that_nobody_fetched_in_time_is_gone(dc: Dc) -> None:
    vault = Vault(dc).begin()
    send(dc.world, "add", b'{"left": 1}', "--within", "1s")
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        connection.execute("UPDATE down_items SET expires_at = ?", (NOON,))
        connection.commit()
    assert vault.polled() == []
    dc.gateway.turn()
    assert listed(dc.world) == ["expired"]
    assert send(dc.world, "add", b"[1]").status == 2


def test_a_command_that_changes_a_sealed_state_is_answered_in_the_frame_of_its_step(
    tmp_path: Path, drawn_lab: Lab
) -> None:
    world = World.make(tmp_path, drawn_lab.copy())
    expect_vaults(world, STATEFUL)
    with world.gateway() as dc:
        vault = Vault(dc, STATEFUL)
        assert vault.ask("restore", None)[0] == "restored"
        vault.begin()
        lineage = shown(world, "state", "list").json[0]["lineage"]
        send(world, "keep", b'{"text": "ours"}', "--lineage", lineage)
        send(world, "keep", b'{"text": "theirs"}', "--lineage", "ab" * 16)
        (frame,) = vault.polled()
        kind, answers, _ = vault.hand(frame)
        assert kind == "sealed"
        assert isinstance(answers, list)
        assert dc.frames(*answers).status == 200
        assert shown(world, "command", "list").json[0]["state"] == "taken"
        assert shown(world, "state", "list").json[0]["number"] == 1
