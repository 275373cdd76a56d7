"""`intaglio command`: have an enclave run one of its commands, and see whether it did."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import clean, examples, line, moment, note, print_json, table
from intaglio.cli.downward import (
    KeyFileOption,
    KeystoreOption,
    LineageOption,
    MeasurementOption,
    Workload,
    addressee,
    delivery_fields,
    delivery_state,
    item_fields,
    new_item,
    opened_vault,
    value_of,
)
from intaglio.cli.durations import parse_duration
from intaglio.cli.failure import Commands, Usage
from intaglio.cli.store import Store, reader, writing

if TYPE_CHECKING:
    from intaglio.gateway.query import StoredDelivery, StoredItem

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Have enclaves run their commands.",
    )
    group.command(
        epilog=examples(
            "intaglio command send recalibrate --workload meter --key-file dc.secret",
            "echo '{\"offset\": 3}' | intaglio command send recalibrate --workload meter --file -",
        )
    )(send)
    group.command("list", epilog=examples("intaglio command list", "intaglio command list --json"))(listed)
    app.add_typer(group, name="command")


def send(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A function that the script made a command.")],
    workload: Workload,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its arguments, a JSON object; - for standard input.")
    ] = None,
    within: Annotated[
        str, typer.Option(metavar="TIME", help="How long it may wait for an enclave to fetch it.")
    ] = "1h",
    measurement: MeasurementOption = None,
    lineage: LineageOption = None,
    keystore: KeystoreOption = Path("dc.key"),
    key_file: KeyFileOption = None,
    store: Store = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send a command to one enclave of a workload: the first whose host asks.

    It runs at most once. What it returns is stored like the result of a call. Where its session ends without an answer
    nobody can tell whether it ran; it is not sent again. The gateway may be running.
    """
    from intaglio.gateway.store import downward  # noqa: PLC0415

    arguments = b"{}" if file is None else _checked(value_of(file))
    lifetime = parse_duration(within)
    new = new_item(downward.COMMAND, name, addressee(workload, measurement, lineage), arguments, lifetime=lifetime)
    vault_in = opened_vault(keystore, key_file)
    with writing(store) as connection:
        vault = vault_in(connection)
        downward.add_command(connection, new, vault.newest, lambda plain: vault.wrap_item(new.reference, plain))
    if json:
        print_json({"name": name, "workload": workload, "reference": new.reference.hex()})
    else:
        line(clean(f"{new.reference.hex()}: {name} of {workload}"))


def listed(
    store: Store = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the commands and what became of them: waiting, sent, taken, failed, refused, expired or unknown."""
    from intaglio.gateway.query import MAX_PAGE  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    at = UnixTime(int(time.time()))
    found: list[StoredItem] = []
    with reader(store) as opened:
        while page := opened.items(after=found[-1].id if found else 0, limit=MAX_PAGE, commands=True):
            found += page
        rows = [(item, next(iter(opened.deliveries(item.id, at, limit=1)), None)) for item in found]
    if json:
        print_json([_fields(item, delivery, at) for item, delivery in rows])
    elif not rows:
        note("no commands were sent")
    else:
        headings = ("REFERENCE", "NAME", "WORKLOAD", "SENT (UTC)", "BY", "STATE", "SESSION")
        table(headings, [_row(item, delivery, at) for item, delivery in rows])


def _checked(arguments: bytes) -> bytes:
    """Raises `Usage`, without a word of the arguments."""
    import json  # noqa: PLC0415

    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Usage("the arguments are no JSON object")
    return arguments


def _state(item: "StoredItem", delivery: "StoredDelivery | None", at: int) -> str:
    if delivery is None:
        return "expired" if item.expires_at is not None and item.expires_at <= at else "waiting"
    state = delivery_state(delivery)
    return "sent" if state == "waiting" else state


def _row(item: "StoredItem", delivery: "StoredDelivery | None", at: int) -> tuple[str, ...]:
    session = delivery.session.hex() if delivery else "-"
    named = (item.reference.hex(), item.name, item.workload, moment(item.made_at)[:19], item.made_by)
    return *named, _state(item, delivery, at), session


def _fields(item: "StoredItem", delivery: "StoredDelivery | None", at: int) -> dict[str, object]:
    shown = item_fields(item)
    kept = ("name", "workload", "reference", "measurement", "lineage", "by", "at")
    return {
        **{name: shown[name] for name in kept},
        "expires_at": item.expires_at,
        "state": _state(item, delivery, at),
        "delivery": delivery_fields(delivery) if delivery else None,
    }
