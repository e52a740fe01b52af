"""Lanes that slow down when the gateway is saturated; the time to live that a retry begins anew

Revision: 0002, after 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lanes", sa.Column("slowed_to", sa.Float(), nullable=True))
    op.add_column("lanes", sa.Column("slowed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("lanes", sa.Column("slow_reason", sa.Text(), nullable=True))
    op.add_column("job_requests", sa.Column("ttl_seconds", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("job_requests", "ttl_seconds")
    op.drop_column("lanes", "slow_reason")
    op.drop_column("lanes", "slowed_at")
    op.drop_column("lanes", "slowed_to")
