"""Collateral that travels without a network (docs/protocol.md §11): entries, and a bundle of them that a data centre
signed. A cache keeps the same entries, one a file.

An entry says what was asked for, when and where it was fetched, and what came; nothing in it is believed because it
is in a bundle. Its signatures are the vendors', and whoever verifies evidence checks them as ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire import cbor
from intaglio.wire.collateral_request import CollateralRequest, parse_request
from intaglio.wire.endorsement import Collateral, parse_collateral

__all__ = ["MAX_BUNDLE", "MAX_ENTRIES", "Bundle", "Entry", "SignedBundle"]

MAX_BUNDLE = 64 << 20
"""Bytes: a thousand platform families and ten thousand chips stay below it."""
MAX_ENTRIES = 16384
MAX_SOURCE = 512
"""Bytes of an address."""

_LABEL = "collateral-bundle"


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer. `source`: the address of the service that gave it, or what else names its origin."""

    request: CollateralRequest
    fetched_at: UnixTime
    source: str
    collateral: Collateral

    def encode(self) -> bytes:
        return cbor.encode([_order(self), self.fetched_at, self.source, self.collateral.encode_json()])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`."""
        request, fetched_at, source, collateral = cbor.array(cbor.decode(data, "entry"), "entry", 4)
        return cls(
            parse_request(cbor.decode(cbor.bstr(request, "entry.request"), "entry.request")),
            UnixTime(cbor.uint(fetched_at, "entry.fetched_at")),
            cbor.tstr(source, "entry.source", limit=MAX_SOURCE),
            parse_collateral(cbor.bstr(collateral, "entry.collateral")),
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is signed. `sequence` rises with every bundle of one data centre, so that an older one is known as such.
    Entries are in the order of their requests' encodings, one for each request."""

    audience: str
    created: UnixTime
    sequence: int
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, audience: str, created: UnixTime, sequence: int, entries: Iterable[Entry]) -> Self:
        """Sorted. Raises `ValueError` for two entries for one request."""
        chosen = tuple(sorted(entries, key=_order))
        if len({_order(entry) for entry in chosen}) != len(chosen):
            raise ValueError("two entries for one request")
        return cls(audience, created, sequence, chosen)

    def encode(self) -> bytes:
        rows: list[cbor.Value] = [entry.encode() for entry in self.entries]
        return cbor.encode([1, self.audience, self.created, self.sequence, rows])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`, also for entries out of order or twice."""
        items = cbor.array(cbor.decode(data, "bundle"), "bundle", 5)
        version, audience, created, sequence, rows = items
        if version != 1 or isinstance(version, bool):
            raise Malformed("bundle.version", f"need 1, found {version!r:.40}")
        if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_ENTRIES:
            raise Malformed("bundle.entries", f"need an array of 1 to {MAX_ENTRIES}")
        entries = tuple(Entry.parse(cbor.bstr(row, "bundle.entry")) for row in rows)
        orders = [_order(entry) for entry in entries]
        if any(left >= right for left, right in pairwise(orders)):
            raise Malformed("bundle.entries", "not in the order of their requests, or one twice")
        return cls(
            cbor.tstr(audience, "bundle.audience"),
            UnixTime(cbor.uint(created, "bundle.created")),
            cbor.uint(sequence, "bundle.sequence"),
            entries,
        )


@dataclass(frozen=True, slots=True)
class SignedBundle:
    """A bundle as it travels: the signed body (COSE) and, where an operational key signed it, that key's certificate
    (COSE, signed by an identity key)."""

    signed: bytes
    certificate: bytes | None

    def encode(self) -> bytes:
        return cbor.labelled(_LABEL, self.signed, self.certificate)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`."""
        if len(data) > MAX_BUNDLE:
            raise Malformed("bundle", f"{len(data)} bytes, at most {MAX_BUNDLE}")
        label, signed, certificate = cbor.array(cbor.decode(data, "bundle"), "bundle", 3)
        if label != cbor.LABEL_PREFIX + _LABEL:
            raise Malformed("bundle", "not a bundle of collateral")
        return cls(
            cbor.bstr(signed, "bundle.signed"),
            None if certificate is None else cbor.bstr(certificate, "bundle.certificate"),
        )


def _order(entry: Entry) -> bytes:
    return cbor.encode(entry.request.to_cbor())
