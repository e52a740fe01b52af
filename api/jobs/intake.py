"""Taking in a job: checked as a whole first, then made in one transaction.

What can be told without the database is told before a transaction is open.  The job, its request, what it waits
for, its lane and its first events commit together; the hint follows, and may be lost.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import case, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session, col

from api.jobs import inputs
from api.jobs.follow_ups import FollowUp
from api.ports import AppPorts
from api.shapes import NewAction, NewJob, Wishes
from shared import claims, credentials, events, ids
from shared.catalog import entry
from shared.catalog.checking import nearest
from shared.catalog.lookup import Catalog, Resolved
from shared.credentials import Credential
from shared.errors import Conflict, FieldError, InvalidRequest, SettingsError
from shared.lifecycle import State
from shared.tables import Job, JobNeed, JobRequest, Lane, LateResult
from shared.tables.lanes import BURST_S


@dataclass(frozen=True)
class Admissible:
    """A request that may become a job, as far as can be told without the database."""

    resolved: Resolved
    prompt: str
    inputs: inputs.Inputs
    wishes: Wishes
    priority: int
    candidates: Sequence[Credential]
    """Whom the gateway may be asked with; one at least."""
    parent_id: str | None = None
    parent_lane: str | None = None

    @property
    def lanes(self) -> list[str]:
        """Where it may go."""
        return [one.lane(self.resolved.family) for one in self.candidates]

    @property
    def task_id(self) -> str | None:
        """The upstream task that it goes on from."""
        given: str | None = self.resolved.params.given().get("task_id")
        return given

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
    candidates = _candidates(resolved, ports.settings.credentials)
    return Admissible(resolved, body.prompt or "", body.inputs, body, body.priority, candidates)


def _candidates(resolved: Resolved, known: Sequence[Credential]) -> list[Credential]:
    """
    Raises:
        InvalidRequest: nobody serves the model.
    """
    found = credentials.serving(known, resolved.model)
    if not found:
        told = f"no gateway credential of this Darkroom serves {resolved.model}"
        raise InvalidRequest(f"/model: {told}", (FieldError("/model", told),))
    return found


def follow_up(parent: Job, asked: FollowUp, body: NewAction, ports: AppPorts) -> Admissible:
    """Another job that goes on from a finished one, with the same credential.

    Raises:
        InvalidRequest: with every field that is wrong.
        Conflict: nothing here does what is asked for, or the credential that knows the task is gone.
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
    known = ports.settings.credentials
    wanted = Admissible(resolved, asked.prompt, asked.inputs, body, priority, known, parent.id, parent.lane)
    if wanted.task_id is None:
        return replace(wanted, candidates=_candidates(resolved, known))
    name = credentials.of_lane(parent.lane)
    if name not in {one.name for one in known}:
        raise Conflict(f"only the gateway credential {name} knows the task, and it is not configured any more")
    return wanted


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
    lane = _lane_of_task(session, project_id, wanted) if wanted.task_id is not None else None
    if lane is None:
        lane = _choose_lane(session, wanted)
    job_id = ids.new("job")
    state = State.WAITING if needs else State.QUEUED
    ensure_lane(session, lane, catalog, wanted.candidates)
    session.execute(insert(Job).values(_job(job_id, project_id, lane, state, wanted)))
    session.execute(insert(JobRequest).values(_request(job_id, wanted)))
    if needs:
        session.execute(insert(JobNeed), [{"job_id": job_id, "needs_id": needed} for needed in needs])
    created = events.News(project_id, job_id, "job.created", 0, state)
    events.record(session, [created, events.moved(project_id, job_id, 0, None, None, state)])
    return job_id


def _lane_of_task(session: Session, project_id: str, wanted: Admissible) -> str | None:
    """Where its task was made: no other credential knows it.  None: nobody here made it.

    Raises:
        InvalidRequest: the task is another project's.
    """
    owners = lanes_by_owner(session, wanted.task_id or "")
    if owners and project_id not in owners:
        told = "there is no such task"  # to this project
        raise InvalidRequest(f"/params/task_id: {told}", (FieldError("/params/task_id", told),))
    return wanted.parent_lane or _same_credential(owners.get(project_id), wanted)


def lanes_by_owner(session: Session, task_id: str) -> dict[str, str]:
    """The projects whose jobs have this upstream task, or had it, and the lanes in which it was made."""
    same_job = col(LateResult.job_id) == col(Job.id)
    left = select(col(Job.project_id), col(LateResult.lane), col(Job.id)).join(LateResult, same_job)
    has = select(col(Job.project_id), col(Job.lane), col(Job.id)).where(col(Job.upstream_task_id) == task_id)
    both = left.where(col(LateResult.upstream_task_id) == task_id).union_all(has).subquery()
    return dict(session.execute(select(both.c.project_id, both.c.lane).order_by(both.c.id)).all())


def _same_credential(lane: str | None, wanted: Admissible) -> str | None:
    if lane is None or credentials.of_lane(lane) not in {one.name for one in wanted.candidates}:
        return None
    return f"{credentials.of_lane(lane)}.{wanted.resolved.family}"


