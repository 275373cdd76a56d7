"""What a local report is judged by: the report key of the enclave that it was made for.

EGETKEY gives this key only to that enclave, for the key id that the report names (Intel SDM vol. 3D, EGETKEY, REPORT
key). Whoever holds it can make such reports, so it is a secret for as long as the key id is used, and it is not shown.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire import strict_json
from intaglio.wire.strict_json import Json

__all__ = ["ReportKey"]

_FIELDS = frozenset(("key_id", "report_key"))


@dataclass(frozen=True, slots=True)
class ReportKey:
    """The 16 bytes that EGETKEY returned for the 32 bytes of `key_id`."""

    key_id: bytes
    report_key: bytes = field(repr=False)
    digest: bytes = field(init=False)
    """SHA-256 over both: a name for this collateral that does not give the key away."""

    def __post_init__(self) -> None:
        if (len(self.key_id), len(self.report_key)) != (32, 16):
            raise Malformed("report_key", "need a key id of 32 bytes and a key of 16")
        object.__setattr__(self, "digest", hashlib.sha256(self.key_id + self.report_key).digest())

    @classmethod
    def parse_json(cls, data: bytes) -> Self:
        """Reads ``{"key_id": ..., "report_key": ...}``, both hexadecimal text. Raises `Malformed`."""
        document = strict_json.loads(data, "report_key")
        if not isinstance(document, dict) or document.keys() != _FIELDS:
            raise Malformed("report_key", "need an object of key_id and report_key")
        return cls(_octets(document["key_id"], "key_id"), _octets(document["report_key"], "report_key"))

    def encode_json(self) -> bytes:
        """The JSON that `parse_json` reads. It holds the key."""
        return json.dumps({"key_id": self.key_id.hex(), "report_key": self.report_key.hex()}).encode()


def _octets(value: Json, name: str) -> bytes:
    try:
        return bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError as error:
        raise Malformed(f"report_key.{name}", "not hexadecimal text") from error
