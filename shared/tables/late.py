"""Results that come after their job has ended or gone on: paid for, so they are looked for, stored and shown."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from shared.db import enum_field, id_field, time_field


class LateState(StrEnum):
    """How far we are with what an attempt left behind."""

    LOOKING = "looking"  #: the gateway has accepted it; we look when `due_at` comes
    STORING = "storing"  #: the result exists and is paid for; it is not all in S3 yet
    STORED = "stored"  #: every artifact is in S3
    GIVEN_UP = "given_up"  #: nothing came of it; `reason` says why


class LateResult(SQLModel, table=True):
    """An attempt that its job is not at any more.  Only `shared/late.py` writes it; it never changes its job."""

    __tablename__ = "late_results"
    __table_args__ = (
        # The ticks: what is to be looked at, and what is to be stored.
        Index("late_results_due", "state", "due_at", postgresql_where=text("state IN ('looking', 'storing')")),
        # Who has an upstream task, as `jobs_upstream`.
        Index("late_results_upstream", "upstream_task_id", postgresql_where=text("upstream_task_id IS NOT NULL")),
    )

    job_id: str = id_field(primary_key=True, foreign_key="jobs.id", ondelete="CASCADE")
    attempt: int = Field(primary_key=True)
    lane: str = Field(sa_type=Text)
    """That of the attempt: a later one may have another."""
    state: LateState = enum_field(LateState)
    reason: str | None = Field(default=None, sa_type=Text)
    """For people: why it waits, or why nothing came of it."""
    upstream_task_id: str | None = Field(default=None, sa_type=Text)
    outputs: list[dict[str, Any]] | None = Field(
        default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True)
    )
    """As in `job_results`."""
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True))
    """What is not media."""
    spool_host: str | None = Field(default=None, sa_type=Text)
    """As in `jobs`: only processes on this spool can store it."""
    due_at: datetime | None = time_field(default=None, nullable=True)
    """Look again or store again, not before; null once it is over."""
    tries: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Looks in a row that told nothing, then tries to store it."""
    waits: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How often it could not be stored because of our own trouble."""
    doubted: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """The gateway said that the task failed, once; it is asked again before it is believed."""
    claimed_by: str | None = id_field(default=None, nullable=True)
    """The worker process that stores it."""
    created_at: datetime = time_field()
