"""`intaglio sessions`: which enclaves are and were in session, and what is missing from each."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import examples, field, line, moment, note, print_json, table
from intaglio.cli.failure import Usage
from intaglio.cli.store import Store, parse_session, reader

if TYPE_CHECKING:
    from intaglio.gateway.query import StoredSession

__all__ = ["add_to"]

_COUNTS = ("RECORDS", "MISSING", "LATE", "REPLAYS")


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio sessions",
            "intaglio sessions 5f0c6d1be90a4b7f8123c4d5e6f70819     one of them, with its verdict",
            "intaglio sessions --json | jq '.[] | select(.missing > 0)'",
        )
    )(sessions)


def sessions(
    session: Annotated[
        str | None, typer.Argument(metavar="ID", help="One session, with everything known of it.")
    ] = None,
    store: Store = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many of the last ones.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the enclaves' sessions, and what is missing.

    A session is one run of one enclave, attested once. MISSING counts sequence numbers below the highest that have not
    arrived: a host holds them back or lost them. REPLAYS counts frames that were delivered again; they are stored once.
    """
    from intaglio.gateway.query import MAX_PAGE  # noqa: PLC0415

    with reader(store) as opened:
        if session is not None:
            found = opened.session(parse_session(session))
            if found is None:
                raise Usage(f"{session}: no such session here; was its hello refused? see: intaglio quarantine")
            gaps = opened.gaps(found.session)
            _one(found, gaps, json=json)
            return
        listed: list[StoredSession] = []
        after = 0
        while page := opened.sessions(after=after, limit=MAX_PAGE):
            listed = [*listed, *page][-limit:]
            after = page[-1].number
    if json:
        print_json([_fields(each) for each in listed])
        return
    if not listed:
        note("no sessions")
        return
    headings = ("SESSION", "WORKLOAD", "TEE", "STATE", "ACCEPTED (UTC)", "LAST FRAME (UTC)", *_COUNTS)
    table(headings, [_row(each) for each in listed])


def _state(session: "StoredSession") -> str:
    if session.ended_at is not None:
        return "ended"
    return "live" if session.expires_at > time.time() else "expired"


def _row(session: "StoredSession") -> tuple[str, ...]:
    tee = f"{session.tee} (simulated)" if session.simulated else session.tee
    last = moment(session.last_at)[:19] if session.last_at is not None else "-"
    counts = (session.records, session.missing, session.late, session.replays)
    accepted = moment(session.accepted_at)[:19]
    return (
        session.session.hex(),
        session.workload,
        tee,
        _state(session) + (" (recalled)" if session.recalled else ""),
        accepted,
        last,
        *map(str, counts),
    )


def _one(session: "StoredSession", gaps: list[tuple[int, int]], *, json: bool) -> None:
    if json:
        print_json({**_fields(session), "gaps": [list(gap) for gap in gaps], "verdict": dict(session.verdict)})
        return
    line(f"session {session.session.hex()}", style="bold")
    if session.simulated:
        line("  SIMULATED: made in a laboratory, it proves nothing about hardware", style="bold yellow")
    for name, value in _fields(session).items():
        if name not in ("session", "simulated"):
            shown = moment(value) if name.endswith("_at") and isinstance(value, int) else value
            field(name.replace("_", " "), shown, indent=2)
    if gaps:
        named = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in gaps)
        line(f"  missing sequence numbers: {named}", style="bold red")
    field("TCB status", session.verdict.get("tcb_status"), indent=2)
    identity = session.verdict.get("identity")
    if isinstance(identity, dict):
        field("MRENCLAVE", identity.get("mr_enclave"), indent=2)
        field("MRSIGNER", identity.get("mr_signer"), indent=2)


def _fields(session: "StoredSession") -> dict[str, object]:
    return {
        "session": session.session.hex(),
        "workload": session.workload,
        "tee": session.tee,
        "simulated": session.simulated,
        "state": _state(session),
        "accepted_at": session.accepted_at,
        "expires_at": session.expires_at,
        "ended_at": session.ended_at,
        "last_at": session.last_at,
        "frames": session.frames,
        "records": session.records,
        "missing": session.missing,
        "late": session.late,
        "replays": session.replays,
        "keys_destroyed": session.keys_destroyed,
        "protocol": session.protocol,
        "offer": session.offer.hex() if session.offer is not None else None,
        "evidence": session.evidence.hex(),
        "policy": session.policy.hex(),
        "recalled": session.recalled,
    }
