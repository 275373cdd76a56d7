"""Sessions of more than one protocol: a Sigma session answers no offer."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("sessions") as sessions:
        sessions.alter_column("offer", existing_type=sa.BLOB, nullable=True)
        sessions.add_column(sa.Column("protocol", sa.Text, nullable=False, server_default="intaglio"))
