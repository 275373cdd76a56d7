"""Local attestation: Intel's exchange byte for byte, and everything a host between two enclaves can try."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product

import pytest

from intaglio.errors import LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session.intel_keys import KeyPair, derive_key, secret_of
from intaglio.session.local import INITIATOR_TABLE, RESPONDER_TABLE, Initiator, LocalSession, Responder
from intaglio.session.machine import Event, State
from intaglio.sim.cpu import Enclave, LaunchOptions, Processor
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.signing import EnclaveTerms, generate_vendor_key, sign_enclave
from intaglio.types import Draw, Measurement, ReportData, UnixTime
from intaglio.verify.local_peer import PeerPolicy
from intaglio.verify.mac import aes_cmac
from intaglio.wire.local_exchange import (
    MAX_PROPERTIES,
    PROTOCOL_SPEC,
    Message1,
    Message2,
    Message3,
    Variant,
)
from intaglio.wire.sgx import LocalReport
from intaglio.wire.target_info import TargetInfo
from tests.conftest import ROOT
from tests.feeding import feed
from tests.session import intel_reference as intel
from tests.session.world import refused

VENDOR = generate_vendor_key()
CPU = Processor(bytes(range(32)), bytes([5] * 16))
NOW = UnixTime(1_767_225_600)
BOTH = pytest.mark.parametrize("variant", Variant, ids=lambda variant: variant.value)


@lru_cache(maxsize=64)
def launched(name: str, cpu: Processor = CPU, *, debug: bool = False, terms: EnclaveTerms | None = None) -> Enclave:
    image = Image((TrustedFile(f"{name}.py", name.encode()),))
    signed = sign_enclave(VENDOR, image.mr_enclave(), terms or EnclaveTerms(), now=NOW)
    return cpu.launch(image, signed.encode(), LaunchOptions(debug=debug))


def drawing(byte: int) -> Draw:
    return lambda count: bytes([byte]) * count


def only(enclave: Enclave) -> PeerPolicy:
    return PeerPolicy.enclaves(enclave.identity.mr_enclave)


@dataclass
class Pair:
    """Two enclaves, and the host between them."""

    variant: Variant = Variant.LAV1
    caller: Enclave = field(default_factory=lambda: launched("caller"))
    called: Enclave = field(default_factory=lambda: launched("called"))

    def __post_init__(self) -> None:
        self.responder = Responder(self.called, only(self.caller), drawing(1), properties=b"props")
        self.initiator = Initiator(self.caller, only(self.called), drawing(2), variant=self.variant)

    def second(self) -> bytes:
        return self.initiator.message1(self.responder.message1())

    def third(self) -> bytes:
        return self.responder.message2(self.second())

    def established(self) -> tuple[LocalSession, LocalSession]:
        ours = self.initiator.message3(self.third())
        return ours, self.responder.session


@pytest.fixture(params=list(Variant), ids=lambda variant: variant.value)
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


class Host:
    """A host that takes part in the exchange with a key of its own: it knows SMK, and has no report of its own."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.key = KeyPair.draw(drawing(3))

    def smk(self, peer: bytes) -> bytes:
        return derive_key(secret_of(self.key.agree(peer, "peer")), b"SMK")

    def message2(self, g_a: bytes, report: LocalReport) -> bytes:
        covered = report.encode() if self.variant is Variant.LAV1 else self.key.public
        return Message2(self.key.public, report, aes_cmac(self.smk(g_a), covered)).encode()

    def message3(self, g_b: bytes, report: LocalReport) -> bytes:
        bare = Message3(b"", report, b"")
        covered = bare.body if self.variant is Variant.LAV1 else self.key.public
        return replace(bare, mac=aes_cmac(self.smk(g_b), covered)).encode()


# -- byte for byte -------------------------------------------------------------------------------------------


def scalar(byte: int) -> int:
    return int.from_bytes(bytes([byte]) * 48, "big") % (intel.ORDER - 1) + 1