def _choose_lane(session: Session, wanted: Admissible) -> str:
    """One of those that it may go to, by weight; a paused one only if all are.  A follow-up stays while it may."""
    lanes = {one.name: one.lane(wanted.resolved.family) for one in wanted.candidates}
    parents = credentials.of_lane(wanted.parent_lane or "")
    if wanted.parent_lane is not None and parents in lanes:
        lanes[parents] = wanted.parent_lane
    asked = select(col(Lane.name)).where(col(Lane.name).in_(lanes.values()), col(Lane.paused_until) > func.now())
    paused = set(session.execute(asked).scalars()) if len(lanes) > 1 else set()
    if parents in lanes and lanes[parents] not in paused:
        return lanes[parents]
    sick = {name for name, lane in lanes.items() if lane in paused}
    return lanes[credentials.choose(wanted.candidates, sick, random.random()).name]  # noqa: S311 - shares, no secret


def is_others(session: Session, project_id: str, task_id: str) -> bool:
    """Whether an upstream task is known as another project's; one that nobody has may have been made elsewhere."""
    owners = lanes_by_owner(session, task_id)
    return bool(owners) and project_id not in owners


def _job(job_id: str, project_id: str, lane: str, state: State, wanted: Admissible) -> dict[str, Any]:
    wishes = wanted.wishes
    return {
        "id": job_id,
        "project_id": project_id,
        "parent_id": wanted.parent_id,
        "operation": wanted.resolved.operation.name,
        "model": wanted.resolved.model,
        "lane": lane,
        "pinned": wanted.task_id is not None,
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


def ensure_lane(session: Session, name: str, catalog: Catalog, known: Iterable[Credential]) -> None:
    """Make a lane's row from the catalog if it is missing.  One that is there is its operator's."""
    if session.execute(select(col(Lane.name)).where(col(Lane.name) == name)).one_or_none() is not None:
        return
    session.execute(upsert(Lane).values(_lane(name, listed_lane(name, catalog, known))).on_conflict_do_nothing())


def listed_lane(name: str, catalog: Catalog, known: Iterable[Credential]) -> entry.Lane:
    """What the catalog says of a lane, and its credential in its place; of an unknown family, as of all others."""
    family = credentials.family_of(name)
    lane = catalog.lanes[family if family in catalog.lanes else "other"]
    own = next((one.limits.get(family) for one in known if one.name == credentials.of_lane(name)), None)
    return lane if own is None else lane.model_copy(update=own.model_dump(exclude_none=True))


def set_lanes(session: Session, catalog: Catalog, known: Sequence[Credential]) -> None:
    """Make the lanes as catalog and credentials have them: the missing ones are made, the others get limits and rate.

    What an admin has set (`PATCH /v1/lanes/{name}`) stays: it was set for a reason that a restart does not take away.

    Raises:
        SettingsError: a credential limits a family that there is not.
    """
    for one in known:
        for family in sorted(set(one.limits) - set(catalog.lanes)):
            hint = nearest(family, catalog.lanes)
            raise SettingsError(f"DARKROOM_GATEWAYS: {one.name} limits {family}, and there is no such family{hint}")
    for name in sorted(one.lane(family) for one in known for family in catalog.lanes):
        lane = listed_lane(name, catalog, known)
        changes = {
            "limit_in_flight": case((col(Lane.limit_by_hand), col(Lane.limit)), else_=lane.limit),
            "rate_per_minute": case((col(Lane.rate_by_hand), col(Lane.rate_per_minute)), else_=lane.rate_per_minute),
            "per_day": case((col(Lane.per_day_by_hand), col(Lane.per_day)), else_=lane.per_day),
        }
        session.execute(
            upsert(Lane).values(_lane(name, lane)).on_conflict_do_update(index_elements=["name"], set_=changes)
        )
    session.execute(_ORPHANED, {"names": [one.name for one in known]})
    session.execute(_ADOPTED, {"names": [one.name for one in known]})


# What waits there goes to other credentials or, if it goes on from a task, waits for this one to come back.
_ORPHANED: Final = text("""
    UPDATE lanes SET paused_until = 'infinity', paused_for = 'no_credential',
        pause_reason = 'no gateway credential named ' || split_part(name, '.', 1) || ' is configured'
    WHERE split_part(name, '.', 1) <> ALL(:names)
""")
_ADOPTED: Final = text("""
    UPDATE lanes SET paused_until = NULL, paused_for = NULL, pause_reason = NULL
    WHERE split_part(name, '.', 1) = ANY(:names) AND paused_for = 'no_credential'
""")


def _lane(name: str, lane: entry.Lane) -> dict[str, Any]:
    return {
        "name": name,
        "limit": lane.limit,
        "rate_per_minute": lane.rate_per_minute,
        "per_day": lane.per_day,
        "tokens": max(1.0, lane.rate_per_minute * BURST_S / 60),
        "tokens_at": func.now(),
    }
