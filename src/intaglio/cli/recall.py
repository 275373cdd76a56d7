"""`intaglio recall`: what a machine, an image, a TCB or an advisory touched, and taking it back."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import clean, examples, line, moment, note, print_json, table
from intaglio.cli.durations import Moment, parse_moment
from intaglio.cli.failure import Commands, Usage
from intaglio.cli.store import Store, reader, who, writing

if TYPE_CHECKING:
    from intaglio.gateway.store.recalls import Criterion, Reached, ReachedSession, StoredRecall

__all__ = ["add_to"]

MAX_REASON = 500
_LONGEST_NUMBER = 6
"""Digits of an evaluation number; 20260601 is meant as a date, and would be above every number there is."""
_SHOWN = 50
"""Sessions of a table; --json has all of them."""

Why = Annotated[str | None, typer.Option(metavar="TEXT", help="Why. It is kept with the recall.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(cls=Commands, invoke_without_command=True, rich_markup_mode=None)
    group.callback(
        epilog=examples(
            "intaglio recall --tcb-below 17 --dry-run           what rests on older TCB data?",
            "intaglio recall --platform 0123456789abcdef0123456789abcdef --why 'key extracted, ticket 4711'",
            "intaglio recall --advisory INTEL-SA-00615 --since 2026-06-01 --dry-run --json | jq .records",
        )
    )(recall)
    group.command("list", epilog=examples("intaglio recall list", "intaglio recall list --json"))(listed)
    group.command(epilog=examples("intaglio recall lift 3 --why 'the wrong machine, ticket 4712'"))(lift)
    app.add_typer(group, name="recall")


def recall(
    context: typer.Context,
    store: Store = None,
    platform: Annotated[
        str | None, typer.Option(metavar="ID", help="A machine, by any name that a policy's `platforms` may give it.")
    ] = None,
    measurement: Annotated[
        str | None, typer.Option(metavar="HEX", help="MRENCLAVE, MRTD, an RTMR, SEV-SNP's measurement, or a PCR.")
    ] = None,
    signer: Annotated[
        str | None, typer.Option(metavar="HEX", help="MRSIGNER, a SEV-SNP id or author key's digest, or PCR 8.")
    ] = None,
    tcb_below: Annotated[
        str | None,
        typer.Option(metavar="DATE|NUMBER", help="A TCB level from before DATE; TCB evaluation data below NUMBER."),
    ] = None,
    advisory: Annotated[str | None, typer.Option(metavar="ID", help="An advisory that the verdict names.")] = None,
    since: Moment = None,
    until: Moment = None,
    why: Why = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it touched.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with every session.")] = False,
) -> None:
    """Say what something touched, and take it back.

    One of --platform, --measurement, --signer, --tcb-below and --advisory chooses sessions by the verdict they were
    accepted by; --since and --until those that lived in that time. A session is recalled as a whole: its records are
    RECALLED from then on, and if it lives it ends, as if it had expired. The gateway may be running. New hellos are
    a matter of the policy; the line that refuses them is printed.
    """
    chosen = {
        "platform": platform, "measurement": measurement, "signer": signer, "tcb_below": tcb_below,
        "advisory": advisory,
    }  # fmt: skip
    given = {name: text.strip() for name, text in chosen.items() if text is not None}
    if context.invoked_subcommand is not None:
        if given or why is not None:
            raise Usage(f"options come after `{context.invoked_subcommand}`")
        return
    if len(given) != 1 or not all(given.values()):
        raise Usage("give one of --platform, --measurement, --signer, --tcb-below and --advisory")
    ((name, text),) = given.items()
    criterion = _criterion(name, text, since, until)
    from intaglio.gateway.store import recalls  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    at, number = UnixTime(int(time.time())), None
    because = "" if dry_run else _reason(why)
    with reader(store) as opened:
        reached = opened.reached(criterion, at)
    if not dry_run:
        # Counting is done: the gateway can't write while this transaction lasts.
        with writing(store) as connection:
            number = recalls.recall(connection, criterion, who(), because, at)
    advice = _policy_line(criterion)
    if json:
        print_json({**_reached(reached), "recall": number, "policy": advice})
    else:
        _show(reached, number, dry_run=dry_run, kind=name.replace("_", "-"))
        line(f"to refuse it from now on, in the policy: {advice}")


def _criterion(name: str, text: str, since: str | None, until: str | None) -> "Criterion":
    from intaglio.gateway.store import facts  # noqa: PLC0415
    from intaglio.gateway.store.recalls import Criterion  # noqa: PLC0415

    kind, value = name, text.upper() if name == facts.ADVISORY else text.lower()
    if name == "tcb_below":
        kind, value = _below(text)
    start, end = parse_moment("--since", since), parse_moment("--until", until)
    if start is not None and end is not None and start >= end:
        raise Usage("--until must be later than --since")
    return Criterion(kind, value, start, end)


def _below(text: str) -> tuple[str, str]:
    from intaglio.gateway.store.facts import TCB_DATE, TCB_NUMBER, padded  # noqa: PLC0415

    if text.isascii() and text.isdecimal():
        if len(text) > _LONGEST_NUMBER:
            raise Usage(f"--tcb-below {text}: a date is written 2026-06-01")
        return TCB_NUMBER, padded(int(text))
    return TCB_DATE, padded(parse_moment("--tcb-below", text) or 0)


def _policy_line(criterion: "Criterion") -> str:
    """What a policy says of what was recalled. It lists what is allowed, so mostly something is to be left out."""
    match criterion.kind:
        case "tcb_date":
            return f"min_tcb_level_date = {moment(int(criterion.value))[:19].replace(' ', 'T')}Z"
        case "tcb_evaluation_number":
            return f"min_tcb_evaluation_number = {int(criterion.value)}"
        case "advisory":
            return f"`advisories` without {criterion.value}"
        case "platform":
            return f"`platforms` as a list without {criterion.value}"
        case _:
            return f"no [[accept]] table that names {criterion.value}"


def _reason(why: str | None) -> str:
    text = (why or "").strip()
    if not 0 < len(text) <= MAX_REASON:
        raise Usage(f"--why: say why, in at most {MAX_REASON} characters; --dry-run only looks")
    return text


def _show(reached: "Reached", number: int | None, *, dry_run: bool, kind: str) -> None:
    if reached.names:
        rows = [
            (clean(each.name), str(each.records), str(each.sessions), moment(each.first_at)[:19],
             moment(each.last_at)[:19])
            for each in reached.names
        ]  # fmt: skip
        table(("NAME", "RECORDS", "SESSIONS", "FIRST ARRIVED (UTC)", "LAST ARRIVED (UTC)"), rows)
    if reached.sessions:
        headings = ("SESSION", "WORKLOAD", "TEE", "ACCEPTED (UTC)", "WAS", "RECORDS", "SEQUENCE NUMBERS")
        table(headings, [_row(each) for each in reached.sessions[:_SHOWN]])
        if len(reached.sessions) > _SHOWN:
            note(f"and {len(reached.sessions) - _SHOWN} more sessions; --json names all")
    if reached.unstated:
        note(f"{reached.unstated} sessions state no {kind}: whether it touched them can't be told")
    counts = f"{len(reached.sessions)} sessions, {reached.live} of them live, and {reached.records} records"
    if number is not None:
        line(f"recall {number}: {counts}; no session of them lives any more", style="bold")
    else:
        line(f"it touched {counts}" + ("" if dry_run else "; nothing to recall"), style="bold")


def _row(session: "ReachedSession") -> tuple[str, ...]:
    records = sum(name.records for name in session.names)
    span = "-"
    if session.names:
        span = f"{min(each.first for each in session.names)} to {max(each.last for each in session.names)}"
    accepted, state = moment(session.accepted_at)[:19], "live" if session.live else "over"
    return session.session.hex(), clean(session.workload), session.tee, accepted, state, str(records), span


def _reached(reached: "Reached") -> dict[str, object]:
    return {
        "records": reached.records,
        "unstated": reached.unstated,
        "names": [
            {"name": each.name, "records": each.records, "sessions": each.sessions, "first_at": each.first_at,
             "last_at": each.last_at}
            for each in reached.names
        ],
        "sessions": [
            {
                "session": each.session.hex(), "workload": each.workload, "tee": each.tee,
                "accepted_at": each.accepted_at, "was_live": each.live,
                "names": [
                    {"name": name.name, "records": name.records, "first_sequence": name.first,
                     "last_sequence": name.last}
                    for name in each.names
                ],
            }
            for each in reached.sessions
        ],
    }  # fmt: skip


def listed(store: Store = None, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the recalls, lifted ones too."""
    with reader(store) as opened:
        found = opened.recalls()
    if json:
        print_json([_fields(each) for each in found])
    elif not found:
        note("nothing was recalled here")
    else:
        headings = ("ID", "MADE (UTC)", "BY", "WHAT", "SESSIONS", "RECORDS", "STATE", "WHY")
        table(headings, [_recall_row(each) for each in found])


