"""Results that came after their job had ended or gone on

Revision: 0007, after 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "late_results",
        sa.Column("job_id", sa.Text(collation="C"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "looking",
                "storing",
                "stored",
                "given_up",
                name="latestate_value",
                native_enum=False,
                create_constraint=True,
                length=None,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("upstream_task_id", sa.Text(), nullable=True),
        sa.Column("outputs", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("result", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("spool_host", sa.Text(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("waits", sa.Integer(), server_default="0", nullable=False),
        sa.Column("doubted", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("claimed_by", sa.Text(collation="C"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "attempt"),
    )
    op.create_index(
        "late_results_due",
        "late_results",
        ["state", "due_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('looking', 'storing')"),
    )
    op.create_index(
        "late_results_upstream",
        "late_results",
        ["upstream_task_id"],
        unique=False,
        postgresql_where=sa.text("upstream_task_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("late_results")
