"""The play on a terminal, at most a hundred columns wide."""

import shutil
import textwrap

from intaglio.cli.console import clean, field, line, moment, table
from intaglio.cli.demo.hardware import HardwareResult
from intaglio.cli.demo.model import Result
from intaglio.cli.demo.play import ATTACKS, Honest, Played
from intaglio.cli.verdict_facts import advisories

__all__ = ["Terminal", "show_summary"]

_WIDEST = 100
_INDENT = " " * 16


class Terminal:
    """An `Audience` that prints."""

    def __init__(self) -> None:
        line("Can a value leave an enclave through a host that nobody trusts?", style="bold")
        line()
        line("The stage", style="bold")

    def stage(self, what: str, how: str) -> None:
        _told(what, how)

    def honest(self, honest: Honest) -> None:
        session, record = honest.session, honest.record
        identity = session.verdict.get("identity")
        mr_enclave = str(identity.get("mr_enclave"))[:16] if isinstance(identity, dict) else "?"
        line()
        line("An honest host", style="bold")
        shown = honest.message[-16:].hex()
        _told("carries", f"{len(honest.message)} bytes, the last of them {shown}: it can't read the value")
        line(f"  {'the store has':16} {record.name} = {honest.value}", style="bold green")
        _told(
            "made by", f"workload {record.workload}, MRENCLAVE {mr_enclave}..., TCB {session.verdict.get('tcb_status')}"
        )
        _told("number", f"message {record.sequence} of session {record.session.hex()[:8]}..., {record.status}")
        if record.simulated:
            _told("marked", "SIMULATED: this data centre was started with --lab, and says so in every record")
        line()
        line("A hostile host", style="bold")

    def attempt(self, number: int, result: Result) -> None:
        _wrapped(f"  {number:>2} {result.attack.name:10} tried     ", result.attack.tried, "bold")
        _wrapped(f"{_INDENT}happened  ", result.outcome.happened, "")
        if not result.defended:
            _wrapped(f"{_INDENT}FAILED    ", clean(result.problem), "bold red")
            return
        label = "why       "
        for name, why in zip(result.outcome.reasons, result.explanations, strict=True):
            _wrapped(_INDENT + label, f"{name}: {why}", "green")
            label = " " * len(label)

    def hardware(self, result: HardwareResult | None) -> None:
        line()
        line("Real hardware", style="bold")
        if result is None:
            line("  skipped: no collection of real evidence here; INTAGLIO_VECTORS names its folder", style="dim")
            return
        verdict = result.verdict
        family = verdict.platform.fmspc if verdict.platform else "?"
        _told("a real quote", f"of an SGX machine of family {family}, judged as of {moment(verdict.at)}")
        status = verdict.tcb_status.value if verdict.tcb_status else "no status"
        said = f"{len(verdict.checks)} checks passed; {status}; advisories: {advisories(verdict)}"
        line(f"  {'verdict':16} GENUINE: {said}", style="green")
        reasons = ", ".join(reason.name for reason in result.flipped.reasons)
        line(f"  {'one bit flipped':16} NOT GENUINE: {reasons}", style="green")


def show_summary(played: Played) -> None:
    """The table at the end, and the last word."""
    line()
    table(("", "ATTACK", "", "ON RECORD", "WHERE"), [_row(n, each) for n, each in enumerate(played.results, 1)])
    line()
    tried = len(played.results)
    if played.passed:
        line(f"{tried} attacks, none succeeded; {played.seconds:.1f} s; nothing is left behind.", style="bold green")
        return
    failed = sum(not each.defended for each in played.results)
    problem = f" {clean(played.problem)}" if played.problem else ""
    line(f"FAILED: not defended {failed}, not tried {len(ATTACKS) - tried}.{problem}", style="bold red")


def _row(number: int, result: Result) -> tuple[str, ...]:
    outcome = result.outcome
    verdict = "defended" if result.defended else "FAILED"
    return str(number), result.attack.name, verdict, ", ".join(outcome.reasons), outcome.source


def _told(what: str, how: str) -> None:
    field(what, how, indent=2, width=18)


def _wrapped(head: str, text: str, style: str) -> None:
    rest, width = " " * len(head), min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
    for each in textwrap.wrap(
        text, max(width, len(head) + 20), initial_indent=head, subsequent_indent=rest, break_long_words=False
    ):
        line(each, style=style)
