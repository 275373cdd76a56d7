"""Times on a command line: durations as people and policies write them (60s, 15m, 24h, 7d), and Unix times."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intaglio.cli.failure import Usage

if TYPE_CHECKING:
    from intaglio.types import UnixTime

__all__ = ["Moment", "at_option", "parse_duration", "parse_moment"]

Moment = Annotated[
    str | None, typer.Option(metavar="TIME", help="2026-06-01, or 2026-06-01T12:00:00 (UTC), or with an offset.")
]

_LATEST = 2**53 - 1
"""Every JSON reader, the database and a CBOR integer can hold it."""

_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> int:
    """Seconds. Raises `Usage`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Usage(f"{text!r}: need a duration such as 60s, 15m, 24h or 7d")
    return int(found[1]) * _SECONDS[found[2]]


def at_option(what: str) -> Any:
    """An option that takes a moment; `what` it is for."""
    return typer.Option(metavar="UNIX_TIME", min=0, max=_LATEST, help=f"{what} [default: now]")


def parse_moment(option: str, text: str | None) -> "UnixTime | None":
    """Raises `Usage`, naming the option."""
    from intaglio.types import UnixTime  # noqa: PLC0415

    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Usage(f"{option}: {text!r} is no time; write 2026-06-01 or 2026-06-01T12:00:00Z") from error
    return UnixTime(int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()))
