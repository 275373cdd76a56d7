"""What we make is COSE: another library (pycose) verifies our offers and opens our frames, knowing RFC 9052 only."""

import warnings

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from intaglio.session import schedule
from intaglio.types import Direction
from intaglio.wire import cbor, cose
from intaglio.wire.content import Kind, encode_control, encode_records
from intaglio.wire.hello import Accept
from intaglio.wire.identity import Suite
from intaglio.wire.offer import Offer
from tests.session.world import HUNDRED, World, keys, value

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pycose.headers import IV, KID, PartialIV
    from pycose.keys import OKPKey, SymmetricKey
    from pycose.keys.curves import Ed25519
    from pycose.messages import CoseMessage, Enc0Message, Sign1Message


def _nonce(iv: bytes, partial: bytes) -> bytes:
    """RFC 9052 §3.1: Base IV XOR the Partial IV, padded with zeros on its left to the IV's length."""
    return bytes(a ^ b for a, b in zip(iv, partial.rjust(len(iv), b"\x00"), strict=True))


def decode(data: bytes) -> CoseMessage:
    """`CoseMessage.decode`, which wants lists and dicts, where cbor2 from 6 on makes a tagged array immutable: so the
    tag's one byte is looked at here."""
    kind = {0xD0: Enc0Message, 0xD2: Sign1Message}[data[0]]
    return kind.from_cose_obj(cbor2.loads(data[1:]), True)


def _decrypt(data: bytes, material: bytes) -> bytes:
    message = decode(data)
    message.key = SymmetricKey(k=material[:32])
    message.uhdr_update({IV: _nonce(material[32:44], message.phdr[PartialIV])})
    return bytes(message.decrypt())


def test_another_library_opens_our_frames() -> None:
    world = World()
    handshake, hello = world.greet()
    early = handshake.sender.protect([HUNDRED])
    accepted = world.accept(world.open(hello))
    channel = handshake.accept(accepted.accept)
    material = dict(accepted.receiver._material)
    plain = cbor.decode(_decrypt(early, material[0]), "content")
    assert isinstance(plain, list)
    assert plain[:2] == [0, [["get_size", "application/cbor", b"\x18\x64"]]]
    assert len(plain[2]) == 64
    records = [value(n) for n in range(50)]
    assert _decrypt(channel.up.protect([HUNDRED]), material[1]) == encode_records([HUNDRED])
    assert _decrypt(channel.up.protect(records), material[1]) == encode_records(records)
    assert _decrypt(channel.up.end(), material[1]) == encode_control(Kind.END, None)
    down = schedule.epoch_keys(accepted.down_secret, handshake.session, Direction.DOWN, 1)
    assert _decrypt(accepted.down_sender(handshake.session).protect([HUNDRED]), down) == encode_records([HUNDRED])


def test_another_library_reads_the_kid_as_documented() -> None:
    session = World().meet()
    message = decode(session.enclave.up.protect([HUNDRED]))
    assert message.phdr[KID] == session.handshake.session + b"\x00" + (1).to_bytes(4, "big")
    assert message.phdr[PartialIV] == (1).to_bytes(8, "big")


def test_another_library_verifies_our_offer_under_its_label_only() -> None:
    world = World(Suite.ED25519)
    message = decode(Offer.parse(world.made.data).signed)
    message.key = OKPKey(crv=Ed25519, x=keys("identity").public.ed25519)
    message.external_aad = b"intaglio/1 offer"
    assert message.verify_signature()
    assert message.payload == world.made.body.encode()
    for label in (b"intaglio/1 accept", b"intaglio/1 key", b""):
        message.external_aad = label
        assert not message.verify_signature()


def test_another_library_verifies_a_detached_accept() -> None:
    world = World(Suite.ED25519)
    _, hello = world.greet()
    opened = world.open(hello)
    accept = Accept.parse(world.accept(opened).accept)
    message = decode(accept.signature)
    assert message.payload is None
    message.key = OKPKey(crv=Ed25519, x=keys("identity").public.ed25519)
    message.external_aad = b"intaglio/1 accept"
    body = schedule.accept_body(opened.th, opened.evidence_hash, accept.kem_ciphertext, accept.sealed_result)
    assert message.verify_signature(detached_payload=body)


def test_another_library_verifies_both_signatures_of_suite_2() -> None:
    """pycose knows no ML-DSA: RFC 9052's Sig_structure is built here by hand, and the primitives verify that."""
    world = World(Suite.ED25519_ML_DSA_65)
    signed = Offer.parse(world.made.data).signed
    rows = cose.Signed.parse(signed, "offer").signatures
    body = world.made.body.encode()
    for row in rows:
        structure = cbor.encode(["Signature", b"", row.protected, b"intaglio/1 offer", body])
        public = keys("identity").public
        if row.alg == -8:
            Ed25519PublicKey.from_public_bytes(public.ed25519).verify(row.value, structure)
        else:
            MLDSA65PublicKey.from_public_bytes(public.ml_dsa_65 or b"").verify(row.value, structure)
    assert [row.alg for row in rows] == [-8, -49]