@BOTH
def test_every_byte_is_what_the_published_structures_say(variant: Variant) -> None:
    pair = Pair(variant)
    first = pair.responder.message1()
    second = pair.initiator.message1(first)
    third = pair.responder.message2(second)
    ours = pair.initiator.message3(third)
    a, b = intel.public(scalar(1)), intel.public(scalar(2))
    secret = intel.shared(scalar(1), b)
    assert secret == intel.shared(scalar(2), a)
    smk = intel.derived(secret, b"SMK")

    assert len(first) == 576
    assert first[:64] == a
    own = pair.called.identity
    target = own.mr_enclave + own.attributes.encode() + bytes(24) + bytes(64)
    assert first[64:] == target.ljust(512, b"\0")

    assert len(second) == 512
    assert second[:64] == b
    on_wire = second[64 + 320 : 64 + 384]
    lav1 = variant is Variant.LAV1
    assert on_wire == (intel.data(a + b, b"\x01\x00") if lav1 else intel.SPEC)
    assert second[496:] == intel.cmac(smk, second[64:496] if lav1 else b)
    made = second[64:384] + (on_wire if lav1 else intel.data(intel.SPEC + b))
    assert intel.cmac(pair.called.report_key(second[448:480]), made) == second[480:496]

    assert len(third) == 452 + 5
    assert third[448:] == b"\x05\x00\x00\x00props"
    assert third[16 + 320 : 16 + 384] == (intel.data(b + a) if lav1 else intel.data(a + intel.SPEC))
    assert third[:16] == intel.cmac(smk, third[16:] if lav1 else b"props" + a)
    assert intel.cmac(pair.caller.report_key(third[400:432]), third[16:400]) == third[432:448]

    assert ours.aek == pair.responder.session.aek == intel.derived(secret, b"AEK")


