"""Several credentials, with pauses that grow and limits a day

Revision: 0005, after 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("pinned", sa.Boolean(), server_default="false", nullable=False))
    # What was taken in before goes on where it would have gone.
    op.execute(
        "UPDATE jobs SET pinned = true FROM job_requests WHERE job_requests.job_id = jobs.id"
        " AND jobs.state IN ('waiting', 'queued', 'dispatched', 'submitting', 'held', 'running')"
        " AND job_requests.params ->> 'task_id' IS NOT NULL"
    )
    op.add_column("lanes", sa.Column("per_day", sa.Integer(), nullable=True))
    op.add_column("lanes", sa.Column("per_day_by_hand", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("lanes", sa.Column("day", sa.Date(), nullable=True))
    op.add_column("lanes", sa.Column("day_count", sa.Integer(), server_default="0", nullable=False))
    op.add_column("lanes", sa.Column("paused_for", sa.Text(), nullable=True))
    op.add_column("lanes", sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("lanes", sa.Column("pauses", sa.Integer(), server_default="0", nullable=False))
    op.add_column("lanes", sa.Column("troubles", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    for name in ("troubles", "pauses", "paused_at", "paused_for", "day_count", "day", "per_day_by_hand", "per_day"):
        op.drop_column("lanes", name)
    op.drop_column("jobs", "pinned")
