"""Two enclaves on one CPU attest each other: Intel's three-message exchange, both variants, both ends.

    responder    NEW --msg1--> OFFERED --msg2--> ESTABLISHED
    initiator    NEW --msg1--> OPENED  --msg3--> ESTABLISHED           any error --> DEAD

Messages and keys are those of Intel's SDK (sgx_dh, LAv1 and LAv2); docs/local-attestation.md has every hash. A report
is checked with the key that the CPU gives to the enclave it was made for, and report data bind it to both ends' fresh
keys; what is compared is all 64 bytes of them, so that no end's report serves for the other end.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from intaglio.errors import LocalProtocolError, Rejected
from intaglio.reasons import Reason
from intaglio.session.intel_keys import KeyPair, derive_key, secret_of
from intaglio.session.local_channel import LocalChannel, Side
from intaglio.session.machine import Event, Machine, State
from intaglio.types import Draw, ReportData
from intaglio.verify.local_peer import PeerPolicy
from intaglio.verify.local_report import check_report_mac
from intaglio.verify.mac import aes_cmac, check_cmac
from intaglio.wire import cbor
from intaglio.wire.local_exchange import (
    KDF_ID,
    MAX_PROPERTIES,
    PROTOCOL_MARK,
    PROTOCOL_SPEC,
    Message1,
    Message2,
    Message3,
    Variant,
)
from intaglio.wire.sgx import LocalReport, ReportBody
from intaglio.wire.target_info import TargetInfo

__all__ = ["INITIATOR_TABLE", "RESPONDER_TABLE", "Initiator", "LocalPlatform", "LocalSession", "Responder"]

RESPONDER_TABLE: Mapping[tuple[State, Event], State] = {
    (State.NEW, Event.MSG1): State.OFFERED,
    (State.OFFERED, Event.MSG2): State.ESTABLISHED,
}
INITIATOR_TABLE: Mapping[tuple[State, Event], State] = {
    (State.NEW, Event.MSG1): State.OPENED,
    (State.OPENED, Event.MSG3): State.ESTABLISHED,
}


class LocalPlatform(Protocol):
    """What an enclave asks of its CPU for this: EREPORT, and EGETKEY of the report key."""

    @property
    def target_info(self) -> TargetInfo:
        """To whom others address reports for us."""
        ...

    def report(self, target: TargetInfo, report_data: ReportData) -> bytes:
        """EREPORT: 432 bytes that `target` alone can check."""
        ...

    def report_key(self, key_id: bytes) -> bytes:
        """EGETKEY: the key, 16 bytes, that authenticates reports made for us under `key_id` (32 bytes). Raises
        `Unavailable` where this runtime gives it to no application."""
        ...


@dataclass(frozen=True, slots=True)
class LocalSession:
    """An established session. `peer` is what the CPU says of the other enclave. `aek` is Intel's session key, for a
    peer that speaks Intel's protocol and nothing of ours; `channel` is what two ends of ours talk through."""

    peer: ReportBody
    variant: Variant
    properties: bytes
    """The responder's additional properties: authenticated, and otherwise what it says."""
    aek: bytes = field(repr=False)
    channel: LocalChannel = field(repr=False)


