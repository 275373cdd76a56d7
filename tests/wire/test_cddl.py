"""docs/protocol.cddl describes our messages: real ones of both suites fit it, changed ones don't."""

from dataclasses import replace
from functools import lru_cache

import cbor2
import pycddl
import pytest

from intaglio.errors import Malformed
from intaglio.session import schedule
from intaglio.types import Tee, UnixTime
from intaglio.wire import cbor, cose
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.collateral_bundle import Bundle, Entry, SignedBundle
from intaglio.wire.collateral_request import DcapRequest, SnpRequest, TcbUpdate
from intaglio.wire.content import Kind, encode_content, encode_control, encode_records
from intaglio.wire.downward import MAX_VERSION, Acknowledgement, Command, ItemOutcome, Secret, SecretKind
from intaglio.wire.hello import Accept, Hello, Role, SealedEvidence
from intaglio.wire.identity import Suite
from intaglio.wire.offer import Offer
from intaglio.wire.peer import PeerAccept, PeerOffer, PeerOfferBody, PeerResult
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.snp_fields import Product, TcbVersion
from intaglio.wire.state import MAX_COUNTER, StateStep
from intaglio.wire.statement import Question, Statement, StatementBody
from tests.conftest import ROOT
from tests.session.peers import Meeting
from tests.session.world import HUNDRED, RESULT, World, certified, pin_of, value

CDDL = (ROOT / "docs" / "protocol.cddl").read_text(encoding="utf-8")


@lru_cache(maxsize=32)
def schema(rule: str) -> pycddl.Schema:
    """A validator whose root is this rule: CDDL's root is the first one."""
    return pycddl.Schema(f"start = {rule}\n{CDDL}")


def fits(rule: str, data: bytes) -> None:
    schema(rule).validate_cbor(data)


def fails(rule: str, data: bytes) -> None:
    with pytest.raises(pycddl.ValidationError):
        fits(rule, data)


@lru_cache(maxsize=4)
def messages(suite: Suite, operational: bool) -> tuple[tuple[str, bytes], ...]:
    """(rule, bytes) of every message of a real session."""
    world = World(suite, operational)
    handshake, hello = world.greet()
    early = handshake.sender.protect([HUNDRED])
    accepted = world.accept(world.open(hello))
    channel = handshake.accept(accepted.accept)
    offer, accept = Offer.parse(world.made.data), Accept.parse(accepted.accept)
    certificate = certified(suite).certificate or b""
    part = encode_records([HUNDRED, value(1)])
    down = accepted.down_sender(handshake.session)
    stated = StatementBody(suite, "dc.example", bytes(32), 7, 5, UnixTime(9), b"{}")
    return (
        ("statement-question", Question(bytes(32), b"quote").encode()),
        ("statement-question", Question(bytes(32), None).encode()),
        ("statement", Statement(certified(suite).sign("statement", stated.encode()), certificate).encode()),
        ("statement-body", stated.encode()),
        ("statement-body", replace(stated, collateral=None).encode()),
        ("pin", pin_of(suite, "identity", "next").encode()),
        ("key-certificate", certificate),
        ("certificate-body", cose.Signed.parse(certificate, "certificate").payload or b""),
        ("offer", world.made.data),
        ("signed", offer.signed),
        ("offer-body", world.made.body.encode()),
        ("hello", hello),
        ("claim-map", cbor.encode({"lineage": b"\x01"})),
        ("evidence-part", SealedEvidence(Tee.SGX, Role.ENCLAVE, b"quote").encode()),
        ("accept", accepted.accept),
        ("detached", accept.signature),
        ("result", RESULT.encode()),
        ("frame", early),
        ("frame", channel.farewell),
        ("frame", channel.up.protect([HUNDRED])),
        ("frame", channel.up.rekey()),
        ("frame", channel.up.end()),
        ("frame", down.protect([value(n) for n in range(1000)])),
        ("content", part),
        ("content", encode_control(Kind.REKEY, 2)),
        ("content", encode_control(Kind.CHECKPOINT, b"reserved")),
        ("content", encode_control(Kind.END, None)),
        ("epoch0-content", encode_content(part, bytes(64))),
        ("epoch0-content", encode_content(encode_control(Kind.REKEY, 1), bytes(64))),
        ("checkpoint", cbor.encode([0, 3, [bytes(32)] * 4, bytes(32), None, bytes(64)])),
    )


@lru_cache(maxsize=4)
def collateral_messages(suite: Suite) -> tuple[tuple[str, bytes], ...]:
    """The same for a bundle of collateral, with an entry of each kind."""
    nine = DcapCollateral(b"x", b"x", b"x", b"x", b"x", bytes(64), b"x", b"x", bytes(64))
    family = DcapRequest(Tee.TDX, "0" * 12, "platform", TcbUpdate("17"))
    chip = SnpRequest(Product.TURIN, bytes(64), TcbVersion(1, 2, 3, 4, fmc=5))
    source, at = "https://kds.example", UnixTime(1)
    entries = [
        Entry(family, at, source, nine),
        Entry(chip, at, source, SnpCollateral(b"\x30", b"\x30", b"\x30")),
    ]
    bundle = Bundle.of("dc.example", UnixTime(5), 6, entries)
    signed = SignedBundle(certified(suite).sign("collateral-bundle", bundle.encode()), certified(suite).certificate)
    return (
        ("collateral-bundle", signed.encode()),
        ("collateral-body", bundle.encode()),
        *(("collateral-entry", entry.encode()) for entry in entries),
        ("dcap-request", cbor.encode(family.to_cbor())),
        ("snp-request", cbor.encode(chip.to_cbor())),
    )


