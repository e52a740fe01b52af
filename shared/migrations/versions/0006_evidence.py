"""What is known of a paid call whose outcome is not

Revision: 0006, after 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "held_attempts",
        sa.Column("job_id", sa.Text(collation="C"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("came_back", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("balance_before", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("balance_after", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("looked_for", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "gives_way",
            sa.Enum(
                "hold", "retry", "fail", name="onunknown_value", native_enum=False, create_constraint=True, length=None
            ),
            nullable=False,
        ),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "attempt"),
    )
    op.create_index(
        "held_attempts_due", "held_attempts", ["due_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "held_attempts_unbalanced",
        "held_attempts",
        ["credential", "held_at"],
        unique=False,
        postgresql_where=sa.text("balance_after IS NULL"),
    )
    op.add_column(
        "gateway_views",
        sa.Column(
            "earlier", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
    )


def downgrade() -> None:
    op.drop_column("gateway_views", "earlier")
    op.drop_index("held_attempts_unbalanced", table_name="held_attempts")
    op.drop_index("held_attempts_due", table_name="held_attempts")
    op.drop_table("held_attempts")
