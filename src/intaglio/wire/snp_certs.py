"""The certificate table that a host hands a guest beside an SEV-SNP report.

AMD publication 56421 (GHCB), "SNP Extended Guest Request": entries of a GUID, an offset and a length, ended by an entry
of zeros, then the certificates. Linux gives it out as `auxblob` of configfs-tsm. A host may leave it empty, and
whatever it puts there is no more than a suggestion: nothing here is trusted.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Self
from uuid import UUID

from intaglio.errors import Malformed
from intaglio.wire.cursor import Cursor

__all__ = ["MAX_TABLE", "CertificateTable"]

MAX_TABLE = 1 << 18
"""Sixteen times what kernels pass on, for a long revocation list."""

MAX_ENTRIES = 32
_ENTRY = Struct("<16sII")
_END = bytes(_ENTRY.size)
_VCEK = UUID("63da758d-e664-4564-adc5-f4b93be8accd").bytes
_VLEK = UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1").bytes
_ASK = UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782").bytes
_ARK = UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae").bytes
_CRL = UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea").bytes


@dataclass(frozen=True, slots=True)
class CertificateTable:
    """DER, or empty where the host had none. `ask` is the ASK of a VCEK or the ASVK of a VLEK; `others` counts
    entries with other GUIDs."""

    vcek: bytes = b""
    vlek: bytes = b""
    ask: bytes = b""
    ark: bytes = b""
    crl: bytes = b""
    others: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`. No bytes are an empty table: the host gave none.

        What lies between and behind the certificates is not looked at: tables come in whole pages.
        """
        if not data:
            return cls()
        if len(data) > MAX_TABLE:
            raise Malformed("certificate_table", f"at most {MAX_TABLE} bytes, got {len(data)}")
        found: dict[bytes, bytes] = {}
        entries, begin = _entries(data)
        for guid, offset, length in entries:
            if guid in found:
                raise Malformed("certificate_table.guid", f"{UUID(bytes=guid)} occurs twice")
            if offset < begin:
                raise Malformed("certificate_table.offset", f"{offset} lies within the table's own entries")
            cur = Cursor(data, "certificate_table")
            cur.take(offset, "offset")
            found[guid] = cur.take(length, "certificate")
        vcek, vlek, ask, ark, crl = (found.pop(guid, b"") for guid in (_VCEK, _VLEK, _ASK, _ARK, _CRL))
        return cls(vcek, vlek, ask, ark, crl, len(found))

    def encode(self) -> bytes:
        """A table that `parse` reads, without the other entries."""
        named = ((_VCEK, self.vcek), (_VLEK, self.vlek), (_ASK, self.ask), (_ARK, self.ark), (_CRL, self.crl))
        present = [(guid, content) for guid, content in named if content]
        offset = _ENTRY.size * (len(present) + 1)
        head = b""
        for guid, content in present:
            head += _ENTRY.pack(guid, offset, len(content))
            offset += len(content)
        return head + _END + b"".join(content for _, content in present)


def _entries(data: bytes) -> tuple[list[tuple[bytes, int, int]], int]:
    """GUID, offset and length of each entry, and where they end."""
    cur = Cursor(data, "certificate_table")
    entries: list[tuple[bytes, int, int]] = []
    while (entry := cur.take(_ENTRY.size, "entry")) != _END:
        if len(entries) == MAX_ENTRIES:
            raise Malformed("certificate_table", f"more than {MAX_ENTRIES} entries")
        entries.append(_ENTRY.unpack(entry))
    return entries, cur.position
