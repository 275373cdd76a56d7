"""How collateral is shown to people."""

from typing import TYPE_CHECKING

from intaglio.cli.console import field, line, moment

if TYPE_CHECKING:
    from intaglio.collateral.freshness import Forecast
    from intaglio.types import UnixTime

__all__ = ["ends", "show_forecast"]

_SOON = 3
"""Days: the gateway asks again when a tenth of Intel's thirty is left."""


def show_forecast(forecast: "Forecast", at: "UnixTime") -> None:
    entry, facts = forecast.entry, forecast.facts
    line(str(entry.request), style=style(forecast.days(at)))
    field("source", f"{entry.source}, {moment(entry.fetched_at)}", indent=2)
    if facts.evaluation_number is not None:
        field("TCB evaluation number", facts.evaluation_number, indent=2)
    for name, part in facts.documents.items():
        field(name, f"issued {moment(part.issued)}, until {moment(part.next_update)}", indent=2)
    field("ends", f"{ends(forecast.days(at))}, first {facts.ends_first}", indent=2)


def ends(days: float) -> str:
    return f"EXPIRED {-days:,.1f} days ago" if days < 0 else f"in {days:,.1f} days"


def style(days: float) -> str:
    return "bold red" if days < 0 else "bold yellow" if days < _SOON else "bold green"
