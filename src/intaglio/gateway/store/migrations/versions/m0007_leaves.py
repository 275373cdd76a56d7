"""What proofs of single frames take, kept while it can still be made: the salts of leaves, and SHA-512(confirm)."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in a batch: nothing is copied, however many frames there are.
    op.add_column("frames", sa.Column("salt", sa.BLOB))
    op.add_column("handshakes", sa.Column("confirm_hash", sa.BLOB))
