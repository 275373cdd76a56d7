"""`intaglio export`: records as a Parquet file, for those who reckon with them."""

import time
from pathlib import Path
from typing import Annotated

import typer

from intaglio.cli.console import examples, line
from intaglio.cli.durations import Moment, parse_moment
from intaglio.cli.failure import Usage
from intaglio.cli.store import Store, parse_session, reader

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio export june.parquet --since 2026-06-01 --until 2026-07-01",
            "intaglio export sizes.parquet --name get_size",
        )
    )(export)


def export(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, readable by you alone.")],
    store: Store = None,
    session: Annotated[str | None, typer.Option(metavar="ID", help="Of this session only.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of this name only.")] = None,
    since: Moment = None,
    until: Moment = None,
) -> None:
    """Write records to an Apache Parquet file, each with the session it came in. The gateway may be running.

    `--since` counts and `--until` does not: months that follow each other share no record. LATE and simulated records
    are in it, marked: leave them out by `status = 'ACCEPTED' and not simulated`. Needs the extra `intaglio[export]`.
    """
    try:
        from intaglio.gateway.parquet import Wanted, export_records  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Usage(f"{error.name} is missing: pip install 'intaglio[export]'") from error
    from intaglio.types import UnixTime  # noqa: PLC0415

    chosen = None if session is None else parse_session(session)
    wanted = Wanted(chosen, name, parse_moment("--since", since), parse_moment("--until", until))
    with reader(store) as opened:
        count = export_records(opened, target, wanted, UnixTime(int(time.time())))
    line(f"{target}: {count} records")
