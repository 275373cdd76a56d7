"""What bytes probably are that no format of ours fits: for whoever took the wrong file. It promises nothing."""

import json

__all__ = ["guess"]

_BEGINNINGS = {
    b"-----BEGIN": "PEM",
    b"\x7fELF": "a program",
    b"\x1f\x8b": "something compressed (gzip)",
    b"PK\x03\x04": "an archive (zip)",
    b"\x30\x82": "DER: a certificate, a key or a list that can't be read here",
    b"\x30\x81": "DER: a key or a small structure",
    b"SQLite format 3": "an SQLite database",
}


def guess(data: bytes) -> str:
    """A few words."""
    if not data.strip(b"\0"):
        return "nothing but zeros" if data else "an empty file"
    for beginning, what in _BEGINNINGS.items():
        if data.startswith(beginning):
            return what
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return f"{len(data):,} bytes that begin with {data[:8].hex()}"
    if not text.strip():
        return "white space"
    if text.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return "text that begins like JSON and is none"
        return f"JSON ({', '.join(list(value)[:6])})" if isinstance(value, dict) and value else "JSON"
    return "text" if text.isprintable() or "\n" in text else f"{len(data):,} bytes that begin with {data[:8].hex()}"
