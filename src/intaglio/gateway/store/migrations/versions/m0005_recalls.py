"""What sessions are recalled by, and recalls. Sessions of before get their facts from the verdicts stored with them."""

import json

import sqlalchemy as sa
from alembic import op

from intaglio.gateway.store.facts import facts_of

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ROWS = 500
"""Verdicts in memory at a time: each is several kilobytes."""


def upgrade() -> None:
    op.create_table(
        "session_facts",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("session", sa.Integer, sa.ForeignKey("sessions.id"), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value", "session"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "recalls",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("made_at", sa.Integer, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("since", sa.Integer),
        sa.Column("until", sa.Integer),
        sa.Column("sessions", sa.Integer, nullable=False),
        sa.Column("records", sa.Integer, nullable=False),
        sa.Column("lifted_at", sa.Integer),
        sa.Column("lifted_by", sa.Text),
        sa.Column("lifted_why", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "recalled_sessions",
        sa.Column("recall", sa.Integer, sa.ForeignKey("recalls.id"), nullable=False),
        sa.Column("session", sa.Integer, sa.ForeignKey("sessions.id"), nullable=False),
        sa.PrimaryKeyConstraint("recall", "session"),
        sqlite_with_rowid=False,
    )
    op.create_index("recalled_by_session", "recalled_sessions", ["session"])
    _fill()


def _fill() -> None:
    connection, last = op.get_bind(), 0
    while rows := connection.exec_driver_sql(
        "SELECT session, verdict FROM handshakes WHERE session > ? ORDER BY session LIMIT ?", (last, _ROWS)
    ).fetchall():
        facts = [(kind, value, row) for row, verdict in rows for kind, value in sorted(facts_of(json.loads(verdict)))]
        connection.exec_driver_sql("INSERT INTO session_facts (kind, value, session) VALUES (?,?,?)", facts)
        last = rows[-1][0]
