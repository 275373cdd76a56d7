"""`intaglio collateral status`: what is held, when it ends, and who offered less."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.collateral.services import FOLDER
from intaglio.cli.collateral.show import ends, show_forecast
from intaglio.cli.console import field, line, moment, note, print_json, table, warn
from intaglio.cli.durations import at_option
from intaglio.cli.failure import Exit, Usage
from intaglio.cli.store import Store, store_folder

if TYPE_CHECKING:
    from intaglio.collateral.freshness import Forecast
    from intaglio.types import UnixTime

__all__ = ["status"]

_AWS = (
    "AWS Nitro: documents carry their certificates, and AWS publishes no revocation list. The key of AWS's root is "
    "built in, so nothing is fetched and nothing ends."
)


def status(
    store: Store = None,
    days: Annotated[
        float | None,
        typer.Option(metavar="N", min=0, help="Exit status 1 if anything ends within so many days."),
    ] = None,
    at: Annotated[int | None, at_option("As of this Unix time.")] = None,
    every: Annotated[bool, typer.Option("--all", "-a", help="Show every part of it.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what collateral is held, and when it ends.

    Collateral that ends takes every session with it: no hello is accepted after its next update. A gateway asks again
    while a tenth of the lifetime is left, so less than that means that its services do not answer.

    Exit status: 0, or 1 if anything has ended (or ends within --days), or if the numbers of imported bundles can't be
    read.
    """
    from intaglio.collateral.cache import CachedSource  # noqa: PLC0415
    from intaglio.collateral.rollbacks import noted_rollbacks  # noqa: PLC0415
    from intaglio.collateral.sequences import Sequences  # noqa: PLC0415
    from intaglio.errors import Malformed  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    folder = store_folder(store) / FOLDER
    if not folder.is_dir():
        raise Usage(f"{folder}: no collateral was ever kept here; --store names the gateway's folder")
    now = UnixTime(int(time.time()) if at is None else at)
    held = sorted(CachedSource((), folder).forecasts(), key=lambda forecast: forecast.next_update)
    noted, problem = noted_rollbacks(folder), None
    imports: Mapping[bytes, tuple[int, bytes]] = {}
    try:
        imports = Sequences.open(folder).imports
    except Malformed as error:  # what is held, and when it ends, can be said all the same
        problem = str(error)
    least = min((forecast.days(now) for forecast in held), default=None)
    if json:
        print_json({
            "folder": str(folder),
            "at": now,
            "days": least,
            "held": [forecast.to_json(now) for forecast in held],
            "rollbacks": noted,
            "imported": [{"pin_hash": pin.hex(), "sequence": number} for pin, (number, _) in imports.items()],
            "problem": problem,
            "nitro": {"fetched": False, "reason": _AWS},
        })  # fmt: skip
    else:
        _show(folder, held, now, every=every)
        for pin, (number, _) in imports.items():
            field("bundle imported", f"sequence {number} of pin {pin.hex()[:16]}...")
        for rollback in noted[-5:]:
            warn(f"rollback: {rollback.get('source')} offered an older {rollback.get('what')}, {_when(rollback)}")
        if problem is not None:
            warn(problem)
    if problem is not None or (least is not None and least < (days or 0)):
        raise typer.Exit(Exit.FAILED)


def _show(folder: Path, held: "list[Forecast]", at: "UnixTime", *, every: bool) -> None:
    if every:
        for forecast in held:
            show_forecast(forecast, at)
    elif held:
        table(("COLLATERAL", "ENDS", "FIRST", "TCB NUMBER", "FETCHED", "FROM"), [_row(each, at) for each in held])
    else:
        line(f"{folder}: nothing is held")
    note(_AWS)


def _row(forecast: "Forecast", at: "UnixTime") -> tuple[str, ...]:
    entry, facts = forecast.entry, forecast.facts
    number = "-" if facts.evaluation_number is None else str(facts.evaluation_number)
    return (
        str(entry.request), ends(forecast.days(at)), facts.ends_first, number, moment(entry.fetched_at), entry.source,
    )  # fmt: skip


def _when(rollback: dict[str, object]) -> str:
    at = rollback.get("at")
    return moment(at) if isinstance(at, int) else "at an unknown time"
