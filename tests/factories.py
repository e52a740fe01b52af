"""Rows and values with sensible defaults.  Every job has a project and a lane of its own unless told otherwise."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, text
from sqlmodel import Session

from shared import ids
from shared.claims import Claim
from shared.credentials import CREDENTIAL
from shared.hints import Hints
from shared.lifecycle import State
from shared.policy import OnUnknown
from shared.tables import Artifact, Asset, Job, JobRequest, JobResult, Lane, Process, Project
from workers.gateway.client import Gateway
from workers.gateway.clients import Gateways

MODEL_OF = {
    "image.generate": "nano-banana",
    "image.edit": "nano-banana",
    "video.create": "sora-2",
    "midjourney.imagine": "midjourney",
    "midjourney.action": "midjourney",
}


class RecordedHints(Hints):
    """Hints that go nowhere: what was hinted at stands in lists."""

    def __init__(self) -> None:
        self.dispatches = 0
        self.submits: list[str] = []
        self.stores: list[str] = []

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def dispatch(self) -> None:
        self.dispatches += 1

    def submit(self, job_ids: Sequence[str]) -> None:
        self.submits += job_ids

    def store(self, job_ids: Sequence[str]) -> None:
        self.stores += job_ids


def gateways(gateway: Gateway) -> Gateways:
    """One client for every lane."""
    return Gateways({CREDENTIAL: gateway})


def project(session: Session, name: str = "a project") -> Project:
    row = Project(id=ids.new("project"), name=name, created_at=func.now())
    session.add(row)
    session.flush()
    return row


def lane(session: Session, *, limit: int = 100, rate_per_minute: int = 60_000, **columns: Any) -> Lane:
    values = {"tokens": rate_per_minute / 6, "tokens_at": func.now(), **columns}
    row = Lane(name=f"{CREDENTIAL}.{uuid.uuid4().hex}", limit=limit, rate_per_minute=rate_per_minute, **values)
    session.add(row)
    session.flush()
    return row


def job(
    session: Session,
    *,
    state: State = State.QUEUED,
    operation: str = "image.generate",
    prompt: str = "a paper boat on a rainy street",
    params: dict[str, Any] | None = None,
    inputs: dict[str, Any] | None = None,
    project_id: str | None = None,
    lane_name: str | None = None,
    **columns: Any,
) -> Job:
    """A job in that state, with its request; a paid state has its first attempt."""
    begun = state not in (State.WAITING, State.QUEUED, State.DISPATCHED)
    values: dict[str, Any] = {
        "model": MODEL_OF.get(operation, "some-model"),
        "attempt": 1 if begun else 0,
        "submitted_at": func.now() if begun else None,
        "on_unknown": OnUnknown.HOLD,
        **columns,
    }
    row = Job(
        id=ids.new("job"),
        project_id=project_id or project(session).id,
        lane=lane_name or lane(session).name,
        operation=operation,
        state=state,
        moved_at=values.pop("moved_at", func.now()),
        created_at=values.pop("created_at", func.now()),
        **values,
    )
    session.add(row)
    session.flush()
    session.add(
        JobRequest(job_id=row.id, prompt=prompt, params=params or {}, inputs=inputs or {}, labels={}, webhook=None)
    )
    session.flush()
    return row


def process(session: Session, *, silent_s: float = 0) -> Process:
    """A worker process whose last heartbeat was so long ago."""
    row = Process(
        id=ids.new("process"),
        name="a worker",
        host="a host",
        pid=1,
        started_at=func.now(),
        heartbeat_at=func.now() - text(f"interval '{silent_s} seconds'"),
    )
    session.add(row)
    session.flush()
    return row


def claim(row: Job, **known: Any) -> Claim:
    """What some process knows of a job; by default what is true."""
    values: dict[str, Any] = {
        "job_id": row.id,
        "project_id": row.project_id,
        "attempt": row.attempt,
        "state": row.state,
        "operation": row.operation,
        "model": row.model,
        "lane": row.lane,
        "max_attempts": row.max_attempts,
        "on_unknown": row.on_unknown,
        "waits": row.waits,
        "waits_for": row.waits_for,
        "upstream_task_id": row.upstream_task_id,
        "misses": row.misses,
        "vanished": row.vanished,
        "doubted": row.doubted,
        "store_tries": row.store_tries,
        "spool_host": row.spool_host,
        "holder": row.claimed_by,
        "age_s": 0.0,
        "by": row.claimed_by,
    }
    return Claim(**{**values, **known})


def result(session: Session, row: Job, **came: Any) -> JobResult:
    """What came of the job's present attempt."""
    kept = JobResult(job_id=row.id, attempt=row.attempt, **came)
    session.add(kept)
    session.flush()
    return kept


def artifact(session: Session, row: Job, *, index: int = 0, **columns: Any) -> Artifact:
    """A stored picture of the job's present attempt; its object is the caller's business."""
    values = {
        "kind": "image",
        "content_type": "image/png",
        "size_bytes": 1000,
        "sha256": "0" * 64,
        "width": 64,
        "height": 48,
        "object_key": f"projects/{row.project_id}/jobs/{row.id}/{row.attempt}-{index}.png",
        **columns,
    }
    kept = Artifact(
        id=ids.new("artifact"),
        project_id=row.project_id,
        job_id=row.id,
        attempt=row.attempt,
        index=index,
        created_at=func.now(),
        **values,
    )
    session.add(kept)
    session.flush()
    return kept


def asset(session: Session, project_id: str, **columns: Any) -> Asset:
    """An uploaded picture; its object is the caller's business."""
    asset_id = ids.new("asset")
    values = {
        "kind": "image",
        "content_type": "image/png",
        "size_bytes": 1000,
        "sha256": "0" * 64,
        "filename": "boat.png",
        "object_key": f"projects/{project_id}/assets/{asset_id}.png",
        **columns,
    }
    kept = Asset(id=asset_id, project_id=project_id, created_at=func.now(), **values)
    session.add(kept)
    session.flush()
    return kept


def reread(session: Session, row: Job) -> Job:
    """The row as it is in the database now."""
    session.expire_all()
    found = session.get(Job, row.id)
    assert found is not None
    return found
