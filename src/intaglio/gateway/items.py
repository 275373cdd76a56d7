"""Secrets, commands and their deliveries as readers of the store see them: everything but the values."""

from dataclasses import dataclass

from intaglio.types import SessionId, UnixTime

__all__ = ["ITEM", "StoredDelivery", "StoredItem"]

ITEM = """
SELECT i.id, i.reference, i.kind, i.workload, i.name, i.version, i.measurement, i.lineage, i.made_by, i.made_at,
       i.expires_at, i.closed_at, (SELECT count(*) FROM down_frames f WHERE f.item = i.id),
       (SELECT count(f.answered_at) FROM down_frames f WHERE f.item = i.id)
FROM down_items i
"""


@dataclass(frozen=True, slots=True)
class StoredItem:
    """A version of a secret, or a command: all but its value. `kind`: command, or bytes, text, json, revoked.
    `sent`, `answered`: sessions."""

    id: int
    reference: bytes
    kind: str
    workload: str
    name: str
    version: int
    measurement: str | None
    lineage: bytes | None
    made_by: str
    made_at: UnixTime
    expires_at: UnixTime | None
    closed_at: UnixTime | None
    sent: int
    answered: int


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """An item on its way to one session. `outcome` (in lower case): null until the enclave has answered."""

    item: int
    session: SessionId
    sequence: int
    made_at: UnixTime
    answered_at: UnixTime | None
    outcome: str | None
    live: int
    """Whether the session still is: 1 or 0."""
