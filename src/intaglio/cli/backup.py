"""`intaglio backup` and `intaglio restore`: a copy of the store while the gateway runs, and putting one back."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import examples, line, moment, note, print_json
from intaglio.cli.failure import Usage
from intaglio.cli.store import Store, store_folder

if TYPE_CHECKING:
    from intaglio.gateway.store.copies import Copy

__all__ = ["add_to"]

_DATABASE = "gateway.db"


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples("intaglio backup /backups/gateway-today.db", "intaglio backup copy.db --store /var/lib/dc")
    )(backup)
    app.command(epilog=examples("intaglio restore /backups/gateway-2026-06-01.db --store new-store"))(restore)


def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, readable by you alone.")],
    store: Store = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy the store, while the gateway runs, and read every page of the copy.

    The copy holds records in clear and session keys wrapped. What opens them, the keystore, is not in it: copy that
    apart, and keep it elsewhere. A damaged page is reported, and no copy is left.
    """
    from intaglio.gateway.store.copies import back_up  # noqa: PLC0415

    database = store_folder(store) / _DATABASE
    if not database.is_file():
        raise Usage(f"{database}: no gateway has stored anything here; --store names its folder")
    _say(back_up(database, target), target, "copied", json=json)


def restore(
    copy: Annotated[Path, typer.Argument(metavar="FILE", help="What `intaglio backup` wrote.")],
    store: Store = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put a copy of the store back into a folder that has none.

    The gateway must not be running there. Every page is read first. What arrived after the copy was made is not in it;
    enclaves that keep a sealed state may be ahead of it, and secrets and commands reach their enclaves again in new
    sessions.
    """
    from intaglio.gateway.lock import exclusive_lock  # noqa: PLC0415
    from intaglio.gateway.store.copies import restore as put_back  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    folder = store_folder(store)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = exclusive_lock(folder / "gateway.lock", "folder")
    try:
        found = put_back(copy, folder / _DATABASE, UnixTime(int(time.time())))
    finally:
        os.close(lock)
    _say(found, folder / _DATABASE, "restored", json=json)
    if not json:
        note("the keystore must be of the same time or newer; docs/gateway.md, Restoring, says what to expect")


def _say(copy: "Copy", path: Path, what: str, *, json: bool) -> None:
    if json:
        fields = {"schema": copy.schema, "sessions": copy.sessions, "records": copy.records, "newest_at": copy.newest}
        print_json({"file": str(path), **fields})
        return
    newest = moment(copy.newest) if copy.newest is not None else "never"
    line(f"{what} {path}: {copy.sessions} sessions, {copy.records} records, newest {newest}; every page is sound")
