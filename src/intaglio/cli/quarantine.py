"""`intaglio quarantine`: what was refused, why, and what to do about it."""

import sys
from collections import deque
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import clean, examples, field, line, moment, note, print_json, size, table
from intaglio.cli.failure import Usage
from intaglio.cli.store import Store, parse_session, reader
from intaglio.reasons import Reason

if TYPE_CHECKING:
    from intaglio.gateway.query import QuarantineEntry, Tally

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio quarantine                                what was refused lately",
            "intaglio quarantine 3f9c0b7a66e1d2c4a5b60718       one of them: why, and what to do",
            "intaglio quarantine 3f9c0b7a66e1d2c4a5b60718 --raw > hello.bin",
            "intaglio quarantine --reason DEBUG_ENCLAVE --json",
        )
    )(quarantine)


def quarantine(
    entry: Annotated[str | None, typer.Argument(metavar="ID", help="One entry, with everything known of it.")] = None,
    store: Store = None,
    reason: Annotated[str | None, typer.Option(metavar="NAME", help="Only this reason.")] = None,
    session: Annotated[str | None, typer.Option(metavar="ID", help="Only this session.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many of the last ones.")] = 50,
    raw: Annotated[
        bool, typer.Option("--raw", help="With an ID: write the bytes that were refused to stdout.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what was refused, why, and what to do.

    Nothing that was rejected is lost: it lies here with its reason. The host was told no more than that it failed (and,
    for a hello, the reasons' names and the ID). The room is bounded and a flood displaces itself: what no longer fits
    is counted, which the last lines show.
    """
    if reason is not None and reason not in Reason.__members__:
        near = get_close_matches(reason.upper(), Reason.__members__, n=3)
        raise Usage(f"--reason {reason}: no such reason" + (f"; is it {' or '.join(near)}?" if near else ""))
    with reader(store) as opened:
        if entry is None:
            if raw:
                raise Usage("--raw needs the ID of an entry")
            chosen = None if session is None else parse_session(session)
            entries: deque[QuarantineEntry] = deque(maxlen=limit)
            after = 0
            while page := opened.quarantine(after=after, limit=1000, reason=reason, session=chosen):
                entries.extend(page)
                after = page[-1].number
            _list(list(entries), opened.tallies(), json=json)
            return
        found = opened.quarantine_entry(entry)
    if found is None:
        raise Usage(f"{entry}: no such entry in quarantine")
    if raw:
        sys.stdout.buffer.write(found.data)
        sys.stdout.buffer.flush()
    elif json:
        print_json({**_fields(found), "detail": dict(found.detail), "explanations": _explanations(found)})
    else:
        _show(found)


def _list(entries: "list[QuarantineEntry]", tallies: "list[Tally]", *, json: bool) -> None:
    if json:
        counted = [
            {"reason": t.reason, "session": t.session.hex() if t.session else None, "count": t.count} for t in tallies
        ]
        print_json({"entries": [_fields(each) for each in entries], "counted_only": counted})
        return
    if not entries:
        note("nothing is in quarantine; a hello that can't be decided yet is in the log of intaglio serve")
    else:
        headings = ("ID", "LAST SEEN (UTC)", "TIMES", "WHAT", "REASON", "SESSION", "FROM")
        table(headings, [_row(each) for each in entries])
    for tally in tallies:
        of = f" of session {tally.session.hex()}" if tally.session else ""
        line(f"counted only: {clean(tally.reason)}{of}, {tally.count} times, last {moment(tally.last_at)}", style="dim")


def _row(entry: "QuarantineEntry") -> tuple[str, ...]:
    reasons = ", ".join(entry.reasons)
    session = entry.session.hex()[:10] if entry.session else "-"
    return entry.name, moment(entry.last_at)[:19], str(entry.count), entry.what, reasons, session, entry.remote or "-"


def _show(entry: "QuarantineEntry") -> None:
    from intaglio.cli.verdict_text import show_reason  # noqa: PLC0415
    from intaglio.reasons import Reason  # noqa: PLC0415

    line(f"{entry.what} refused: {', '.join(entry.reasons)}", style="bold red")
    field("id", entry.name, indent=2)
    field("session", entry.session or "unknown", indent=2)
    field("from", entry.remote or "unknown", indent=2)
    field("first seen", moment(entry.first_at), indent=2)
    if entry.count > 1:
        field("last seen", f"{moment(entry.last_at)}, {entry.count} times in all", indent=2)
    field("bytes kept", f"{size(len(entry.data))}; --raw writes them out", indent=2)
    verdict = entry.detail.get("verdict")
    for name, value in entry.detail.items():
        if name != "verdict" and (name, value) != ("length", len(entry.data)):
            field(name, value, indent=2)
    if isinstance(verdict, dict):
        _show_checks(verdict)
    for name in entry.reasons:
        line()
        if name in Reason.__members__:
            show_reason(Reason[name])
        else:
            line(f"{clean(name)}: this release does not know that reason", style="bold red")


def _show_checks(verdict: dict[str, object]) -> None:
    """What the evidence said, and the checks of its verdict that did not pass."""
    identity = verdict.get("identity")
    if isinstance(identity, dict):
        for name in ("mr_enclave", "mr_signer", "debug"):
            field(name.replace("_", "").upper(), identity.get(name), indent=2)
    field("TCB status", verdict.get("tcb_status"), indent=2)
    checks = verdict.get("checks")
    for check in checks if isinstance(checks, list) else []:
        if isinstance(check, dict) and check.get("outcome") in ("failed", "undecidable"):
            expected, found = str(check.get("expected")), str(check.get("found"))
            text = f"check {check.get('number')} {check.get('name')}: expected {expected}; found {found}"
            line(f"  {check.get('outcome')}: {clean(text)}", style="red")


def _fields(entry: "QuarantineEntry") -> dict[str, object]:
    return {
        "id": entry.name,
        "what": entry.what,
        "reasons": list(entry.reasons),
        "session": entry.session.hex() if entry.session else None,
        "remote": entry.remote,
        "count": entry.count,
        "first_at": entry.first_at,
        "last_at": entry.last_at,
        "bytes": len(entry.data),
    }


def _explanations(entry: "QuarantineEntry") -> list[dict[str, object]]:
    from intaglio.reasons import Reason  # noqa: PLC0415

    known = [Reason[name] for name in entry.reasons if name in Reason.__members__]
    return [
        {
            "reason": reason.name,
            "summary": reason.explanation.summary,
            "cause": reason.explanation.cause,
            "who_must_act": reason.explanation.actor.value,
            "retry_helps": reason.explanation.retryable,
            "what_to_do": reason.explanation.remedy,
        }
        for reason in known
    ]
