"""AMD's endorsements of one SEV-SNP machine: the certificate of the key that signs its reports, and what leads from
there to AMD's root. Nothing is read here but the spelling; certificates are judged by `intaglio.verify`.
"""

import json
from dataclasses import dataclass, field
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire import strict_json
from intaglio.wire.hashing import sha256_of_parts
from intaglio.wire.strict_json import Json
from intaglio.wire.x509 import decode_certificate, decode_crl

__all__ = ["SnpCollateral"]

_CERTIFICATES = ("vek", "ask", "ark")
_FIELDS = frozenset((*_CERTIFICATES, "crl"))


@dataclass(frozen=True, slots=True)
class SnpCollateral:
    """What a report is judged by, all DER: the VCEK or VLEK (`vek`), the ASK or ASVK (`ask`) that issued it, the
    product's root (`ark`), and the root's revocation list (`crl`, empty: none was given)."""

    vek: bytes
    ask: bytes
    ark: bytes
    crl: bytes = b""
    digest: bytes = field(init=False)
    """SHA-256 over all fields: the name under which a verifier remembers what it has judged."""

    def __post_init__(self) -> None:
        parts = (getattr(self, name) for name in sorted(_FIELDS))
        object.__setattr__(self, "digest", sha256_of_parts(parts))

    @classmethod
    def parse_json(cls, data: bytes) -> Self:
        """Reads ``{"vek": ..., "ask": ..., "ark": ..., "crl": ...}``, each as PEM, hexadecimal or base64 text; `crl`
        may be empty, null or absent. Raises `Malformed`."""
        document = strict_json.loads(data, "snp_collateral")
        if not isinstance(document, dict):
            raise Malformed("snp_collateral", "not an object")
        document = {"crl": "", **document}
        if document.keys() != _FIELDS:
            wrong = ", ".join(sorted(document.keys() ^ _FIELDS))
            raise Malformed("snp_collateral", f"missing or unknown: {wrong[:200]}")
        certificates = {name: decode_certificate(_text(document[name], name)) for name in _CERTIFICATES}
        return cls(**certificates, crl=decode_crl(_text(document["crl"] or "", "crl")))

    def encode_json(self) -> bytes:
        """The JSON that `parse_json` reads."""
        return json.dumps({name: getattr(self, name).hex() for name in (*_CERTIFICATES, "crl")}).encode()


def _text(value: Json, name: str) -> bytes:
    if not isinstance(value, str) or not value.isascii():
        raise Malformed(f"snp_collateral.{name}", "not ASCII text")
    return value.encode()
