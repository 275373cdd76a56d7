"""Reading a data centre's public pin, the NAME.pub file."""

from pathlib import Path

from intaglio.cli.failure import Usage
from intaglio.cli.reading import read_bytes
from intaglio.errors import Malformed
from intaglio.wire.identity import Pin

__all__ = ["read_pin"]


def read_pin(path: Path) -> Pin:
    """Raises OSError, and `Usage` for a file that `intaglio keygen` did not write."""
    try:
        return Pin.from_text(read_bytes(path).decode("ascii"))
    except (Malformed, UnicodeDecodeError) as error:
        raise Usage(f"{path}: not a data centre's pin: {error}") from error
