"""Sigma under attack: every step by its table, every swap and forgery by its exact reason."""

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest

from intaglio.errors import LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session.machine import Event, State
from intaglio.sigma import schedule
from intaglio.sigma.curve import KeyPair, ProviderKey
from intaglio.sigma.enclave import SIGMA_ENCLAVE_TABLE, EnclaveSigma
from intaglio.sigma.messages import Msg1, Msg2, Msg3, Msg4
from intaglio.sigma.provider import SIGMA_PROVIDER_TABLE, ProviderSigma, check_msg0
from intaglio.types import ReportData
from intaglio.verify.verdict import Decision
from intaglio.wire.content import Record
from tests.sigma.world import RESULT, party

ONE = Record("get_size", "application/cbor", b"\x18\x64")
OTHER_POINT = KeyPair(7).public
OFF_CURVE = [bytes(64), b"\xff" * 64, OTHER_POINT[:32] + bytes(32), OTHER_POINT[32:] + OTHER_POINT[:32]]


def refused(reason: Reason, call: Callable[[], object]) -> None:
    with pytest.raises(Rejected) as caught:
        call()
    assert caught.value.reason is reason


def started() -> tuple[EnclaveSigma, ProviderSigma, Msg2]:
    enclave, provider = party().enclave(), party().provider()
    return enclave, provider, Msg2.parse(provider.answer(Msg1.parse(enclave.msg1())))


def quote(report_data: ReportData) -> bytes:
    return party().attester().evidence(report_data)


def answered(enclave: EnclaveSigma, msg2: Msg2) -> Msg3:
    return Msg3.parse(enclave.msg3(msg2.encode(), quote))


def remade(msg2: Msg2, provider: ProviderSigma, key: ProviderKey | None = None) -> Msg2:
    """With a fresh MAC under the handshake's key, as an insider could make one, and signed anew if a key is given."""
    if key is not None:
        msg2 = replace(msg2, signature=key.sign(msg2.g_b + provider._msg1.g_a))
    return replace(msg2, mac=schedule.cmac(provider._smk, msg2.signed))


def remade3(msg3: Msg3, provider: ProviderSigma) -> Msg3:
    return replace(msg3, mac=schedule.cmac(provider._smk, msg3.signed))


def test_a_session_carries_records_both_ways() -> None:
    channel, accepted = party().established()
    assert channel.result == RESULT
    opened = accepted.receiver.open(channel.up.protect([ONE, ONE]))
    assert opened.records == (ONE, ONE)
    assert channel.down.open(accepted.sender.protect([ONE])).records == (ONE,)


# -- the tables ----------------------------------------------------------------------------------------------------


def enclave_in(state: State) -> tuple[EnclaveSigma, bytes, bytes]:
    """An enclave in this state, the msg2 and the msg4 that it would take."""
    enclave, provider = party().enclave(), party().provider()
    msg2, msg4 = b"", b""
    if state is State.DEAD:
        with pytest.raises(LocalProtocolError):
            enclave.msg4(b"")
    if state in (State.STARTED, State.OPENED, State.ESTABLISHED):
        msg2 = provider.answer(Msg1.parse(enclave.msg1()))
    if state in (State.OPENED, State.ESTABLISHED):
        provider.open(Msg3.parse(enclave.msg3(msg2, quote)))
        msg4 = provider.accept(party().verdict(provider), RESULT).msg4
    if state is State.ESTABLISHED:
        enclave.msg4(msg4)
    assert enclave.state is state
    return enclave, msg2, msg4


@pytest.mark.parametrize(
    ("state", "event"),
    list(
        product(
            (State.NEW, State.STARTED, State.OPENED, State.ESTABLISHED, State.DEAD),
            (Event.MSG1, Event.MSG3, Event.MSG4),
        )
    ),
    ids=str,
)
def test_enclave(state: State, event: Event) -> None:
    enclave, msg2, msg4 = enclave_in(state)
    steps: dict[Event, Callable[[], object]] = {
        Event.MSG1: enclave.msg1,
        Event.MSG3: lambda: enclave.msg3(msg2, quote),
        Event.MSG4: lambda: enclave.msg4(msg4),
    }
    target = SIGMA_ENCLAVE_TABLE.get((state, event))
    if target is None:
        with pytest.raises(LocalProtocolError):
            steps[event]()
        target = State.DEAD
    else:
        steps[event]()
    assert enclave.state is target


