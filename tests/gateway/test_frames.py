"""Frames over HTTP: each stored once, each refusal in quarantine, and to the peer no reason."""

import base64
import random
import sqlite3
from hashlib import sha256

import pytest

from intaglio.gateway.app import MAX_FRAMES_BODY
from intaglio.gateway.query import Reader
from intaglio.session.enclave import EnclaveChannel
from intaglio.session.ledger import Ledger
from intaglio.session.merkle import Frontier
from intaglio.session.schedule import report_data_of
from intaglio.types import Direction, Tee, UnixTime
from intaglio.wire import cbor
from intaglio.wire.checkpoint import Checkpoint, leaf_of
from intaglio.wire.content import Kind, Record, encode_control, encode_records
from intaglio.wire.hello import Role
from tests.gateway.world import DAY, HUNDRED, NOON, Dc, World, told

Pair = tuple[EnclaveChannel, list[bytes]]


@pytest.fixture
def sent(dc: Dc) -> Pair:
    """An accepted session and three frames that nobody delivered yet."""
    _, channel = dc.session()
    return channel, [channel.farewell, channel.up.protect([HUNDRED]), channel.up.protect([HUNDRED])]


def reasons(dc: Dc) -> dict[str, int]:
    with Reader(dc.world.settings.database) as reader:
        return dict(reader.status(UnixTime(NOON)).quarantined)


def stored(dc: Dc) -> list[int]:
    with Reader(dc.world.settings.database) as reader:
        return [record.sequence for record in reader.records()]


def test_one_frame_and_a_sequence(dc: Dc, sent: Pair) -> None:
    _, frames = sent
    for reply, expected in ((dc.frames(frames[0]), told(1)), (dc.frames(*frames[1:]), told(2))):
        assert (reply.status, reply.json) == (200, expected)
        assert reply.headers["content-type"] == "application/json"


def test_a_repetition_is_a_duplicate_and_no_row(dc: Dc, sent: Pair) -> None:
    _, frames = sent
    assert dc.frames(*frames, *frames).json == told(stored=3, duplicate=3)
    for _ in range(5):
        assert dc.frames(*frames).json == told(duplicate=3)
    assert stored(dc) == [1, 2]
    assert reasons(dc) == {}
    status = dc.api("status").json
    assert status["replays"] == 18
    assert [(t["reason"], t["count"]) for t in status["tallies"]] == [("REPLAY", 18)]


def test_an_edited_frame_is_refused_and_the_true_one_still_fits(dc: Dc, sent: Pair) -> None:
    _, frames = sent
    edited = frames[1][:-1] + bytes((frames[1][-1] ^ 1,))
    reply = dc.frames(edited)
    assert (reply.status, reply.json) == (403, told(refused=[0]))
    assert "FRAME" not in reply.body.decode(), "a peer learns no reason"
    assert reasons(dc) == {"FRAME_AUTHENTICATION": 1}
    assert dc.frames(frames[1]).json == told(stored=1)


def test_every_byte_of_a_frame_counts(dc: Dc, sent: Pair) -> None:
    _, frames = sent
    true = frames[1]
    body = [true[:at] + bytes((true[at] ^ bit,)) + true[at + 1 :] for at in range(len(true)) for bit in (1, 0x80)]
    statuses = {dc.frames(frame).status for frame in body}
    assert statuses <= {400, 403, 404}
    assert stored(dc) == []
    assert sum(reasons(dc).values()) == len(body)
    assert dc.frames(true).json == told(stored=1)


def test_a_frame_cut_anywhere_is_malformed(dc: Dc, sent: Pair) -> None:
    _, frames = sent
    for cut in range(len(frames[1])):
        reply = dc.frames(frames[1][:cut])
        assert (reply.status, reply.json["error"], reply.json["reason"]) == (400, "malformed", "MALFORMED_MESSAGE")
    assert dc.frames(frames[1] + b"\0").status == 400
    assert stored(dc) == []
    assert dc.frames(frames[1]).json == told(stored=1)


def test_a_body_that_can_not_be_split_is_kept_whole_and_stores_nothing(dc: Dc, sent: Pair) -> None:
    _, frames = sent
    reply = dc.frames(*frames, b"garbage")
    assert reply.status == 400
    assert stored(dc) == []
    (entry,) = dc.api("quarantine").json["entries"]
    assert (entry["what"], entry["reasons"]) == ("body", ["MALFORMED_MESSAGE"])
    kept = dc.api(f"quarantine/{entry['id']}").json["bytes_base64"]
    assert base64.b64decode(kept) == b"".join(frames) + b"garbage"


