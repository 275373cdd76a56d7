"""A hostile host, a restarting data centre and an honest enclave, in any order: what is stored was sent, and once."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session.channel import EPOCH_GRACE, UpReceiver
from intaglio.types import UnixTime
from intaglio.wire.frame import parse_frame
from tests.session.world import NOON, World, value

ANY = st.integers(0, 2**16)


class HostileHost(RuleBasedStateMachine):
    """Invariant: stored values are values the enclave sent, each once; nothing else moves the receiver's state."""

    @initialize(early=st.integers(0, 3))
    def meet(self, early: int) -> None:
        world = World()
        handshake, hello = world.greet()
        self.sent: list[bytes] = []
        self.waiting: list[bytes] = []
        self.stored: dict[int, bytes] = {}
        self.lost: set[int] = set()
        self.now = int(NOON)
        self.ended = False
        self.sender = handshake.sender
        for _ in range(early):
            self._emit(self.sender.protect([value(self.sender.sequence)]))
        accepted = world.accept(world.open(hello))
        self._emit(handshake.accept(accepted.accept).farewell)
        self.receiver = accepted.receiver

    def _emit(self, frame: bytes) -> None:
        self.sent.append(frame)
        self.waiting.append(frame)

    @precondition(lambda self: not self.ended)
    @rule()
    def send(self) -> None:
        self._emit(self.sender.protect([value(self.sender.sequence)]))

    @precondition(lambda self: not self.ended)
    @rule()
    def rekey(self) -> None:
        self._emit(self.sender.rekey())

    @precondition(lambda self: not self.ended and len(self.sent) > 8)
    @rule()
    def end(self) -> None:
        self._emit(self.sender.end())
        self.ended = True

    @precondition(lambda self: self.waiting)
    @rule(which=ANY)
    def deliver(self, which: int) -> None:
        self._deliver(self.waiting.pop(which % len(self.waiting)))

    @precondition(lambda self: self.waiting)
    @rule(which=ANY)
    def drop(self, which: int) -> None:
        self.waiting.pop(which % len(self.waiting))

    @precondition(lambda self: self.sent)
    @rule(which=ANY)
    def duplicate(self, which: int) -> None:
        self._deliver(self.sent[which % len(self.sent)])

    @precondition(lambda self: self.sent)
    @rule(which=ANY, at=ANY, bit=st.integers(0, 7))
    def forge(self, which: int, at: int, bit: int) -> None:
        frame = bytearray(self.sent[which % len(self.sent)])
        frame[at % len(frame)] ^= 1 << bit
        before = self.receiver.encode()
        try:
            self.receiver.open(bytes(frame))
        except (Malformed, Rejected):
            assert self.receiver.encode() == before
            return
        raise AssertionError("a forged frame opened")

    @rule()
    def restart(self) -> None:
        state = self.receiver.encode()
        self.receiver = UpReceiver.parse(state)
        assert self.receiver.encode() == state

    @rule(seconds=st.sampled_from([1, EPOCH_GRACE // 2, EPOCH_GRACE]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        for low, high in self.receiver.give_up(UnixTime(self.now)):
            named = set(range(low, high + 1))
            assert not named & (self.lost | set(self.stored)), "named twice, or stored and named lost"
            self.lost |= named

    def _deliver(self, frame: bytes) -> None:
        head = parse_frame(frame)
        try:
            opened = self.receiver.open(frame)
        except Rejected as error:
            if error.reason is Reason.REPLAY:
                assert head.sequence in self.stored
            else:
                assert error.reason is Reason.EPOCH_CLOSED
                ahead = head.epoch > max(self.receiver.epochs)
                assert ahead or head.sequence in self.lost
            return
        assert head.sequence not in self.stored
        for record in opened.records:
            assert record == value(head.sequence)
        self.receiver.commit(opened, UnixTime(self.now))
        self.stored[head.sequence] = frame

    @invariant()
    def the_state_agrees_with_what_was_stored(self) -> None:
        seen = self.receiver.seen
        assert {n for first, last in seen.intervals for n in range(first, last + 1)} == set(self.stored)
        assert all(frame in self.sent for frame in self.stored.values())

    @invariant()
    def no_complete_epoch_keeps_its_key(self) -> None:
        """An epoch whose frames are all stored, and which a rekey or a later epoch's frame has ended, is gone."""
        newest = max(parse_frame(frame).epoch for frame in self.sent)
        for epoch in self.receiver.epochs:
            if epoch < min(newest, max(self.receiver.epochs)):
                due = (head for head in map(parse_frame, self.sent) if head.epoch <= epoch)
                missing = [h for h in due if h.sequence not in self.stored and h.sequence not in self.lost]
                assert missing, f"epoch {epoch} is complete and still open"


HostileHost.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
test_hostile_host = HostileHost.TestCase
