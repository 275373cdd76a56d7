"""Durations as people and policies write them: 60s, 15m, 24h, 7d."""

import re

from intaglio.cli.failure import Usage

__all__ = ["parse_duration"]

_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> int:
    """Seconds. Raises `Usage`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Usage(f"{text!r}: need a duration such as 60s, 15m, 24h or 7d")
    return int(found[1]) * _SECONDS[found[2]]
