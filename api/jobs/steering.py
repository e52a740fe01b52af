"""What a caller may do to a job that is there: cancel it, try it again, say what became of it.

Each is a guarded move.  If the row has moved on between our look and our write, we look again; a job moves a few
times a second at most, so that ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import func, select
from sqlmodel import Session, col

from api.deps import missing
from api.jobs import intake, money
from api.shapes import Resolution
from shared import claims
from shared.catalog.lookup import Catalog
from shared.claims import Claim
from shared.errors import Conflict, FieldError, InvalidRequest
from shared.gateway.outcome import ErrorClass, GatewayError
from shared.lifecycle import FINAL, Cause, State
from shared.tables import Job, JobRequest

LOOKS_MOST: Final = 10

RETRIES: Final = {
    State.FAILED: Cause.REQUEUED,
    State.CANCELED: Cause.REQUEUED,
    State.HELD: Cause.REQUEUED,
}


def cancel(session: Session, project_id: str, job_id: str) -> None:
    """Canceled again is canceled; finished is a conflict."""

    def once(claim: Claim) -> bool:
        if claim.state is State.CANCELED:
            return True
        if claim.state in FINAL:
            raise Conflict(f"the job is {claim.state}; only a job that is not finished can be canceled")
        return claims.move(session, claim, Cause.CANCELED, reason=money.CANCELED[claim.state])

    _until_moved(session, project_id, job_id, once)


def retry(session: Session, project_id: str, job_id: str) -> None:
    """Queue a job that ended badly, as a new attempt; its time to live begins anew."""

    def once(claim: Claim) -> bool:
        cause = RETRIES.get(claim.state)
        if cause is None:
            raise Conflict(f"the job is {claim.state}; only a failed, canceled or held one can be retried")
        return claims.move(session, claim, cause, reason="a caller wants another attempt", **_anew())

    _until_moved(session, project_id, job_id, once)


def resolve(session: Session, project_id: str, job_id: str, said: Resolution, catalog: Catalog) -> None:
    """What a person says about a held job."""
    if said.outcome == "running" and said.task_id is None:
        raise _wrong("/task_id", "is needed to say that the job is running")
    if said.outcome != "running" and said.task_id is not None:
        raise _wrong("/task_id", f"means nothing for a job that is to be {said.outcome}")

    def once(claim: Claim) -> bool:
        if claim.state is not State.HELD:
            raise Conflict(f"the job is {claim.state}; only a held one can be resolved")
        if said.outcome == "failed":
            return _give_up(session, claim)
        if said.outcome == "retry":
            return claims.move(session, claim, Cause.RESOLVED_RETRY, reason="a person wants it tried again", **_anew())
        if said.task_id is not None and intake.is_others(session, project_id, said.task_id):
            raise Conflict("this upstream task cannot be taken up by this job")
        operation = catalog.operations.get(claim.operation)
        if operation is None or not operation.is_asynchronous:
            raise Conflict(f"{claim.operation} has no upstream task; resolve it as failed or retry")
        return claims.move(
            session,
            claim,
            Cause.RESOLVED_RUNNING,
            reason="a person found its upstream task",
            due_in_s=0,
            upstream_task_id=said.task_id,
            data={"upstream_task_id": said.task_id},
        )

    _until_moved(session, project_id, job_id, once)


def _give_up(session: Session, claim: Claim) -> bool:
    told = "a person resolved the held job as failed"
    if not claims.move(session, claim, Cause.RESOLVED_FAILED, reason=told):
        return False
    claims.keep_result(
        session, claim, error=GatewayError(ErrorClass.UNKNOWN_OUTCOME, "resolved_failed", told), retryable=True
    )
    return True


def _anew() -> dict[str, Any]:
    """What a new attempt begins with besides its state."""
    ttl_s = select(col(JobRequest.ttl_seconds)).where(col(JobRequest.job_id) == col(Job.id)).scalar_subquery()
    return {"waits": 0, "deadline_at": func.now() + func.make_interval(0, 0, 0, 0, 0, 0, ttl_s)}


def _until_moved(session: Session, project_id: str, job_id: str, once: Callable[[Claim], bool]) -> None:
    for _ in range(LOOKS_MOST):
        claim = claims.read(session, job_id)
        if claim is None or claim.project_id != project_id:
            raise missing("job", job_id)
        if once(claim):
            return
    raise Conflict("the job is moving too fast to be changed just now", retry_after_s=1)


def _wrong(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer}: {detail}", (FieldError(pointer, detail),))