@pytest.mark.parametrize(
    ("state", "event"),
    list(
        product(
            (State.NEW, State.STARTED, State.OPENED, State.ESTABLISHED, State.REFUSED, State.DEAD),
            (Event.MSG1, Event.MSG3, Event.ACCEPT, Event.REFUSE, Event.POSTPONE),
        )
    ),
    ids=str,
)
def test_provider(state: State, event: Event) -> None:
    enclave, provider, msg2 = party().enclave(), party().provider(), b""
    msg1 = Msg1.parse(enclave.msg1())
    if state is State.DEAD:
        with pytest.raises(LocalProtocolError):
            provider.refuse()
    elif state is not State.NEW:
        msg2 = provider.answer(msg1)
    msg3 = Msg3.parse(enclave.msg3(msg2, quote)) if msg2 else Msg3(bytes(16), msg1.g_a, bytes(256), b"q")
    if state in (State.OPENED, State.ESTABLISHED, State.REFUSED):
        provider.open(msg3)
    if state is State.ESTABLISHED:
        provider.accept(party().verdict(provider), RESULT)
    if state is State.REFUSED:
        provider.refuse()
    assert provider.state is state
    verdict = party().verdict(provider) if state is State.OPENED else party().verdict(party().opened()[1])
    steps: dict[Event, Callable[[], object]] = {
        Event.MSG1: lambda: provider.answer(msg1),
        Event.MSG3: lambda: provider.open(msg3),
        Event.ACCEPT: lambda: provider.accept(verdict, RESULT),
        Event.REFUSE: provider.refuse,
        Event.POSTPONE: provider.postpone,
    }
    target = SIGMA_PROVIDER_TABLE.get((state, event))
    if target is None:
        with pytest.raises(LocalProtocolError):
            steps[event]()
        target = State.DEAD
    else:
        steps[event]()
    assert provider.state is target


def test_a_postponed_msg3_may_come_again() -> None:
    enclave, provider, msg2 = started()
    msg3 = answered(enclave, msg2)
    provider.open(msg3)
    provider.postpone()
    assert provider.evidence == b""  # thousands of handshakes may wait, with up to 128 kB each
    provider.open(msg3)
    assert enclave.msg4(provider.accept(party().verdict(provider), RESULT).msg4).result == RESULT


# -- against the enclave -------------------------------------------------------------------------------------------


def test_another_providers_signature_is_refused() -> None:
    """The thief runs the whole protocol, with a key that this enclave does not pin."""
    enclave, provider = party().enclave(), ProviderSigma(ProviderKey(0xBAD), os.urandom)
    msg2 = provider.answer(Msg1.parse(enclave.msg1()))
    refused(Reason.PROVIDER_SIGNATURE, lambda: enclave.msg3(msg2, quote))
    assert enclave.state is State.DEAD


def test_msg2_of_another_handshake_is_refused() -> None:
    enclave, _, _ = started()
    _, _, msg2 = started()
    refused(Reason.PROVIDER_SIGNATURE, lambda: answered(enclave, msg2))


def test_a_signature_in_the_other_order_is_refused() -> None:
    enclave, provider, msg2 = started()
    forged = replace(msg2, signature=party().key.sign(provider._msg1.g_a + msg2.g_b))
    refused(Reason.PROVIDER_SIGNATURE, lambda: answered(enclave, remade(forged, provider)))


def test_an_altered_mac_of_msg2_is_refused() -> None:
    for at in range(16):
        enclave, _, msg2 = started()
        mac = bytearray(msg2.mac)
        mac[at] ^= 1
        refused(Reason.SIGMA_MAC, lambda e=enclave, m=msg2, b=bytes(mac): answered(e, replace(m, mac=b)))  # type: ignore[misc]


