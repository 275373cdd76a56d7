"""What commands write: plain lines, with colour where a person looks on. Every line is cleaned, so that a certificate's
name, a record or a file's name can't move the cursor or rewrite what stands above it."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

__all__ = ["clean", "examples", "field", "line", "moment", "note", "print_json", "size", "table", "warn"]

_PIPE_WIDTH = 200
"""Columns where nobody's terminal sets them: tables in pipes and logs are not cut."""

Style = str


def clean(text: str) -> str:
    """`text` with every character that is not printable written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def examples(*lines: str) -> str:
    """A help text's epilog: one example a line, as typed."""
    return "\b\nExamples:\n" + "\n".join(f"  {example}" for example in lines) + "\n\n "


def line(text: str = "", style: Style = "") -> None:
    """One line on stdout, never wrapped: what is long is long, and can be searched for."""
    _console().print(Text(clean(text), style=style), soft_wrap=True)


def field(name: str, value: object, *, indent: int = 0, width: int = 22) -> None:
    """One line "name   value" on stdout."""
    label = " " * indent + clean(name).ljust(width - indent) + " "
    _console().print(Text.assemble((label, "dim"), clean(_shown(value))), soft_wrap=True)


def note(text: str) -> None:
    """One line on stderr for the person who watches: not part of the output."""
    Console(stderr=True, highlight=False).print(Text(clean(text)), soft_wrap=True)


def warn(text: str) -> None:
    """One line on stderr that should not be overlooked."""
    Console(stderr=True, highlight=False).print(Text(clean(text), style="bold yellow"), soft_wrap=True)


def table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their longest cell, two spaces between; the last one is not padded."""
    cells = [tuple(clean(cell) for cell in row) for row in rows]
    widths = [max(len(row[i]) for row in (headings, *cells)) for i in range(len(headings))]
    for number, row in enumerate((headings, *cells)):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        line(text, style="bold" if number == 0 else "")


def print_json(value: object, *, compact: bool = False) -> None:
    """One JSON value on stdout; compact: on one line, for streams."""
    sys.stdout.write(json.dumps(value, indent=None if compact else 2, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def moment(time: int) -> str:
    """Unix seconds for people: UTC, and the number itself where the calendar ends."""
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return str(time)


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count:,} bytes" if count != 1 else "1 byte"


def _shown(value: object) -> str:
    match value:
        case bytes():
            return value.hex() or "(empty)"
        case bool():
            return "yes" if value else "no"
        case None:
            return "-"
        case list() | tuple():
            return ", ".join(_shown(item) for item in value) or "-"
    return str(value)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)
