"""Tokens with a name, a role and an end."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "named_tokens",
        sa.Column("hash", sa.BLOB, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("made_at", sa.Integer, nullable=False),
        sa.Column("expires_at", sa.Integer),
        sa.Column("revoked_at", sa.Integer),
    )
