"""The tables, as SQLAlchemy Core describes them: what Alembic's migrations arrive at, and a test holds that they do.

The hot path writes with the standard sqlite3 driver (`statements`); these definitions are for migrations and tools.
Times are Unix seconds. `session` in frames and records is the row number of `sessions`, which keeps rows short.
"""

from sqlalchemy import BLOB, Column, ForeignKey, Index, Integer, MetaData, PrimaryKeyConstraint, Table, Text, text

__all__ = ["metadata"]

metadata = MetaData()

offers = Table(
    "offers",
    metadata,
    Column("hash", BLOB, primary_key=True),
    Column("data", BLOB, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("not_before", Integer, nullable=False),
    Column("not_after", Integer, nullable=False),
    Column("delete_after", Integer, nullable=False),
    Column("destroyed_at", Integer),
)

evidence = Table(
    "evidence",
    metadata,
    Column("hash", BLOB, primary_key=True),
    Column("tee", Text, nullable=False),
    Column("bytes", BLOB, nullable=False),
)

collateral = Table(
    "collateral",
    metadata,
    Column("digest", BLOB, primary_key=True),
    Column("bytes", BLOB, nullable=False),
)

policies = Table(
    "policies",
    metadata,
    Column("hash", BLOB, primary_key=True),
    Column("text", BLOB, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session", BLOB, nullable=False, unique=True),
    Column("th", BLOB, nullable=False, unique=True),
    # Null where the protocol has none: Sigma.
    Column("offer", BLOB, ForeignKey("offers.hash")),
    Column("evidence", BLOB, ForeignKey("evidence.hash"), nullable=False),
    Column("collateral", BLOB, ForeignKey("collateral.digest")),
    Column("policy", BLOB, ForeignKey("policies.hash"), nullable=False),
    Column("tee", Text, nullable=False),
    Column("workload", Text, nullable=False),
    Column("simulated", Integer, nullable=False),
    Column("accepted_at", Integer, nullable=False),
    Column("expires_at", Integer, nullable=False),
    # The enclave said END; a session that merely expired has none.
    Column("ended_at", Integer),
    # Wrapped keys, destroyed (null) when the session and the spool window are over.
    Column("wrap_key", Integer),
    Column("up_epoch", Integer, nullable=False),
    Column("up_state", BLOB),
    Column("down_epoch", Integer, nullable=False),
    Column("down_state", BLOB),
    # Since when an ended epoch waits for missing frames.
    Column("closing_since", Integer),
    Column("highest", Integer, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("records", Integer, nullable=False),
    Column("late", Integer, nullable=False),
    Column("replays", Integer, nullable=False),
    Column("last_at", Integer),
    # A `live.PROTOCOLS`: whose frames it takes, and how its state is read.
    Column("protocol", Text, nullable=False, server_default="intaglio"),
    # Housekeeping looks every minute, at the few rows that still hold keys and never at all of history.
    Index("sessions_with_keys", "expires_at", sqlite_where=text("wrap_key IS NOT NULL")),
    Index("sessions_by_wrap_key", "wrap_key", sqlite_where=text("wrap_key IS NOT NULL")),
    Index("sessions_closing", "closing_since", sqlite_where=text("closing_since IS NOT NULL")),
)

# Apart from sessions, whose rows are written with every group of frames: SQLite writes a changed row whole.
handshakes = Table(
    "handshakes",
    metadata,
    Column("session", Integer, ForeignKey("sessions.id"), primary_key=True),
    # The hello without its sealed evidence: what an auditor recomputes the transcript from.
    Column("hello", BLOB, nullable=False),
    Column("accept", BLOB, nullable=False),
    Column("verdict", Text, nullable=False),
    # SHA-512(confirm), which the report data is recomputed from; null for Sigma and in sessions before schema 0007.
    Column("confirm_hash", BLOB),
)

frames = Table(
    "frames",
    metadata,
    Column("session", Integer, ForeignKey("sessions.id"), nullable=False),
    Column("direction", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("kind", Integer, nullable=False),
    # SHA-256 of the frame as it travelled, and H("content", ...) of its plaintext: what a checkpoint's leaf covers.
    Column("digest", BLOB, nullable=False),
    Column("content_hash", BLOB, nullable=False),
    # A checkpoint's bytes; null for every other kind.
    Column("body", BLOB),
    Column("records", Integer, nullable=False),
    Column("late", Integer, nullable=False),
    Column("arrived_at", Integer, nullable=False),
    # What hides the frame behind its leaf (docs/protocol.md §8): its key is gone when the epoch is closed. Null for
    # Sigma and in frames before schema 0007.
    Column("salt", BLOB),
    # Stored once: the constraint holds it even where the set of seen numbers would not.
    PrimaryKeyConstraint("session", "direction", "sequence"),
    sqlite_with_rowid=False,
)

# What each checkpoint covers; its bytes are its frame's body. `state`: 0 waits for the one before it, 1 continues it,
# 2 does not.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("session", Integer, ForeignKey("sessions.id"), nullable=False),
    Column("first", Integer, nullable=False),
    Column("last", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    PrimaryKeyConstraint("session", "first"),
    sqlite_with_rowid=False,
)

# Where each session's checkpoints have come to without a gap: the tree's frontier and the hash of the last one.
chains = Table(
    "chains",
    metadata,
    Column("session", Integer, ForeignKey("sessions.id"), primary_key=True),
    Column("frontier", BLOB, nullable=False),
    Column("previous", BLOB),
)

records = Table(
    "records",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session", Integer, ForeignKey("sessions.id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("value", BLOB, nullable=False),
    Column("arrived_at", Integer, nullable=False),
    Column("late", Integer, nullable=False),
    Index("records_by_session", "session", "id"),
    Index("records_by_name", "name", "id"),
    sqlite_autoincrement=True,
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Integer, primary_key=True),
    # What a peer is told: opaque, so that it learns nothing of how many others were refused.
    Column("name", Text, nullable=False, unique=True),
    Column("what", Text, nullable=False),
    # The first reason, which bounds are counted by, and all of them as a JSON array.
    Column("reason", Text, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("digest", BLOB, nullable=False),
    Column("bytes", BLOB, nullable=False),
    Column("size", Integer, nullable=False),
    Column("session", BLOB),
    Column("remote", Text),
    Column("count", Integer, nullable=False),
    Column("first_at", Integer, nullable=False),
    Column("last_at", Integer, nullable=False),
    Index("quarantine_once", "digest", "reason", unique=True),
    Index("quarantine_by_reason", "reason", "id"),
    sqlite_autoincrement=True,
)

tallies = Table(
    "tallies",
    metadata,
    # What is counted and not kept: replays by session (its 16 bytes), and what no longer fits (empty).
    Column("reason", Text, nullable=False),
    Column("session", BLOB, nullable=False),
    Column("count", Integer, nullable=False),
    Column("first_at", Integer, nullable=False),
    Column("last_at", Integer, nullable=False),
    PrimaryKeyConstraint("reason", "session"),
    sqlite_with_rowid=False,
)

# The newest state of each lineage (docs/protocol.md §12). `owner` is the session that may take its next step.
states = Table(
    "states",
    metadata,
    Column("lineage", BLOB, primary_key=True),
    Column("workload", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("counter", Integer, nullable=False),
    Column("hash", BLOB, nullable=False),
    Column("owner", Integer, ForeignKey("sessions.id")),
    Column("begun_at", Integer, nullable=False),
    Column("moved_at", Integer, nullable=False),
    Column("takeovers", Integer, nullable=False),
    Column("forks", Integer, nullable=False),
    # Somebody let the next hello say where the lineage stands; another lineage took its place.
    Column("reset_at", Integer),
    Column("retired_at", Integer),
    Index("states_by_workload", "workload", "platform"),
)

state_steps = Table(
    "state_steps",
    metadata,
    Column("lineage", BLOB, nullable=False),
    Column("counter", Integer, nullable=False),
    Column("hash", BLOB, nullable=False),
    Column("previous", BLOB),
    Column("session", Integer, ForeignKey("sessions.id"), nullable=False),
    Column("arrived_at", Integer, nullable=False),
    PrimaryKeyConstraint("lineage", "counter"),
    sqlite_with_rowid=False,
)

# What is to go down to enclaves (docs/protocol.md §13): each version of a secret, and each command.
down_items = Table(
    "down_items",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("reference", BLOB, nullable=False, unique=True),
    # command, or the secret's kind: bytes, text, json, revoked.
    Column("kind", Text, nullable=False),
    Column("workload", Text, nullable=False),
    Column("name", Text, nullable=False),
    # 0 for a command.
    Column("version", Integer, nullable=False),
    # Only for enclaves of this measurement (hexadecimal), or for the owner of this lineage.
    Column("measurement", Text),
    Column("lineage", BLOB),
    # The value, wrapped; destroyed (null) once nobody can need it any more.
    Column("wrap_key", Integer),
    Column("blob", BLOB),
    Column("made_by", Text, nullable=False),
    Column("made_at", Integer, nullable=False),
    Column("expires_at", Integer),
    # A newer version took its place; the command is on its way to a session, or was withdrawn.
    Column("closed_at", Integer),
    Index("down_items_by_name", "workload", "kind", "name", "version"),
    Index("down_items_by_wrap_key", "wrap_key", sqlite_where=text("wrap_key IS NOT NULL")),
    sqlite_autoincrement=True,
)

# Every downward frame ever made: rows are never deleted, because a sequence number must not be used again. The frame's
# bytes are kept until it is answered, so that a lost one is sent again as it was.
down_frames = Table(
    "down_frames",
    metadata,
    Column("session", Integer, ForeignKey("sessions.id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("item", Integer, ForeignKey("down_items.id"), nullable=False),
    Column("frame", BLOB),
    Column("made_at", Integer, nullable=False),
    Column("answered_at", Integer),
    Column("outcome", Text),
    PrimaryKeyConstraint("session", "sequence"),
    Index("down_frames_by_item", "item", "session", unique=True),
    sqlite_with_rowid=False,
)

# What a recall may ask for (`facts`), of each session.
session_facts = Table(
    "session_facts",
    metadata,
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("session", Integer, ForeignKey("sessions.id"), nullable=False),
    PrimaryKeyConstraint("kind", "value", "session"),
    sqlite_with_rowid=False,
)

# Never deleted; a lifted one marks nothing any more.
recalls = Table(
    "recalls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("made_at", Integer, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    # A kind of `session_facts`, and its value; for the two of a TCB everything below it.
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("since", Integer),
    Column("until", Integer),
    # What it found when it was made.
    Column("sessions", Integer, nullable=False),
    Column("records", Integer, nullable=False),
    Column("lifted_at", Integer),
    Column("lifted_by", Text),
    Column("lifted_why", Text),
    sqlite_autoincrement=True,
)

# Records are marked through their session: no row of theirs is written.
recalled_sessions = Table(
    "recalled_sessions",
    metadata,
    Column("recall", Integer, ForeignKey("recalls.id"), nullable=False),
    Column("session", Integer, ForeignKey("sessions.id"), nullable=False),
    PrimaryKeyConstraint("recall", "session"),
    Index("recalled_by_session", "session"),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("session", BLOB),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    Column("hash", BLOB, primary_key=True),
    Column("made_at", Integer, nullable=False),
)

# Those with a name and a role (docs/access.md). `tokens` has the operator's first one alone.
named_tokens = Table(
    "named_tokens",
    metadata,
    Column("hash", BLOB, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", Integer, nullable=False),
    Column("expires_at", Integer),
    Column("revoked_at", Integer),
)
