"""The handshake end to end, and with one thing broken in hello or Accept."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TypeVar

import pytest

from intaglio.errors import LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session import schedule
from intaglio.session.data_centre import HelloOpener
from intaglio.session.machine import State
from intaglio.session.offers import make_offer
from intaglio.session.signing import Signer
from intaglio.types import SessionId, Tee
from intaglio.verify.verdict import Decision
from intaglio.wire.hello import Accept, Hello, Role
from intaglio.wire.identity import KeyUse, Suite
from tests.session.world import (
    HUNDRED,
    NOON,
    QUOTE,
    RESULT,
    TERMS,
    FixedDraw,
    World,
    certified,
    keys,
    refused,
    verdict_of,
)


def test_a_hundred_arrives_as_a_hundred(world: World) -> None:
    handshake, hello = world.greet()
    early = handshake.sender.protect([HUNDRED])
    opened = world.open(hello)
    assert (opened.session, opened.tee, opened.evidence) == (handshake.session, Tee.SGX, QUOTE)
    assert (opened.claims, opened.offer) == ({"lineage": b"\x01"}, world.made.body)
    assert world.reported == [opened.report_data], "report data are set once, and both ends compute the same"
    accepted = world.accept(opened)
    channel = handshake.accept(accepted.accept)
    assert channel.result == accepted.result == RESULT
    receiver = accepted.receiver
    for frame, records in ((early, (HUNDRED,)), (channel.farewell, ()), (channel.up.protect([HUNDRED]), (HUNDRED,))):
        got = receiver.open(frame)
        assert got.records == records
        receiver.commit(got, NOON)
    down = accepted.down_sender(handshake.session)
    assert channel.down.open(down.protect([HUNDRED])).records == (HUNDRED,)
    assert (handshake.state, opened.state) == (State.ESTABLISHED, State.ESTABLISHED)


def test_a_refusal_is_read_by_the_enclave_only(world: World) -> None:
    handshake, hello = world.greet()
    sealed = world.open(hello).refuse(b'{"reasons": ["DEBUG_ENCLAVE"]}')
    assert handshake.rejection(sealed) == b'{"reasons": ["DEBUG_ENCLAVE"]}'
    other, _ = World(seed="another enclave").greet()
    with refused(Reason.ACCEPT_AUTHENTICATION):
        other.rejection(sealed)
    with refused(Reason.ACCEPT_AUTHENTICATION):
        handshake.rejection(sealed[:-1])


def test_two_enclaves_and_two_attempts_share_nothing() -> None:
    one, two = World().meet(), World(seed="another enclave").meet()
    assert one.handshake.session != two.handshake.session
    assert one.accepted.down_secret != two.accepted.down_secret


def test_a_session_does_not_show_its_secrets() -> None:
    session = World().meet()
    for shown in (repr(session.accepted), repr(session.handshake), repr(session.enclave)):
        assert repr(session.accepted.down_secret) not in shown
        assert session.accepted.down_secret.hex() not in shown


# What each field of a hello is protected by: a wrong offer or suite is not ours, all else breaks the transcript.
HELLO_CHANGES = {
    "offer_hash": Reason.OFFER_UNKNOWN,
    "suite": Reason.OFFER_UNKNOWN,
    "session": Reason.HELLO_AUTHENTICATION,
    "kem_ciphertext": Reason.HELLO_AUTHENTICATION,
    "reply_key": Reason.HELLO_AUTHENTICATION,
    "signing_key": Reason.HELLO_AUTHENTICATION,
    "sealed_claims": Reason.HELLO_AUTHENTICATION,
    "sealed_evidence": Reason.HELLO_AUTHENTICATION,
}


Message = TypeVar("Message", Hello, Accept)


def _with(message: Message, name: str, part: bytes) -> Message:
    return replace(message, **{name: part})  # type: ignore[arg-type]


def test_every_field_of_a_hello_has_its_own_case() -> None:
    assert {field.name for field in fields(Hello)} == set(HELLO_CHANGES)


@pytest.mark.parametrize("name", [name for name in HELLO_CHANGES if name != "suite"])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_an_altered_hello_does_not_open(world: World, name: str, where: str) -> None:
    _, data = world.greet()
    hello = Hello.parse(data)
    part = bytearray(getattr(hello, name))
    part[{"first": 0, "middle": len(part) // 2, "last": -1}[where]] ^= 1
    with refused(HELLO_CHANGES[name]):
        world.open(_with(hello, name, bytes(part)).encode())


@pytest.mark.parametrize("name", ["sealed_claims", "sealed_evidence"])
def test_a_sealed_part_cut_short_or_empty_does_not_open(name: str) -> None:
    world = World()
    hello = Hello.parse(world.greet()[1])
    part = getattr(hello, name)
    for bad in (part[:-1], part + b"\x00", part[:15], b""):
        with refused(Reason.HELLO_AUTHENTICATION):
            world.open(_with(hello, name, bad).encode())


def test_a_hello_of_another_suite_is_not_ours(world: World) -> None:
    hello = Hello.parse(world.greet()[1])
    other = Suite(3 - hello.suite)
    with refused(Reason.OFFER_UNKNOWN):
        world.open(replace(hello, suite=other).encode())


def test_a_hello_relayed_to_another_offer_is_refused(world: World) -> None:
    """Even one with our own key under it: another data centre's offer, or an earlier one of ours."""
    hello = world.greet()[1]
    other = make_offer(TERMS, world.signer, FixedDraw("another offer"))
    with refused(Reason.OFFER_UNKNOWN):
        HelloOpener(other.data, other.key).open(Hello.parse(hello))


