"""Secrets and commands for enclaves, and the downward frames that carry them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "down_items",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("reference", sa.BLOB, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("workload", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("measurement", sa.Text),
        sa.Column("lineage", sa.BLOB),
        sa.Column("wrap_key", sa.Integer),
        sa.Column("blob", sa.BLOB),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("made_at", sa.Integer, nullable=False),
        sa.Column("expires_at", sa.Integer),
        sa.Column("closed_at", sa.Integer),
        sqlite_autoincrement=True,
    )
    op.create_index("down_items_by_name", "down_items", ["workload", "kind", "name", "version"])
    op.create_index("down_items_by_wrap_key", "down_items", ["wrap_key"], sqlite_where=sa.text("wrap_key IS NOT NULL"))
    op.create_table(
        "down_frames",
        sa.Column("session", sa.Integer, sa.ForeignKey("sessions.id"), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("item", sa.Integer, sa.ForeignKey("down_items.id"), nullable=False),
        sa.Column("frame", sa.BLOB),
        sa.Column("made_at", sa.Integer, nullable=False),
        sa.Column("answered_at", sa.Integer),
        sa.Column("outcome", sa.Text),
        sa.PrimaryKeyConstraint("session", "sequence"),
        sqlite_with_rowid=False,
    )
    op.create_index("down_frames_by_item", "down_frames", ["item", "session"], unique=True)
