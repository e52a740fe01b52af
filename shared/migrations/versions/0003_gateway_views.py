"""What the gateway says of the account; lanes whose limit or rate an admin has set

Revision: 0003, after 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gateway_views",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.add_column("lanes", sa.Column("limit_by_hand", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("lanes", sa.Column("rate_by_hand", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    op.drop_column("lanes", "rate_by_hand")
    op.drop_column("lanes", "limit_by_hand")
    op.drop_table("gateway_views")