def test_an_offer_and_another_offers_key_do_not_go_together() -> None:
    world = World()
    other = make_offer(TERMS, world.signer, FixedDraw("another offer"))
    with pytest.raises(Malformed):
        HelloOpener(world.made.data, other.key)


def test_parts_of_two_hellos_do_not_mix() -> None:
    one, two = (Hello.parse(World(seed=seed).greet()[1]) for seed in ("one", "two"))
    for field in fields(Hello):
        if getattr(one, field.name) != getattr(two, field.name):
            mixed = replace(one, **{field.name: getattr(two, field.name)})
            with refused(Reason.HELLO_AUTHENTICATION):
                World().open(mixed.encode())


def test_report_data_differ_for_every_input() -> None:
    th, confirm = bytes(32), bytes(range(32))
    base = schedule.report_data(Tee.SGX, Role.ENCLAVE, th, confirm)
    others = {
        *(schedule.report_data(tee, Role.ENCLAVE, th, confirm) for tee in Tee),
        *(schedule.report_data(Tee.SGX, Role.ENCLAVE, th[:i] + b"\x01" + th[i + 1 :], confirm) for i in range(len(th))),
        *(
            schedule.report_data(Tee.SGX, Role.ENCLAVE, th, confirm[:i] + b"\xff" + confirm[i + 1 :])
            for i in range(len(confirm))
        ),
        schedule.report_data_of(Tee.SGX, Role.ENCLAVE, th, confirm),
    }
    assert base in others  # by way of Tee.SGX
    assert len(others) == len(Tee) + 32 + 32 + 1
    assert all(len(data) == 64 and any(data) for data in others)


def test_every_session_has_its_own_report_data() -> None:
    seen = []
    for seed in ("one", "two"):
        world = World(seed=seed)
        world.greet()
        seen += world.reported
    assert len(set(seen)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": Decision.REJECTED},
        {"decision": Decision.UNDECIDABLE},
        {"decision": None},
        {"genuine": False},
        {"genuine": None},
        {"identity": None},
        {"tee": Tee.TDX},
        {"evidence_hash": bytes(32)},
        {"report_data": bytes(64)},
    ],
    ids=str,
)
def test_only_an_accepted_verdict_of_this_evidence_opens_a_session(changes: dict[str, object]) -> None:
    world = World()
    opened = world.open(world.greet()[1])
    with pytest.raises(LocalProtocolError, match="accept:"):
        opened.accept(verdict_of(opened, **changes), RESULT, world.signer, FixedDraw("accept"))
    assert opened.state is State.DEAD


def test_a_verdict_of_another_session_does_not_open_this_one() -> None:
    """The same evidence bytes twice: its report data fit the session it was made for, and no other."""
    world = World()
    first, second = (world.open(World(seed=seed).greet()[1]) for seed in ("one", "two"))
    assert first.evidence_hash == second.evidence_hash
    with pytest.raises(LocalProtocolError, match="not bound"):
        second.accept(verdict_of(first), RESULT, world.signer, FixedDraw("accept"))


def test_an_accept_wants_a_signer_of_the_hellos_suite(world: World) -> None:
    opened = world.open(world.greet()[1])
    with pytest.raises(LocalProtocolError, match="suite"):
        world.accept(opened, Signer(Suite(3 - world.suite), keys("identity")))


def _answer(world: World, change: Callable[[Accept], Accept], signer: Signer | None = None) -> None:
    handshake, hello = world.greet()
    accept = Accept.parse(world.accept(world.open(hello), signer).accept)
    try:
        handshake.accept(change(accept).encode())
    finally:
        assert handshake.state is State.DEAD
        assert handshake.sender.epoch == 0, "a bad Accept moves no key"


