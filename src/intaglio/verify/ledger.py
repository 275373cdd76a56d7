"""The procedure's steps, numbered as in docs/verification.md, and the record of what each of them found.

Every verdict lists all steps. A step that nobody recorded was not run; that never counts as passed. Findings keep
values, not sentences: they become text when a verdict's checks are looked at.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.verify.verdict import Check, Outcome

__all__ = ["Finding", "Findings", "Ledger", "Step", "Window", "moment"]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One check of a procedure. `expected` completes "it passes if there is ..."."""

    number: str
    name: str
    expected: str


class Finding(NamedTuple):
    """What one step found. `expected` is empty where the step's own sentence says it."""

    outcome: Outcome
    reason: Reason | None
    expected: object
    found: object


Findings = Mapping[Step, Finding]

_OK, _FAILED, _SKIPPED, _UNDECIDABLE = Outcome.OK, Outcome.FAILED, Outcome.SKIPPED, Outcome.UNDECIDABLE
_NOT_RUN = Finding(_SKIPPED, None, "", "not run: an earlier check did not pass")


class Ledger:
    """Findings by step. A step is recorded once; a failure is never replaced by anything later."""

    __slots__ = ("findings",)

    def __init__(self) -> None:
        self.findings: dict[Step, Finding] = {}

    def ok(self, step: Step, found: object = "") -> None:
        self.findings.setdefault(step, Finding(_OK, None, "", found))

    def fail(self, step: Step, reason: Reason, found: object, expected: object = "") -> None:
        self.findings.setdefault(step, Finding(_FAILED, reason, expected, found))

    def undecidable(self, step: Step, reason: Reason, found: object) -> None:
        self.findings.setdefault(step, Finding(_UNDECIDABLE, reason, "", found))

    def skip(self, step: Step, because: str) -> None:
        self.findings.setdefault(step, Finding(_SKIPPED, None, "", because))

    def take(self, findings: Findings) -> None:
        """Adds what was found earlier about the same platform or collateral."""
        self.findings.update(findings)

    def run(self, step: Step, check: Callable[[], object]) -> bool:
        """Runs a check that returns what it found or raises `Rejected`. Returns whether later steps may build on it."""
        try:
            found = check()
        except Rejected as rejected:
            self.fail(step, rejected.reason, rejected.found, rejected.expected or "")
            return False
        self.ok(step, "" if found is None else found)
        return True

    def passed(self, step: Step) -> bool:
        finding = self.findings.get(step)
        return finding is not None and finding.outcome is _OK

    def genuine(self, procedure: tuple[Step, ...]) -> bool | None:
        """True if every step passed, False if any failed, None (undecidable) otherwise."""
        findings = self.findings
        all_passed = True
        for step in procedure:
            finding = findings.get(step, _NOT_RUN)
            if finding.outcome is _FAILED:
                return False
            all_passed = all_passed and finding.outcome is _OK
        return True if all_passed else None

    def reasons(self, procedure: tuple[Step, ...]) -> tuple[Reason, ...]:
        """Of failed and undecidable steps, each once, in the procedure's order: what comes first caused the rest."""
        found = (self.findings[step].reason for step in procedure if step in self.findings)
        return tuple(dict.fromkeys(reason for reason in found if reason is not None))

    def render(self, procedure: tuple[Step, ...]) -> tuple[Check, ...]:
        return tuple(_check(step, self.findings.get(step, _NOT_RUN)) for step in procedure)


class Window(NamedTuple):
    """When something is valid: both ends belong to it."""

    what: str
    begin: UnixTime
    end: UnixTime

    def __str__(self) -> str:
        return f"{self.what} valid from {moment(self.begin)} to {moment(self.end)}"


def moment(time: int) -> str:
    """A time for people; a number where the calendar has none."""
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(time)


def _check(step: Step, finding: Finding) -> Check:
    expected = _text(finding.expected) or step.expected
    return Check(step.number, step.name, finding.outcome, finding.reason, expected, _text(finding.found))


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Window):
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
