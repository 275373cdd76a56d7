"""Checkpoints between an enclave and a data centre: what they say, when they are due, and who alone can make one."""

import hashlib
import hmac
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from intaglio.errors import LocalProtocolError, Malformed
from intaglio.reasons import Reason
from intaglio.session import schedule
from intaglio.session.channel import Opened, UpReceiver
from intaglio.session.ledger import DUE, Ledger
from intaglio.session.merkle import Frontier
from intaglio.session.sender import EPOCH_FRAMES, Sender
from intaglio.types import Direction, SessionId
from intaglio.wire import cbor
from intaglio.wire.checkpoint import CHECKPOINT_EVERY, Checkpoint, leaf_of
from intaglio.wire.content import Kind, encode_control
from tests.session.world import HUNDRED, NOON, TERMS, Session, World, refused

SESSION, TH, EVIDENCE = SessionId(bytes(range(16))), b"\x01" * 32, b"\x02" * 32
SECRET = b"\x03" * 32


def leaf(opened: Opened) -> bytes:
    """As the data centre makes it from what it stores of a frame."""
    assert opened.salt is not None
    return leaf_of(Direction.UP, opened.epoch, opened.sequence, opened.salt, cbor.digest("content", opened.content))


def take(receiver: UpReceiver, data: bytes) -> Opened:
    opened = receiver.open(data)
    receiver.commit(opened, NOON)
    return opened


def read(opened: Opened) -> Checkpoint:
    assert opened.kind is Kind.CHECKPOINT
    assert isinstance(opened.body, bytes)
    return Checkpoint.parse(opened.body)


def due(ends: "Ends") -> bool:
    return ends.sender.checkpoint_due


def unproven(ends: "Ends") -> bool:
    return ends.sender.unproven


class Ends:
    """Both ends of the upward direction in epoch 1, with G in the test's hand."""

    def __init__(self) -> None:
        self.g = Ed25519PrivateKey.from_private_bytes(bytes(32))
        self.ledger = Ledger(TH, self.g.sign)
        self.sender = Sender(SESSION, Direction.UP, 1, SECRET, ledger=self.ledger)
        public = self.g.public_key().public_bytes_raw()
        self.receiver = UpReceiver.begin(SESSION, TH, EVIDENCE, public, bytes(32), SECRET)

    def forged(self, checkpoint: Checkpoint, *, th: bytes = TH, by: Ed25519PrivateKey | None = None) -> bytes:
        """A frame with this checkpoint by whoever has the session's keys, signed by `by`."""
        signed = checkpoint.signed((by or self.g).sign(checkpoint.to_be_signed(th)))
        return self.sender._seal(encode_control(Kind.CHECKPOINT, signed.encode()))


def test_checkpoints_cover_every_frame_of_a_session_whatever_its_kind_and_epoch(session: Session) -> None:
    up, receiver = session.enclave.up, session.accepted.receiver
    opened = [take(receiver, session.enclave.farewell)]
    made: list[Checkpoint] = []

    def record() -> bytes:
        return up.protect([HUNDRED])

    for step in (record, up.checkpoint, up.checkpoint, up.rekey, record, record, up.checkpoint):
        opened.append(take(receiver, step()))
        if opened[-1].kind is Kind.CHECKPOINT:
            made.append(read(opened[-1]))
    leaves = [leaf(each) for each in opened]
    assert [(each.first, each.last) for each in made] == [(0, 1), (2, 2), (3, 6)]
    assert [each.leaves for each in made] == [tuple(leaves[each.first : each.last + 1]) for each in made]
    assert [each.root for each in made] == [Frontier(leaves[: each.last + 1]).root for each in made]
    assert [each.previous for each in made] == [None, made[0].hash, made[1].hash]


def test_the_salt_is_the_hmac_of_the_protocol() -> None:
    ends = Ends()
    opened = take(ends.receiver, ends.sender.protect([HUNDRED]))
    leaf_key = schedule.epoch_keys(SECRET, SESSION, Direction.UP, 1)[44:]
    assert opened.salt == hmac.new(leaf_key, bytes(8), hashlib.sha256).digest()


