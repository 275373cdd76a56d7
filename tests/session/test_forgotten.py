"""What a restarted enclave has forgotten, and what a thief makes of it: known, and stated in docs/threat-model.md."""

from dataclasses import replace

from intaglio.reasons import Reason
from intaglio.session import kem, schedule
from intaglio.session.data_centre import HelloOpener
from intaglio.session.epoch import derived
from intaglio.session.offers import make_offer
from intaglio.session.signing import Signer
from intaglio.types import Direction
from intaglio.wire import content as contents
from intaglio.wire.content import ContentReader
from intaglio.wire.hello import Hello
from tests.session.world import HUNDRED, TERMS, FixedDraw, World, keys, refused


def test_a_stolen_offer_key_reads_epoch_0_of_enclaves_that_never_saw_a_newer_offer() -> None:
    """An enclave has no clock, so not-after and delete-after mean nothing to it; a higher epoch does while it runs."""
    world = World()
    with refused(Reason.OFFER_TOO_OLD):
        world.handshake(highest_epoch=TERMS.epoch + 1).offer(world.made.data)
    handshake, hello = world.greet()
    frame = handshake.sender.protect([HUNDRED])
    thief = HelloOpener(world.made.data, kem.KemPrivateKey(world.made.key.private_bytes())).open(Hello.parse(hello))
    secret = schedule.epoch_secret(thief._ck1, thief.session, Direction.UP, 0, thief.evidence_hash)
    _, plain = derived(secret, thief.session, Direction.UP, 0).open(frame)
    assert ContentReader().read(contents.split_signature(plain)[0])[1] == (HUNDRED,)


def test_a_revoked_operational_key_is_refused_until_the_enclave_restarts() -> None:
    world = World(operational=True)
    running = world.handshake()
    by_identity = Signer(world.suite, keys("identity"))
    revocation = replace(TERMS, epoch=TERMS.epoch + 1, minimum_epoch=TERMS.epoch + 1)
    running.offer(make_offer(revocation, by_identity, FixedDraw("revocation")).data)
    later = world.handshake(highest_epoch=0, minimum_epoch=running.minimum_epoch)
    with refused(Reason.OFFER_TOO_OLD):
        later.offer(world.made.data)
    restarted, hello = world.greet()
    accepted = world.accept(world.open(hello))
    assert restarted.accept(accepted.accept).down.epoch == 1