@pytest.mark.parametrize("suite", Suite, ids=str)
def test_a_bundle_of_collateral_fits_and_a_changed_one_does_not(suite: Suite) -> None:
    for rule, data in collateral_messages(suite):
        fits(rule, data)
        items = cbor2.loads(data)
        for changed in ([*items, True], items[:-1], [True, *items[1:]]):
            fails(rule, cbor2.dumps(changed))


CASES = [(suite, operational) for suite in Suite for operational in (False, True)]


@pytest.mark.parametrize(("suite", "operational"), CASES, ids=str)
def test_real_messages_fit(suite: Suite, operational: bool) -> None:
    for rule, data in messages(suite, operational):
        fits(rule, data)


@pytest.mark.parametrize(("suite", "operational"), CASES, ids=str)
def test_a_message_with_an_item_too_many_or_too_few_does_not_fit(suite: Suite, operational: bool) -> None:
    for rule, data in messages(suite, operational):
        if rule in ("claim-map", "content", "epoch0-content"):
            continue  # below
        tag = data[:1] if data[0] in (0xD0, 0xD2) else data[:2] if data[:2] == b"\xd8\x62" else b""
        items = cbor2.loads(data[len(tag) :])
        for changed in ([*items, True], items[:-1], [True, *items[1:]]):
            fails(rule, tag + cbor2.dumps(changed))


def test_parts_of_another_size_do_not_fit() -> None:
    for rule, data in messages(Suite.ED25519, True):
        if rule in ("hello", "accept", "offer-body", "pin"):
            items = cbor2.loads(data)
            for at, item in enumerate(items):
                if isinstance(item, bytes) and len(item) in (16, 32, 1168, 1216):
                    fails(rule, cbor2.dumps([*items[:at], item + b"\x00", *items[at + 1 :]]))


def test_messages_do_not_pass_for_one_another() -> None:
    named = [
        (rule, data)
        for rule, data in messages(Suite.ED25519, False)
        if rule in ("pin", "offer", "hello", "accept", "frame")
    ]
    for rule, _ in named:
        for other, data in named:
            if other != rule:
                fails(rule, data)


@pytest.mark.parametrize(("suite", "operational"), CASES, ids=str)
def test_what_byte_strings_hold_fits(suite: Suite, operational: bool) -> None:
    """Headers of signatures and frames; bodies have their own cases above."""
    for rule, data in messages(suite, operational):
        if rule in ("signed", "detached", "key-certificate"):
            for row in cose.Signed.parse(data, rule).signatures:
                fits("protected", cbor2.dumps(row.protected))
                fits("header", row.protected)
        if rule == "frame":
            protected = cbor2.loads(data[1:])[0]
            fits("frame-header", protected)
            fails("frame-header", cbor.encode({**cbor2.loads(protected), 4: bytes(20)}))
            fails("frame-header", cbor.encode({**cbor2.loads(protected), 1: 1}))
    fails("header", cbor.encode({1: -7, 4: bytes(8)}))
    fails("header", cbor.encode({1: -8, 4: bytes(7)}))


def test_a_signature_of_another_shape_does_not_fit() -> None:
    signed = cbor2.loads(Offer.parse(World(Suite.ED25519).made.data).signed[1:])
    for at, changed in ((3, bytes(63)), (3, bytes(3309)), (2, "text"), (2, None), (0, b""), (0, bytes(36))):
        fails("signed", b"\xd2" + cbor2.dumps([*signed[:at], changed, *signed[at + 1 :]]))
    fails("signed", b"\xd1" + cbor2.dumps(signed))
    outer = cbor2.loads(Offer.parse(World(Suite.ED25519_ML_DSA_65).made.data).signed[2:])
    first, second = outer[3]
    for rows in ([first], [second], [first, first], [second, first]):
        fails("signed", b"\xd8\x62" + cbor2.dumps([*outer[:3], rows]))


def test_contents_that_are_not_ours_do_not_fit() -> None:
    for value_ in (
        [0, []],
        [1, None],
        [1, 0],
        [2, None],
        [3, 0],
        [4, None],
        [0, [["", "a", b""]]],
        [0, [["a" * 256, "a", b""]]],
    ):
        fails("content", cbor2.dumps(value_))
    fails("content", encode_content(encode_records([HUNDRED]), bytes(64)))
    fails("epoch0-content", encode_records([HUNDRED]))