def test_epoch_0_has_checkpoints_that_its_limit_does_not_count() -> None:
    world = World(terms=replace(TERMS, epoch0_limit=1))
    handshake, hello = world.greet()
    frames = [handshake.sender.protect([HUNDRED]), handshake.sender.checkpoint(), handshake.sender.checkpoint()]
    with refused(Reason.EPOCH_EXHAUSTED):
        handshake.sender.protect([HUNDRED])
    receiver = world.accept(world.open(hello)).receiver
    opened = [take(receiver, data) for data in frames]
    assert read(opened[1]).leaves == (leaf(opened[0]),)
    assert read(opened[2]).leaves == (leaf(opened[1]),), "a heartbeat: nothing but the checkpoint before"


def test_a_checkpoint_is_due_in_time_for_a_rekey_before_it() -> None:
    ends = Ends()
    for number in range(DUE):
        assert (due(ends), ends.sender.sequence) == (False, number)
        ends.sender.protect([HUNDRED])
    assert due(ends)
    ends.sender._room = 0
    assert not due(ends)
    with refused(Reason.EPOCH_EXHAUSTED):
        ends.sender.checkpoint()
    ends.sender.rekey()
    data = ends.sender.checkpoint()
    assert not due(ends)
    assert len(read(ends.receiver.open(data)).leaves) == CHECKPOINT_EVERY


def test_who_asks_too_late_gets_the_oldest_leaves_first_and_loses_none() -> None:
    ends = Ends()
    opened = [take(ends.receiver, ends.sender.protect([HUNDRED])) for _ in range(300)]
    first = take(ends.receiver, ends.sender.checkpoint())
    assert unproven(ends)
    second = take(ends.receiver, ends.sender.checkpoint())
    assert not unproven(ends)
    found = read(first).leaves + read(second).leaves
    assert found == tuple(leaf(each) for each in [*opened, first])
    assert read(second).root == Frontier(found).root


def test_what_is_unproven_is_everything_but_checkpoints() -> None:
    sender = Ends().sender
    seen = [sender.unproven]
    for step in (sender.rekey, sender.checkpoint, sender.checkpoint, sender.rekey):
        step()
        seen.append(sender.unproven)
    assert seen == [False, True, False, False, True]


def test_there_is_nothing_to_say_before_the_first_frame_or_after_the_last() -> None:
    ends = Ends()
    with pytest.raises(LocalProtocolError):
        ends.sender.checkpoint()
    assert ends.sender.sequence == 0
    ends.sender.end()
    with pytest.raises(LocalProtocolError):
        ends.sender.checkpoint()


def test_a_direction_without_a_ledger_has_no_checkpoints(session: Session) -> None:
    down = session.accepted.down_sender(session.handshake.session)
    down.protect([HUNDRED])
    assert (down.checkpoint_due, down.unproven) == (False, False)
    with pytest.raises(LocalProtocolError):
        down.checkpoint()


def test_a_frame_that_was_not_made_has_no_leaf() -> None:
    ends = Ends()
    with pytest.raises(Malformed):
        ends.sender.protect([HUNDRED._replace(value=bytes(2**20))])
    opened = take(ends.receiver, ends.sender.protect([HUNDRED]))
    assert read(ends.receiver.open(ends.sender.checkpoint())).leaves == (leaf(opened),)


@pytest.mark.parametrize("forgery", ["another key", "another session", "changed"])
def test_a_checkpoint_that_g_did_not_sign_is_refused_and_its_number_stays_free(forgery: str) -> None:
    ends = Ends()
    true = Checkpoint(0, 0, (leaf(take(ends.receiver, ends.sender.protect([HUNDRED]))),), bytes(32), None, b"")
    if forgery == "another key":
        data = ends.forged(true, by=Ed25519PrivateKey.generate())
    elif forgery == "another session":
        data = ends.forged(true, th=EVIDENCE)
    else:
        changed = replace(true.signed(ends.g.sign(true.to_be_signed(TH))), root=b"\x01" * 32)
        data = ends.sender._seal(encode_control(Kind.CHECKPOINT, changed.encode()))
    before = ends.receiver.encode()
    with refused(Reason.CHECKPOINT_SIGNATURE):
        ends.receiver.open(data)
    assert ends.receiver.encode() == before


def test_a_checkpoint_can_not_cover_its_own_frame() -> None:
    ends = Ends()
    ends.sender.protect([HUNDRED])
    with pytest.raises(Malformed):
        ends.receiver.open(ends.forged(Checkpoint(0, 1, (bytes(32),) * 2, bytes(32), None, b"")))


def test_a_full_epoch_counts_its_checkpoints() -> None:
    ends = Ends()
    ends.sender.protect([HUNDRED])
    ends.sender.checkpoint()
    assert ends.sender.left == EPOCH_FRAMES - 3