def test_its_own_key_reflected_is_refused() -> None:
    enclave, provider, msg2 = started()
    mirrored = replace(msg2, g_b=provider._msg1.g_a)
    refused(Reason.SIGMA_HANDSHAKE, lambda: answered(enclave, mirrored))


@pytest.mark.parametrize("point", OFF_CURVE, ids=["zero", "beyond the field", "wrong y", "swapped"])
def test_points_off_the_curve_are_malformed(point: bytes) -> None:
    enclave, provider, msg2 = started()
    with pytest.raises(Malformed, match=r"msg2\.g_b"):
        answered(enclave, replace(msg2, g_b=point))
    assert enclave.state is State.DEAD
    with pytest.raises(Malformed, match=r"msg1\.g_a"):
        party().provider().answer(Msg1(point))
    with pytest.raises(Malformed, match="provider_key"):
        party().enclave(provider=point)
    assert provider.state is State.STARTED


@pytest.mark.parametrize(
    "changes", [{"kdf_id": 2}, {"kdf_id": 0}, {"quote_type": 2}, {"sig_rl": b"list"}], ids=lambda c: next(iter(c))
)
def test_what_the_profile_lacks_is_refused_although_it_is_signed(changes: dict[str, object]) -> None:
    enclave, provider, msg2 = started()
    msg2 = remade(replace(msg2, **changes), provider, party().key)  # type: ignore[arg-type]
    refused(Reason.SIGMA_UNSUPPORTED, lambda: answered(enclave, msg2))


@pytest.mark.parametrize("other", [bytes(64), b"\1" * 64])
def test_a_quote_over_other_report_data_is_not_sent(other: bytes) -> None:
    enclave, _, msg2 = started()
    refused(Reason.REPORT_DATA, lambda: enclave.msg3(msg2.encode(), lambda _: quote(ReportData(other))))
    assert enclave.state is State.DEAD


def test_msg4_of_another_session_is_refused() -> None:
    enclave, _ = party().opened()
    _, provider = party().opened()
    msg4 = provider.accept(party().verdict(provider), RESULT).msg4
    refused(Reason.SIGMA_HANDSHAKE, lambda: enclave.msg4(msg4))


@pytest.mark.parametrize("field", ["tag", "sealed"])
def test_an_altered_msg4_is_refused(field: str) -> None:
    enclave, provider = party().opened()
    msg4 = Msg4.parse(provider.accept(party().verdict(provider), RESULT).msg4)
    altered = bytes((getattr(msg4, field)[0] ^ 1,)) + getattr(msg4, field)[1:]
    forged = replace(msg4, **{field: altered})
    refused(Reason.SIGMA_MAC, lambda: enclave.msg4(forged.encode()))


def test_an_enclave_that_was_not_accepted_has_no_key_to_send_with() -> None:
    enclave, _ = party().opened()
    assert not hasattr(enclave, "up")
    assert enclave.state is State.OPENED


# -- against the provider ------------------------------------------------------------------------------------------


def test_msg0_and_msg1_of_epid_are_refused() -> None:
    check_msg0(0)
    refused(Reason.SIGMA_UNSUPPORTED, lambda: check_msg0(1))
    refused(Reason.SIGMA_UNSUPPORTED, lambda: party().provider().answer(Msg1(OTHER_POINT, b"\0\0\x0b\x2f")))


def test_msg3_with_another_g_a_is_refused() -> None:
    enclave, provider, msg2 = started()
    msg3 = replace(answered(enclave, msg2), g_a=OTHER_POINT)
    refused(Reason.SIGMA_HANDSHAKE, lambda: provider.open(remade3(msg3, provider)))
    assert provider.state is State.DEAD


def test_msg3_of_another_handshake_is_refused() -> None:
    enclave, _, msg2 = started()
    _, other, _ = started()
    refused(Reason.SIGMA_HANDSHAKE, lambda: other.open(answered(enclave, msg2)))


def test_an_altered_mac_of_msg3_is_refused() -> None:
    for at in range(16):
        enclave, provider, msg2 = started()
        msg3 = answered(enclave, msg2)
        mac = bytearray(msg3.mac)
        mac[at] ^= 1
        refused(Reason.SIGMA_MAC, lambda p=provider, m=msg3, b=bytes(mac): p.open(replace(m, mac=b)))  # type: ignore[misc]


