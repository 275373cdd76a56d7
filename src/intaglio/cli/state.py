"""`intaglio state`: the newest sealed state of each enclave that keeps one, and letting one begin anew."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import examples, line, moment, note, print_json, table
from intaglio.cli.failure import Commands, Usage
from intaglio.cli.store import Store, reader, who, writing

if TYPE_CHECKING:
    from intaglio.gateway.query import StoredState

__all__ = ["add_to"]

MAX_REASON = 500
_LINEAGE_BYTES = 16


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Look after the states that enclaves keep sealed.",
    )
    group.command(
        "list",
        epilog=examples("intaglio state list", "intaglio state list --json | jq '.[] | select(.forks > 0)'"),
    )(listed)
    group.command(
        epilog=examples(
            "intaglio state reset 5f0c6d1be90a4b7f8123c4d5e6f70819 --because 'disk of host 7 died, ticket 4711'"
        )
    )(reset)
    app.add_typer(group, name="state")


def listed(
    store: Store = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the lineages of sealed state, and the newest number of each.

    TAKEN OVER counts sessions that began while an earlier one of the same state was live: after a crash that is what a
    restart looks like. FORKS counts changes that were refused because another copy had gone on from the same state.
    """
    from intaglio.gateway.query import MAX_PAGE  # noqa: PLC0415

    found: list[StoredState] = []
    with reader(store) as opened:
        while page := opened.states(after=found[-1].lineage if found else b"", limit=MAX_PAGE):
            found += page
    if json:
        print_json([_fields(each) for each in found])
    elif not found:
        note("no enclave keeps a state here")
    else:
        headings = ("LINEAGE", "WORKLOAD", "NUMBER", "STATE", "CHANGED (UTC)", "TAKEN OVER", "FORKS", "PLATFORM")
        table(headings, [_row(each) for each in found])


def reset(
    lineage: Annotated[str, typer.Argument(metavar="LINEAGE", help="32 hexadecimal digits, as `list` shows them.")],
    because: Annotated[str, typer.Option(metavar="TEXT", help="Why. It is kept with the store's events.")],
    store: Store = None,
) -> None:
    """Let a lineage begin anew: the next enclave that brings it, or that begins without one, is believed.

    What protects against a host that puts old state back is given up for that one moment. So who did it, when and why
    is kept. The gateway may be running.
    """
    from intaglio.gateway.store import states  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    name, text = _lineage(lineage), because.strip()
    if not 0 < len(text) <= MAX_REASON:
        raise Usage(f"--because: say why, in at most {MAX_REASON} characters")
    with writing(store) as connection:
        known = states.reset(connection, name, f"{text} (by {who()})", UnixTime(int(time.time())))
    line(f"lineage {name.hex()}: the next hello says where it stands")
    if not known:
        note("no such lineage was active here; it is adopted when an enclave brings it")


def _lineage(text: str) -> bytes:
    try:
        lineage = bytes.fromhex(text)
    except ValueError:
        lineage = b""
    if len(lineage) != _LINEAGE_BYTES:
        raise Usage(f"{text!r}: a lineage is 32 hexadecimal digits")
    return lineage


def _state(state: "StoredState") -> str:
    if state.retired_at is not None:
        return "replaced"
    return "reset" if state.reset_at is not None else "active"


def _row(state: "StoredState") -> tuple[str, ...]:
    number, moved = str(state.counter), moment(state.moved_at)[:19]
    counts = (str(state.takeovers), str(state.forks))
    return state.lineage.hex(), state.workload or "-", number, _state(state), moved, *counts, state.platform or "-"


def _fields(state: "StoredState") -> dict[str, object]:
    return {
        "lineage": state.lineage.hex(),
        "workload": state.workload,
        "platform": state.platform,
        "number": state.counter,
        "state": _state(state),
        "session": state.session.hex() if state.session else None,
        "begun_at": state.begun_at,
        "changed_at": state.moved_at,
        "taken_over": state.takeovers,
        "forks": state.forks,
        "reset_at": state.reset_at,
        "replaced_at": state.retired_at,
    }