class Responder:
    """The end that is called. After an error it is dead; make another."""

    def __init__(
        self,
        platform: LocalPlatform,
        policy: PeerPolicy,
        draw: Draw,
        *,
        properties: bytes = b"",
        variants: frozenset[Variant] = frozenset(Variant),
    ) -> None:
        """`properties`: at most 64 KiB, which the initiator gets with message 3, in the clear."""
        if len(properties) > MAX_PROPERTIES:
            raise LocalProtocolError(f"properties: {len(properties)} bytes, at most {MAX_PROPERTIES}")
        self._machine = Machine(RESPONDER_TABLE)
        self._platform = platform
        self._policy = policy
        self._key = KeyPair.draw(draw)
        self._properties = properties
        self._variants = variants
        self._message1 = b""
        self._session: LocalSession | None = None

    @property
    def state(self) -> State:
        return self._machine.state

    @property
    def session(self) -> LocalSession:
        """Raises `LocalProtocolError` before message 2 was taken."""
        if self._session is None:
            raise LocalProtocolError("local session: not established")
        return self._session

    def message1(self) -> bytes:
        """dh_msg1, for whoever calls."""
        with self._machine.step(Event.MSG1):
            self._message1 = Message1(self._key.public, self._platform.target_info).encode()
            return self._message1

    def message2(self, data: bytes) -> bytes:
        """Takes dh_msg2 and answers dh_msg3; from then on there is a `session`.

        Raises `Malformed`, or `Rejected`: KEY_DERIVATION, EXCHANGE_VERSION, EXCHANGE_AUTHENTICATION, REPORT_MAC,
        REPORT_DATA, or what the policy says of the peer. Nothing is answered then.
        """
        with self._machine.step(Event.MSG2):
            message = Message2.parse(data)
            variant = _variant_of(message.report.body.report_data)
            if variant not in self._variants:
                raise Rejected(Reason.EXCHANGE_VERSION, expected=_names(self._variants), found=variant.value)
            binding = _BINDINGS[variant](self._key.public, message.g_b)
            secret = secret_of(self._key.agree(message.g_b, "dh_msg2.g_b"))
            smk = derive_key(secret, b"SMK")
            check_cmac(smk, binding.mac2(message.report), message.mac, Reason.EXCHANGE_AUTHENTICATION, "dh_msg2's MAC")
            peer = _checked(self._platform, self._policy, binding.behind(message.report), binding.report_data2)
            report = self._platform.report(TargetInfo.of(peer), binding.report_data3)
            bare = Message3(b"", LocalReport.parse(report), self._properties)
            answer = replace(bare, mac=aes_cmac(smk, binding.mac3(bare))).encode()
            transcript = (self._message1, data, answer)
            self._session = _session(Side.RESPONDER, variant, peer, self._properties, secret, transcript)
            return answer


class Initiator:
    """The end that calls. After an error it is dead; make another."""

    def __init__(
        self, platform: LocalPlatform, policy: PeerPolicy, draw: Draw, *, variant: Variant = Variant.LAV1
    ) -> None:
        """`variant`: both are sound; LAv1 is what Intel's SDK does unless it is told otherwise."""
        self._machine = Machine(INITIATOR_TABLE)
        self._platform = platform
        self._policy = policy
        self._key = KeyPair.draw(draw)
        self._variant = variant
        self._opened: _Opened | None = None

    @property
    def state(self) -> State:
        return self._machine.state

    def message1(self, data: bytes) -> bytes:
        """Takes dh_msg1 and answers dh_msg2. Whoever made dh_msg1 is not known yet: the report in the answer goes to
        whatever enclave it names, and says who we are. Raises `Malformed`."""
        with self._machine.step(Event.MSG1):
            message = Message1.parse(data)
            secret = secret_of(self._key.agree(message.g_a, "dh_msg1.g_a"))
            binding = _BINDINGS[self._variant](message.g_a, self._key.public)
            smk = derive_key(secret, b"SMK")
            report = LocalReport.parse(self._platform.report(message.target, binding.report_data2))
            report = binding.before(report)
            answer = Message2(self._key.public, report, aes_cmac(smk, binding.mac2(report))).encode()
            self._opened = _Opened(secret, smk, binding, (data, answer))
            return answer

    def message3(self, data: bytes) -> LocalSession:
        """Takes dh_msg3. Raises `Malformed`, or `Rejected`: EXCHANGE_AUTHENTICATION, REPORT_MAC, REPORT_DATA, or what
        the policy says of the peer."""
        with self._machine.step(Event.MSG3):
            opened = self._opened
            if opened is None:
                raise LocalProtocolError("msg3: no msg1")
            self._opened = None
            message, binding = Message3.parse(data), opened.binding
            expected = "dh_msg3's MAC"
            check_cmac(opened.smk, binding.mac3(message), message.mac, Reason.EXCHANGE_AUTHENTICATION, expected)
            peer = _checked(self._platform, self._policy, message.report, binding.report_data3)
            transcript = (*opened.messages, data)
            return _session(Side.INITIATOR, self._variant, peer, message.properties, opened.secret, transcript)


