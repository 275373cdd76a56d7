"""Sealed state whose newest number the data centre keeps: what a host that rolls back, forks, drops or crashes gets."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cbor2
import pytest

from intaglio.gateway.query import StoredState
from intaglio.gateway.store.writer import connect
from intaglio.reasons import Reason
from intaglio.session.enclave import EnclaveHandshake
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.draft import launch
from intaglio.sim.world import Lab
from intaglio.wire import cbor
from intaglio.wire.content import Record
from intaglio.wire.state import STATE_NAME, STATE_TYPE, StateStep
from tests.cli.conftest import run
from tests.gateway.stateful import Host, expect_counters, image_of
from tests.gateway.world import DAY, NOON, Dc, Reply, World


@pytest.fixture
def dc(tmp_path: Path, drawn_lab: Lab) -> Iterator[Dc]:
    world = World.make(tmp_path, drawn_lab.copy())
    expect_counters(world)
    with world.gateway() as running:
        yield running


@pytest.fixture
def host(dc: Dc) -> Host:
    return Host(dc)


def rejected(reply: Reply, reason: Reason) -> None:
    assert (reply.status, reply.json["reasons"]) == (403, [reason.name])


def states(dc: Dc) -> list[StoredState]:
    with dc.world.reader() as reader:
        return reader.states()


def number(dc: Dc) -> int:
    (state,) = states(dc)
    return state.counter


def counted(dc: Dc) -> list[object]:
    """What the data centre stored of the enclaves' counting."""
    with dc.world.reader() as reader:
        return [cbor2.loads(record.value) for record in reader.records(name="count")]


def events(dc: Dc, kind: str) -> list[dict[str, object]]:
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        return [json.loads(row[0]) for row in connection.execute("SELECT detail FROM events WHERE kind = ?", (kind,))]


def reset(dc: Dc, lineage: bytes) -> None:
    done = run("state", "reset", lineage.hex(), "--because", "the disk died", "--store", str(dc.world.settings.folder))
    assert done.status == 0, done.err


def test_the_state_outlives_the_enclave(dc: Dc, host: Host) -> None:
    first = host.start().begin()
    for _ in range(3):
        assert first.count().status == 200
    assert (number(dc), counted(dc)) == (3, [1, 2, 3])
    second = host.start().begin()
    assert second.step == first.step
    assert second.count().status == 200
    assert (number(dc), counted(dc)) == (4, [1, 2, 3, 4])
    (state,) = states(dc)
    assert (state.workload, state.takeovers, state.forks) == ("meter", 1, 0)
    assert state.platform == dc.world.lab.records["alpha"].facts.ppid.hex()
    assert len(events(dc, "state begun")) == len(events(dc, "state taken over")) == 1


def test_reading_takes_no_step_and_a_call_that_fails_none_either(dc: Dc, host: Host) -> None:
    enclave = host.start().begin()
    assert dc.frames(enclave.make("look"), enclave.make("fail")).status == 200
    assert (number(dc), enclave.step.counter) == (0, 0)
    assert enclave.count().status == 200
    assert counted(dc) == [1]


def test_an_older_blob_is_refused(dc: Dc, host: Host) -> None:
    enclave = host.start().begin()
    enclave.count()
    enclave.count()
    for blob in host.old[:-1]:
        host.blob = blob
        rejected(host.start().greet(), Reason.STATE_ROLLED_BACK)
    host.blob = host.old[2]
    assert host.start().begin().count().status == 200
    assert counted(dc) == [1, 2, 3]


def test_a_deleted_blob_is_missed(dc: Dc, host: Host) -> None:
    host.start().begin().count()
    host.blob = None
    rejected(host.start().greet(), Reason.STATE_MISSING)
    assert number(dc) == 1


def test_two_copies_of_one_state_are_a_fork(dc: Dc, host: Host) -> None:
    first = host.start().begin()
    first.count()
    second = host.start().begin()
    assert second.count().status == 200
    assert first.count().status == 403
    assert (number(dc), counted(dc)) == (2, [1, 2])
    (state,) = states(dc)
    assert (state.takeovers, state.forks) == (1, 1)
    with dc.world.reader() as reader:
        (entry,) = reader.quarantine()
    assert entry.reasons == (Reason.STATE_FORKED.name,)
    assert events(dc, "state forked") == [{"lineage": state.lineage.hex(), "number": 2}]
    assert second.count().status == 200, "the copy that was accepted last goes on"


