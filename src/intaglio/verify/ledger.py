"""The procedure's steps, numbered as in docs/verification.md, and the record of what each of them found.

Every verdict lists all steps. A step that nobody recorded was not run; that never counts as passed. Findings keep
values, not sentences: they become text when a verdict's checks are looked at.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple, TypeVar

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.verify.verdict import Check, Outcome

__all__ = ["Finding", "Group", "Ledger", "Step", "Window", "common_span", "moment"]

T = TypeVar("T")


class Group(Enum):
    """What a step is about: the branches of the tree that people are shown, in this order."""

    FORMAT = "format"
    CERTIFICATES = "certificates"
    COLLATERAL = "collateral"
    SIGNATURES = "signatures"
    TCB = "TCB"
    POLICY = "policy"


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One check of a procedure. `expected` completes "it passes if there is ..."."""

    number: str
    name: str
    expected: str
    group: Group


class Finding(NamedTuple):
    """What one step found. `expected` is empty where the step's own sentence says it."""

    outcome: Outcome
    reason: Reason | None
    expected: object
    found: object


_OK, _FAILED, _SKIPPED, _UNDECIDABLE = Outcome.OK, Outcome.FAILED, Outcome.SKIPPED, Outcome.UNDECIDABLE
_PASSED = Finding(_OK, None, "", "")
_NOT_RUN = Finding(_SKIPPED, None, "", "not run: an earlier check did not pass")


class Ledger:
    """Findings by step. What is recorded is never replaced, a failure least of all."""

    __slots__ = ("failed", "findings", "open")

    def __init__(self) -> None:
        self.findings: dict[Step, Finding] = {}
        self.failed = False
        self.open = False

    def ok(self, step: Step, found: object = None) -> None:
        if step not in self.findings:
            self.findings[step] = _PASSED if found is None else Finding(_OK, None, "", found)

    def fail(self, step: Step, reason: Reason, found: object, expected: object = "") -> None:
        self.failed = True
        self._record(step, Finding(_FAILED, reason, expected, found))

    def undecidable(self, step: Step, reason: Reason, found: object) -> None:
        self.open = True
        self._record(step, Finding(_UNDECIDABLE, reason, "", found))

    def skip(self, step: Step, because: str) -> None:
        self.open = True
        self._record(step, Finding(_SKIPPED, None, "", because))

    def overturn(self, step: Step, reason: Reason, found: object, expected: object = "") -> None:
        """A step that passed alone and fails in the light of another one."""
        self.findings.pop(step, None)
        self.fail(step, reason, found, expected)

    def take(self, other: "Ledger") -> None:
        """Adds what was found earlier about the same bytes. Raises KeyError if a step would be recorded twice."""
        if not self.findings.keys().isdisjoint(other.findings):
            raise KeyError("a step can't be recorded twice")
        self.findings.update(other.findings)
        self.failed = self.failed or other.failed
        self.open = self.open or other.open

    def run(self, step: Step, check: Callable[[], object]) -> bool:
        """Runs a check that returns what it found or raises `Rejected`. Returns whether later steps may build on it."""
        try:
            found = check()
        except Rejected as rejected:
            self.fail(step, rejected.reason, rejected.found, rejected.expected or "")
            return False
        self.ok(step, found)
        return True

    def learn(self, step: Step, check: Callable[[], T]) -> T | None:
        """Like `run`, for a check whose result is a value to work with; None where it refused."""
        try:
            learned = check()
        except Rejected as rejected:
            self.fail(step, rejected.reason, rejected.found, rejected.expected or "")
            return None
        self.ok(step)
        return learned

    def passed(self, step: Step) -> bool:
        finding = self.findings.get(step)
        return finding is not None and finding.outcome is _OK

    @property
    def flawless(self) -> bool:
        """Whatever was recorded passed. It does not say that everything was recorded."""
        return not self.failed and not self.open

    def genuine(self, procedure: frozenset[Step]) -> bool | None:
        """True if every step of the procedure passed, False if any failed, None (undecidable) otherwise."""
        if self.failed:
            return False
        return None if self.open or not procedure <= self.findings.keys() else True

    def not_passed(self, procedure: Iterable[Step]) -> list[Step]:
        """Steps that failed, are undecidable or were never recorded; skipping is not among them."""
        missing = (_OK, _SKIPPED)
        return [step for step in procedure if step not in self.findings or self.findings[step].outcome not in missing]

    def reasons(self, procedure: Iterable[Step]) -> tuple[Reason, ...]:
        """Of failed steps, then of undecidable ones, each once, in the procedure's order: what comes first caused the
        rest. Where something failed, that decided, and not what was missing beside it."""
        found = [self.findings[step] for step in procedure if step in self.findings]
        found.sort(key=lambda finding: finding.outcome is not _FAILED)
        return tuple(dict.fromkeys(finding.reason for finding in found if finding.reason is not None))

    def render(self, procedure: Iterable[Step]) -> tuple[Check, ...]:
        return tuple(_check(step, self.findings.get(step, _NOT_RUN)) for step in procedure)

    def _record(self, step: Step, finding: Finding) -> None:
        self.findings.setdefault(step, finding)


class Window(NamedTuple):
    """When something is valid: both ends belong to it."""

    what: str
    begin: UnixTime
    end: UnixTime

    def __str__(self) -> str:
        return f"{self.what} valid from {moment(self.begin)} to {moment(self.end)}"


def common_span(windows: Iterable[Window]) -> Window:
    """The time in which all of `windows` are open; for no window at all it is empty."""
    each = tuple(windows)
    if not each:
        return Window("nothing", UnixTime(1), UnixTime(0))
    return Window("all", max(window.begin for window in each), min(window.end for window in each))


def moment(time: int) -> str:
    """A time for people; a number where the calendar has none."""
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(time)


def _check(step: Step, finding: Finding) -> Check:
    expected = _text(finding.expected) or step.expected
    return Check(
        step.number, step.name, step.group.value, finding.outcome, finding.reason, expected, _text(finding.found)
    )


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Window):
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