def test_everything_storable_is_stored_whatever_the_status(dc: Dc, sent: Pair, world: World) -> None:
    _, frames = sent
    edited = frames[1][:-1] + b"\0"
    assert dc.frames(edited, *frames).json == told(stored=3, refused=[0])
    strange = dc.guest().early()
    reply = dc.frames(strange, edited, frames[0])
    assert (reply.status, reply.json) == (404, told(duplicate=1, unknown=[0], refused=[1]))
    waiting = dc.guest()
    world.source.down = True
    assert dc.hello(waiting.hello).status == 503
    reply = dc.frames(strange, edited, frames[0], waiting.early())
    assert (reply.status, reply.json) == (425, told(duplicate=1, unknown=[0], refused=[1], pending=[3]))


def test_two_frames_under_one_number_are_named(dc: Dc) -> None:
    """What two copies of one enclave would send: both authentic, one number."""
    guest, channel = dc.session()
    fork = guest.handshake.sender
    first = channel.up.protect([HUNDRED])
    fork.sequence -= 1
    second = channel.up.protect([Record("get_size", "application/cbor", b"\x18\xc8")])
    assert dc.frames(first).json == told(stored=1)
    assert dc.frames(second).json == told(refused=[0])
    assert dc.frames(first, second).json == told(duplicate=1, refused=[1])
    assert reasons(dc) == {"SEQUENCE_REUSED": 2}


def test_two_frames_under_one_number_in_one_body(dc: Dc) -> None:
    _, channel = dc.session()
    first = channel.up.protect([HUNDRED])
    channel.up.sequence -= 1
    second = channel.up.protect([Record("get_size", "application/cbor", b"\x18\xc8")])
    assert dc.frames(first, second).json == told(stored=1, refused=[1])


def test_a_replay_into_a_closed_epoch(dc: Dc) -> None:
    """Its key is destroyed: the same bytes are a duplicate, others can't be told from a forgery."""
    _, channel = dc.session()
    frames = [channel.farewell, channel.up.protect([HUNDRED]), channel.up.rekey(), channel.up.protect([HUNDRED])]
    assert dc.frames(*frames).json == told(stored=4)
    edited = frames[1][:-1] + bytes((frames[1][-1] ^ 1,))
    assert dc.frames(frames[1], edited).json == told(duplicate=1, refused=[1])
    assert reasons(dc) == {"EPOCH_CLOSED": 1}


def test_a_frame_of_the_other_direction_does_not_come_back(dc: Dc) -> None:
    _, channel = dc.session()
    frame = bytearray(channel.up.protect([HUNDRED]))
    frame[25] = 1
    assert dc.frames(bytes(frame)).status == 403


def test_late_frames_are_kept_and_not_accepted(dc: Dc, sent: Pair, world: World) -> None:
    channel, frames = sent
    world.clock.now = channel.result.expires - 1
    dc.frames(frames[0], frames[1])
    world.clock.now = channel.result.expires
    assert dc.frames(frames[2]).json == told(stored=1)
    records = dc.api("records").json["records"]
    assert [(r["sequence"], r["status"]) for r in records] == [(1, "ACCEPTED"), (2, "LATE")]
    assert dc.api("status").json["late"] == 1


def test_after_the_spool_window_the_keys_are_gone(dc: Dc, sent: Pair, world: World) -> None:
    channel, frames = sent
    dc.frames(frames[0])
    world.clock.now = channel.result.expires + 7 * DAY + 1
    dc.gateway.turn()
    assert dc.frames(frames[1]).json == told(refused=[0])
    assert reasons(dc) == {"SESSION_ENDED": 1}
    (session,) = dc.api("sessions").json["sessions"]
    assert session["keys_destroyed"] is True


def test_missing_frames_of_an_ended_epoch_are_given_up_after_a_day(dc: Dc, world: World) -> None:
    _, channel = dc.session()
    lost = channel.up.protect([HUNDRED])
    world.clock.now += 1000
    dc.frames(channel.farewell, channel.up.rekey(), channel.up.protect([HUNDRED]))
    world.clock.now += DAY - 1
    dc.gateway.turn()
    world.clock.now += 1
    dc.gateway.turn()
    assert dc.frames(lost).json == told(refused=[0])
    assert reasons(dc) == {"EPOCH_CLOSED": 1}
    with Reader(world.settings.database) as reader:
        (session,) = reader.sessions()
        assert session.missing == 1


def test_too_many_gaps_are_refused_until_one_closes(dc: Dc) -> None:
    _, channel = dc.session()
    frames = [channel.up.protect([HUNDRED]) for _ in range(2060)]
    even = frames[::2]
    reply = dc.frames(*even)
    assert reply.json == told(stored=1024, refused=list(range(1024, 1030)))
    assert reasons(dc)["REPLAY_STATE_FULL"] == 6
    assert dc.frames(frames[1]).json == told(stored=1)
    assert dc.frames(even[1024]).json == told(stored=1)


def test_other_content_types_are_not_read(dc: Dc) -> None:
    for kind in ("application/json", "", "application/cosette", "multipart/form-data"):
        assert dc.ask("POST", "/v1/frames", b"x", {"Content-Type": kind}).status == 415