def _flip(data: bytes, position: int) -> bytes:
    position %= len(data)
    return data[:position] + bytes((data[position] ^ 1,)) + data[position + 1 :]


@pytest.mark.parametrize("name", ["kem_ciphertext", "sealed_result"])
@pytest.mark.parametrize("position", [0, 600, -1])
def test_an_altered_accept_fails_its_signature(world: World, name: str, position: int) -> None:
    with refused(Reason.ACCEPT_SIGNATURE):
        _answer(world, lambda accept: _with(accept, name, _flip(getattr(accept, name), position)))


def test_an_accept_under_another_session_id_is_refused(world: World) -> None:
    with refused(Reason.ACCEPT_AUTHENTICATION):
        _answer(world, lambda accept: replace(accept, session=SessionId(bytes(16))))


def test_an_accept_of_another_session_is_refused(world: World) -> None:
    other, hello = replace(world, seed="another enclave").greet()
    theirs = Accept.parse(world.accept(world.open(hello)).accept)
    with refused(Reason.ACCEPT_SIGNATURE):
        _answer(world, lambda ours: replace(theirs, session=ours.session))
    assert other.state is State.OPENED


def test_an_altered_signature_is_refused(world: World) -> None:
    with pytest.raises((Rejected, Malformed)) as caught:
        _answer(world, lambda accept: replace(accept, signature=_flip(accept.signature, -1)))
    assert getattr(caught.value, "reason", Reason.ACCEPT_SIGNATURE) is Reason.ACCEPT_SIGNATURE


def test_an_accept_by_anybody_else_is_refused(world: World) -> None:
    with refused(Reason.ACCEPT_SIGNATURE):
        _answer(world, lambda accept: accept, Signer(world.suite, keys("a thief")))


def test_an_offers_signature_does_not_fit_an_accept(world: World) -> None:
    """The label is in what is signed, so a data centre's other signatures can't be moved."""
    handshake, hello = world.greet()
    opened = world.open(hello)
    accept = Accept.parse(world.accept(opened).accept)
    body = schedule.accept_body(opened.th, opened.evidence_hash, accept.kem_ciphertext, accept.sealed_result)
    for label in ("offer", "key"):
        signature = world.signer.sign(label, body, detached=True)
        with refused(Reason.ACCEPT_SIGNATURE):
            _answer(world, lambda accept, made=signature: replace(accept, signature=made))  # type: ignore[misc]
    attached = world.signer.sign("accept", body)
    with pytest.raises(Malformed, match="detached"):
        handshake.accept(replace(accept, signature=attached).encode())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"uses": KeyUse.OFFER}, Reason.ACCEPT_SIGNATURE),
        ({"audience": "other.example"}, Reason.AUDIENCE_MISMATCH),
        ({"epoch_from": 8}, Reason.ACCEPT_SIGNATURE),
        ({"epoch_to": 6}, Reason.ACCEPT_SIGNATURE),
        ({"by": "a thief"}, Reason.ACCEPT_SIGNATURE),
    ],
    ids=str,
)
def test_an_accepts_certificate_must_fit(suite: Suite, changes: dict[str, object], reason: Reason) -> None:
    with refused(reason):
        _answer(World(suite), lambda accept: accept, certified(suite, **changes))  # type: ignore[arg-type]


def test_a_revoked_key_signs_no_accept(suite: Suite) -> None:
    world = World(suite, terms=replace(TERMS, minimum_epoch=6))
    with refused(Reason.OFFER_TOO_OLD):
        _answer(world, lambda accept: accept, certified(suite))
    world.meet()


def test_a_result_that_does_not_open_is_refused() -> None:
    """Signed by the data centre, and still not of this handshake: ct2 of another reply key."""
    world = World()
    handshake, hello = world.greet()
    _, other = World(seed="another enclave").greet()
    theirs = Hello.parse(other).reply_key
    opened = world.open(hello)
    opened._hello = replace(opened._hello, reply_key=theirs)
    with refused(Reason.ACCEPT_AUTHENTICATION):
        handshake.accept(world.accept(opened).accept)


def test_a_reply_key_that_is_none_is_malformed() -> None:
    world = World()
    for bad in (bytes(1216), b"\xff" * 1216):
        opened = world.open(world.greet()[1])
        opened._hello = replace(opened._hello, reply_key=bad)
        with pytest.raises(Malformed):
            world.accept(opened)
        assert opened.state is State.DEAD
