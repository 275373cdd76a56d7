"""A thief of the offer's private key, who also sees every byte on the wire (promise P7): what it gets, and what not."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.session import kem, schedule
from intaglio.session.data_centre import HelloOpener, OpenHello
from intaglio.session.epoch import EpochKey, derived, epoch0_body
from intaglio.session.sender import Sender
from intaglio.session.signing import Signer
from intaglio.types import Direction
from intaglio.wire import content as contents
from intaglio.wire.content import ContentReader
from intaglio.wire.frame import parse_frame
from intaglio.wire.hello import Accept, Hello
from tests.session.world import HUNDRED, NOON, RESULT, FixedDraw, World, keys, refused, value, verdict_of


def steal(world: World, hello: bytes) -> OpenHello:
    """The thief opens a hello as the data centre does."""
    return HelloOpener(world.made.data, kem.KemPrivateKey(world.made.key.private_bytes())).open(Hello.parse(hello))


def _epoch0_secret(stolen: OpenHello) -> bytes:
    return schedule.epoch_secret(stolen._ck1, stolen.session, Direction.UP, 0, stolen.evidence_hash)


def test_the_thief_reads_epoch_0() -> None:
    """Known and documented: epoch 0 has the secrecy of the offer key."""
    world = World()
    handshake, hello = world.greet()
    frame = handshake.sender.protect([HUNDRED])
    stolen = steal(world, hello)
    _, plain = derived(_epoch0_secret(stolen), stolen.session, Direction.UP, 0).open(frame)
    assert ContentReader().read(contents.split_signature(plain)[0])[1] == (HUNDRED,)


def test_the_thief_forges_nothing_in_epoch_0() -> None:
    world = World()
    handshake, hello = world.greet()
    good = handshake.sender.protect([HUNDRED])
    receiver = world.accept(world.open(hello)).receiver
    stolen = steal(world, hello)
    key = derived(_epoch0_secret(stolen), stolen.session, Direction.UP, 0)
    forged = contents.encode_records([value(200)])
    own = Ed25519PrivateKey.from_private_bytes(bytes(32))
    body = epoch0_body(stolen.th, stolen.evidence_hash, Direction.UP, 0, 0, forged)
    _, genuine = contents.split_signature(key.open(good)[1])
    for signature in (bytes(64), own.sign(body), genuine):
        with refused(Reason.FRAME_SIGNATURE):
            receiver.open(key.seal(0, contents.encode_content(forged, signature)))
    real = contents.encode_records([HUNDRED])
    with refused(Reason.FRAME_SIGNATURE):
        receiver.open(key.seal(1, contents.encode_content(real, genuine)))
    assert receiver.open(good).records == (HUNDRED,)
    assert receiver.seen.intervals == ()


def test_the_thief_ends_no_epoch_and_no_session() -> None:
    world = World()
    _, hello = world.greet()
    receiver = world.accept(world.open(hello)).receiver
    stolen = steal(world, hello)
    key = derived(_epoch0_secret(stolen), stolen.session, Direction.UP, 0)
    for kind, following in ((contents.Kind.REKEY, 1), (contents.Kind.END, None)):
        control = contents.encode_control(kind, following)
        with refused(Reason.FRAME_SIGNATURE):
            receiver.open(key.seal(0, contents.encode_content(control, bytes(64))))


def test_the_thief_makes_no_accept() -> None:
    world = World()
    handshake, hello = world.greet()
    stolen = steal(world, hello)
    for signer in (Signer(world.suite, keys("a thief")), Signer(world.suite, keys("a thief"), None)):
        forged = stolen.accept(verdict_of(stolen), RESULT, signer, FixedDraw("thief")).accept
        with refused(Reason.ACCEPT_SIGNATURE):
            handshake.accept(forged)
        handshake, hello = world.greet()
        stolen = steal(world, hello)


def test_the_thief_neither_reads_nor_writes_epoch_1_or_downwards() -> None:
    """It knows ck1 and the genuine Accept; ck2 needs ss2, which only the enclave's one-time key opens."""
    world = World()
    handshake, hello = world.greet()
    accepted = world.accept(world.open(hello))
    channel = handshake.accept(accepted.accept)
    frame, down = channel.up.protect([HUNDRED]), accepted.down_sender(handshake.session).protect([HUNDRED])
    stolen = steal(world, hello)
    accept = Accept.parse(accepted.accept)
    assert stolen._ck1, "the thief's knowledge"
    for guess in (bytes(32), stolen._ck1, stolen.th, accept.kem_ciphertext[:32]):
        ck2 = schedule.accept_key(stolen._ck1, guess, stolen.evidence_hash, accept.kem_ciphertext)
        for ck, direction, data in ((ck, d, f) for ck in (ck2, stolen._ck1) for d, f in ((0, frame), (1, down))):
            secret = schedule.epoch_secret(ck, stolen.session, Direction(direction), 1, stolen.evidence_hash)
            key = derived(secret, stolen.session, Direction(direction), 1)
            with refused(Reason.FRAME_AUTHENTICATION):
                key.open(data)
            forged = key.seal(0 if direction else 9, contents.encode_records([value(200)]))
            with refused(Reason.FRAME_AUTHENTICATION):
                (channel.down.open if direction else accepted.receiver.open)(forged)
    with pytest.raises(Rejected):
        world.made.key.decapsulate(accept.kem_ciphertext, kem.INFO_REPLY, Reason.ACCEPT_AUTHENTICATION)


def test_epoch_1_does_not_follow_from_epoch_0() -> None:
    world = World()
    handshake, hello = world.greet()
    channel = handshake.accept(world.accept(world.open(hello)).accept)
    frame = channel.up.protect([HUNDRED])
    stolen = steal(world, hello)
    secret = schedule.next_secret(_epoch0_secret(stolen), stolen.session, Direction.UP, 1)
    with refused(Reason.FRAME_AUTHENTICATION):
        derived(secret, stolen.session, Direction.UP, 1).open(frame)
    assert parse_frame(frame).epoch == 1


def test_a_stolen_store_opens_no_epoch_that_is_over() -> None:
    session = World().meet()
    receiver, up = session.accepted.receiver, session.enclave.up
    frames = [session.enclave.farewell, up.protect([HUNDRED]), up.rekey(), up.protect([HUNDRED])]
    for frame in frames:
        receiver.commit(receiver.open(frame), NOON)
    stolen = receiver.encode()
    chain = receiver._chain
    for data in frames[:3]:
        head = parse_frame(data)
        for at in range(len(stolen) - schedule.EPOCH_KEYS + 1):
            key = EpochKey(stolen[at : at + schedule.EPOCH_KEYS], head.session, Direction.UP, head.epoch)
            with refused(Reason.FRAME_AUTHENTICATION):
                key.open(data)
        with refused(Reason.FRAME_AUTHENTICATION):
            derived(chain, head.session, Direction.UP, head.epoch).open(data)
    assert derived(chain, receiver.session, Direction.UP, 2).open(frames[3])[0] == 3, "the live epoch is open to it"


def test_a_thief_of_one_session_knows_no_other() -> None:
    world, other = World(), replace(World(), seed="another enclave")
    first, second = world.meet(), other.meet()
    frame = second.enclave.up.protect([HUNDRED])
    forged = Sender(second.handshake.session, Direction.UP, 1, first.accepted.receiver._chain).protect([value(200)])
    with refused(Reason.FRAME_AUTHENTICATION):
        second.accepted.receiver.open(forged)
    assert second.accepted.receiver.open(frame).records == (HUNDRED,)
