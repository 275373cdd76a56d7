"""Lineages of sealed state as the store has them, for reading."""

from dataclasses import dataclass

from intaglio.types import SessionId, UnixTime

__all__ = ["LINEAGE", "StoredState"]

LINEAGE = """
SELECT t.lineage, t.workload, t.platform, t.counter, s.session, t.begun_at, t.moved_at, t.takeovers, t.forks,
       t.reset_at, t.retired_at
FROM states t LEFT JOIN sessions s ON s.id = t.owner
"""


@dataclass(frozen=True, slots=True)
class StoredState:
    """A lineage of sealed state: the newest number, and who may take the next step. `reset`: the next hello says where
    it stands; `retired`: another lineage took its place."""

    lineage: bytes
    workload: str
    platform: str
    counter: int
    session: SessionId | None
    begun_at: UnixTime
    moved_at: UnixTime
    takeovers: int
    forks: int
    reset_at: UnixTime | None
    retired_at: UnixTime | None
