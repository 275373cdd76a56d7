"""What a file is, and what it says: readers of every format that Intaglio meets, for `intaglio inspect`."""

from intaglio.cli.formats.guess import guess
from intaglio.cli.formats.registry import Found, identify

__all__ = ["Found", "guess", "identify"]