def test_macs_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    monkeypatch.setattr("intaglio.verify.mac.hmac.compare_digest", compare)
    enclave, provider, msg2 = started()
    msg3 = answered(enclave, msg2)
    provider.open(msg3)
    assert (msg2.mac, msg2.mac) in compared
    assert (msg3.mac, msg3.mac) in compared


def test_platform_services_are_refused_although_the_mac_holds() -> None:
    enclave, provider, msg2 = started()
    msg3 = replace(answered(enclave, msg2), ps_sec_prop=bytes(255) + b"\1")
    refused(Reason.SIGMA_UNSUPPORTED, lambda: provider.open(remade3(msg3, provider)))


def test_a_swapped_quote_breaks_the_mac() -> None:
    """The host puts the genuine quote of another handshake in its place."""
    enclave, provider, msg2 = started()
    enclave2, _, msg2_of_another = started()
    stolen = answered(enclave2, msg2_of_another).quote
    msg3 = replace(answered(enclave, msg2), quote=stolen)
    refused(Reason.SIGMA_MAC, lambda: provider.open(msg3))


def test_a_quote_of_another_session_is_refused_by_its_report_data() -> None:
    """Even a MAC by whoever knows the secret (software outside of any enclave) does not make a foreign quote fit."""
    enclave, provider, msg2 = started()
    enclave2, _, msg2_of_another = started()
    msg3 = replace(answered(enclave, msg2), quote=answered(enclave2, msg2_of_another).quote)
    provider.open(remade3(msg3, provider))
    verdict = party().verdict(provider)
    assert verdict.decision is Decision.REJECTED
    assert verdict.reasons == (Reason.REPORT_DATA,)
    with pytest.raises(LocalProtocolError, match="does not accept"):
        provider.accept(verdict, RESULT)
    assert provider.state is State.DEAD


def test_a_verdict_that_was_asked_for_other_report_data_does_not_open() -> None:
    """A caller that appraises with the quote's own report data, and so checks nothing, is stopped here."""
    enclave, provider, msg2 = started()
    enclave2, _, msg2_of_another = started()
    foreign = answered(enclave2, msg2_of_another)
    provider.open(remade3(replace(answered(enclave, msg2), quote=foreign.quote), provider))
    verdict = party().verdict(provider, report_data=foreign.quote[368:432])
    assert verdict.decision is Decision.ACCEPTED
    with pytest.raises(LocalProtocolError, match="not bound"):
        provider.accept(verdict, RESULT)


def test_a_verdict_of_other_evidence_does_not_open() -> None:
    _, provider = party().opened()
    _, other = party().opened()
    with pytest.raises(LocalProtocolError, match="other evidence"):
        provider.accept(party().verdict(other), RESULT)


def test_a_debug_enclave_is_refused_by_the_policy() -> None:
    enclave, provider, msg2 = started()
    provider.open(Msg3.parse(enclave.msg3(msg2.encode(), party().attester(debug=True).evidence)))
    assert Reason.DEBUG_ENCLAVE in party().verdict(provider).reasons


@pytest.mark.parametrize("evidence", [b"\4\0\2\0\x81\0\0\0" + bytes(600), b"\2\0\0\0" + bytes(500), bytes(432)])
def test_evidence_of_other_kinds_is_refused(evidence: bytes) -> None:
    enclave, provider, msg2 = started()
    msg3 = replace(answered(enclave, msg2), quote=evidence)
    refused(Reason.UNSUPPORTED_EVIDENCE, lambda: provider.open(remade3(msg3, provider)))


def test_a_g_a_that_is_an_earlier_g_b_proves_nothing() -> None:
    """Reflection at the provider: whoever sends its own key back does not know the secret."""
    _, first, msg2 = started()
    mirror = party().provider()
    mirror.answer(Msg1(msg2.g_b))
    forged = Msg3(bytes(16), msg2.g_b, bytes(256), b"quote")
    refused(Reason.SIGMA_MAC, lambda: mirror.open(forged))
    assert first.state is State.STARTED
