"""A verdict for people: what it says first, then the checks as a tree, then what to do about each reason."""

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from intaglio.cli.console import clean, field, line, moment
from intaglio.reasons import Reason
from intaglio.verify.verdict import Check, Decision, Outcome, Verdict

__all__ = ["advisories", "show_reason", "show_verdict"]

_MARKS = {
    Outcome.OK: ("ok", "green"),
    Outcome.FAILED: ("FAILED", "bold red"),
    Outcome.SKIPPED: ("skipped", "dim"),
    Outcome.UNDECIDABLE: ("unknown", "bold yellow"),
}
_WORST = (Outcome.FAILED, Outcome.UNDECIDABLE, Outcome.SKIPPED, Outcome.OK)
_IDENTITY = {
    "mr_enclave": "MRENCLAVE",
    "mr_signer": "MRSIGNER",
    "isv_prod_id": "product",
    "isv_svn": "SVN",
}
"""Of everything that an identity holds, what tells people who it is."""
_LONGEST_FINDING = 110
"""Characters of a finding that are shown; --json has all of it."""


class _Group(NamedTuple):
    title: str
    checks: list[Check]


def show_verdict(verdict: Verdict, *, kind: str | None, source: str, every: bool) -> None:
    """Prints it. `kind` None: the bytes are no evidence that anybody knows."""
    line(f"{source}: {f'{verdict.tee.value.upper()}, {kind}' if kind else 'no kind of evidence that is known here'}")
    line()
    line(*_headline(verdict))
    _show_facts(verdict)
    line()
    for group in _groups(verdict.checks):
        _show_group(group, every=every)
    for reason in verdict.reasons:
        line()
        show_reason(reason)


def show_reason(reason: Reason) -> None:
    """A reason with everything that is known of it."""
    known = reason.explanation
    line(reason.name, style="bold red")
    field("what happened", known.summary, indent=2)
    field("usual cause", known.cause, indent=2)
    field("who must act", known.actor.value, indent=2)
    field("does a retry help", "yes, the same bytes may pass later" if known.retryable else "no", indent=2)
    field("what to do", known.remedy, indent=2)


def _headline(verdict: Verdict) -> tuple[str, str]:
    match verdict.genuine, verdict.decision:
        case None, _:
            return "UNDECIDABLE: it could not be checked, which is never a yes", "bold yellow"
        case False, _:
            return "NOT GENUINE", "bold red"
        case True, Decision.ACCEPTED:
            return f"GENUINE and ACCEPTED as workload {verdict.workload!r}", "bold green"
        case True, Decision.REJECTED:
            return "GENUINE, but REJECTED by the policy", "bold red"
    return "GENUINE: hardware made it; whether you want what runs there is for a policy to say", "bold green"


def _show_facts(verdict: Verdict) -> None:
    if verdict.simulated:
        line("SIMULATED: made in a laboratory, it proves nothing about hardware", style="bold yellow")
    field("judged as of", f"{moment(verdict.at)} ({verdict.at})", indent=2)
    if verdict.valid_until is not None:
        field("holds until", moment(verdict.valid_until), indent=2)
    if verdict.tcb_status is not None:
        since = f", TCB of {moment(verdict.tcb_date)[:10]}" if verdict.tcb_date is not None else ""
        field("TCB status", f"{verdict.tcb_status.value}{since}", indent=2)
        field("advisories", advisories(verdict), indent=2)
        field("TCB evaluation", verdict.tcb_evaluation_number, indent=2)
    if verdict.platform is not None:
        field("platform", f"FMSPC {verdict.platform.fmspc}, PPID {verdict.platform.ppid}", indent=2)
    if verdict.identity is not None:
        claimed = "" if verdict.genuine else " (claimed, not proven)"
        facts = verdict.identity.to_json()
        for name, title in _IDENTITY.items():
            if name in facts:
                field(title, f"{facts[name]}{claimed}", indent=2)
        debug = "YES: the host can read and change everything inside" if verdict.identity.debug else "no"
        field("debug", debug, indent=2)


def advisories(verdict: Verdict) -> str:
    """Those that apply, in words; TCB info of version 2 can't name any, which is not the same as none."""
    if not verdict.advisories_stated:
        return "not stated (TCB info of version 2 names none)"
    return ", ".join(verdict.advisory_ids) or "none"


def _groups(checks: tuple[Check, ...]) -> Iterator[_Group]:
    """The checks by subject, in the procedure's order."""
    for title, members in groupby(checks, key=lambda check: check.group):
        yield _Group(title, list(members))


def _show_group(group: _Group, *, every: bool) -> None:
    worst = next(outcome for outcome in _WORST if any(check.outcome is outcome for check in group.checks))
    counts = {outcome: sum(check.outcome is outcome for check in group.checks) for outcome in Outcome}
    text, style = _MARKS[worst]
    skipped = f", {counts[Outcome.SKIPPED]} skipped" if counts[Outcome.SKIPPED] else ""
    line(f"  {text:8} {group.title}: {counts[Outcome.OK]} of {len(group.checks)} checks passed{skipped}", style=style)
    for check in group.checks:
        if every or not _unremarkable(check):
            _show_check(check)


def _unremarkable(check: Check) -> bool:
    """Passed, or not reached because of what another line already says."""
    return check.outcome is Outcome.OK or (check.outcome is Outcome.SKIPPED and check.found.startswith("not run"))


def _show_check(check: Check) -> None:
    text, style = _MARKS[check.outcome]
    number = f"check {check.number}" if check.number.isdecimal() else check.number
    line(f"    {text:8} {number:9} {check.name}{_finding(check)}", style="" if check.outcome is Outcome.OK else style)


def _finding(check: Check) -> str:
    found = _cut(clean(check.found))
    if check.outcome is Outcome.FAILED and check.expected:
        return f": expected {_cut(clean(check.expected))}" + (f"; found {found}" if found else "")
    return f": {found}" if found else ""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_FINDING else f"{text[:_LONGEST_FINDING]}..."
