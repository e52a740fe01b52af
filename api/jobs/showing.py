"""Rows to answers: jobs with all that belongs to them, in a few queries however many they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, select
from sqlmodel import Session, col

from api import shapes
from api.jobs import held, inputs, money, queueing
from api.links import Links
from shared.catalog.lookup import Catalog
from shared.lifecycle import State
from shared.tables import Artifact, Job, JobRequest, JobResult, LateResult, LateState
from shared.tables.artifacts import Stored

TELLS_ERROR = frozenset({State.FAILED, State.HELD})
"""A job that goes on has no error, whatever an earlier try came to."""
TELLS_LATE = frozenset({State.FAILED, State.CANCELED, State.HELD})
"""A job that has no result of its own shows what came late of its attempts."""
NOT_SUBMITTED = frozenset({State.WAITING, State.QUEUED, State.DISPATCHED})
"""The call of the attempt that comes has not begun; when that of the last one did, its events say."""


def job(session: Session, job_id: str, catalog: Catalog, links: Links) -> shapes.Job:
    """One that exists, as it is now."""
    return jobs(session, [job_id], catalog, links)[0]


def jobs(session: Session, job_ids: Sequence[str], catalog: Catalog, links: Links) -> list[shapes.Job]:
    """Those that exist, in the order in which they are named."""
    rows = session.execute(
        select(Job, JobRequest, JobResult)
        .join(JobRequest, col(JobRequest.job_id) == col(Job.id))
        .outerjoin(JobResult, and_(col(JobResult.job_id) == col(Job.id), col(JobResult.attempt) == col(Job.attempt)))
        .where(col(Job.id).in_(job_ids))
        .execution_options(populate_existing=True)
    ).all()
    artifacts = _artifacts(session, [row.Job for row in rows], links)
    waits = queueing.waits(session, [row.Job for row in rows], catalog)
    late = _late(session, [row.Job for row in rows])
    known = held.of(session, [row.Job for row in rows], catalog)
    shown = {
        row.Job.id: _job(
            row.Job, row.JobRequest, row.JobResult, artifacts[row.Job.id], waits.get(row.Job.id), late[row.Job.id]
        ).model_copy(update={"held": known.get(row.Job.id)})
        for row in rows
    }
    return [shown[job_id] for job_id in job_ids if job_id in shown]


def _artifacts(session: Session, rows: Sequence[Job], links: Links) -> Mapping[str, list[shapes.JobArtifact]]:
    """By job, those of its present attempt; where there is no such result, those that came late, the newest first."""
    finished = {row.id: row.attempt for row in rows if row.state is State.SUCCEEDED}
    ended = [row.id for row in rows if row.state in TELLS_LATE]
    found: defaultdict[str, list[shapes.JobArtifact]] = defaultdict(list)
    if finished or ended:
        stored = select(Artifact).where(col(Artifact.job_id).in_([*finished, *ended]))
        in_order = stored.order_by(col(Artifact.attempt).desc(), col(Artifact.index))
        for artifact in session.execute(in_order).scalars():
            is_late = artifact.job_id not in finished
            if is_late or artifact.attempt == finished[artifact.job_id]:
                found[artifact.job_id].append(_artifact(artifact, links, is_late=is_late))
    return found


def _artifact(row: Artifact, links: Links, *, is_late: bool) -> shapes.JobArtifact:
    late: dict[str, Any] = {"late": True, "attempt": row.attempt} if is_late else {}
    return shapes.JobArtifact(id=row.id, index=row.index, **late, **measured(row), **links.to_artifact(row))


def _late(session: Session, rows: Sequence[Job]) -> Mapping[str, list[money.Late]]:
    """By job, what is known of its late attempts, the newest first."""
    ended = [row.id for row in rows if row.state in TELLS_LATE]
    known: defaultdict[str, list[money.Late]] = defaultdict(list)
    if ended:
        columns = (LateResult.job_id, LateResult.attempt, LateResult.state, LateResult.reason, LateResult.result)
        found = select(*columns).where(col(LateResult.job_id).in_(ended))  # type: ignore[call-overload]
        for row in session.execute(found.order_by(col(LateResult.attempt).desc())):
            known[row.job_id].append(money.Late(row.attempt, row.state, row.reason, row.result))
    return known


def measured(row: Stored) -> dict[str, Any]:
    """The fields of `shapes.Measured`."""
    return {
        "kind": row.kind,
        "content_type": row.content_type,
        "bytes": row.size_bytes,
        "sha256": row.sha256,
        "width": row.width,
        "height": row.height,
        "duration_seconds": row.duration_seconds,
    }


def _job(
    row: Job,
    asked: JobRequest,
    came: JobResult | None,
    artifacts: list[shapes.JobArtifact],
    waits: shapes.Queue | None,
    late: Sequence[money.Late],
) -> shapes.Job:
    error = came.error if came is not None and row.state in TELLS_ERROR else None
    return shapes.Job(
        id=row.id,
        state=row.state,
        state_reason=money.told(row.state_reason, late),
        operation=row.operation,
        model=row.model,
        prompt=asked.prompt,
        inputs=inputs.shortened(asked.inputs),
        params=asked.params,
        priority=row.priority,
        progress=row.progress,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        on_unknown=row.on_unknown,
        batch_id=None,
        batch_index=None,
        schedule_id=None,
        parent_id=row.parent_id,
        upstream=shapes.Upstream(task_id=row.upstream_task_id, status=row.upstream_status),
        artifacts=artifacts,
        result=_result(row, came, late),
        error=None if error is None else shapes.JobError.model_validate(error),
        cost=shapes.Cost(estimated=asked.estimated_cost_usd),
        created_at=row.created_at,
        submitted_at=None if row.state in NOT_SUBMITTED else row.submitted_at,
        upstream_finished_at=row.upstream_finished_at,
        finished_at=row.finished_at,
        deadline_at=row.deadline_at,
        metadata=asked.labels,
        queue=waits,
    )


def _result(row: Job, came: JobResult | None, late: Sequence[money.Late]) -> dict[str, Any] | None:
    """What is not media: the job's own, or what came late."""
    if row.state is State.SUCCEEDED:
        return None if came is None else came.result
    return next((one.result for one in late if one.state is LateState.STORED), None)
