"""What booted: logs that explain a genuine report's registers, and logs that do not."""

import hashlib
import json
from collections.abc import Callable

import pytest

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.sim.draft import Draft
from intaglio.sim.td import TdDraft
from intaglio.sim.world import Lab
from intaglio.types import Measurement
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.event_log import Boot, read_boot, replay
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Verdict
from intaglio.wire.boot_events import Proof, Separator
from intaglio.wire.ccel import EventLog, EventType
from tests.event_logs import boot_log, event, image, runtime_log, sha384, variable
from tests.verify.conftest import IMAGE, NOON, judge

Judged = Callable[..., Verdict]


@pytest.fixture
def judged(lab: Lab) -> Judged:
    """A genuine verdict about a TD that booted as these logs say."""

    def make(*logs: EventLog) -> Verdict:
        draft = TdDraft.of(lab, NOON)
        events = [each for log in logs for each in log.events]
        draft.change(**{f"rtmr{number}": value for number, value in enumerate(replay(events))})
        verdict = judge(draft.build())
        assert verdict.genuine is True
        return verdict

    return make


def firmware(*events: bytes) -> EventLog:
    return EventLog.parse(boot_log(*events))


def application(*events: tuple[str, bytes]) -> EventLog:
    return EventLog.parse_json(runtime_log(*events))


def test_replay_is_a_chain_of_hashes() -> None:
    first, second = sha384(b"first"), sha384(b"second")
    log = firmware(event(2, 1, b"first"), event(0, 1, b"measured before"), event(2, 1, b"second"), event(2, 3, b"info"))
    expected = hashlib.sha384(hashlib.sha384(bytes(48) + first).digest() + second).digest()
    assert replay(log.events) == (bytes(48), expected, bytes(48), bytes(48))


def test_a_boot_is_told_by_its_log(judged: Judged) -> None:
    boot = read_boot(judged(firmware()), firmware())
    assert boot.registers == (0, 1, 2, 3)
    assert boot.secure_boot is True
    assert boot.command_lines == ("/vmlinuz root=/dev/vda1 ro",)
    assert boot.images == (("\\EFI\\BOOT\\BOOTX64.EFI", sha384(b"a boot loader")),)
    assert not boot.failed
    assert [each.rtmr for each in boot.events] == [0, 0, 0, 0, 1, 1, 2, 2, 2, 1]
    assert [each.proof for each in boot.events] == [
        Proof.NOTHING, Proof.ALL, Proof.ALL, Proof.CONTENT, Proof.ALL, Proof.NOTHING, Proof.CONTENT, Proof.CONTENT,
        Proof.NOTHING, Proof.ALL,
    ]  # fmt: skip
    told = json.loads(json.dumps(boot.to_json()))
    assert told["command_lines"] == list(boot.command_lines)
    assert told["events"][1] == {
        "rtmr": 0, "kind": "EV_EFI_VARIABLE_DRIVER_CONFIG", "digest": boot.events[1].digest.hex(),
        "says": "variable SecureBoot of 8be4df61-93ca-11d2-aa0d-00e098032b8c, 1 bytes", "proof": "all",
    }  # fmt: skip


def test_an_applications_log_follows_the_firmwares(judged: Judged) -> None:
    app = application(("app-id", b"\1"), ("ready", b""))
    verdict = judged(firmware(), app)
    boot = read_boot(verdict, firmware(), app)
    assert [str(each.fact) for each in boot.events if each.rtmr == 3] == ["app-id: 01", "ready: "]
    with pytest.raises(Rejected, match="RTMR3") as caught:
        read_boot(verdict, firmware())
    assert caught.value.reason is Reason.EVENT_LOG_MISMATCH
    without = read_boot(verdict, firmware(), registers=(0, 1, 2))
    assert without.registers == (0, 1, 2)
    assert all(each.rtmr < 3 for each in without.events)


def other_order(log: EventLog) -> EventLog:
    return EventLog((*log.events[:1], log.events[2], log.events[1], *log.events[3:]))


def one_less(log: EventLog) -> EventLog:
    return EventLog(log.events[:-1])


def one_twice(log: EventLog) -> EventLog:
    return EventLog((*log.events, log.events[-1]))


def other_register(log: EventLog) -> EventLog:
    first = log.events[0]
    return EventLog((type(first)(1, first.kind, first.digest, first.data), *log.events[1:]))