def test_known_answers() -> None:
    """Frozen from the reference, whose CMAC is tried on RFC 4493's examples."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    for message, tag in (
        ("", "bb1d6929e95937287fa37d129b756746"),
        ("6bc1bee22e409f96e93d7e117393172a", "070a16b46b4d4144f79bdd9dd04a287c"),
        ("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411",
         "dfa66747de9ae63030ca32611497c827"),
    ):  # fmt: skip
        assert intel.cmac(key, bytes.fromhex(message)) == aes_cmac(key, bytes.fromhex(message)) == bytes.fromhex(tag)
    assert intel.SPEC == PROTOCOL_SPEC
    pair = KeyPair(1), KeyPair(2)
    assert pair[0].public == intel.public(1)
    shared = pair[0].agree(pair[1].public, "peer")
    assert shared == pair[1].agree(pair[0].public, "peer") == intel.public(2)[:32]
    assert {
        label: derive_key(secret_of(shared), label.encode()).hex() for label in ("SMK", "AEK", "SK", "MK", "VK")
    } == KEYS


KEYS = {
    "SMK": "7efed2be1a4b1fc1bd0e57284def62ea",
    "AEK": "42611fcbd809d3b69fc28328ff4668b3",
    "SK": "b900ecd9cf2a40aadb7ad0e612ac25a0",
    "MK": "3346dbd3d3b9f8b107caee50c60ab5f3",
    "VK": "5b653fa0aed01644ae901c0082e9ea1f",
}
"""For the private keys 1 and 2."""


def test_both_ends_learn_who_the_other_is_and_talk(pair: Pair) -> None:
    ours, theirs = pair.established()
    assert (ours.peer.mr_enclave, theirs.peer.mr_enclave) == (
        pair.called.identity.mr_enclave,
        pair.caller.identity.mr_enclave,
    )
    assert (ours.properties, theirs.properties) == (b"props", b"props")
    assert ours.variant is theirs.variant is pair.variant
    for number in range(3):
        assert theirs.channel.open(ours.channel.protect(b"request %d" % number)) == b"request %d" % number
        assert ours.channel.open(theirs.channel.protect(b"")) == b""
    assert ours.aek.hex() not in repr(ours)


# -- states --------------------------------------------------------------------------------------------------

PATHS: dict[bool, dict[State, tuple[Event, ...]]] = {
    True: {State.NEW: (), State.OFFERED: (Event.MSG1,), State.ESTABLISHED: (Event.MSG1, Event.MSG2)},
    False: {State.NEW: (), State.OPENED: (Event.MSG1,), State.ESTABLISHED: (Event.MSG1, Event.MSG3)},
}
"""By end (whether it is the responder), how each of its states is reached."""
CASES = [
    (responder, state, event)
    for responder, paths in PATHS.items()
    for state, event in product((*paths, State.DEAD), paths[State.ESTABLISHED])
]


@pytest.mark.parametrize(("responder", "state", "event"), CASES, ids=str)
def test_the_tables(responder: bool, state: State, event: Event) -> None:
    """Every step that an end has, and every one that it does not have."""
    model, pair = Pair(), Pair()  # equal draws, so the model's messages fit
    first = model.responder.message1()
    second = model.initiator.message1(first)
    third = model.responder.message2(second)
    end = pair.responder if responder else pair.initiator
    steps: dict[Event, Callable[[], object]] = {
        Event.MSG1: pair.responder.message1 if responder else lambda: pair.initiator.message1(first),
        Event.MSG2: lambda: pair.responder.message2(second),
        Event.MSG3: lambda: pair.initiator.message3(third),
    }
    table = RESPONDER_TABLE if responder else INITIATOR_TABLE
    assert State.DEAD not in {at for at, _ in table} | set(table.values())
    if state is State.DEAD:
        with pytest.raises(LocalProtocolError):
            steps[PATHS[responder][State.ESTABLISHED][1]]()
    for earlier in PATHS[responder].get(state, ()):
        steps[earlier]()
    assert end.state is state
    target = table.get((state, event))
    if target is None:
        with pytest.raises(LocalProtocolError):
            steps[event]()
        target = State.DEAD
    else:
        steps[event]()
    assert end.state is target


def test_the_document_draws_the_tables() -> None:
    text = (ROOT / "docs" / "local-attestation.md").read_text(encoding="utf-8")
    for (state, event), target in [*RESPONDER_TABLE.items(), *INITIATOR_TABLE.items()]:
        assert f"| {state.name} | {event.value} | {target.name} |" in text


def test_an_end_that_failed_stays_dead(pair: Pair) -> None:
    second = pair.second()
    with pytest.raises(Malformed):
        pair.responder.message2(second[:-1])
    with pytest.raises(LocalProtocolError):
        pair.responder.message2(second)
    with pytest.raises(LocalProtocolError):
        _ = pair.responder.session


# -- readers -------------------------------------------------------------------------------------------------


def test_the_readers(pair: Pair) -> None:
    first = pair.responder.message1()
    second = pair.initiator.message1(first)
    third = pair.responder.message2(second)
    for reader, data in ((Message1.parse, first), (Message2.parse, second), (Message3.parse, third)):
        message = feed(reader, data)
        assert message.encode() == data  # type: ignore[attr-defined]
    target = pair.called.target_info
    assert feed(TargetInfo.parse, target.encode()) == target
    for position in (49, 56, 63, 128, 511):
        spoiled = bytearray(target.encode())
        spoiled[position] = 1
        with pytest.raises(Malformed, match="reserved"):
            TargetInfo.parse(bytes(spoiled))


def test_a_length_of_properties_that_lies(pair: Pair) -> None:
    third = pair.third()
    for length in (0, 4, 6, MAX_PROPERTIES + 1, 2**32 - 1):
        with pytest.raises(Malformed):
            Message3.parse(third[:448] + length.to_bytes(4, "little") + third[452:])
    with pytest.raises(LocalProtocolError):
        Responder(pair.called, only(pair.caller), drawing(1), properties=bytes(MAX_PROPERTIES + 1))


@pytest.mark.parametrize("point", [bytes(64), b"\xff" * 64, b"\x01" + bytes(63)], ids=["zero", "beyond", "off"])
def test_a_point_off_the_curve(pair: Pair, point: bytes) -> None:
    first = pair.responder.message1()
    with pytest.raises(Malformed, match=r"dh_msg1\.g_a"):
        pair.initiator.message1(point + first[64:])
    other = Initiator(pair.caller, only(pair.called), drawing(2), variant=pair.variant)
    with pytest.raises(Malformed, match=r"dh_msg2\.g_b"):
        pair.responder.message2(point + other.message1(first)[64:])


# -- a hostile host ------------------------------------------------------------------------------------------


def test_every_byte_of_every_message_counts(pair: Pair) -> None:
    """Whatever the host changes, both ends never agree that all is well."""
    first = pair.responder.message1()
    second = pair.initiator.message1(first)
    third = pair.responder.message2(second)
    for at in range(0, 576, 7):
        changed = first[:at] + bytes((first[at] ^ 0x40,)) + first[at + 1 :]
        fresh = Initiator(pair.caller, only(pair.called), drawing(2), variant=pair.variant)
        responder = Responder(pair.called, only(pair.caller), drawing(1))
        responder.message1()
        with pytest.raises((Malformed, Rejected)):
            fresh.message3(responder.message2(fresh.message1(changed)))
    for at in range(0, 512, 7):
        responder = Responder(pair.called, only(pair.caller), drawing(1))
        responder.message1()
        with pytest.raises((Malformed, Rejected)):
            responder.message2(second[:at] + bytes((second[at] ^ 0x40,)) + second[at + 1 :])
    for at in range(len(third)):
        fresh = Initiator(pair.caller, only(pair.called), drawing(2), variant=pair.variant)
        fresh.message1(first)
        with pytest.raises((Malformed, Rejected)):
            fresh.message3(third[:at] + bytes((third[at] ^ 0x40,)) + third[at + 1 :])


def test_a_report_made_for_another_target(pair: Pair) -> None:
    first = Message1.parse(pair.responder.message1())
    elsewhere = replace(first, target=launched("elsewhere").target_info)
    with refused(Reason.REPORT_MAC):
        pair.responder.message2(pair.initiator.message1(elsewhere.encode()))


def test_an_enclave_on_another_machine(pair: Pair) -> None:
    far = launched("caller", Processor(bytes(32), bytes([5] * 16)))
    initiator = Initiator(far, only(pair.called), drawing(2), variant=pair.variant)
    with refused(Reason.REPORT_MAC):
        pair.responder.message2(initiator.message1(pair.responder.message1()))


@pytest.mark.parametrize("kdf_id", [0, 2, 0x0100, 0xFFFF])
def test_another_key_derivation(kdf_id: int) -> None:
    pair = Pair()
    second = bytearray(pair.second())
    second[64 + 352 : 64 + 354] = kdf_id.to_bytes(2, "little")
    with refused(Reason.KEY_DERIVATION):
        pair.responder.message2(bytes(second))


@pytest.mark.parametrize(("at", "value"), [(6, 1), (6, 3), (7, 1), (8, 1), (9, 7), (10, 4), (63, 1)])
def test_another_protocol_specification(at: int, value: int) -> None:
    pair = Pair(Variant.LAV2)
    second = bytearray(pair.second())
    second[64 + 320 + at] = value
    with refused(Reason.EXCHANGE_VERSION):
        pair.responder.message2(bytes(second))


@BOTH
def test_a_variant_that_is_not_allowed(variant: Variant) -> None:
    pair = Pair(variant)
    pair.responder = Responder(pair.called, only(pair.caller), drawing(1), variants=frozenset(Variant) - {variant})
    with refused(Reason.EXCHANGE_VERSION):
        pair.third()


def test_a_report_swapped_in_message_2(pair: Pair) -> None:
    """For that of another enclave on this machine, made for this responder."""
    message = Message2.parse(pair.second())
    other = LocalReport.parse(launched("other").report(pair.called.target_info, message.report.body.report_data))
    swapped = replace(message, report=other)
    with refused(Reason.EXCHANGE_AUTHENTICATION if pair.variant is Variant.LAV1 else Reason.REPORT_MAC):
        pair.responder.message2(swapped.encode())


def test_a_report_swapped_in_message_3(pair: Pair) -> None:
    message = Message3.parse(pair.third())
    other = LocalReport.parse(launched("other").report(pair.caller.target_info, message.report.body.report_data))
    swapped = replace(message, report=other)
    with refused(Reason.EXCHANGE_AUTHENTICATION if pair.variant is Variant.LAV1 else Reason.WRONG_MEASUREMENT):
        pair.initiator.message3(swapped.encode())


def test_a_host_in_the_middle_with_a_genuine_report_of_another_exchange(pair: Pair) -> None:
    host = Host(pair.variant)
    report = Message2.parse(pair.second()).report
    g_a = pair.responder._key.public
    with refused(Reason.REPORT_DATA if pair.variant is Variant.LAV1 else Reason.REPORT_MAC):
        pair.responder.message2(host.message2(g_a, report))

    pair = Pair(pair.variant)
    genuine = Message3.parse(pair.third()).report
    initiator = Initiator(pair.caller, only(pair.called), drawing(4), variant=pair.variant)
    g_b = Message2.parse(initiator.message1(Message1(host.key.public, pair.called.target_info).encode())).g_b
    with refused(Reason.REPORT_DATA):
        initiator.message3(host.message3(g_b, genuine))


def test_an_initiators_own_report_reflected(pair: Pair) -> None:
    """The host answers with what the initiator itself made, addressed to itself; the policy wants an enclave like
    it."""
    host = Host(pair.variant)
    initiator = Initiator(pair.caller, only(pair.caller), drawing(2), variant=pair.variant)
    second = Message2.parse(initiator.message1(Message1(host.key.public, pair.caller.target_info).encode()))
    own = second.report
    if pair.variant is Variant.LAV2:
        own = replace(own, body=replace(own.body, report_data=ReportData(intel.data(intel.SPEC + second.g_b))))
    with refused(Reason.REPORT_DATA):
        initiator.message3(host.message3(second.g_b, own))


def test_a_responders_own_point_reflected(pair: Pair) -> None:
    g_a = pair.responder.message1()[:64]
    other = Initiator(pair.caller, only(pair.called), drawing(2), variant=pair.variant)
    second = other.message1(g_a + pair.called.target_info.encode())
    with pytest.raises(Rejected) as refusal:
        pair.responder.message2(g_a + second[64:])
    assert refusal.value.reason is Reason.EXCHANGE_AUTHENTICATION


def test_message_3_of_an_earlier_exchange(pair: Pair) -> None:
    old = pair.third()
    initiator = Initiator(pair.caller, only(pair.called), drawing(9), variant=pair.variant)
    initiator.message1(Pair(pair.variant).responder.message1())
    with refused(Reason.EXCHANGE_AUTHENTICATION):
        initiator.message3(old)


def test_message_3_twice(pair: Pair) -> None:
    third = pair.third()
    pair.initiator.message3(third)
    with pytest.raises(LocalProtocolError):
        pair.initiator.message3(third)


def test_properties_changed_on_the_way(pair: Pair) -> None:
    third = pair.third()
    with refused(Reason.EXCHANGE_AUTHENTICATION):
        pair.initiator.message3(third[:-1] + b"!")


# -- who the peer may be -------------------------------------------------------------------------------------

SIGNER = launched("caller").identity.mr_signer


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (PeerPolicy.enclaves(Measurement(bytes(32))), Reason.WRONG_MEASUREMENT),
        (PeerPolicy.signer(Measurement(bytes(32)), isv_prod_id=1, min_isv_svn=3), Reason.WRONG_SIGNER),
        (PeerPolicy.signer(SIGNER, isv_prod_id=2, min_isv_svn=3), Reason.WRONG_PRODUCT),
        (PeerPolicy.signer(SIGNER, isv_prod_id=1, min_isv_svn=4), Reason.SVN_TOO_LOW),
        (PeerPolicy.signer(SIGNER, isv_prod_id=1, min_isv_svn=3), None),
    ],
    ids=lambda value: value.name if isinstance(value, Reason) else "",
)
def test_a_peer_that_is_not_wanted(pair: Pair, policy: PeerPolicy, reason: Reason | None) -> None:
    pair.caller = launched("caller", terms=EnclaveTerms(isv_prod_id=1, isv_svn=3))
    pair.initiator = Initiator(pair.caller, only(pair.called), drawing(2), variant=pair.variant)
    pair.responder = Responder(pair.called, policy, drawing(1))
    if reason is None:
        pair.established()
    else:
        with refused(reason):
            pair.established()


def test_a_debug_enclave_needs_an_ugly_wish(pair: Pair) -> None:
    pair.caller = launched("caller", debug=True)
    for allowed in (False, True):
        pair.initiator = Initiator(pair.caller, only(pair.called), drawing(2), variant=pair.variant)
        policy = PeerPolicy.enclaves(pair.caller.identity.mr_enclave, dangerous_allow_debug=allowed)
        pair.responder = Responder(pair.called, policy, drawing(1))
        if allowed:
            pair.established()
        else:
            with refused(Reason.DEBUG_ENCLAVE):
                pair.established()


def test_a_policy_says_who_in_one_way() -> None:
    with pytest.raises(ValueError, match="either"):
        PeerPolicy()
    with pytest.raises(ValueError, match="either"):
        PeerPolicy(frozenset((SIGNER,)), SIGNER)
    with pytest.raises(ValueError, match="32 bytes"):
        PeerPolicy.enclaves(Measurement(b"short"))


# -- the channel ---------------------------------------------------------------------------------------------


def test_messages_are_taken_in_order_each_once_and_from_the_peer(pair: Pair) -> None:
    ours, theirs = (session.channel for session in pair.established())
    first, second = ours.protect(b"one"), ours.protect(b"two")
    with refused(Reason.OUT_OF_ORDER):
        theirs.open(second)
    with refused(Reason.FRAME_AUTHENTICATION):
        ours.open(first)  # reflected
    with refused(Reason.FRAME_AUTHENTICATION):
        theirs.open(first[:7] + b"\0" + second[8:])
    assert theirs.open(first) == b"one"
    with refused(Reason.REPLAY):
        theirs.open(first)
    with refused(Reason.FRAME_AUTHENTICATION):
        theirs.open(second[:-1] + bytes((second[-1] ^ 1,)))
    for short in (b"", second[:7], second[:23]):
        with pytest.raises(Malformed):
            theirs.open(short)
    assert theirs.open(second) == b"two"


def test_each_direction_and_each_session_has_a_key_of_its_own(pair: Pair) -> None:
    ours, theirs = pair.established()
    up, down = ours.channel.protect(bytes(32)), theirs.channel.protect(bytes(32))
    assert up[8:] != down[8:]
    others = Pair(pair.variant)
    others.initiator = Initiator(pair.caller, only(pair.called), drawing(7), variant=pair.variant)
    with refused(Reason.FRAME_AUTHENTICATION):
        others.established()[1].channel.open(up)


def test_what_was_said_in_the_exchange_is_in_the_keys() -> None:
    """Same points, same AEK, other reports (their key ids are fresh): other keys."""
    one, two = Pair().established(), Pair().established()
    assert one[0].aek == two[0].aek
    with refused(Reason.FRAME_AUTHENTICATION):
        two[1].channel.open(one[0].channel.protect(b"hello"))


def test_limits_of_the_channel(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intaglio.session.local_channel.MAX_MESSAGE", 10)
    monkeypatch.setattr("intaglio.session.local_channel.MAX_MESSAGES", 1)
    ours, theirs = (session.channel for session in pair.established())
    with pytest.raises(LocalProtocolError, match="at most 10"):
        ours.protect(bytes(11))
    assert len(theirs.open(ours.protect(bytes(10)))) == 10
    with pytest.raises(LocalProtocolError, match="used up"):
        ours.protect(b"")
    with pytest.raises(Malformed):
        theirs.open(bytes(8 + 27))


def test_the_example() -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "neighbours.py"], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.splitlines() == [
        "meter talks to product 2, tariff to product 1",
        "the host sees 31 bytes; the tariff reads 100 kWh",
        "the meter reads 31.00 EUR",
        "the same message again: REPLAY",
        "a meter that the host can look into: DEBUG_ENCLAVE",
    ]