def test_one_frame_means_one(dc: Dc, sent: Pair) -> None:
    _, frames = sent
    body, kind = frames[0] + frames[1], "application/cose; charset=binary"
    assert dc.ask("POST", "/v1/frames", body, {"Content-Type": kind}).status == 400
    assert dc.ask("POST", "/v1/frames", frames[0], {"Content-Type": kind}).status == 200
    assert dc.ask("POST", "/v1/frames", b"", {"Content-Type": "application/cbor-seq"}).status == 400


def test_a_body_too_large_is_not_stored(dc: Dc, sent: Pair) -> None:
    _, frames = sent
    reply = dc.frames(frames[0], bytes(MAX_FRAMES_BODY))
    assert (reply.status, reply.json) == (413, {"error": "too large", "limit": MAX_FRAMES_BODY})
    assert dc.frames(frames[0]).json == told(stored=1)


def test_random_bodies_change_nothing(dc: Dc, sent: Pair) -> None:
    _, frames = sent
    chance = random.Random(7)  # noqa: S311  # a test's choice of bytes
    good = b"".join(frames)
    for _ in range(150):
        cut = chance.randrange(len(good))
        body = good[:cut] + chance.randbytes(chance.randrange(1, 200)) + good[cut + chance.randrange(50) :]
        kind = {"Content-Type": "application/cbor-seq"}
        assert dc.ask("POST", "/v1/frames", body, kind).status in (200, 400, 403, 404)
    replies = dc.frames(*frames).json
    assert replies["stored"] + replies["duplicate"] == 3
    assert stored(dc) == [1, 2]


def test_a_flood_of_forgeries_is_bounded(dc: Dc, sent: Pair) -> None:
    _, frames = sent
    forged = [frames[1][:-4] + n.to_bytes(4, "big") for n in range(5000)]
    assert dc.frames(*forged).json == told(refused=list(range(5000)))
    with Reader(dc.world.settings.database) as reader:
        assert len(reader.quarantine(limit=1000)) == 64
    assert reasons(dc) == {"FRAME_AUTHENTICATION": 5000}
    assert dc.frames(*frames).json == told(stored=3)


def test_what_is_kept_of_a_frame(dc: Dc, sent: Pair) -> None:
    _, frames = sent
    dc.frames(*frames)
    connection = sqlite3.connect(dc.world.settings.database)
    rows = connection.execute(
        "SELECT sequence, epoch, kind, digest, content_hash, records, late FROM frames"
    ).fetchall()
    connection.close()
    content = encode_records([HUNDRED])
    assert rows[1] == (1, 1, Kind.RECORDS, sha256(frames[1]).digest(), cbor.digest("content", content), 1, 0)
    assert rows[0][:3] == (0, 0, Kind.REKEY)
    assert rows[0][4] == cbor.digest("content", encode_control(Kind.REKEY, 1))


def test_what_is_stored_proves_a_frame_when_all_keys_are_gone(dc: Dc, sent: Pair) -> None:
    channel, frames = sent
    frames = [*frames, channel.up.rekey(), channel.up.protect([HUNDRED]), channel.up.checkpoint()]
    assert dc.frames(*reversed(frames)).json == told(stored=6)
    connection = sqlite3.connect(dc.world.settings.database)
    rows = connection.execute("SELECT epoch, sequence, salt, content_hash, body FROM frames ORDER BY sequence")
    *before, (_, _, _, _, body) = rows.fetchall()
    ((th, confirm_hash, evidence),) = connection.execute(
        "SELECT s.th, h.confirm_hash, e.bytes FROM sessions s JOIN handshakes h ON h.session = s.id"
        " JOIN evidence e ON e.hash = s.evidence"
    ).fetchall()
    connection.close()
    found = Checkpoint.parse(body)
    leaves = [leaf_of(Direction.UP, *row[:4]) for row in before]
    assert (found.first, found.last, found.leaves) == (0, 4, tuple(leaves))
    assert found.root == Frontier(leaves).root
    assert report_data_of(Tee.SGX, Role.ENCLAVE, th, confirm_hash) in evidence


def test_a_checkpoint_that_g_did_not_sign_is_refused_and_its_number_stays_free(dc: Dc, sent: Pair) -> None:
    """By whoever has the session's keys and not the enclave's signing key."""
    channel, frames = sent
    assert dc.frames(*frames).json == told(stored=3)
    true, up = channel.up._ledger, channel.up
    assert isinstance(true, Ledger)
    other = Ledger(true._th, lambda _: bytes(64))
    other._leaves = list(true._leaves)
    forged = up._key.seal(up.sequence, encode_control(Kind.CHECKPOINT, other.close()))
    assert dc.frames(forged).json == told(refused=[0])
    assert reasons(dc) == {"CHECKPOINT_SIGNATURE": 1}
    assert dc.frames(up.checkpoint()).json == told(stored=1)
