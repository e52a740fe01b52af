"""Taking in a job: checked as a whole first, then made in one transaction.

What can be told without the database is told before a transaction is open.  The job, its request, what it waits
for, its lane and its first events commit together; the hint follows, and may be lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session, col

from api.jobs import inputs
from api.jobs.follow_ups import FollowUp
from api.ports import AppPorts
from api.shapes import NewAction, NewJob, Wishes
from shared import claims, events, ids
from shared.catalog import entry
from shared.catalog.lookup import CREDENTIAL, Catalog, Resolved
from shared.errors import Conflict, FieldError, InvalidRequest
from shared.lifecycle import State
from shared.tables import Job, JobNeed, JobRequest, Lane
from shared.tables.lanes import BURST_S


@dataclass(frozen=True)
class Admissible:
    """A request that may become a job, as far as can be told without the database."""

    resolved: Resolved
    prompt: str
    inputs: inputs.Inputs
    wishes: Wishes
    priority: int
    lane: str
    parent_id: str | None = None

    @property
    def estimated_cost_usd(self) -> str | None:
        """A decimal as text; None where nobody knows the price."""
        cost = self.resolved.estimated_cost_usd
        return None if cost is None else str(cost)


def check(body: NewJob, ports: AppPorts) -> Admissible:
    """
    Raises:
        InvalidRequest: with every field that is wrong.
    """
    resolved = ports.catalog.resolve(
        model=body.model,
        operation=body.operation,
        prompt=body.prompt,
        params=body.params,
        inputs_by_role={role: len(listed) for role, listed in body.inputs.items()},
    )
    inputs.check(body.inputs, resolved.operation.inputs, ports)
    if body.webhook is not None:
        inputs.check_webhook(body.webhook.url, ports.outbound)
    return Admissible(resolved, body.prompt or "", body.inputs, body, body.priority, resolved.lane)


def follow_up(parent: Job, asked: FollowUp, body: NewAction, ports: AppPorts) -> Admissible:
    """Another job that goes on from a finished one, in the same lane.

    Raises:
        InvalidRequest: with every field that is wrong.
        Conflict: nothing here does what is asked for.
    """
    entry = ports.catalog.models.get(parent.model)
    with_pictures = entry.operation_with_images if entry is not None else None
    operation = asked.operation or with_pictures or "image.edit"
    if operation not in ports.catalog.operations:
        raise Conflict(f"this Darkroom has no {operation}, which it would take")
    resolved = ports.catalog.resolve(
        model=_model_for(operation, parent.model, ports.catalog),
        operation=operation,
        prompt=asked.prompt,
        params=asked.params,
        inputs_by_role={role: len(listed) for role, listed in asked.inputs.items()},
    )
    inputs.check(asked.inputs, resolved.operation.inputs, ports)
    if body.webhook is not None:
        inputs.check_webhook(body.webhook.url, ports.outbound)
    priority = parent.priority if body.priority is None else body.priority
    return Admissible(resolved, asked.prompt, asked.inputs, body, priority, parent.lane, parent.id)


def _model_for(operation: str, model: str, catalog: Catalog) -> str:
    """The parent's model, or the one of its lane that does just this: with its own price, and its own times."""
    if operation != "midjourney.video":
        return model
    lane = catalog.entry(model).lane
    own = (name for name, one in catalog.models.items() if one.operation == operation and one.lane == lane)
    return next(own, model)


def admit(session: Session, project_id: str, wanted: Admissible, catalog: Catalog) -> str:
    """Make the job, in the caller's transaction; its id.

    Raises:
        InvalidRequest: an input names what this project does not have.
    """
    needs = inputs.find(session, project_id, wanted.inputs, wanted.resolved.operation.inputs, catalog)
    task_id = wanted.resolved.params.given().get("task_id")
    if task_id is not None and is_others(session, project_id, task_id):
        told = "there is no such task"  # to this project
        raise InvalidRequest(f"/params/task_id: {told}", (FieldError("/params/task_id", told),))
    job_id = ids.new("job")
    state = State.WAITING if needs else State.QUEUED
    ensure_lane(session, wanted.lane, catalog)
    session.execute(insert(Job).values(_job(job_id, project_id, state, wanted)))
    session.execute(insert(JobRequest).values(_request(job_id, wanted)))
    if needs:
        session.execute(insert(JobNeed), [{"job_id": job_id, "needs_id": needed} for needed in needs])
    created = events.News(project_id, job_id, "job.created", 0, state)
    events.record(session, [created, events.moved(project_id, job_id, 0, None, None, state)])
    return job_id


