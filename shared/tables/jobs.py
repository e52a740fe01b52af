"""A job in four tables: the narrow row that changes, the wide request, what came of it, and what it waits for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from shared.db import enum_field, id_field, time_field
from shared.lifecycle import State
from shared.policy import OnUnknown


class Job(SQLModel, table=True):
    """The hot row.  Every write of it is guarded by id, attempt and state; only `claims.py` writes `state`."""

    __tablename__ = "jobs"
    __table_args__ = (
        # The dispatcher: the best queued jobs of a lane.
        Index("jobs_queued", "lane", text("priority DESC"), "id", postgresql_where=text("state = 'queued'")),
        # The dispatcher: how many of a lane are in flight.
        Index("jobs_in_flight", "lane", postgresql_where=text("state IN ('dispatched', 'submitting', 'running')")),
        # The poller: which upstream tasks are due.
        Index("jobs_due_running", "due_at", postgresql_where=text("state = 'running'")),
        # The store tick: which results nobody stores.
        Index("jobs_due_storing", "due_at", postgresql_where=text("state = 'storing'")),
        # The sweep: hints that were lost, orphans of dead processes, deadlines that have passed.
        Index("jobs_dispatched", "moved_at", postgresql_where=text("state = 'dispatched'")),
        Index("jobs_claimed", "claimed_by", postgresql_where=text("claimed_by IS NOT NULL")),
        Index(
            "jobs_deadline",
            "deadline_at",
            postgresql_where=text("deadline_at IS NOT NULL AND state NOT IN ('succeeded', 'failed', 'canceled')"),
        ),
        # The dispatcher: jobs whose inputs may have become ready.
        Index("jobs_waiting", "id", postgresql_where=text("state = 'waiting'")),
        # What waits for a person, in figures and lists.
        Index("jobs_held", "lane", postgresql_where=text("state = 'held'")),
        # Lists of the API, newest first.
        Index("jobs_list", "project_id", text("id DESC")),
        Index("jobs_list_by_state", "project_id", "state", text("id DESC")),
        # Who has an upstream task: nobody may take up another project's.
        Index("jobs_upstream", "upstream_task_id", postgresql_where=text("upstream_task_id IS NOT NULL")),
        Index("jobs_children", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        {
            "postgresql_with": {
                "fillfactor": 75,
                "autovacuum_vacuum_scale_factor": 0.02,
                "autovacuum_analyze_scale_factor": 0.05,
            }
        },
    )

    id: str = id_field(primary_key=True)
    project_id: str = id_field(foreign_key="projects.id")
    parent_id: str | None = id_field(default=None, nullable=True)
    """The job whose result this one follows up on."""
    operation: str = Field(sa_type=Text)
    model: str = Field(sa_type=Text)
    lane: str = Field(sa_type=Text)
    """The limit that it shares: `<credential>.<family>`."""
    pinned: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """It goes on from an upstream task, which only that credential knows: no other lane may take it."""
    state: State = enum_field(State)
    state_reason: str | None = Field(default=None, sa_type=Text)
    """For people: why it is where it is, when that is not plain."""
    priority: int = Field(default=5, sa_column_kwargs={"server_default": "5"})
    """0 to 9, higher first."""
    attempt: int = 0
    """Number of the present or last try at the paid call, from 1; 0 before the first.  The fence of every write."""
    max_attempts: int = 3
    waits: int = 0
    """How often in a row it was sent back, or could not be stored, for the same reason; the wait grows with it."""
    waits_for: str | None = Field(default=None, sa_type=Text)
    """That reason: an error class, `input` or `our_storage`.  Null: it was not sent back."""
    on_unknown: OnUnknown = enum_field(OnUnknown, default=OnUnknown.HOLD)
    claimed_by: str | None = id_field(default=None, nullable=True)
    """The worker process that holds it, while submitting or storing."""
    due_at: datetime | None = time_field(default=None, nullable=True)
    """Look again, not before: queued, the next try; running, the next look; storing, the next try to store."""
    moved_at: datetime = time_field()
    """When it came into its state, by the database's clock."""
    deadline_at: datetime | None = time_field(default=None, nullable=True)
    """Past it the job fails, whatever its state.  Null: it has all the time there is."""
    progress: int = 0
    """Percent, as the gateway says; 100 once the result is stored."""
    upstream_task_id: str | None = Field(default=None, sa_type=Text)
    upstream_status: str | None = Field(default=None, sa_type=Text)
    """The gateway's own word."""
    misses: int = 0
    """Looks in a row that told nothing."""
    vanished: int = 0
    """Looks in a row that said there is no such task."""
    doubted: bool = False
    """The gateway said that the task failed, once; it is asked again before it is believed."""
    size: str | None = Field(default=None, sa_type=Text)
    """What of it moves how long its upstream task takes (`durations.size_of`); null: there is none, or nobody said."""
    pending_at: datetime | None = time_field(default=None, nullable=True)
    """When a look last said that the upstream task goes on; null: none has."""
    store_tries: int = 0
    spool_host: str | None = Field(default=None, sa_type=Text)
    """The spool (`Spool.name`) that has the result in hand: only processes on it can store it.  Null: anybody can."""
    created_at: datetime = time_field()
    submitted_at: datetime | None = time_field(default=None, nullable=True)
    """When the last paid call was begun."""
    upstream_finished_at: datetime | None = time_field(default=None, nullable=True)
    finished_at: datetime | None = time_field(default=None, nullable=True)


