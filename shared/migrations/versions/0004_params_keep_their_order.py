"""Parameters as they were written: the order of a schema's properties steers a model, and JSONB sorts them

Revision: 0004, after 0003
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE job_requests ALTER COLUMN params TYPE json USING params::json")


def downgrade() -> None:
    op.execute("ALTER TABLE job_requests ALTER COLUMN params TYPE jsonb USING params::jsonb")