def other_digest(log: EventLog) -> EventLog:
    first = log.events[0]
    return EventLog((type(first)(first.rtmr, first.kind, sha384(b"other"), first.data), *log.events[1:]))


def nothing(_: EventLog) -> EventLog:
    return EventLog(())


@pytest.mark.parametrize("spoil", [other_order, one_less, one_twice, other_register, other_digest, nothing])
def test_a_log_that_does_not_replay_is_refused(judged: Judged, spoil: Callable[[EventLog], EventLog]) -> None:
    verdict = judged(firmware())
    with pytest.raises(Rejected) as caught:
        read_boot(verdict, spoil(firmware()))
    assert caught.value.reason is Reason.EVENT_LOG_MISMATCH


def test_what_the_digest_does_not_cover_is_the_hosts_word(judged: Judged) -> None:
    """The host rewrites descriptions, so that the replay still fits: nothing of it is proven any more."""
    honest = firmware()
    verdict = judged(honest)
    secure_boot = variable("SecureBoot", b"\1")
    rewritten = EventLog.parse(
        boot_log(
            event(1, EventType.EV_EFI_HANDOFF_TABLES2, b"\x06Nothing" + bytes(8), b"tables"),
            event(1, EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, variable("SecureBoot", b"\0"), secure_boot),
            event(1, EventType.EV_SEPARATOR, bytes(4)),
            event(1, EventType.EV_EFI_VARIABLE_BOOT, variable("SecureBoot", b"\0\0"), b"\0\0"),
            event(2, EventType.EV_EFI_ACTION, b"Calling EFI Application from Boot Option"),
            event(2, EventType.EV_EFI_BOOT_SERVICES_APPLICATION, image("\\good.efi"), b"a boot loader"),
            event(3, EventType.EV_IPL, b"grub_cmd: linux good\0", b"linux /vmlinuz root=/dev/vda1 ro"),
            event(3, EventType.EV_IPL, b"kernel_cmdline: good\0", b"/vmlinuz root=/dev/vda1 ro"),
            event(3, EventType.EV_IPL, b"kernel_cmdline: initrd\0", b"an initial file system"),
            event(2, EventType.EV_EFI_ACTION, b"Exit Boot Services Invocation"),
        )
    )
    boot = read_boot(verdict, rewritten)
    assert boot.secure_boot is None
    assert boot.command_lines == ()
    assert [each.proof for each in boot.events if each.rtmr == 2] == [Proof.NOTHING] * 3
    assert boot.images == (("\\good.efi", sha384(b"a boot loader")),), "the digest is the fact, the path is a claim"


def test_secure_boot_is_for_the_firmware_to_say(judged: Judged) -> None:
    """A boot loader may measure anything, the bytes of a variable too."""
    log = firmware(event(3, EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, variable("SecureBoot", b"\1")))
    assert read_boot(judged(log), log).secure_boot is None


def test_a_phase_that_failed_is_told(judged: Judged) -> None:
    log = firmware(event(1, EventType.EV_SEPARATOR, b"\1\0\0\0"), event(1, 0x1234, b"?"))
    boot = read_boot(judged(log), log)
    assert boot.failed
    assert boot.events[0].fact == Separator(failed=True)
    assert boot.events[1].kind == "0x00001234"


def test_a_log_beside_evidence_that_is_not_genuine_says_nothing(lab: Lab) -> None:
    evidence = TdDraft.of(lab, NOON).build()
    verifier = DcapVerifier(Roots.lab(evidence.root))
    undecidable = verifier.verify(evidence.quote, None, NOON)
    forged = verifier.verify(evidence.quote[:700] + b"\xff" + evidence.quote[701:], evidence.collateral, NOON)
    for verdict in (undecidable, forged):
        with pytest.raises(Rejected) as caught:
            read_boot(verdict, firmware())
        assert caught.value.reason is verdict.reasons[0]


def test_an_enclave_has_no_event_log(lab: Lab) -> None:
    with pytest.raises(Rejected) as caught:
        read_boot(judge(Draft.of(lab, IMAGE, NOON).build()), firmware())
    assert caught.value.reason is Reason.UNSUPPORTED_EVIDENCE


def test_registers_of_a_td_that_extended_nothing_are_zero(judged: Judged) -> None:
    assert read_boot(judged(), EventLog(())) == Boot((), (0, 1, 2, 3))
    assert replay(()) == tuple(Measurement(bytes(48)) for _ in range(4))
