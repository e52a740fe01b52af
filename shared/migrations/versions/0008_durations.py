"""How long each model takes, learned

Revision: 0008, after 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_durations",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("counts", postgresql.ARRAY(sa.REAL()), nullable=False),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", "size"),
    )
    op.add_column("jobs", sa.Column("size", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("pending_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "pending_at")
    op.drop_column("jobs", "size")
    op.drop_table("model_durations")