def test_the_cddl_and_the_code_agree_on_sizes() -> None:
    hello = Hello.parse(dict(messages(Suite.ED25519, False))["hello"])
    assert f".size {len(hello.kem_ciphertext)} " in CDDL
    assert f".size {len(hello.reply_key)} " in CDDL
    assert schedule.EPOCH_KEYS == 76


@lru_cache(maxsize=2)
def peer_messages(suite: Suite) -> tuple[tuple[str, bytes], ...]:
    """(rule, bytes) of every message between two enclaves."""
    meeting = Meeting(suite)
    offer = meeting.responder.offer()
    hello = meeting.initiator.hello(offer)
    accept, _ = meeting.responder.accept(hello)
    return (
        ("peer-offer", offer),
        ("peer-offer-body", PeerOffer.parse(offer).body),
        ("peer-hello", hello),
        ("peer-evidence-part", SealedEvidence(Tee.TDX, Role.PEER_INITIATOR, b"quote").encode()),
        ("peer-accept", accept),
        ("peer-result", PeerResult(UnixTime(1), "meter").encode()),
    )


@pytest.mark.parametrize("suite", Suite, ids=str)
def test_messages_between_enclaves_fit_and_changed_ones_do_not(suite: Suite) -> None:
    for rule, data in peer_messages(suite):
        fits(rule, data)
        items = cbor2.loads(data)
        for changed in ([*items, True], items[:-1], [True, *items[1:]]):
            fails(rule, cbor2.dumps(changed))
        for other in ("offer", "hello", "accept", "offer-body", "evidence-part"):
            fails(other, data)
    fits("detached", PeerAccept.parse(dict(peer_messages(suite))["peer-accept"]).signature)
    fits("peer-result", PeerResult(UnixTime(1), None).encode())


def test_a_peers_offer_holds_the_keys_of_its_suite() -> None:
    one, two = (cbor2.loads(dict(peer_messages(suite))["peer-offer-body"]) for suite in Suite)
    for items, keys in ((one, two[4]), (two, one[4])):
        data = cbor2.dumps([*items[:4], keys, *items[5:]])
        fails("peer-offer-body", data)
        with pytest.raises(Malformed) as caught:
            PeerOfferBody.parse(data)
        assert caught.value.field == "peer_offer.accept_keys"


def test_steps_of_a_state_fit() -> None:
    first = StateStep(bytes(16), 0, bytes(32), None)
    later = StateStep(bytes(16), MAX_COUNTER, bytes(32), bytes(32))
    for step in (first, later):
        fits("state-step", step.encode())
        assert StateStep.parse(step.encode()) == step
    for broken in (
        [bytes(16), 0, bytes(32), bytes(32)],
        [bytes(16), 1, bytes(32), None],
        [bytes(15), 0, bytes(32), None],
        [bytes(16), MAX_COUNTER + 1, bytes(32), bytes(32)],
    ):
        fails("state-step", cbor2.dumps(broken))
        with pytest.raises(Malformed):
            StateStep.of(broken)


def test_secrets_commands_and_acknowledgements_fit() -> None:
    reference = bytes(16)
    for kind in SecretKind:
        secret = Secret(reference, "key", MAX_VERSION, kind, b"" if kind is SecretKind.REVOKED else bytes(65_536))
        fits("secret", secret.encode())
        assert Secret.parse(secret.encode()) == secret
    command = Command(reference, "add", b"{}")
    fits("command", command.encode())
    assert Command.parse(command.encode()) == command
    for outcome in ItemOutcome:
        ack = Acknowledgement(reference, outcome)
        fits("acknowledgement", ack.encode())
        assert Acknowledgement.parse(ack.encode()) == ack


def test_what_is_no_secret_command_or_acknowledgement_is_malformed() -> None:
    reference = bytes(16)
    broken: list[tuple[str, type[Secret | Command | Acknowledgement], list[object]]] = [
        ("secret", Secret, [reference, "key", 0, 0, b""]),
        ("secret", Secret, [reference, "key", MAX_VERSION + 1, 0, b""]),
        ("secret", Secret, [reference, "key", 1, 3, b"x"]),
        ("secret", Secret, [reference, "key", 1, 4, b""]),
        ("secret", Secret, [reference, "", 1, 0, b""]),
        ("secret", Secret, [reference, "key", 1, 0, bytes(65_537)]),
        ("secret", Secret, [reference, "key", 1, 0]),
        ("command", Command, [bytes(15), "add", b"{}"]),
        ("command", Command, [reference, "add"]),
        ("command", Command, [reference, "a" * 256, b"{}"]),
        ("acknowledgement", Acknowledgement, [reference, 4]),
        ("acknowledgement", Acknowledgement, [reference, True]),
    ]
    with pytest.raises(Malformed):  # which the validator would take: its `.size` of a range asks for no type
        Command.parse(cbor2.dumps([reference, "add", "{}"]))
    for rule, reader, value_ in broken:
        fails(rule, cbor2.dumps(value_))
        with pytest.raises(Malformed):
            reader.parse(cbor2.dumps(value_))
