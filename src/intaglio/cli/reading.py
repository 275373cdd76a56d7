"""Files as people have them: bytes, or the same bytes as hexadecimal or base64 text, with or without line breaks."""

import base64
import binascii
import re
import sys
from pathlib import Path

from intaglio.cli.failure import Usage

__all__ = ["MAX_FILE", "dearmoured", "read_bytes"]

MAX_FILE = 16 << 20
"""The largest thing that any command reads is collateral with a long revocation list."""

_HEX = re.compile(rb"(?:0[xX])?([0-9A-Fa-f]+)")
"""Digits one by one: the engine keeps a place to go back to for each repetition of a group, 70 bytes a digit."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_PEM = b"-----BEGIN"
"""Its dashes are letters of URL-safe base64, so that a whole certificate would be decoded to nonsense."""
_SHORTEST = 16
"""Bytes of text: below that, anything is hexadecimal by accident."""


def read_bytes(path: Path, *, limit: int = MAX_FILE) -> bytes:
    """The whole file, or standard input for `-`. Raises `Usage` for what can't be read, and for more than `limit`
    bytes: to `verify` a file that a failing disk withholds is not evidence that failed."""
    try:
        if str(path) == "-":
            if sys.stdin is None:  # closed by whoever started us
                raise Usage("-: there is no standard input")
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with path.open("rb") as file:
                data = file.read(limit + 1)
    except OSError as error:
        raise Usage(f"{path}: {(error.strerror or type(error).__name__).lower()}") from error
    if len(data) > limit:
        raise Usage(f"{path}: more than {limit} bytes")
    return data


def dearmoured(data: bytes) -> tuple[bytes, str]:
    """What `data` stands for, and how it was written: `raw`, `hexadecimal` or `base64`.

    Bytes that are no text, and text that is neither, are returned as they are.
    """
    text = b"".join(data.split())
    if len(text) < _SHORTEST or text.startswith(_PEM):
        return data, "raw"
    found = _HEX.fullmatch(text)
    if found and len(found[1]) % 2 == 0:
        return bytes.fromhex(found[1].decode("ascii")), "hexadecimal"
    if _BASE64.fullmatch(text):
        standard = text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        try:
            return base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True), "base64"
        except binascii.Error:
            pass  # a multiple of four and one: no base64, so it stands for itself
    return data, "raw"
