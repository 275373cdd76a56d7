"""Who offered less than we hold: found, said, and kept beside the collateral until somebody looks.

A rollback is a stale mirror, or the hand of somebody who hides a revocation or a TCB recovery; the bytes are genuine
either way.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from intaglio.collateral.freshness import Forecast
from intaglio.files import exclusive, replace_private
from intaglio.types import UnixTime
from intaglio.wire.collateral_request import CollateralRequest

__all__ = ["Rollback", "note_rollbacks", "noted_rollbacks", "rollbacks"]

_NAME = "rollbacks.jsonl"
MAX_NOTED = 64
"""Lines kept, the last ones: a mirror that goes back does so again and again."""
MAX_FILE = 1 << 20

_log = logging.getLogger("intaglio.collateral")


@dataclass(frozen=True, slots=True)
class Rollback:
    """Somebody offered less than we hold. `what`: the name of a part; numbers are evaluation numbers, which lists do
    not have (0)."""

    request: CollateralRequest
    source: str
    what: str
    held_issued: UnixTime
    held_number: int
    offered_issued: UnixTime
    offered_number: int

    def __str__(self) -> str:
        return (
            f"{self.request}: {self.source} offers {self.what} of {self.offered_issued} (number {self.offered_number}),"
            f" held is that of {self.held_issued} (number {self.held_number})"
        )

    def to_json(self) -> dict[str, object]:
        return {
            "request": self.request.to_json(),
            "source": self.source,
            "what": self.what,
            "held": {"issued": self.held_issued, "number": self.held_number or None},
            "offered": {"issued": self.offered_issued, "number": self.offered_number or None},
        }


def rollbacks(held: Forecast, offered: Forecast) -> list[Rollback]:
    """Every part of `offered` that went back behind `held`."""
    old, new = held.facts.documents, offered.facts.documents
    request, source = offered.entry.request, offered.entry.source
    return [
        Rollback(request, source, name, old[name].issued, old[name].number, new[name].issued, new[name].number)
        for name in offered.facts.went_back(held.facts)
    ]


def note_rollbacks(folder: Path, found: Iterable[Rollback], at: UnixTime) -> None:
    """Adds them to the folder's list. A disk that takes nothing loses no collateral: the log has them, too."""
    lines = [json.dumps({"at": at, **rollback.to_json()}) for rollback in found]
    if not lines:
        return
    try:
        with exclusive(folder):
            kept = [json.dumps(each) for each in noted_rollbacks(folder)]
            text = "".join(f"{line}\n" for line in (*kept, *lines)[-MAX_NOTED:])
            replace_private(folder / _NAME, text.encode("ascii"))
    except OSError as error:
        _log.error("rollbacks can't be noted in %s: %s", folder, error)


def noted_rollbacks(folder: Path) -> list[dict[str, object]]:
    """The list, oldest first, each as `to_json` and the moment `at`; lines that can't be read are left out."""
    try:
        with (folder / _NAME).open("rb") as file:
            text = file.read(MAX_FILE).decode("ascii", "replace")
    except FileNotFoundError:
        return []
    found: list[dict[str, object]] = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
