"""Numbers of sealed states, by lineage."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "states",
        sa.Column("lineage", sa.BLOB, primary_key=True),
        sa.Column("workload", sa.Text, nullable=False),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("counter", sa.Integer, nullable=False),
        sa.Column("hash", sa.BLOB, nullable=False),
        sa.Column("owner", sa.Integer, sa.ForeignKey("sessions.id")),
        sa.Column("begun_at", sa.Integer, nullable=False),
        sa.Column("moved_at", sa.Integer, nullable=False),
        sa.Column("takeovers", sa.Integer, nullable=False),
        sa.Column("forks", sa.Integer, nullable=False),
        sa.Column("reset_at", sa.Integer),
        sa.Column("retired_at", sa.Integer),
    )
    op.create_index("states_by_workload", "states", ["workload", "platform"])
    op.create_table(
        "state_steps",
        sa.Column("lineage", sa.BLOB, nullable=False),
        sa.Column("counter", sa.Integer, nullable=False),
        sa.Column("hash", sa.BLOB, nullable=False),
        sa.Column("previous", sa.BLOB),
        sa.Column("session", sa.Integer, sa.ForeignKey("sessions.id"), nullable=False),
        sa.Column("arrived_at", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("lineage", "counter"),
        sqlite_with_rowid=False,
    )
