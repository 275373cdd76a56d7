"""Our own messages: written and read the same, and every reader fed whole, cut, too long, and with garbage."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.session.offers import read_offer
from intaglio.types import Tee, UnixTime
from intaglio.wire import cbor, cose
from intaglio.wire.hello import MAX_ACCEPT, MAX_HELLO, Accept, Hello, Result, Role, SealedEvidence
from intaglio.wire.identity import KeyCertificate, KeyUse, Pin, PublicKeys, Suite
from intaglio.wire.offer import MAX_OFFER, Offer, OfferBody
from intaglio.wire.peer import (
    MAX_PEER_ACCEPT,
    MAX_PEER_HELLO,
    MAX_PEER_OFFER,
    PeerAccept,
    PeerHello,
    PeerOffer,
    PeerOfferBody,
    PeerResult,
)
from intaglio.wire.statement import Question, Statement, StatementBody
from tests.feeding import feed, feed_garbage
from tests.session.peers import Meeting
from tests.session.world import RESULT, World, certified, pin_of

Reader = Callable[[bytes], object]


def _signed(data: bytes) -> cose.Signed:
    return cose.Signed.parse(data, "signed")


@lru_cache(maxsize=1)
def messages() -> dict[str, tuple[Reader, bytes]]:
    """One of each message, in both suites: its reader and its bytes."""
    found: dict[str, tuple[Reader, bytes]] = {"result": (Result.parse, RESULT.encode())}
    found["peer result"] = (PeerResult.parse, PeerResult(UnixTime(1), "meter").encode())
    found["evidence"] = (SealedEvidence.parse, SealedEvidence(Tee.SGX, Role.ENCLAVE, b"quote").encode())
    found["question"] = (Question.parse, Question(bytes(32), b"quote").encode())
    for suite in Suite:
        world = World(suite, operational=True)
        stated = StatementBody(suite, "dc.example", bytes(32), 7, 5, UnixTime(9), b"{}").encode()
        statement = Statement(certified(suite).sign("statement", stated), certified(suite).certificate).encode()
        handshake, hello = world.greet()
        accept = world.accept(world.open(hello)).accept
        offer = Offer.parse(world.made.data)
        certificate = certified(suite).certificate or b""
        found |= {
            f"pin {suite}": (Pin.parse, pin_of(suite, "identity", "next").encode()),
            f"offer {suite}": (read_offer, world.made.data),
            f"offer envelope {suite}": (Offer.parse, world.made.data),
            f"offer body {suite}": (OfferBody.parse, world.made.body.encode()),
            f"statement {suite}": (Statement.parse, statement),
            f"statement body {suite}": (StatementBody.parse, stated),
            f"hello {suite}": (Hello.parse, hello),
            f"accept {suite}": (Accept.parse, accept),
            f"signed {suite}": (_signed, offer.signed),
            f"detached {suite}": (_signed, Accept.parse(accept).signature),
            f"certificate {suite}": (KeyCertificate.parse, _signed(certificate).payload or b""),
        }
        assert handshake.session == Hello.parse(hello).session
        meeting = Meeting(suite)
        peer_offer = meeting.responder.offer()
        peer_hello = meeting.initiator.hello(peer_offer)
        found |= {
            f"peer offer {suite}": (PeerOffer.parse, peer_offer),
            f"peer offer body {suite}": (PeerOfferBody.parse, PeerOffer.parse(peer_offer).body),
            f"peer hello {suite}": (PeerHello.parse, peer_hello),
            f"peer accept {suite}": (PeerAccept.parse, meeting.responder.accept(peer_hello)[0]),
        }
    return found


NAMES = sorted(messages())


@pytest.mark.parametrize("name", NAMES)
def test_every_reader_is_fed_in_all_four_ways(name: str) -> None:
    reader, good = messages()[name]
    assert feed(reader, good) == reader(good)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("offer 1", "offer 2"))])
def test_what_is_read_and_written_again_is_the_same_bytes(name: str) -> None:
    reader, good = messages()[name]
    assert getattr(reader(good), "encode")() == good  # noqa: B009


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_mutated_messages_are_malformed_or_read(name: str, data: st.DataObject) -> None:
    """Structure-aware: one item of the message, however deep, becomes another value."""
    reader, good = messages()[name]
    tag, body = (good[: len(good) - len(rest)], rest) if (rest := _untagged(good)) != good else (b"", good)
    value = cbor2.loads(body)
    replacement: object = data.draw(
        st.sampled_from(
            list[object]([None, True, 0, 2**64 - 1, -1, "", b"", b"\x00" * 31, [], {}, [[]], {0: 0}, 1.5, "a" * 300])
        )
    )
    mutated = _replaced(value, data.draw(st.integers(0, 40)), replacement)
    feed_garbage(reader, tag + cbor2.dumps(mutated))
    at, size = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 9))
    feed_garbage(reader, good[:at] + data.draw(st.binary(max_size=9)) + good[at + size :])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(garbage=st.binary(max_size=300))
def test_garbage_is_malformed(name: str, garbage: bytes) -> None:
    feed_garbage(messages()[name][0], garbage)


def _untagged(data: bytes) -> bytes:
    return data[1:] if data[:1] == b"\xd2" else data[2:] if data[:2] == b"\xd8\x62" else data


def _replaced(value: object, position: int, replacement: object) -> object:
    """`value` with the item at this position (depth first, modulo) replaced."""
    if isinstance(value, list) and value:
        at = position % len(value)
        return [*value[:at], _replaced(value[at], position // len(value), replacement), *value[at + 1 :]]
    return replacement


@pytest.mark.parametrize(
    ("reader", "limit"),
    [
        (Hello.parse, MAX_HELLO),
        (Accept.parse, MAX_ACCEPT),
        (Offer.parse, MAX_OFFER),
        (PeerOffer.parse, MAX_PEER_OFFER),
        (PeerHello.parse, MAX_PEER_HELLO),
        (PeerAccept.parse, MAX_PEER_ACCEPT),
    ],
)
def test_a_message_above_its_limit_is_not_even_decoded(reader: Reader, limit: int) -> None:
    with pytest.raises(Malformed, match=f"at most {limit}"):
        reader(bytes(limit + 1))


def test_messages_do_not_pass_for_one_another() -> None:
    for name in ("offer", "hello", "accept", "pin"):
        for other in ("offer envelope", "hello", "accept", "pin"):
            if other.split()[0] != name:
                reader = messages()[f"{name} 1"][0]
                with pytest.raises(Malformed):
                    reader(messages()[f"{other} 1"][1])


def test_another_version_is_malformed() -> None:
    for name in ("offer", "hello", "accept", "pin"):
        reader, good = messages()[f"{name} 1"]
        assert good.count(b"intaglio/1 ") >= 1
        with pytest.raises(Malformed):
            reader(good.replace(b"intaglio/1 ", b"intaglio/2 ", 1))


def _body(**changes: object) -> bytes:
    return replace(World().made.body, **changes).encode()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"suite": 3}, "offer.suite"),
        ({"suite": 0}, "offer.suite"),
        ({"suite": True}, "offer.suite"),
        ({"kem_key": bytes(1215)}, "offer.kem_key"),
        ({"nonce": bytes(33)}, "offer.nonce"),
        ({"nonce": "a" * 32}, "offer.nonce"),
        ({"epoch": -1}, "offer.epoch"),
        ({"epoch": True}, "offer.epoch"),
        ({"minimum_epoch": None}, "offer.minimum_epoch"),
        ({"audience": ""}, "offer.audience"),
        ({"audience": "a" * 257}, "offer.audience"),
        ({"epoch0_limit": -1}, "offer.epoch0_limit"),
        ({"epoch0_limit": False}, "offer.epoch0_limit"),
        ({"not_after": UnixTime(0)}, "offer"),
        ({"delete_after": UnixTime(0)}, "offer"),
    ],
    ids=str,
)
def test_an_offers_field_out_of_bounds_is_named(changes: dict[str, object], field: str) -> None:
    if "suite" in changes:
        suite = changes["suite"]
        items = cbor2.loads(World().made.body.encode())
        data = cbor2.dumps([items[0], suite, *items[2:]])
    else:
        data = _body(**changes)
    with pytest.raises(Malformed) as caught:
        OfferBody.parse(data)
    assert caught.value.field == field


def test_a_certificate_of_nothing_is_malformed() -> None:
    good = KeyCertificate(PublicKeys(bytes(32)), KeyUse.OFFER, "a", 1, 1)
    assert KeyCertificate.parse(good.encode()) == good
    for bad in (replace(good, uses=KeyUse(0)), replace(good, epoch_to=0), replace(good, audience="")):
        with pytest.raises(Malformed):
            KeyCertificate.parse(bad.encode())
    items = cbor2.loads(good.encode())
    with pytest.raises(Malformed):
        KeyCertificate.parse(cbor2.dumps([items[0], 8, *items[2:]]))


def test_a_pin_holds_one_to_four_identities() -> None:
    names = ["a", "b", "c", "d", "e"]
    for count in range(6):
        pin = pin_of(Suite.ED25519, *names[:count]) if count else Pin(Suite.ED25519, "dc", ())
        if 1 <= count <= 4:
            assert Pin.parse(pin.encode()) == pin
        else:
            with pytest.raises(Malformed):
                Pin.parse(pin.encode())


def test_a_pin_of_suite_2_has_both_keys_everywhere() -> None:
    pin = pin_of(Suite.ED25519_ML_DSA_65, "a", "b")
    half = replace(pin, identities=(pin.identities[0], replace(pin.identities[1], ml_dsa_65=None)))
    with pytest.raises(Malformed):
        Pin.parse(half.encode())
    assert Pin.parse(replace(half, minimum_suite=Suite.ED25519).encode()).identities == half.identities


def test_a_pin_file_has_one_form() -> None:
    pin = pin_of(Suite.ED25519)
    text = pin.to_text()
    assert Pin.from_text(text) == pin
    lines = text.split("\n")
    for bad in (
        "", text[:-1], text + "\n", " " + text, text.replace("\n", "\r\n"), text.lower(), text.replace("A", "*", 1),
        "\n".join([lines[0], "".join(lines[1:-2]), *lines[-2:]]), "\n".join([lines[0], *lines[-2:]]),
        "\n".join(lines[1:]),
        "\n".join([*lines[:-3], lines[-3] + "=", *lines[-2:]]), text.replace("\n", "\né", 1),
    ):  # fmt: skip
        with pytest.raises(Malformed):
            Pin.from_text(bad)


@given(st.text(max_size=200))
def test_any_text_is_a_pin_file_or_malformed(text: str) -> None:
    for wrapped in (text, f"-----BEGIN INTAGLIO DATA CENTRE-----\n{text}\n-----END INTAGLIO DATA CENTRE-----\n"):
        with pytest.raises(Malformed):
            Pin.from_text(wrapped)


def test_pins_that_differ_have_different_hashes() -> None:
    pins = [
        pin_of(Suite.ED25519),
        pin_of(Suite.ED25519_ML_DSA_65),
        pin_of(Suite.ED25519, "other"),
        pin_of(Suite.ED25519, audience="x"),
    ]
    assert len({pin.hash for pin in pins}) == len(pins)


@pytest.mark.parametrize(
    "item",
    [
        [b"", {}, b"p", b"s"],  # protected header empty
        [cbor.encode({1: -8}), {}, b"p", b"s"],
        [cbor.encode({4: bytes(8)}), {}, b"p", b"s"],
        [cbor.encode({1: -8, 4: bytes(7)}), {}, b"p", b"s"],
        [cbor.encode({1: -8, 2: [3], 4: bytes(8)}), {}, b"p", b"s"],  # crit
        [cbor.encode({1: -8, 4: bytes(8)}), {4: b"x"}, b"p", b"s"],  # an unprotected header
        [cbor.encode({1: -8, 4: bytes(8)}), {}, "p", b"s"],
        [cbor.encode({1: -8, 4: bytes(8)}), {}, b"p", bytes(3310)],
        [cbor.encode({1: -8, 4: bytes(8)}), {}, b"p"],
        [cbor.encode({1: True, 4: bytes(8)}), {}, b"p", b"s"],
        [cbor.encode([1, 2]), {}, b"p", b"s"],
    ],
    ids=repr,
)
def test_a_cose_sign1_that_is_not_ours_is_malformed(item: cbor.Value) -> None:
    with pytest.raises(Malformed):
        _signed(b"\xd2" + cbor2.dumps(item))


def test_a_cose_sign_has_exactly_two_signatures() -> None:
    row: list[cbor.Value] = [cbor.encode({1: -8, 4: bytes(8)}), {}, b"s"]
    assert len(_signed(b"\xd8\x62" + cbor.encode([b"", {}, b"p", [row, row]])).signatures) == 2
    for rows in ([], [row], [row, row, row], row):
        with pytest.raises(Malformed):
            _signed(b"\xd8\x62" + cbor.encode([b"", {}, b"p", rows]))
    for outer in ([cbor.encode({}), {}, b"p", [row, row]], [b"", {1: 2}, b"p", [row, row]]):
        with pytest.raises(Malformed):
            _signed(b"\xd8\x62" + cbor2.dumps(outer))


@pytest.mark.parametrize("tag", ["", "d1", "d3", "d862d2", "d818", "d90012"])
def test_another_cose_tag_is_malformed(tag: str) -> None:
    good = messages()["signed 1"][1][1:]
    with pytest.raises(Malformed):
        _signed(bytes.fromhex(tag) + good)


@pytest.mark.parametrize(
    "item",
    [
        ["sgx", "host", b""],
        ["sgx2", "enclave", b""],
        [["sgx"], "enclave", b""],
        [1, "enclave", b""],
        [{}, "enclave", b""],
        ["sgx", "enclave", ""],
    ],
)
def test_evidence_of_an_unknown_tee_or_role_is_malformed(item: cbor.Value) -> None:
    with pytest.raises(Malformed):
        SealedEvidence.parse(cbor.encode(item))
