"""`intaglio policy explain`: what a policy accepts, in words, and what of it is only for a time."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intaglio.cli.console import field, line, moment, print_json
from intaglio.cli.durations import at_option
from intaglio.cli.policy.check import PolicyFile

if TYPE_CHECKING:
    from intaglio.verify.policy import Workload
    from intaglio.verify.rules.rule import Window

__all__ = ["explain"]

_WIDTH = 32


def explain(
    file: PolicyFile,
    at: Annotated[
        int | None,
        at_option("What is accepted at this Unix time."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say in plain words what a policy accepts.

    For each workload: every rule that evidence must pass, the terms of its sessions, what is accepted only for a time
    and whether that time has come or is over, and what weakens the table.

    Exit status: 0 if it was said, 2 if the policy can't be read.
    """
    from intaglio.cli.inputs import read_policy  # noqa: PLC0415

    policy = read_policy(file)
    now = int(time.time()) if at is None else at
    if json:
        workloads = [_to_json(workload, now) for workload in policy.workloads]
        print_json({"at": now, "hash": policy.hash.hex(), "workloads": workloads})
        return
    line(f"as of {moment(now)} ({now}); policy hash {policy.hash.hex()}")
    for workload in policy.workloads:
        line()
        _show(workload, now)


def _show(workload: "Workload", now: int) -> None:
    line(f"{workload.name} ({workload.tee.value}): accepted if all of this holds", style="bold")
    for name, sentences in _rules(workload).items():
        field(name, "; ".join(sentences), indent=2, width=_WIDTH)
    for name, text in _terms(workload).items():
        field(name, text, indent=2, width=_WIDTH)
    for window in _windows(workload):
        state = _state(window, now)
        style = {"open": "", "not yet": "yellow", "over": "dim"}[state]
        text = f"  {state:8} {window.what}{_span(window)}{f' ({window.note})' if window.note else ''}"
        line(text, style=style)
    for danger in workload.dangers:
        line(f"  WEAKENED {danger}", style="bold yellow")


def _rules(workload: "Workload") -> dict[str, list[str]]:
    """What each line of a verdict demands."""
    from intaglio.verify.workload import RULE_SETS  # noqa: PLC0415

    found: dict[str, list[str]] = {}
    for step in RULE_SETS[workload.tee].steps:
        sentences = [rule.sentence for rule in workload.rules if rule.step is step]
        if sentences:
            found[step.name] = sentences
    return found


def _terms(workload: "Workload") -> dict[str, str]:
    from intaglio.verify.rules.extent import Limit  # noqa: PLC0415

    heartbeat = "none: it may be silent for as long as it likes"
    if workload.heartbeat is not None:
        heartbeat = f"silent for at most {Limit(workload.heartbeat)}"
    return {
        "pin": workload.pin_sentence,
        "session": f"at most {Limit(workload.max_session_age)}",
        "offer": f"at most {Limit(workload.max_offer_age)} old",
        "heartbeat": heartbeat,
    }


def _windows(workload: "Workload") -> "Iterator[Window]":
    for rule in workload.rules:
        yield from rule.windows


def _state(window: "Window", now: int) -> str:
    if now < window.not_before:
        return "not yet"
    return "open" if now <= window.not_after else "over"


def _span(window: "Window") -> str:
    from intaglio.verify.rules.reference import ALWAYS, FOREVER  # noqa: PLC0415

    begin = f" from {moment(window.not_before)}" if window.not_before != ALWAYS else ""
    return begin + (f" until {moment(window.not_after)}" if window.not_after != FOREVER else "")


def _to_json(workload: "Workload", now: int) -> dict[str, Any]:
    from intaglio.verify.rules.reference import ALWAYS, FOREVER  # noqa: PLC0415

    return {
        "name": workload.name,
        "tee": workload.tee.value,
        "rules": [{"key": rule.key, "check": rule.step.name, "accepts": rule.sentence} for rule in workload.rules],
        "pin": workload.pin.where,
        "max_session_age": workload.max_session_age,
        "max_offer_age": workload.max_offer_age,
        "heartbeat": workload.heartbeat,
        "windows": [
            {
                "what": window.what,
                "not_before": window.not_before if window.not_before != ALWAYS else None,
                "not_after": window.not_after if window.not_after != FOREVER else None,
                "note": window.note,
                "state": _state(window, now),
            }
            for window in _windows(workload)
        ],
        "dangers": workload.dangers,
    }
