"""`intaglio secret`: secrets for enclaves. No value is ever an argument, in a log, or shown."""

import time
from enum import Enum
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
from intaglio.cli.failure import Commands, Usage
from intaglio.cli.store import Store, reader, writing

if TYPE_CHECKING:
    from intaglio.gateway.query import StoredDelivery, StoredItem

__all__ = ["add_to"]

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name under which the enclave looks it up.")]


class Type(Enum):
    """How the enclave reads the value."""

    BYTES = "bytes"
    TEXT = "text"
    JSON = "json"


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Give secrets to enclaves, replace and revoke them.",
    )
    group.command(
        epilog=examples(
            "intaglio secret put db-password --workload meter --type text --file password.txt --key-file dc.secret",
            "pwgen -s 32 1 | tr -d '\\n' | intaglio secret put db-password --workload meter --type text --file -",
        )
    )(put)
    group.command("list", epilog=examples("intaglio secret list", "intaglio secret list --json"))(listed)
    group.command(epilog=examples("intaglio secret revoke db-password --workload meter"))(revoke)
    group.command(epilog=examples("intaglio secret status db-password --workload meter"))(status)
    app.add_typer(group, name="secret")


def put(
    name: Name,
    workload: Workload,
    file: Annotated[Path, typer.Option(metavar="FILE", help="Holds the value, byte for byte; - for standard input.")],
    kind: Annotated[Type, typer.Option("--type", help="How the enclave reads it.")] = Type.BYTES,
    measurement: MeasurementOption = None,
    lineage: LineageOption = None,
    keystore: KeystoreOption = Path("dc.key"),
    key_file: KeyFileOption = None,
    store: Store = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Give a secret to the enclaves of a workload, or a new version of one.

    Each accepted session of the workload gets it once, when its host next asks, and says that it has it. Who put it,
    when, and the version are kept with the store's events; the value lies in the store wrapped under the keystore, and
    an earlier version's is destroyed. The gateway may be running.
    """
    from intaglio.gateway.store import downward  # noqa: PLC0415

    new = new_item(kind.value, name, addressee(workload, measurement, lineage), _checked(value_of(file), kind))
    vault_in = opened_vault(keystore, key_file)
    with writing(store) as connection:
        vault = vault_in(connection)
        version = downward.add_secret(
            connection, new, vault.newest, lambda plain: vault.wrap_item(new.reference, plain)
        )
    _said(name, workload, version, json=json, revoked=False)


def revoke(
    name: Name,
    workload: Workload,
    store: Store = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make the enclaves of a workload forget a secret, and destroy its value here.

    An enclave forgets it when its host brings the news. A host can hold that back: what the secret opens must be
    closed, too.
    """
    from intaglio.gateway.store import downward  # noqa: PLC0415

    # To every session of the workload: an earlier version may have gone to more of them than the last one.
    new = new_item("revoked", name, addressee(workload, None, None), b"")
    with writing(store) as connection:
        if downward.known_secret(connection, workload, name) is None:
            raise Usage(f"{clean(name)}: no such secret of {clean(workload)}, or it is revoked already")
        version = downward.add_secret(connection, new, None, lambda plain: plain)
    _said(name, workload, version, json=json, revoked=True)


def listed(
    store: Store = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the newest version of each secret; never its value.

    SENT counts the sessions that it was sent to, ANSWERED those that have said what became of it.
    """
    newest = {(item.name, item.workload): item for item in _all(store)}
    found = [item for item in newest.values() if item.closed_at is None]
    if json:
        print_json([item_fields(item) for item in found])
    elif not found:
        note("no secrets here")
    else:
        headings = ("NAME", "WORKLOAD", "VERSION", "TYPE", "PUT (UTC)", "BY", "SENT", "ANSWERED", "ONLY FOR")
        table(headings, [_row(item) for item in found])


def status(
    name: Name,
    workload: Workload,
    store: Store = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which sessions have a secret, version by version, the newest first."""
    from intaglio.types import UnixTime  # noqa: PLC0415

    versions = [item for item in _all(store) if (item.name, item.workload) == (name, workload)]
    if not versions:
        raise Usage(f"{clean(name)}: no such secret of {clean(workload)}")
    versions.reverse()
    at = UnixTime(int(time.time()))
    with reader(store) as opened:
        sent = [(item, opened.deliveries(item.id, at)) for item in versions]
    if json:
        print_json([item_fields(item) | {"sessions": [delivery_fields(each) for each in to]} for item, to in sent])
        return
    for item, _ in sent:
        line(clean(f"version {item.version}: {item.kind}, put {moment(item.made_at)} by {item.made_by}"))
    rows = [(str(item.version), *_delivery(each)) for item, to in sent for each in to]
    if rows:
        table(("VERSION", "SESSION", "SENT (UTC)", "STATE"), rows)
    else:
        note("no session has asked for it yet")


def _checked(value: bytes, kind: Type) -> bytes:
    """Raises `Usage`, without a word of the value."""
    import json  # noqa: PLC0415

    try:
        if kind is not Type.BYTES:
            text = value.decode()
            if kind is Type.JSON:
                json.loads(text)
    except (ValueError, RecursionError):
        raise Usage(f"the value is not {kind.value}") from None
    return value


def _all(store: Path | None) -> "list[StoredItem]":
    from intaglio.gateway.query import MAX_PAGE  # noqa: PLC0415

    found: list[StoredItem] = []
    with reader(store) as opened:
        while page := opened.items(after=found[-1].id if found else 0, limit=MAX_PAGE):
            found += page
    return found


def _said(name: str, workload: str, version: int, *, json: bool, revoked: bool) -> None:
    if json:
        print_json({"name": name, "workload": workload, "version": version, "revoked": revoked})
    else:
        line(clean(f"{name} of {workload}: {'revoked by ' if revoked else ''}version {version}"))


def _row(item: "StoredItem") -> tuple[str, ...]:
    only = item.measurement or (f"lineage {item.lineage.hex()}" if item.lineage else "-")
    counts = (str(item.sent), str(item.answered))
    put_at = moment(item.made_at)[:19]
    return item.name, item.workload, str(item.version), item.kind, put_at, item.made_by, *counts, only


def _delivery(delivery: "StoredDelivery") -> tuple[str, ...]:
    return delivery.session.hex(), moment(delivery.made_at)[:19], delivery_state(delivery)
