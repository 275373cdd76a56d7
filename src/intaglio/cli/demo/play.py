"""The play: the honest act, the attacks, the last act; every line checked before it is shown."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import NullHandler, getLogger
from typing import Protocol

from intaglio.cli.demo.centre import Centre
from intaglio.cli.demo.enclaves import ENCLAVE_ATTACKS
from intaglio.cli.demo.frames import FRAME_ATTACKS
from intaglio.cli.demo.hardware import HardwareResult, verify_hardware
from intaglio.cli.demo.model import Attack, DemoFailed, Outcome, Result, ensure
from intaglio.cli.demo.stage import Stage, set_stage
from intaglio.enclave.values import decode
from intaglio.errors import IntaglioError
from intaglio.gateway.query import StoredRecord, StoredSession

__all__ = ["ATTACKS", "Audience", "Honest", "Played", "play"]

ATTACKS: tuple[Attack, ...] = (*FRAME_ATTACKS, *ENCLAVE_ATTACKS)


@dataclass(frozen=True, slots=True)
class Honest:
    """What the host carried, and what the data centre has: read from its store."""

    message: bytes
    record: StoredRecord
    value: object
    session: StoredSession

    def to_json(self) -> dict[str, object]:
        return {
            "message_bytes": len(self.message),
            "name": self.record.name,
            "value": self.value,
            "status": self.record.status,
            "workload": self.record.workload,
            "session": self.record.session.hex(),
            "sequence": self.record.sequence,
            "simulated": self.record.simulated,
            "tcb_status": self.session.verdict["tcb_status"],
        }


@dataclass(slots=True)
class Played:
    """The whole play. `problem` is empty if everything was as it must be."""

    honest: Honest | None = None
    results: list[Result] = field(default_factory=list)
    hardware: HardwareResult | None = None
    problem: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        complete = len(self.results) == len(ATTACKS) and all(result.defended for result in self.results)
        return not self.problem and self.honest is not None and complete

    def to_json(self) -> dict[str, object]:
        return {
            "passed": self.passed,
            "problem": self.problem or None,
            "honest": self.honest.to_json() if self.honest else None,
            "attacks": [result.to_json() for result in self.results],
            "hardware": self.hardware.to_json() if self.hardware else None,
            "seconds": round(self.seconds, 2),
        }


class Audience(Protocol):
    """Who watches."""

    def stage(self, what: str, how: str) -> None: ...
    def honest(self, honest: Honest) -> None: ...
    def attempt(self, number: int, result: Result) -> None: ...
    def hardware(self, result: HardwareResult | None) -> None: ...


def play(audience: Audience) -> Played:
    """Plays it all, and leaves nothing behind. What goes wrong is in the result; nothing is raised but what the
    machine itself refuses (OSError) and Ctrl-C."""
    played, started = Played(), time.monotonic()
    try:
        with _silent(), set_stage(audience.stage) as stage:
            played.honest = _be_honest(stage)
            audience.honest(played.honest)
            stage.host.join(stage.meter, stage.runner(), stage.centre.url)
            for number, attack in enumerate(ATTACKS, 1):
                result = _attempt(stage, attack)
                played.results.append(result)
                audience.attempt(number, result)
            _check_store(stage.centre)
        played.hardware = verify_hardware()
        audience.hardware(played.hardware)
    except IntaglioError as error:
        played.problem = str(error)
    played.seconds = time.monotonic() - started
    return played


def _be_honest(stage: Stage) -> Honest:
    message = stage.host.be_honest(stage.meter, stage.runner(), stage.centre.url)
    records = [record for record in stage.centre.records() if record.name == "get_size"]
    ensure(len(records) == 1, f"one message was sent, {len(records)} records are stored")
    record = records[0]
    value = decode(record.value, record.name)
    ensure(value == 100 and record.status == "ACCEPTED", f"get_size() arrived as {value!r}, {record.status}")
    return Honest(message, record, value, stage.centre.session(record.session))


def _attempt(stage: Stage, attack: Attack) -> Result:
    """An attack that succeeds, or fails for another reason than it must, is a result like any other."""
    try:
        outcome = attack.act(stage)
    except IntaglioError as error:
        return Result(attack, Outcome("not as it must be", (), ""), str(error))
    if outcome.reasons != attack.expected:
        found, expected = ", ".join(outcome.reasons), ", ".join(attack.expected)
        return Result(attack, outcome, f"on record is {found or 'nothing'}, and {expected} must be")
    return Result(attack, outcome, "")


def _check_store(centre: Centre) -> None:
    """After all of it: not one value that the enclave did not return."""
    for record in centre.records():
        value = decode(record.value, record.name)
        if record.workload != "meter" or (record.name == "get_size" and value != 100):
            raise DemoFailed(f"the store holds {record.name} = {value!r} of {record.workload}")


@contextmanager
def _silent() -> Iterator[None]:
    """Gateway and relay log what is done to them; here the audience is told in its own words."""
    log = getLogger("intaglio")
    handler, propagate = NullHandler(), log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = propagate
        log.removeHandler(handler)
