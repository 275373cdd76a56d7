"""JWS in compact form (RFC 7515): three base64url texts with dots between. No keys here, and no choice of algorithm:
whoever checks a signature says which one it must be."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import NamedTuple

from intaglio.errors import Malformed
from intaglio.wire import strict_json

__all__ = ["MAX_TOKEN", "Jws", "encode", "signing_input"]

MAX_TOKEN = 2 << 20
"""Bytes of a whole token: a claims-set of a megabyte as base64."""
_MAX_HEADER = 4096


class Jws(NamedTuple):
    """A parsed token. `signed` is what its signature covers."""

    header: Mapping[str, object]
    payload: bytes
    signature: bytes
    signed: bytes

    @classmethod
    def parse(cls, token: bytes) -> "Jws":
        """Raises `Malformed`, also for a header with `crit`: it names what must be understood, and nothing is."""
        if len(token) > MAX_TOKEN:
            raise Malformed("jws", f"more than {MAX_TOKEN} bytes")
        parts = token.split(b".")
        if len(parts) != 3 or len(parts[0]) > _MAX_HEADER:
            raise Malformed("jws", "need three parts with dots between, the first a short header")
        header = strict_json.loads(_decode(parts[0], "jws.header"), "jws.header")
        if not isinstance(header, dict) or "crit" in header:
            raise Malformed("jws.header", "not an object that is understood here")
        signature = _decode(parts[2], "jws.signature")
        return cls(header, _decode(parts[1], "jws.payload"), signature, token[: -len(parts[2]) - 1])


def signing_input(header: Mapping[str, str], payload: bytes) -> bytes:
    """What the signature covers."""
    return _encode(json.dumps(header, separators=(",", ":")).encode()) + b"." + _encode(payload)


def encode(signed: bytes, signature: bytes) -> bytes:
    """The token."""
    return signed + b"." + _encode(signature)


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: bytes, name: str) -> bytes:
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise Malformed(name, "not base64url") from error
    # Bits that the last character has too many would make two texts of one token.
    if _encode(data) != text:
        raise Malformed(name, "not the one spelling of its bytes")
    return data