def test_a_forked_frame_that_comes_again_and_again_does_not_fill_the_store(
    dc: Dc, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not stored, so every copy is refused anew; anybody who holds it can send it for ever."""
    monkeypatch.setattr("intaglio.gateway.store.states.FORK_EVENTS", 3)
    copy, newest = host.start().begin(), host.start().begin()
    newest.count()
    frame = copy.make(keep=False)
    for _ in range(5):
        assert dc.frames(frame).status == 403
    assert states(dc)[0].forks == 5
    assert len(events(dc, "state forked")) == 3


def test_the_older_copy_can_not_step_first_either(dc: Dc, host: Host) -> None:
    first = host.start().begin()
    second = host.start().begin()
    assert first.count().status == 403
    assert second.count().status == 200
    assert counted(dc) == [1]


def test_a_copy_that_was_left_behind_gets_no_other_session(dc: Dc, host: Host) -> None:
    first = host.start().begin()
    host.start().begin().count()
    first.make()
    rejected(first.greet(), Reason.STATE_FORKED)


def test_without_the_accept_nothing_of_the_state_can_be_used(dc: Dc, host: Host) -> None:
    enclave = host.start()
    reply = enclave.greet()
    frames = [enclave.make("look"), enclave.make("count")]
    assert dc.frames(*frames).status == 200
    with dc.world.reader() as reader:
        errors = [cbor2.loads(record.value)["type"] for record in reader.records()]
    assert errors == ["StateUnconfirmed", "StateUnconfirmed"]
    assert number(dc) == 0
    enclave.accept(reply)
    assert enclave.count().status == 200
    assert counted(dc)[-1] == 1


def test_a_dropped_accept_can_be_asked_for_again(dc: Dc, host: Host) -> None:
    enclave = host.start()
    dropped = enclave.greet()
    again = dc.hello(enclave.hello)
    assert again.body == dropped.body
    enclave.accept(again)
    assert enclave.count().status == 200


def test_a_crash_between_keeping_the_blob_and_sending_the_frame(dc: Dc, host: Host) -> None:
    enclave = host.start().begin()
    enclave.count()
    enclave.make()
    restarted = host.start().begin()
    assert number(dc) == 2
    assert restarted.count().status == 200
    assert counted(dc) == [1, 3]


def test_the_frame_of_that_crash_may_still_arrive(dc: Dc, host: Host) -> None:
    """It was in the spool after all, and the new session's hello overtook it."""
    enclave = host.start().begin()
    late = enclave.make()
    host.start().begin()
    assert dc.frames(late).status == 200
    (state,) = states(dc)
    assert (state.counter, state.forks, counted(dc)) == (1, 0, [1])


def test_a_crash_before_the_blob_was_kept_is_a_lost_state(dc: Dc, host: Host) -> None:
    """A host that sends before it keeps. Nobody can tell it from one that rolls back."""
    enclave = host.start().begin()
    enclave.count()
    assert dc.frames(enclave.make(keep=False)).status == 200
    rejected(host.start().greet(), Reason.STATE_ROLLED_BACK)
    reset(dc, enclave.step.lineage)
    restarted = host.start().begin()
    assert number(dc) == 1
    assert restarted.count().status == 200
    assert events(dc, "state adopted") == [{"lineage": enclave.step.lineage.hex(), "found": 1, "was": 2}]
    assert enclave.count().status == 403, "what the reset left behind has ended"


def test_a_state_that_is_steps_ahead_waits_for_its_frames(dc: Dc, host: Host) -> None:
    enclave = host.start().begin()
    frames = [enclave.make() for _ in range(3)]
    restarted = host.start()
    reply = restarted.greet()
    assert (reply.status, reply.json["reasons"]) == (503, [Reason.STATE_AHEAD.name])
    assert dc.frames(*frames).status == 200
    restarted.accept(dc.hello(restarted.hello))
    assert restarted.count().status == 200
    assert counted(dc) == [1, 2, 3, 4]


def test_steps_may_arrive_in_any_order(dc: Dc, host: Host) -> None:
    enclave = host.start().begin()
    frames = [enclave.make() for _ in range(4)]
    assert dc.frames(frames[3]).status == 200
    assert dc.frames(frames[1]).status == 200
    assert number(dc) == 0
    assert dc.frames(frames[0]).status == 200
    assert number(dc) == 2
    assert dc.frames(frames[2], frames[0]).status == 200
    assert number(dc) == 4
    host.start().begin()


def test_a_new_session_of_the_same_enclave_takes_nothing_over(dc: Dc, host: Host) -> None:
    enclave = host.start().begin()
    enclave.count()
    waiting = enclave.make()
    enclave.begin()
    assert dc.frames(waiting).status == 200
    assert enclave.count().status == 200
    (state,) = states(dc)
    assert (state.counter, state.takeovers, state.forks) == (3, 0, 0)


def test_a_late_frame_moves_the_state_too(dc: Dc, host: Host) -> None:
    """Its values are not accepted; that the state moved is a fact."""
    enclave = host.start().begin()
    frame = enclave.make()
    dc.world.clock.now += 2 * DAY
    assert dc.frames(frame).status == 200
    assert number(dc) == 1


def test_a_reset_lets_a_new_lineage_take_the_place_of_a_lost_one(dc: Dc, host: Host) -> None:
    lost = host.start().begin()
    lost.count()
    reset(dc, lost.step.lineage)
    host.blob = None
    host.start().begin().count()
    assert sorted((state.counter, state.retired_at is not None) for state in states(dc)) == [(1, False), (1, True)]
    host.blob = host.old[1]
    rejected(host.start().greet(), Reason.STATE_ROLLED_BACK)
    (told,) = events(dc, "state reset")
    assert str(told["because"]).startswith("the disk died (by ")
    assert told["lineage"] == lost.step.lineage.hex()


def test_one_reset_is_good_for_one_hello(dc: Dc, host: Host) -> None:
    enclave = host.start().begin()
    for _ in range(3):
        enclave.count()
    reset(dc, enclave.step.lineage)
    host.blob = host.old[1]
    host.start().begin()
    host.blob = host.old[0]
    rejected(host.start().greet(), Reason.STATE_ROLLED_BACK)
    host.blob = host.old[3]
    reply = host.start().greet()
    assert (reply.status, reply.json["reasons"]) == (503, [Reason.STATE_AHEAD.name])


def test_a_state_of_another_data_centre_is_unknown_until_it_is_adopted(dc: Dc, host: Host) -> None:
    enclave = host.start().begin()
    enclave.count()
    with closing(connect(dc.world.settings.database)) as connection:
        connection.execute("DELETE FROM state_steps")
        connection.execute("DELETE FROM states")
    rejected(host.start().greet(), Reason.STATE_UNKNOWN)
    reset(dc, enclave.step.lineage)
    assert host.start().begin().count().status == 200
    assert number(dc) == 2


def test_copies_of_one_hello_enter_once(dc: Dc, host: Host) -> None:
    enclave = host.start()
    first = enclave.greet()
    assert dc.hello(enclave.hello).body == first.body
    assert len(events(dc, "state begun")) == 1


def test_a_refused_hello_leaves_nothing_behind(dc: Dc, host: Host) -> None:
    host.start().begin().count()
    before = states(dc)
    host.blob = host.old[0]
    host.start().greet()
    assert states(dc) == before
    with dc.world.reader() as reader:
        assert len(reader.sessions()) == 1


GENUINE = StateStep(bytes(16), 0, bytes(32), None)


def greeting(dc: Dc, claims: dict[cbor.Value, cbor.Value]) -> tuple[EnclaveHandshake, Reply]:
    """An enclave of the right measurement that claims what no SDK of ours claims."""
    world = dc.world
    machine = world.lab.machine()
    attester = SimulatedAttester(machine, launch(world.lab, machine, image_of(world), NOON))
    handshake = EnclaveHandshake(world.pin, attester.tee, os.urandom)
    handshake.offer(dc.offer())
    return handshake, dc.hello(handshake.hello(attester.evidence, claims))


@pytest.mark.parametrize(
    "claim",
    [
        b"", [], [bytes(16), 0, bytes(32)], [bytes(15), 0, bytes(32), None], [bytes(16), -1, bytes(32), None],
        [bytes(16), 2**63, bytes(32), bytes(32)], [bytes(16), 0, bytes(31), None], [bytes(16), 0, bytes(32), bytes(32)],
        [bytes(16), 1, bytes(32), None], [bytes(16), 1, bytes(32), bytes(33)], [bytes(16), "0", bytes(32), None],
    ],
)  # fmt: skip
def test_a_claim_of_another_shape_is_malformed(dc: Dc, claim: cbor.Value) -> None:
    assert greeting(dc, {"state": claim})[1].status == 400
    assert states(dc) == []


def test_a_predecessor_of_another_shape_is_malformed(dc: Dc) -> None:
    assert greeting(dc, {"state": GENUINE.to_value(), "continues": bytes(15)})[1].status == 400


def test_a_step_that_is_none_is_quarantined(dc: Dc) -> None:
    handshake, reply = greeting(dc, {"state": GENUINE.to_value()})
    assert reply.status == 200
    for value in (b"", b"\x80", GENUINE.encode() + b"\0"):
        assert dc.frames(handshake.sender.protect((Record(STATE_NAME, STATE_TYPE, value),))).status == 403
    with dc.world.reader() as reader:
        assert {entry.reasons for entry in reader.quarantine()} == {(Reason.MALFORMED_MESSAGE.name,)}


@pytest.mark.parametrize(
    "step",
    [
        StateStep(bytes(16), 0, bytes([1] * 32), None),
        StateStep(bytes([9] * 16), 1, bytes(32), bytes(32)),
        StateStep(bytes(16), 1, bytes([1] * 32), bytes([7] * 32)),
    ],
    ids=["another beginning", "another lineage", "another predecessor"],
)
def test_a_step_from_elsewhere_is_a_fork(dc: Dc, step: StateStep) -> None:
    handshake, _ = greeting(dc, {"state": GENUINE.to_value()})
    assert dc.frames(handshake.sender.protect((Record(STATE_NAME, STATE_TYPE, step.encode()),))).status == 403
    with dc.world.reader() as reader:
        assert {entry.reasons for entry in reader.quarantine()} == {(Reason.STATE_FORKED.name,)}
    assert number(dc) == 0


def test_steps_that_do_not_chain_are_a_fork_in_whatever_order_they_come(dc: Dc) -> None:
    handshake, _ = greeting(dc, {"state": GENUINE.to_value()})
    second = StateStep(bytes(16), 2, bytes([2] * 32), bytes([1] * 32))
    first = StateStep(bytes(16), 1, bytes([9] * 32), bytes(32))
    for step, status in ((second, 200), (first, 403)):
        frame = handshake.sender.protect((Record(STATE_NAME, STATE_TYPE, step.encode()),))
        assert dc.frames(frame).status == status
    assert number(dc) == 0


def test_the_command_lists_and_explains(dc: Dc, host: Host) -> None:
    store = ("--store", str(dc.world.settings.folder))
    assert "no enclave keeps a state" in run("state", "list", *store).err
    enclave = host.start().begin()
    enclave.count()
    (listed,) = json.loads(run("state", "list", "--json", *store).out)
    assert (listed["lineage"], listed["number"], listed["state"]) == (enclave.step.lineage.hex(), 1, "active")
    assert enclave.step.lineage.hex() in run("state", "list", *store).out
    reset(dc, enclave.step.lineage)
    assert json.loads(run("state", "list", "--json", *store).out)[0]["state"] == "reset"


def test_a_reset_by_a_user_without_a_name(dc: Dc, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("intaglio.cli.store.getuser", nobody)
    lineage = host.start().begin().step.lineage.hex()
    store = ("--store", str(dc.world.settings.folder))
    assert run("state", "reset", lineage, "--because", "x", *store).status == 0
    (event,) = events(dc, "state reset")
    assert event["because"] == f"x (by user {os.getuid()})"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("12", "--because", "x"), "32 hexadecimal digits"),
        (("zz" * 16, "--because", "x"), "32 hexadecimal digits"),
        (("00" * 16, "--because", "  "), "say why"),
        (("00" * 16, "--because", "x" * 501), "say why"),
    ],
)
def test_a_reset_wants_a_lineage_and_a_reason(dc: Dc, arguments: tuple[str, ...], says: str) -> None:
    done = run("state", "reset", *arguments, "--store", str(dc.world.settings.folder))
    assert done.status == 2
    assert says in done.err
    assert states(dc) == []
