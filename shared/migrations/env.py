"""Alembic's entry: runs on the connection that `migrate.py` hands in, and knows the tables for `make migration`."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from shared import tables

assert tables  # loaded for their metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
