"""What a host can do to messages in its hands: edit, forge, replay, reorder, drop. The enclave is the right one."""

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from intaglio.cli.demo.model import Attack, Outcome, ensure
from intaglio.cli.demo.stage import Stage
from intaglio.host.data_centre import Delivered
from intaglio.types import SessionId
from intaglio.wire import cbor
from intaglio.wire.content import Record, encode_records
from intaglio.wire.frame import TAG, aad_prefix, head_prefix, parse_frame

__all__ = ["FRAME_ATTACKS"]

_OK, _FORBIDDEN = 200, 403


def edit(stage: Stage) -> Outcome:
    """AES-GCM encrypts by XOR, so whoever knows that the plaintext ends in 100 can make it end in 200."""
    frame = stage.host.call("get_size")
    session = parse_frame(frame).session
    before = stage.centre.values(session, "get_size")
    last = len(frame) - TAG - 1
    edited = frame[:last] + bytes((frame[last] ^ 100 ^ 200,)) + frame[last + 1 :]
    reason, entry = _refused(stage, session, stage.host.deliver(edited), "the edited message")
    ensure(stage.centre.values(session, "get_size") == before, "the edited message left something in the store")
    _stored(stage.host.deliver(frame), "the true message, delivered afterwards,")
    ensure(stage.centre.values(session, "get_size") == [*before, 100], "the true message did not arrive as 100")
    return Outcome("refused; the true message is taken afterwards, and the store says 100", reason, entry)


def forge(stage: Stage) -> Outcome:
    """A frame of the right session, epoch and next number, under a key that the host made up."""
    last = parse_frame(stage.host.call("get_size"))
    _stored(stage.host.deliver(last.data), "a true message")
    before = stage.centre.records(last.session)
    sequence = (last.sequence + 1).to_bytes(8, "big")
    head = head_prefix(last.session, last.direction, last.epoch)
    value = Record("get_size", "application/cbor", cbor.encode(200))
    aad = aad_prefix(head) + sequence + b"\x40"
    sealed = AESGCM(os.urandom(32)).encrypt(os.urandom(12), encode_records([value]), aad)
    forged = head + sequence + b"\xa0" + cbor.bytes_head(len(sealed)) + sealed
    parse_frame(forged)  # well formed in every byte that a host can know
    reason, entry = _refused(stage, last.session, stage.host.deliver(forged), "the forged message")
    ensure(stage.centre.records(last.session) == before, "the forged message left something in the store")
    return Outcome("refused; nothing was stored", reason, entry)


def replay(stage: Stage) -> Outcome:
    """The same bytes again, five times in one body and once more alone."""
    frame = stage.host.call("get_size")
    session = parse_frame(frame).session
    _stored(stage.host.deliver(frame), "a true message")
    before, counted = stage.centre.records(session), stage.centre.replays(session)
    repeated = (stage.host.deliver(*[frame] * 5), stage.host.deliver(frame))
    ensure(all(each.stored == 0 for each in repeated), "a replayed message was stored again")
    ensure(stage.centre.records(session) == before, "the replay changed the store")
    noticed = stage.centre.replays(session) - counted
    ensure(noticed == 6, f"6 replays, but the data centre counted {noticed}")
    return Outcome(f"stored once; {noticed} repetitions counted, none stored", ("REPLAY",), "the session's tally")


def reorder(stage: Stage) -> Outcome:
    """The third message first, then the first, then the second."""
    first, second, third = (stage.host.call("next_reading") for _ in range(3))
    session = parse_frame(first).session
    before = len(stage.centre.records(session))
    for frame in (third, first, second):
        _stored(stage.host.deliver(frame), "a message out of order")
    arrived = stage.centre.records(session)[before:]
    numbers = [record.sequence for record in arrived]
    ensure(numbers != sorted(numbers), "the messages were not delivered out of order")
    ensure(stage.centre.values(session, "next_reading") == [1, 2, 3], "the enclave's order was not restored")
    statuses = tuple(sorted({record.status for record in arrived}))
    return Outcome(
        f"they arrived as {_listed(numbers)}; sorted by sequence number they read 1, 2, 3", statuses, "the records"
    )


def drop(stage: Stage) -> Outcome:
    """One of three messages never arrives; the next one shows it."""
    kept, dropped, after = (stage.host.call("next_reading") for _ in range(3))
    frame = parse_frame(dropped)
    _stored(stage.host.deliver(kept), "a message")
    ensure(stage.centre.gaps(frame.session) == [], "a gap before anything was dropped")
    _stored(stage.host.deliver(after), "the message after the dropped one")
    gaps = stage.centre.gaps(frame.session)
    ensure(gaps == [(frame.sequence, frame.sequence)], f"number {frame.sequence} was dropped, the store names {gaps}")
    missing = stage.centre.session(frame.session).missing
    ensure(missing == 1, f"one message is missing, the session says {missing}")
    return Outcome(f"noticed with the next message: number {frame.sequence} is missing", ("MISSING",), "the session")


FRAME_ATTACKS = (
    Attack(
        "edit",
        "turns 100 into 200 inside an encrypted message, by flipping just those bits",
        ("FRAME_AUTHENTICATION",),
        edit,
    ),
    Attack(
        "forge",
        'makes a message of its own: "get_size", 200, in the right session with the next number',
        ("FRAME_AUTHENTICATION",),
        forge,
    ),
    Attack("replay", "delivers a true message six times more", ("REPLAY",), replay),
    Attack(
        "reorder",
        "delivers three messages as third, first, second",
        ("ACCEPTED",),
        reorder,
        "the enclave numbers its messages, and the number is part of what is authenticated: order is restored by it",
    ),
    Attack(
        "drop",
        "swallows one message of three",
        ("MISSING",),
        drop,
        "numbers have no gaps of their own, so a gap in the store is a message that the host has kept",
    ),
)


def _refused(stage: Stage, session: SessionId, delivered: Delivered, what: str) -> tuple[tuple[str, ...], str]:
    """The reasons in quarantine for a refused frame, and the entry. The host itself is told none."""
    ensure(
        delivered.status == _FORBIDDEN and delivered.stored == 0 and delivered.refused == {0}, f"{what} was not refused"
    )
    entry = stage.centre.entries()[-1]
    ensure((entry.session, entry.what) == (session, "frame"), f"{what} is not the last thing in quarantine")
    return entry.reasons, f"quarantine {entry.name}"


def _stored(delivered: Delivered, what: str) -> None:
    ensure(delivered.status == _OK and delivered.stored == 1, f"{what} was not stored: {delivered}")


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
