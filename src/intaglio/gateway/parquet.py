"""Records as an Apache Parquet file: for whoever reckons with them, with where each came from beside its value.

A value stays the bytes that the enclave sent; what can be read of it stands beside it as JSON. The file has its name
only once it is complete.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from intaglio.files import drafted
from intaglio.gateway.query import MAX_PAGE, Reader, StoredRecord
from intaglio.gateway.render import readable
from intaglio.types import SessionId, UnixTime

__all__ = ["SCHEMA", "Wanted", "export_records"]

ROW_GROUP = 50_000
"""Records held in memory at once, values and all."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("session", pa.binary(16), nullable=False),
        pa.field("workload", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("tee", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("simulated", pa.bool_(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("name", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("content_type", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("value", pa.binary(), nullable=False),
        pa.field("value_json", pa.string()),
        pa.field("arrived_at", pa.timestamp("s", tz="UTC"), nullable=False),
        pa.field("status", pa.dictionary(pa.int32(), pa.string()), nullable=False),
    ]
)
"""Columns, as docs/export.md describes them. `value_json` is null where the value has no rendering."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: of one session, of one name, arrived at or after `since` and before `until`."""

    session: SessionId | None = None
    name: str | None = None
    since: UnixTime | None = None
    until: UnixTime | None = None

    def __contains__(self, record: StoredRecord) -> bool:
        return (self.since is None or record.arrived_at >= self.since) and (
            self.until is None or record.arrived_at < self.until
        )


def export_records(reader: Reader, target: Path, wanted: Wanted, at: UnixTime) -> int:
    """Writes the records to the new file `target`, mode 0600, and returns how many. What arrives meanwhile may be in
    it or not. Raises FileExistsError, OSError, `Unavailable`."""
    with drafted(target) as draft, draft.open("wb") as file:
        return _write(reader, file, wanted, at)


def _write(reader: Reader, file: object, wanted: Wanted, at: UnixTime) -> int:
    about = {"intaglio.version": version("intaglio"), "intaglio.exported_at": str(at)}
    count = 0
    with pq.ParquetWriter(file, SCHEMA.with_metadata(about), compression="zstd") as writer:
        group: list[dict[str, object]] = []
        for record in _records(reader, wanted):
            group.append(_row(record))
            count += 1
            if len(group) == ROW_GROUP:
                writer.write_table(pa.Table.from_pylist(group, writer.schema))
                group = []
        if group or not count:
            writer.write_table(pa.Table.from_pylist(group, writer.schema))
    return count


def _records(reader: Reader, wanted: Wanted) -> Iterator[StoredRecord]:
    after = 0
    while page := reader.records(after=after, limit=MAX_PAGE, session=wanted.session, name=wanted.name):
        yield from (record for record in page if record in wanted)
        after = page[-1].id


def _row(record: StoredRecord) -> dict[str, object]:
    rendered = readable(record.content_type, record.value)
    return {
        "id": record.id,
        "session": bytes(record.session),
        "workload": record.workload,
        "tee": record.tee,
        "simulated": record.simulated,
        "epoch": record.epoch,
        "sequence": record.sequence,
        "position": record.position,
        "name": record.name,
        "content_type": record.content_type,
        "value": record.value,
        "value_json": None if rendered is None else json.dumps(rendered),
        "arrived_at": record.arrived_at,
        "status": record.status,
    }
