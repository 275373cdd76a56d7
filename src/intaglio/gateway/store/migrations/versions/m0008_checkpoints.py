"""Checkpoints that are compared with what is stored. Those of before stay what they were: frames that nobody read."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("session", sa.Integer, sa.ForeignKey("sessions.id"), nullable=False),
        sa.Column("first", sa.Integer, nullable=False),
        sa.Column("last", sa.Integer, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("session", "first"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "chains",
        sa.Column("session", sa.Integer, sa.ForeignKey("sessions.id"), primary_key=True),
        sa.Column("frontier", sa.BLOB, nullable=False),
        sa.Column("previous", sa.BLOB),
    )
