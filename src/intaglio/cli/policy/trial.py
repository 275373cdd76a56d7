"""`intaglio policy try`: who would be rejected by this policy, before a gateway starts with it.

Judged is what a gateway judges when it starts: the evidence of each live session, with the collateral that it was
accepted by and as of that moment. Nothing is written.
"""

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import line, moment, note, print_json, table
from intaglio.cli.durations import at_option
from intaglio.cli.failure import Exit
from intaglio.cli.policy.check import PolicyFile
from intaglio.cli.store import Store

if TYPE_CHECKING:
    from intaglio.cli.policy.judging import Judge, Outcome, Tried
    from intaglio.verify.policy import Policy

__all__ = ["trial"]


def trial(
    file: PolicyFile,
    evidence: Annotated[
        list[Path] | None,
        typer.Argument(metavar="EVIDENCE", help="Evidence in files, instead of a store's or beside --store."),
    ] = None,
    store: Store = None,
    ended: Annotated[bool, typer.Option("--all", "-a", help="Judge sessions that have ended, too.")] = False,
    collateral: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What evidence in files is judged by, as for verify; of several, what fits."),
    ] = None,
    pin: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The data centre's NAME.pub, for pins that are in a field.")
    ] = None,
    at: Annotated[
        int | None,
        at_option("Which sessions are live, and files' time."),
    ] = None,
    lab: Annotated[
        list[Path] | None, typer.Option(metavar="ROOT.pem", help="Also trust the root of this simulated platform.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try a policy on stored evidence: who would be rejected, and why?

    Every live session of the gateway's store is judged by the evidence and collateral of its own hello, as a gateway
    does when it starts with another policy. Listed are the sessions that would end or be shortened; nothing is changed.

    Exit status: 0 if nobody would be rejected, 1 if a live session or a given file would, 2 if something can't be read.
    """
    from intaglio.cli.inputs import read_pin, read_policy, read_roots  # noqa: PLC0415
    from intaglio.cli.policy.judging import Judge, try_files, try_store  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415
    from intaglio.verify.evidence import Verifier  # noqa: PLC0415

    judge = Judge(read_policy(file), Verifier(read_roots(lab or [])), None if pin is None else read_pin(pin).hash)
    now = UnixTime(int(time.time()) if at is None else at)
    sessions: list[Outcome] = []
    if store is not None or not evidence:
        sessions = list(try_store(judge, store, now, ended=ended))
    files = list(try_files(judge, evidence or [], collateral or [], now))
    rejected = sum(each.outcome == "ended" and each.session.live for each in sessions)
    rejected += sum(not each.accepted for each in files)
    if json:
        _print(judge.policy, now, sessions, files)
    else:
        _warn_of_pins(judge)
        _show(sessions, files)
    raise typer.Exit(Exit.FAILED if rejected else Exit.OK)


def _warn_of_pins(judge: "Judge") -> None:
    named = [workload.name for workload in judge.policy.workloads if workload.pin.where != "measured"]
    if named and judge.pin_hash is None:
        note(f"without --pin nobody looked at the pin of {', '.join(named)}")


def _show(sessions: "list[Outcome]", files: "list[Tried]") -> None:
    from intaglio.reasons import Reason  # noqa: PLC0415

    changed = [each for each in sessions if each.outcome != "kept"]
    if changed:
        headings = ("SESSION", "WORKLOAD", "TEE", "ACCEPTED (UTC)", "WOULD BE", "WHY")
        table(headings, [_row(each) for each in changed])
    for tried in files:
        if tried.accepted:
            line(f"{tried.path}: accepted as {tried.workload}", style="green")
        else:
            line(f"{tried.path}: rejected, {', '.join(tried.reasons)}", style="bold red")
    if sessions or not files:
        counts = Counter(each.outcome for each in sessions)
        line(
            f"{len(sessions)} session{'s' if len(sessions) != 1 else ''}: {counts['kept']} kept,"
            f" {counts['shortened']} shortened, {counts['ended']} ended"
        )
    for name, count in _reasons(sessions, files).items():
        line(f"  {count:6} {name}: {Reason[name].summary}")


def _row(each: "Outcome") -> tuple[str, ...]:
    session, became = each.session, each.outcome
    why = ", ".join(each.reasons) if each.reasons else f"until {moment(each.expires_at)}"
    return session.session.hex(), session.workload, session.tee, moment(session.accepted_at)[:19], became, why


def _reasons(sessions: "list[Outcome]", files: "list[Tried]") -> dict[str, int]:
    """By the first reason, which caused the rest; the most frequent one first."""
    refused = [each.reasons for each in sessions if each.outcome == "ended"]
    refused += [each.reasons for each in files if not each.accepted]
    return dict(Counter(reasons[0] for reasons in refused if reasons).most_common())


def _print(policy: "Policy", now: int, sessions: "list[Outcome]", files: "list[Tried]") -> None:
    counts = Counter(each.outcome for each in sessions)
    print_json(
        {
            "policy": policy.hash.hex(),
            "at": now,
            "sessions": {"judged": len(sessions), **{name: counts[name] for name in ("kept", "shortened", "ended")}},
            "reasons": _reasons(sessions, files),
            "changed": [each.to_json() for each in sessions if each.outcome != "kept"],
            "files": [each.to_json() for each in files],
        }
    )