def _recall_row(each: "StoredRecall") -> tuple[str, ...]:
    state = "open" if each.lifted_at is None else f"lifted by {each.lifted_by}: {each.lifted_why}"
    what, counts = f"{each.kind} {_value(each)}", (str(each.sessions), str(each.records))
    return str(each.id), moment(each.made_at)[:19], clean(each.made_by), what, *counts, clean(state), clean(each.why)


def _value(each: "StoredRecall") -> str:
    if each.kind == "tcb_date":
        return f"below {moment(int(each.value))[:10]}"
    return f"below {int(each.value)}" if each.kind == "tcb_evaluation_number" else clean(each.value)


def _fields(each: "StoredRecall") -> dict[str, object]:
    return {name: getattr(each, name) for name in each.__slots__} | {
        "value": int(each.value) if each.kind.startswith("tcb_") else each.value
    }


def lift(
    number: Annotated[int, typer.Argument(metavar="ID", min=1, help="As `list` shows it.")],
    store: Store = None,
    why: Why = None,
) -> None:
    """Take a recall's mark away. The sessions that it ended stay ended."""
    from intaglio.gateway.store import recalls  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    because = _reason(why)
    with writing(store) as connection:
        lifted = recalls.lift(connection, number, who(), because, UnixTime(int(time.time())))
    if not lifted:
        raise Usage(f"{number}: no open recall; see: intaglio recall list")
    line(f"recall {number} is lifted: its records are what they were; its sessions stay ended")
