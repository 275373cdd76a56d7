"""Finding out what a file is: text formats as they stand, then the bytes that hexadecimal or base64 text stands for."""

from typing import NamedTuple

from intaglio.cli.formats.boot import EVENT_LOG, EVENT_LOG_JSON
from intaglio.cli.formats.evidence import EVIDENCE_FORMATS, TEXT_FORMATS
from intaglio.cli.formats.facts import Facts
from intaglio.cli.formats.messages import MESSAGE_FORMATS, PIN_TEXT
from intaglio.cli.formats.results import CWT, JWT
from intaglio.cli.reading import dearmoured
from intaglio.errors import Malformed

__all__ = ["Found", "identify"]

_TEXTS = (PIN_TEXT, JWT, EVENT_LOG_JSON, *TEXT_FORMATS)
_BINARIES = (*MESSAGE_FORMATS, CWT, EVENT_LOG, *EVIDENCE_FORMATS)


class Found(NamedTuple):
    """What a file is, how it was written (`raw`, `hexadecimal`, `base64`), its size as bytes, and what it says."""

    kind: str
    encoding: str
    size: int
    facts: Facts


def identify(data: bytes) -> Found:
    """Raises `Malformed`: the first problem of what it looks like, or that it looks like nothing we know."""
    for known in _TEXTS:
        if known.matches(data):
            return _read(known.name, "raw", data, known.read(data))
    raw, encoding = dearmoured(data)
    for known in _BINARIES:
        if known.matches(raw):
            try:
                return _read(known.name, encoding, raw, known.read(raw))
            except Malformed as error:
                raise Malformed(error.field, f"{error.problem} (it looks like: {known.name})") from error
    if not raw:
        raise Malformed("file", "empty")
    raise Malformed("file", f"not a format that is known here; it begins with {raw[:8].hex()}")


def _read(kind: str, encoding: str, data: bytes, facts: Facts) -> Found:
    return Found(kind, encoding, len(data), facts)
