"""A verdict for people: what it says first, then what it is about, the checks by subject, and what to do about each
reason. `--explain` draws every check as a tree, with what was expected and what was found."""

from typing import NamedTuple

from intaglio.cli.console import clean, field, line
from intaglio.cli.verdict_facts import identity_facts, platform_facts, time_facts
from intaglio.reasons import Reason
from intaglio.verify.verdict import Check, Decision, Outcome, Verdict

__all__ = ["show_reason", "show_verdict"]

_MARKS = {
    Outcome.OK: ("ok", "green"),
    Outcome.FAILED: ("FAILED", "bold red"),
    Outcome.SKIPPED: ("skipped", "dim"),
    Outcome.UNDECIDABLE: ("unknown", "bold yellow"),
}
_WORST = (Outcome.FAILED, Outcome.UNDECIDABLE, Outcome.SKIPPED, Outcome.OK)
_LONGEST_FINDING = 110
"""Characters of a finding in the short form; the tree has more, and --json all of it."""
_LONGEST_IN_TREE = 400


class _Group(NamedTuple):
    title: str
    checks: list[Check]

    @property
    def worst(self) -> Outcome:
        return next(outcome for outcome in _WORST if any(check.outcome is outcome for check in self.checks))

    @property
    def counts(self) -> str:
        passed, skipped = (sum(c.outcome is o for c in self.checks) for o in (Outcome.OK, Outcome.SKIPPED))
        return f"{passed} of {len(self.checks)} checks passed" + (f", {skipped} skipped" if skipped else "")


def show_verdict(verdict: Verdict, *, what: str | None, source: str, explain: bool) -> None:
    """Prints it. `what`: the kind of evidence; None where the bytes are no evidence that anybody knows."""
    line(
        clean(
            f"{source}: {f'{verdict.tee.value.upper()}, {what}' if what else 'no kind of evidence that is known here'}"
        )
    )
    line()
    line(*_headline(verdict) if what else ("NOT GENUINE: this is no evidence", "bold red"))
    _show_facts(verdict)
    line()
    groups = _groups(verdict.checks)
    if explain:
        _show_tree(groups)
    else:
        for group in groups:
            _show_group(group)
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
    if known.command is not None:
        field("command", known.command, indent=2)


def _groups(checks: tuple[Check, ...]) -> list[_Group]:
    """By subject, in the order in which the procedure comes to each first."""
    titles = dict.fromkeys(check.group for check in checks)
    return [_Group(title, [check for check in checks if check.group == title]) for title in titles]


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
        case True, Decision.UNDECIDABLE:
            return "GENUINE, but the policy could not decide, which is never a yes", "bold yellow"
    return "GENUINE: hardware made it; whether you want what runs there is for a policy to say", "bold green"


def _show_facts(verdict: Verdict) -> None:
    if verdict.simulated:
        line("SIMULATED: made in a laboratory, it proves nothing about hardware", style="bold yellow")
    for name, value in time_facts(verdict):
        field(name, value, indent=2)
    if verdict.platform is not None:
        for name, value in platform_facts(verdict.platform):
            field(name, value, indent=2)
    if verdict.identity is not None:
        if not verdict.genuine:
            line("  what follows is claimed, not proven", style="bold yellow")
        for name, value in identity_facts(verdict.tee, verdict.identity):
            field(name, value, indent=2)


# -- the short form: what is remarkable ------------------------------------------------------------------------------


def _show_group(group: _Group) -> None:
    text, style = _MARKS[group.worst]
    line(f"  {text:8} {group.title}: {group.counts}", style=style)
    for check in group.checks:
        if not _unremarkable(check):
            text, style = _MARKS[check.outcome]
            line(f"    {text:8} {_number(check):9} {check.name}{_finding(check)}", style=style)


def _unremarkable(check: Check) -> bool:
    """Passed, or not reached because of what another line already says."""
    return check.outcome is Outcome.OK or (check.outcome is Outcome.SKIPPED and check.found.startswith("not run"))


def _finding(check: Check) -> str:
    found = _cut(check.found, _LONGEST_FINDING)
    if check.outcome is Outcome.FAILED and check.expected:
        return f": expected {_cut(check.expected, _LONGEST_FINDING)}" + (f"; found {found}" if found else "")
    return f": {found}" if found else ""


# -- the tree --------------------------------------------------------------------------------------------------------


def _show_tree(groups: list[_Group]) -> None:
    for at, group in enumerate(groups):
        last = at == len(groups) - 1
        text, style = _MARKS[group.worst]
        line(f"{'└─' if last else '├─'} {text:8} {group.title}: {group.counts}", style=style)
        stem = "   " if last else "│  "
        for number, check in enumerate(group.checks):
            _show_leaf(check, stem, last=number == len(group.checks) - 1)


def _show_leaf(check: Check, stem: str, *, last: bool) -> None:
    text, style = _MARKS[check.outcome]
    line(f"{stem}{'└─' if last else '├─'} {text:8} {_number(check):9} {check.name}", style=style)
    below = f"{stem}{'   ' if last else '│  '}"
    line(f"{below}         expected  {_cut(check.expected, _LONGEST_IN_TREE)}", style="dim")
    if check.found:
        found = "because " if check.outcome is Outcome.SKIPPED else "found   "
        line(f"{below}         {found}  {_cut(check.found, _LONGEST_IN_TREE)}", style="dim")
    if check.reason is not None:
        line(f"{below}         reason    {check.reason.name}", style=style)


def _number(check: Check) -> str:
    return f"check {check.number}" if check.number != "policy" else check.number


def _cut(text: str, longest: int) -> str:
    text = clean(text)
    return text if len(text) <= longest else f"{text[:longest]}..."
