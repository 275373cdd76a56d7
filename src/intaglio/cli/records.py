"""`intaglio records`: what has arrived, and from which enclave."""

import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import clean, examples, line, moment, note, print_json
from intaglio.cli.store import Store, parse_session, reader

if TYPE_CHECKING:
    from intaglio.gateway.query import Reader, StoredRecord
    from intaglio.types import SessionId

__all__ = ["add_to"]

_POLL = 0.5
"""Seconds between two looks at the store: a person does not notice half a second."""
_ROW = "{:>8}  {:19}  {:16}  {:10}  {:>8}  {:20}  {}"


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio records --follow",
            "intaglio records --name get_size --limit 5",
            "intaglio records --session 5f0c... --json | jq -s 'map(.decoded) | add'",
        )
    )(records)


def records(
    store: Store = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing what arrives, until Ctrl-C.")] = False,
    session: Annotated[str | None, typer.Option(metavar="ID", help="Of this session only.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of this name only, for instance get_size.")] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, max=2**31, help="How many of the last ones; 0 for all.")
    ] = 100,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one record a line.")] = False,
) -> None:
    """Show what enclaves have sent: values with their origin.

    Every line was made by an enclave that the policy named when its session began, unread and unaltered on the way,
    stored exactly once. The order is that of arrival; the sequence number is the enclave's own. LATE means that it is
    authentic but its session had ended: it is not accepted until its evidence is appraised again. RECALLED
    means that its session was taken back since; `intaglio recall list` says why. SIMULATED means that a laboratory made
    it, and that it proves nothing.
    """
    chosen = None if session is None else parse_session(session)
    with reader(store) as opened:
        last, heading = 0, not json
        for record in _last(opened, limit, chosen, name):
            _show(record, json=json, heading=heading)
            last, heading = record.id, False
        if heading and not follow:
            note("no records")
        while follow:
            for record in opened.records(after=last, session=chosen, name=name):
                _show(record, json=json, heading=heading)
                last, heading = record.id, False
            time.sleep(_POLL)


def _last(opened: "Reader", limit: int, session: "SessionId | None", name: str | None) -> "Iterator[StoredRecord]":
    """The last `limit` records that fit, in the order of arrival; with 0 all of them."""
    if limit == 0:
        yield from _all(opened, 0, session, name)
    elif session is None and name is None:
        yield from _all(opened, max(0, opened.last_record() - limit), None, None)
    else:
        yield from deque(_all(opened, 0, session, name), maxlen=limit)


def _all(opened: "Reader", after: int, session: "SessionId | None", name: str | None) -> "Iterator[StoredRecord]":
    from intaglio.gateway.query import MAX_PAGE  # noqa: PLC0415

    while page := opened.records(after=after, limit=MAX_PAGE, session=session, name=name):
        yield from page
        after = page[-1].id


def _show(record: "StoredRecord", *, json: bool, heading: bool) -> None:
    from intaglio.cli.values import value_json, value_text  # noqa: PLC0415

    if json:
        decoded = value_json(record.content_type, record.value)
        print_json({**_fields(record), "value": record.value.hex(), "decoded": decoded}, compact=True)
        return
    if heading:
        line(_ROW.format("ID", "ARRIVED (UTC)", "WORKLOAD", "SESSION", "SEQUENCE", "NAME", "VALUE"), style="bold")
    marks = [
        mark
        for mark, present in (
            ("LATE", record.late),
            (f"RECALLED {record.recalled}", record.recalled),
            ("SIMULATED", record.simulated),
        )
        if present
    ]
    value = clean(value_text(record.content_type, record.value)) + (f"   [{', '.join(marks)}]" if marks else "")
    arrived, session = moment(record.arrived_at)[:19], record.session.hex()[:10]
    shown = _ROW.format(record.id, arrived, clean(record.workload), session, record.sequence, clean(record.name), value)
    line(shown, style="yellow" if record.status != "ACCEPTED" else "")


def _fields(record: "StoredRecord") -> dict[str, object]:
    return {
        "id": record.id,
        "session": record.session.hex(),
        "workload": record.workload,
        "tee": record.tee,
        "simulated": record.simulated,
        "epoch": record.epoch,
        "sequence": record.sequence,
        "position": record.position,
        "name": record.name,
        "content_type": record.content_type,
        "arrived_at": record.arrived_at,
        "status": record.status,
        "recalled": record.recalled,
    }
