"""Recording what happened, in the caller's transaction: a change and its event commit together (I4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert
from sqlmodel import Session

from shared import ids
from shared.lifecycle import EVENT_OF, Cause, State
from shared.tables import Event


@dataclass(frozen=True)
class News:
    """One event to be.  `type` is `job.<state>` for moves."""

    project_id: str
    job_id: str
    type: str
    attempt: int
    state: State
    cause: Cause | None = None
    from_state: State | None = None
    reason: str | None = None
    """For people."""
    data: dict[str, Any] | None = None
    process_id: str | None = None


def moved(
    project_id: str, job_id: str, attempt: int, from_state: State | None, cause: Cause | None, state: State, **more: Any
) -> News:
    """The event of a move."""
    return News(project_id, job_id, EVENT_OF[state], attempt, state, cause, from_state, **more)


def record(session: Session, news: Iterable[News]) -> None:
    """Write them all, in their order, with one statement."""
    rows = [
        {
            "id": ids.new("event"),
            "project_id": item.project_id,
            "job_id": item.job_id,
            "type": item.type,
            "attempt": item.attempt,
            "cause": item.cause,
            "from_state": item.from_state,
            "state": item.state,
            "reason": item.reason,
            "data": item.data,
            "process_id": item.process_id,
        }
        for item in news
    ]
    if rows:
        session.connection().execute(insert(Event).values(created_at=func.clock_timestamp()), rows)
