"""Findings and error codes for people."""

from collections.abc import Iterable, Sequence

from intaglio.cli.console import clean, field, line
from intaglio.cli.doctor.codes.code import Code
from intaglio.cli.doctor.codes.lookup import family_of
from intaglio.cli.doctor.finding import Finding, Level

__all__ = ["show_codes", "show_findings"]

_MARKS = {Level.OK: ("ok", "green"), Level.WARNING: ("warning", "bold yellow"), Level.PROBLEM: ("PROBLEM", "bold red")}


def show_findings(title: str, findings: Sequence[Finding]) -> None:
    line(title, style="bold")
    for finding in findings:
        mark, style = _MARKS[finding.level]
        line(f"  {mark:8} {clean(finding.subject)}: {clean(finding.found)}", style=style)
        if finding.level is not Level.OK:
            field("what it means", finding.meaning, indent=11, width=27)
            field("what to do", finding.remedy, indent=11, width=27)
    line()


def show_codes(codes: Iterable[Code]) -> None:
    for number, code in enumerate(codes):
        if number:
            line()
        line(f"{code.value:#06x} {code.name} ({family_of(code).value})", style="bold")
        field("what happened", code.meaning, indent=2)
        field("usual cause", code.cause, indent=2)
        field("what to do", code.remedy, indent=2)
