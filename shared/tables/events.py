"""What happened, in the order in which it happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from shared.db import id_field, time_field


class Event(SQLModel, table=True):
    """One move or piece of news of a job, written in the transaction of what it tells."""

    __tablename__ = "events"
    __table_args__ = (Index("events_of_job", "job_id", "seq"), Index("events_of_project", "project_id", "seq"))

    seq: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    id: str = id_field(unique=True)
    project_id: str = id_field()
    job_id: str | None = id_field(default=None, nullable=True)
    type: str = Field(sa_type=Text)
    """`job.running` and kin."""
    attempt: int | None = None
    cause: str | None = Field(default=None, sa_type=Text)
    """A `lifecycle.Cause`, for moves."""
    from_state: str | None = Field(default=None, sa_type=Text)
    state: str | None = Field(default=None, sa_type=Text)
    """The job's state after it."""
    reason: str | None = Field(default=None, sa_type=Text)
    """For people."""
    data: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True))
    process_id: str | None = id_field(default=None, nullable=True)
    """The worker process that did it; null for the API."""
    created_at: datetime = time_field()
