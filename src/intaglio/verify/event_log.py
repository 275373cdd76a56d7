"""What booted? A firmware's event log is replayed against the registers of a genuine TD report (check 31).

The log is unsigned and comes from the host: it proves nothing until its replay gives exactly the report's RTMRs. After
that the *digests* and their order are facts. What an event says about its digest is one as far as the digest covers it
(`BootEvent.proof`), and the host's word otherwise: compare the digest then, or the register, with one that you know.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import Measurement
from intaglio.verify.verdict import Verdict
from intaglio.wire.boot_events import BootFact, Image, Proof, Separator, Variable, Words, proof_of, read_fact
from intaglio.wire.ccel import Event, EventLog, EventType
from intaglio.wire.tdx import TdReport

__all__ = ["ALL_REGISTERS", "Boot", "BootEvent", "read_boot", "replay"]

ALL_REGISTERS = (0, 1, 2, 3)
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
_COMMAND_LINES = ("kernel_cmdline", "grub_kernel_cmdline")
_NAMES = {int(kind): kind.name for kind in EventType}


@dataclass(frozen=True, slots=True)
class BootEvent:
    """One measured event: a digest that is in a register, what it is said to be of, and how much of that is proven."""

    rtmr: int
    kind: str
    digest: bytes
    fact: BootFact
    proof: Proof

    def to_json(self) -> dict[str, object]:
        return {
            "rtmr": self.rtmr,
            "kind": self.kind,
            "digest": self.digest.hex(),
            "says": str(self.fact),
            "proof": self.proof.value,
        }


@dataclass(frozen=True, slots=True)
class Boot:
    """The events of logs whose replay gave the report's `registers`."""

    events: tuple[BootEvent, ...]
    registers: tuple[int, ...]

    @property
    def secure_boot(self) -> bool | None:
        """Whether UEFI Secure Boot was on when the firmware started; None where no proven event of its says so."""
        for event in self.events:
            fact, proven = event.fact, event.rtmr == 0 and event.proof is Proof.ALL
            if proven and isinstance(fact, Variable) and (fact.vendor, fact.name) == (_GLOBAL, "SecureBoot"):
                return fact.data == b"\1"
        return None

    @property
    def command_lines(self) -> tuple[str, ...]:
        """Texts that were measured and that the log labels as a kernel's command line. The label is the host's word:
        it could stand at another text, so look at everything that RTMR2 holds before you rely on it."""
        return tuple(
            event.fact.text
            for event in self.events
            if isinstance(event.fact, Words) and event.fact.label in _COMMAND_LINES and event.proof is not Proof.NOTHING
        )

    @property
    def images(self) -> tuple[tuple[str, bytes], ...]:
        """What the firmware started: digests of programs, each with the path that the log claims for it."""
        return tuple((event.fact.path, event.digest) for event in self.events if isinstance(event.fact, Image))

    @property
    def failed(self) -> bool:
        """The firmware or a loader says that a phase ended with an error."""
        return any(isinstance(event.fact, Separator) and event.fact.failed for event in self.events)

    def to_json(self) -> dict[str, object]:
        return {
            "registers": list(self.registers),
            "secure_boot": self.secure_boot,
            "command_lines": list(self.command_lines),
            "images": [{"path": path, "digest": digest.hex()} for path, digest in self.images],
            "failed": self.failed,
            "events": [event.to_json() for event in self.events],
        }


def replay(events: Iterable[Event]) -> tuple[Measurement, Measurement, Measurement, Measurement]:
    """RTMR0 to RTMR3 as these events leave them: each extension hashes the old value with a digest."""
    registers = [bytes(48)] * 4
    for event in events:
        if event.extends and event.rtmr is not None:
            registers[event.rtmr] = hashlib.sha384(registers[event.rtmr] + event.digest).digest()
    first, second, third, fourth = map(Measurement, registers)
    return first, second, third, fourth


def read_boot(verdict: Verdict, *logs: EventLog, registers: Iterable[int] = ALL_REGISTERS) -> Boot:
    """What booted in the TD of `verdict`, from one log after another (the firmware's, then the application's).

    `registers`: those that the logs must explain; an application that extends RTMR3 without a log leaves (0, 1, 2).
    Raises `Rejected`: with the verdict's reason unless it is genuine, UNSUPPORTED_EVIDENCE if it is not about a TD,
    and EVENT_LOG_MISMATCH if the replay gives another value than a register has.
    """
    report = verdict.identity
    if verdict.genuine is not True:
        raise Rejected(verdict.reasons[0], expected="a genuine verdict", found=f"genuine is {verdict.genuine}")
    if not isinstance(report, TdReport):
        raise Rejected(Reason.UNSUPPORTED_EVIDENCE, expected="a TD report", found=verdict.tee.value)
    chosen = tuple(sorted(set(registers)))
    events = [event for log in logs for event in log.events]
    replayed = replay(events)
    for number in chosen:
        if replayed[number] != report.rtmrs[number]:
            raise Rejected(
                Reason.EVENT_LOG_MISMATCH,
                expected=f"RTMR{number} {report.rtmrs[number].hex()}",
                found=f"{replayed[number].hex()} after {sum(each.rtmr == number for each in events)} events",
            )
    return Boot(tuple(_boot_event(each) for each in events if each.extends and each.rtmr in chosen), chosen)


def _boot_event(event: Event) -> BootEvent:
    fact = read_fact(event)
    kind = _NAMES.get(event.kind, f"{event.kind:#010x}")
    return BootEvent(event.rtmr or 0, kind, event.digest, fact, proof_of(event, fact))