@dataclass(frozen=True, slots=True, repr=False)
class _Binding:
    """What LAv1 puts under reports and MACs. The points are 64 bytes each."""

    g_a: bytes
    g_b: bytes

    @property
    def report_data2(self) -> ReportData:
        return _report_data(self.g_a + self.g_b, KDF_ID)

    @property
    def report_data3(self) -> ReportData:
        return _report_data(self.g_b + self.g_a)

    def before(self, report: LocalReport) -> LocalReport:
        """The report of message 2 as it travels, from what the CPU made."""
        return report

    def behind(self, report: LocalReport) -> LocalReport:
        """The report of message 2 as the CPU made it, from what travels."""
        return report

    def mac2(self, report: LocalReport) -> bytes:
        return report.encode()

    def mac3(self, message: Message3) -> bytes:
        return message.body


@dataclass(frozen=True, slots=True, repr=False)
class _BindingV2(_Binding):
    """LAv2: reports bind the specification, and each its maker's point; the MACs bind the points to the secret."""

    @property
    def report_data2(self) -> ReportData:
        return _report_data(PROTOCOL_SPEC + self.g_b)

    @property
    def report_data3(self) -> ReportData:
        return _report_data(self.g_a + PROTOCOL_SPEC)

    def before(self, report: LocalReport) -> LocalReport:
        return _with_data(report, ReportData(PROTOCOL_SPEC))

    def behind(self, report: LocalReport) -> LocalReport:
        return _with_data(report, self.report_data2)

    def mac2(self, report: LocalReport) -> bytes:  # noqa: ARG002 - LAv1's
        return self.g_b

    def mac3(self, message: Message3) -> bytes:
        return message.properties + self.g_a


_BINDINGS: Mapping[Variant, type[_Binding]] = {Variant.LAV1: _Binding, Variant.LAV2: _BindingV2}


@dataclass(frozen=True, slots=True, repr=False)
class _Opened:
    """What the initiator keeps between messages 1 and 3."""

    secret: bytes
    smk: bytes
    binding: _Binding
    messages: tuple[bytes, bytes]


def _variant_of(report_data: ReportData) -> Variant:
    """Raises `Rejected` (EXCHANGE_VERSION, KEY_DERIVATION)."""
    if report_data.startswith(PROTOCOL_MARK):
        if report_data != PROTOCOL_SPEC:
            raise Rejected(Reason.EXCHANGE_VERSION, expected=PROTOCOL_SPEC.hex(), found=report_data.hex())
        return Variant.LAV2
    found = report_data[32:34]
    if found != KDF_ID:
        raise Rejected(Reason.KEY_DERIVATION, expected=1, found=int.from_bytes(found, "little"))
    return Variant.LAV1


def _checked(platform: LocalPlatform, policy: PeerPolicy, report: LocalReport, report_data: ReportData) -> ReportBody:
    """The peer, whose report is genuine, of this exchange, and acceptable."""
    check_report_mac(report, platform.report_key(report.key_id))
    if report.body.report_data != report_data:
        raise Rejected(Reason.REPORT_DATA, expected=report_data.hex(), found=report.body.report_data.hex())
    policy.check(report.body)
    return report.body


def _session(
    side: Side, variant: Variant, peer: ReportBody, properties: bytes, secret: bytes, messages: tuple[bytes, ...]
) -> LocalSession:
    aek = derive_key(secret, b"AEK")
    transcript = cbor.digest("local-transcript", variant.value, *messages)
    return LocalSession(peer, variant, properties, aek, LocalChannel(side, aek, transcript))


def _report_data(hashed: bytes, rest: bytes = b"") -> ReportData:
    """SHA-256, what is to follow, and zeros up to 64 bytes."""
    return ReportData((hashlib.sha256(hashed).digest() + rest).ljust(64, b"\0"))


def _with_data(report: LocalReport, report_data: ReportData) -> LocalReport:
    return replace(report, body=replace(report.body, report_data=report_data))


def _names(variants: frozenset[Variant]) -> str:
    return " or ".join(sorted(variant.value for variant in variants)) or "none"
