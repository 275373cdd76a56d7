"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _evidence_tables()
    _sessions()
    _handshakes()
    _frames_and_records()
    _quarantine()
    _operation()


def _evidence_tables() -> None:
    op.create_table(
        "offers",
        sa.Column("hash", sa.BLOB, primary_key=True),
        sa.Column("data", sa.BLOB, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("not_before", sa.Integer, nullable=False),
        sa.Column("not_after", sa.Integer, nullable=False),
        sa.Column("delete_after", sa.Integer, nullable=False),
        sa.Column("destroyed_at", sa.Integer),
    )
    op.create_table(
        "evidence",
        sa.Column("hash", sa.BLOB, primary_key=True),
        sa.Column("tee", sa.Text, nullable=False),
        sa.Column("bytes", sa.BLOB, nullable=False),
    )
    op.create_table(
        "collateral",
        sa.Column("digest", sa.BLOB, primary_key=True),
        sa.Column("bytes", sa.BLOB, nullable=False),
    )
    op.create_table(
        "policies",
        sa.Column("hash", sa.BLOB, primary_key=True),
        sa.Column("text", sa.BLOB, nullable=False),
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("session", sa.BLOB, nullable=False, unique=True),
        sa.Column("th", sa.BLOB, nullable=False, unique=True),
        sa.Column("offer", sa.BLOB, sa.ForeignKey("offers.hash"), nullable=False),
        sa.Column("evidence", sa.BLOB, sa.ForeignKey("evidence.hash"), nullable=False),
        sa.Column("collateral", sa.BLOB, sa.ForeignKey("collateral.digest")),
        sa.Column("policy", sa.BLOB, sa.ForeignKey("policies.hash"), nullable=False),
        sa.Column("tee", sa.Text, nullable=False),
        sa.Column("workload", sa.Text, nullable=False),
        sa.Column("simulated", sa.Integer, nullable=False),
        sa.Column("accepted_at", sa.Integer, nullable=False),
        sa.Column("expires_at", sa.Integer, nullable=False),
        sa.Column("ended_at", sa.Integer),
        sa.Column("wrap_key", sa.Integer),
        sa.Column("up_epoch", sa.Integer, nullable=False),
        sa.Column("up_state", sa.BLOB),
        sa.Column("down_epoch", sa.Integer, nullable=False),
        sa.Column("down_state", sa.BLOB),
        sa.Column("closing_since", sa.Integer),
        sa.Column("highest", sa.Integer, nullable=False),
        sa.Column("frames", sa.Integer, nullable=False),
        sa.Column("records", sa.Integer, nullable=False),
        sa.Column("late", sa.Integer, nullable=False),
        sa.Column("replays", sa.Integer, nullable=False),
        sa.Column("last_at", sa.Integer),
    )
    for name, column, condition in (
        ("sessions_with_keys", "expires_at", "wrap_key IS NOT NULL"),
        ("sessions_by_wrap_key", "wrap_key", "wrap_key IS NOT NULL"),
        ("sessions_closing", "closing_since", "closing_since IS NOT NULL"),
    ):
        op.create_index(name, "sessions", [column], sqlite_where=sa.text(condition))


def _handshakes() -> None:
    op.create_table(
        "handshakes",
        sa.Column("session", sa.Integer, sa.ForeignKey("sessions.id"), primary_key=True),
        sa.Column("hello", sa.BLOB, nullable=False),
        sa.Column("accept", sa.BLOB, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
    )


def _frames_and_records() -> None:
    op.create_table(
        "frames",
        sa.Column("session", sa.Integer, sa.ForeignKey("sessions.id"), nullable=False),
        sa.Column("direction", sa.Integer, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("digest", sa.BLOB, nullable=False),
        sa.Column("content_hash", sa.BLOB, nullable=False),
        sa.Column("body", sa.BLOB),
        sa.Column("records", sa.Integer, nullable=False),
        sa.Column("late", sa.Integer, nullable=False),
        sa.Column("arrived_at", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("session", "direction", "sequence"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "records",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("session", sa.Integer, sa.ForeignKey("sessions.id"), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("value", sa.BLOB, nullable=False),
        sa.Column("arrived_at", sa.Integer, nullable=False),
        sa.Column("late", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("records_by_session", "records", ["session", "id"])
    op.create_index("records_by_name", "records", ["name", "id"])


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("digest", sa.BLOB, nullable=False),
        sa.Column("bytes", sa.BLOB, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("session", sa.BLOB),
        sa.Column("remote", sa.Text),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("first_at", sa.Integer, nullable=False),
        sa.Column("last_at", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("quarantine_once", "quarantine", ["digest", "reason"], unique=True)
    op.create_index("quarantine_by_reason", "quarantine", ["reason", "id"])
    op.create_table(
        "tallies",
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("session", sa.BLOB, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("first_at", sa.Integer, nullable=False),
        sa.Column("last_at", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("reason", "session"),
        sqlite_with_rowid=False,
    )


def _operation() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("session", sa.BLOB),
        sa.Column("detail", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tokens",
        sa.Column("hash", sa.BLOB, primary_key=True),
        sa.Column("made_at", sa.Integer, nullable=False),
    )