class JobRequest(SQLModel, table=True):
    """What was asked for: wide, and written once with its job."""

    __tablename__ = "job_requests"
    __table_args__ = (
        Index(
            "job_requests_metadata", "metadata", postgresql_using="gin", postgresql_ops={"metadata": "jsonb_path_ops"}
        ),
        Index("job_requests_words", text("to_tsvector('simple', prompt)"), postgresql_using="gin"),
    )

    job_id: str = id_field(primary_key=True, foreign_key="jobs.id", ondelete="CASCADE")
    prompt: str = Field(sa_type=Text)
    inputs: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    """By role, as the caller named them: URLs, data URLs, asset, artifact and job references."""
    params: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """Validated, snake_case, what was asked for only.  JSON and not JSONB, which would sort the keys of a schema."""
    labels: dict[str, str] = Field(sa_column=Column("metadata", JSONB, nullable=False))
    """The caller's `metadata`; the name is taken in SQLModel."""
    webhook: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True))
    ttl_seconds: int | None = None
    """How long the job may take from its beginning, and again from each retry; null: as long as it takes."""
    estimated_cost_usd: str | None = Field(default=None, sa_type=Text)
    """By the catalog's price, a decimal as text; null if the catalog has none."""


class JobResult(SQLModel, table=True):
    """What came of the last attempt that ended: where its outputs are, what is not media, or why there is none."""

    __tablename__ = "job_results"

    job_id: str = id_field(primary_key=True, foreign_key="jobs.id", ondelete="CASCADE")
    attempt: int
    outputs: list[dict[str, Any]] | None = Field(
        default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True)
    )
    """`[{"kind", "sources": [{"url"} | {"path"} | {"spool"}]}]`, in the order to try them."""
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True))
    error: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True))
    """`{class, code, message, retryable, upstream_status, upstream_request_id}`."""


class HeldAttempt(SQLModel, table=True):
    """What is known of an attempt that was held: for the person who must decide, and for those who look for its task.

    Written with the move to `held`, and kept when the job goes on.
    """

    __tablename__ = "held_attempts"
    __table_args__ = (
        # Reconciling: whose task is to be searched for now.
        Index("held_attempts_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        # The account: which of a credential's have no balance after them yet.
        Index(
            "held_attempts_unbalanced",
            "credential",
            "held_at",
            postgresql_where=text("balance_after IS NULL"),
        ),
    )

    job_id: str = id_field(primary_key=True, foreign_key="jobs.id", ondelete="CASCADE")
    attempt: int = Field(primary_key=True)
    held_at: datetime = time_field()
    sent_at: datetime | None = time_field(default=None, nullable=True)
    """When its paid call was begun."""
    heard_at: datetime | None = time_field(default=None, nullable=True)
    """When an answer came, or the connection broke; null: nobody lived to hear of it."""
    came_back: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    """`{class, code, message, retryable, upstream_status, upstream_request_id, body}`; `body` is cleaned and cut."""
    credential: str = Field(sa_type=Text)
    """Whose balance it is."""
    balance_before: dict[str, Any] | None = Field(
        default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True)
    )
    """`{remaining_usd, used_usd, at}`: what was last seen before the call was begun; null: nothing was."""
    balance_after: dict[str, Any] | None = Field(
        default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True)
    )
    """The same from the first look that was begun after the job was held; null: there was none yet."""
    looked_for: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    """`[{"at", "found": task id or null, "told"}]`, a line for each search."""
    gives_way: OnUnknown = enum_field(OnUnknown, default=OnUnknown.HOLD)
    """What follows when it was searched for in vain."""
    due_at: datetime | None = time_field(default=None, nullable=True)
    """When it is searched for next; null: never again."""


class JobNeed(SQLModel, table=True):
    """An input of a job that is the result of another one."""

    __tablename__ = "job_needs"
    __table_args__ = (Index("job_needs_needs", "needs_id"),)

    job_id: str = id_field(primary_key=True, foreign_key="jobs.id", ondelete="CASCADE")
    needs_id: str = id_field(primary_key=True, foreign_key="jobs.id", ondelete="CASCADE")