def is_others(session: Session, project_id: str, task_id: str) -> bool:
    """Whether an upstream task is known as another project's; one that nobody has may have been made elsewhere."""
    owners = session.execute(select(col(Job.project_id)).where(col(Job.upstream_task_id) == task_id).distinct())
    found = set(owners.scalars())
    return bool(found) and project_id not in found


def _job(job_id: str, project_id: str, state: State, wanted: Admissible) -> dict[str, Any]:
    wishes = wanted.wishes
    return {
        "id": job_id,
        "project_id": project_id,
        "parent_id": wanted.parent_id,
        "operation": wanted.resolved.operation.name,
        "model": wanted.resolved.model,
        "lane": wanted.lane,
        "state": state,
        "priority": wanted.priority,
        "max_attempts": wishes.max_attempts,
        "on_unknown": wishes.on_unknown,
        "created_at": func.now(),
        "moved_at": func.now(),
        "deadline_at": None if wishes.ttl_seconds is None else claims.seconds_from_now(wishes.ttl_seconds),
    }


def _request(job_id: str, wanted: Admissible) -> dict[str, Any]:
    wishes = wanted.wishes
    return {
        "job_id": job_id,
        "prompt": wanted.prompt,
        "inputs": inputs.as_json(wanted.inputs),
        "params": wanted.resolved.params.given(),
        "labels": wishes.metadata,
        "webhook": None if wishes.webhook is None else wishes.webhook.model_dump(),
        "ttl_seconds": wishes.ttl_seconds,
        "estimated_cost_usd": wanted.estimated_cost_usd,
    }


def ensure_lane(session: Session, name: str, catalog: Catalog) -> None:
    """Make a lane's row from the catalog if it is missing.  One that is there is its operator's."""
    if session.execute(select(col(Lane.name)).where(col(Lane.name) == name)).one_or_none() is not None:
        return
    session.execute(upsert(Lane).values(_lane(name, listed_lane(name, catalog))).on_conflict_do_nothing())


def listed_lane(name: str, catalog: Catalog) -> entry.Lane:
    """What the catalog says of a lane; of one that it does not know, what it says of all others."""
    return catalog.lanes.get(name.removeprefix(f"{CREDENTIAL}."), catalog.lanes["other"])


def set_lanes(session: Session, catalog: Catalog) -> None:
    """Make the lanes as the catalog has them: the missing ones are made, the others get its limit and rate.

    What an admin has set (`PATCH /v1/lanes/{name}`) stays: it was set for a reason that a restart does not take away.
    """
    for family, lane in sorted(catalog.lanes.items()):
        limit = case((col(Lane.limit_by_hand), col(Lane.limit)), else_=lane.limit)
        rate_per_minute = case((col(Lane.rate_by_hand), col(Lane.rate_per_minute)), else_=lane.rate_per_minute)
        session.execute(
            upsert(Lane)
            .values(_lane(f"{CREDENTIAL}.{family}", lane))
            .on_conflict_do_update(
                index_elements=["name"], set_={"limit_in_flight": limit, "rate_per_minute": rate_per_minute}
            )
        )


def _lane(name: str, lane: entry.Lane) -> dict[str, Any]:
    return {
        "name": name,
        "limit": lane.limit,
        "rate_per_minute": lane.rate_per_minute,
        "tokens": max(1.0, lane.rate_per_minute * BURST_S / 60),
        "tokens_at": func.now(),
    }
