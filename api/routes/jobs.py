"""Jobs: make them, look at them, and do something about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from sqlalchemy import ColumnElement, func, literal_column, select
from sqlmodel import Session, col

from api import idempotency, pages, shapes
from api.auth import Caller
from api.deps import (
    FREE_QUERY,
    Cursor,
    IdempotencyKey,
    Limit,
    Ports,
    Reader,
    Time,
    ToLinks,
    Wait,
    Waiter,
    Writer,
    missing,
    wanted_id,
)
from api.idempotency import Kept, Ticket
from api.jobs import follow_ups, inputs, intake, showing, steering
from api.links import Links
from api.ports import AppPorts
from api.problems import responses
from shared.errors import Conflict, Forbidden, InvalidRequest, KeyReused, NotFound, Unavailable
from shared.lifecycle import State
from shared.tables import Artifact, Event, Job, JobRequest, JobResult

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

CREATED: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "headers": {
            "Location": {"schema": {"type": "string"}},
            "Idempotency-Replayed": {"schema": {"type": "string", "enum": ["true"]}},
        }
    }
}


@router.post(
    "",
    status_code=201,
    response_model=shapes.Job,
    summary="Create a job",
    responses={
        **CREATED,
        200: {"model": shapes.DryRun, "description": "With `dry_run`: what would be asked for"},
        **responses(Forbidden, Conflict, KeyReused, Unavailable),
    },
)
async def create(
    body: shapes.NewJob,
    request: Request,
    caller: Writer,
    ports: Ports,
    links: ToLinks,
    waiting: Waiter,
    idempotency_key: IdempotencyKey = None,
    dry_run: Annotated[bool, Query(description="Check and price it; make nothing.")] = False,
    wait: Wait = 0,
) -> Response:
    """Everything is checked before anything is spent.  What is answered exists, and survives any crash.

    A dry run makes nothing, so it leaves its `Idempotency-Key` to the run that follows.
    """
    content = body.model_dump(mode="json", exclude_unset=True)
    ticket = idempotency.ticket(caller.project_id, idempotency_key, request.method, request.url.path, content)
    if dry_run:
        return _answer(await run_in_threadpool(_try_out, body, caller, ports), 200)

    def make() -> JSONResponse:
        try:
            wanted = intake.check(body, ports)
        except InvalidRequest:
            with ports.transaction() as session:
                kept = idempotency.find(session, ticket)
            if kept is None:
                raise
            return kept.response()  # what was right the first time has its answer, whatever the catalog says by now
        return _make(wanted, caller, ticket, ports, links)

    return await _waited(await run_in_threadpool(make), wait, ports, links, waiting)


def _try_out(body: shapes.NewJob, caller: Caller, ports: AppPorts) -> shapes.DryRun:
    wanted = intake.check(body, ports)
    with ports.transaction() as session:
        inputs.find(session, caller.project_id, wanted.inputs, wanted.resolved.operation.inputs, ports.catalog)
    request = body.model_dump(mode="json", exclude={"model", "operation", "prompt", "inputs", "params"})
    return shapes.DryRun(
        operation=wanted.resolved.operation.name,
        model=wanted.resolved.model,
        lane=wanted.lanes[0],
        lanes=wanted.lanes,
        request={
            "model": wanted.resolved.model,
            "operation": wanted.resolved.operation.name,
            "prompt": wanted.prompt,
            "inputs": inputs.shortened(inputs.as_json(wanted.inputs)),
            "params": wanted.resolved.params.given(),
            **request,
        },
        cost=shapes.Cost(estimated=wanted.estimated_cost_usd),
    )


def _make(
    wanted: intake.Admissible, caller: Caller, ticket: Ticket | None, ports: AppPorts, links: Links
) -> JSONResponse:
    with ports.transaction() as session:
        kept = idempotency.enter(session, ticket)
        if kept is not None:
            return kept.response()
        job_id = intake.admit(session, caller.project_id, wanted, ports.catalog)
        body = showing.job(session, job_id, ports.catalog, links).model_dump(mode="json", by_alias=True)
        location = f"/v1/jobs/{job_id}"
        idempotency.keep(session, ticket, 201, body, location)
    ports.hints.dispatch()
    return JSONResponse(body, 201, {"Location": location})


async def _waited(made: JSONResponse, wait_s: float, ports: AppPorts, links: Links, waiting: Waiter) -> Response:
    """The answer to a POST, after its job is finished or the time is over."""
    if wait_s <= 0:
        return made
    job_id = made.headers["location"].rpartition("/")[2]
    await waiting.until_settled(job_id, wait_s)
    shown = await run_in_threadpool(_show, job_id, ports, links)
    headers = {name: made.headers[name] for name in ("location", "idempotency-replayed") if name in made.headers}
    return _answer(shown, made.status_code, headers)


def _show(job_id: str, ports: AppPorts, links: Links) -> shapes.Job:
    with ports.transaction() as session:
        return showing.job(session, job_id, ports.catalog, links)


def _answer(body: shapes.Given, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(by_alias=True), status, headers, media_type="application/json")


@router.get(
    "",
    response_model=shapes.Page[shapes.Job],
    summary="List jobs",
    responses=responses(Unavailable),
    openapi_extra={
        "x-takes-metadata": True,
        "parameters": [
            {
                "name": "metadata.KEY",
                "in": "query",
                "schema": {"type": "string"},
                "description": "Jobs whose metadata has this value under KEY; may be given for several keys.",
            }
        ],
    },
)
def read_all(
    request: Request,
    caller: Reader,
    ports: Ports,
    links: ToLinks,
    state: Annotated[list[State] | None, Query(description="One or several.")] = None,
    model: Annotated[str | None, Query(max_length=200)] = None,
    operation: Annotated[str | None, Query(max_length=64)] = None,
    parent_id: Annotated[str | None, Query(max_length=64, description="Follow-ups of this job.")] = None,
    batch_id: Annotated[str | None, Query(max_length=64)] = None,
    schedule_id: Annotated[str | None, Query(max_length=64)] = None,
    created_after: Annotated[Time | None, Query(description="Not before this time.")] = None,
    created_before: Annotated[Time | None, Query(description="Before this time.")] = None,
    q: Annotated[str | None, Query(max_length=1000, description="Words that are all in the prompt.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> shapes.Page[shapes.Job]:
    """Those of the key's project, newest first."""
    page = pages.page_of(f"jobs of {caller.project_id}", limit, cursor)
    labels = _labels(request)
    found = (
        select(col(Job.id))
        .where(col(Job.project_id) == caller.project_id)
        .order_by(col(Job.id).desc())
        .limit(page.fetch)
    )
    if page.after is not None:
        found = found.where(col(Job.id) < page.after)
    if state:
        found = found.where(col(Job.state).in_(state))
    for column, value in ((Job.model, model), (Job.operation, operation), (Job.parent_id, parent_id)):
        if value is not None:
            found = found.where(col(column) == value)
    if created_after is not None:
        found = found.where(col(Job.created_at) >= created_after)
    if created_before is not None:
        found = found.where(col(Job.created_at) < created_before)
    if q is not None or labels:
        found = found.join(JobRequest, col(JobRequest.job_id) == col(Job.id)).where(*_requested(q, labels))
    if batch_id is not None or schedule_id is not None:
        return shapes.Page[shapes.Job](data=[], has_more=False, next_cursor=None)
    with ports.transaction() as session:
        job_ids = session.execute(found).scalars().all()
        shown = showing.jobs(session, job_ids[:limit], ports.catalog, links)
    has_more = len(job_ids) > limit
    return shapes.Page[shapes.Job](
        data=shown, has_more=has_more, next_cursor=page.cursor(job_ids[limit - 1]) if has_more else None
    )


def _labels(request: Request) -> dict[str, str]:
    return {
        name.removeprefix(FREE_QUERY): value
        for name, value in request.query_params.items()
        if name.startswith(FREE_QUERY)
    }


def _requested(q: str | None, labels: dict[str, str]) -> list[ColumnElement[bool]]:
    """Conditions on the wide row, each spelled as its index is."""
    conditions: list[ColumnElement[bool]] = []
    if q is not None:
        words = func.to_tsvector(literal_column("'simple'"), col(JobRequest.prompt))
        conditions.append(words.op("@@")(func.plainto_tsquery("simple", q)))
    if labels:
        conditions.append(col(JobRequest.labels).contains(labels))
    return conditions


@router.get("/{job_id}", response_model=shapes.Job, summary="Show a job", responses=responses(NotFound, Unavailable))
async def read(job_id: str, caller: Reader, ports: Ports, links: ToLinks, waiting: Waiter, wait: Wait = 0) -> Response:
    """With its artifacts; `wait` answers as soon as it is finished."""

    def look() -> shapes.Job:
        with ports.transaction() as session:
            own(session, caller, job_id)
            return showing.job(session, job_id, ports.catalog, links)

    if wait > 0:
        await run_in_threadpool(look)  # waiting for what is not there would be in vain
        await waiting.until_settled(job_id, wait)
    return _answer(await run_in_threadpool(look), 200)


def own(session: Session, caller: Caller, job_id: str) -> Job:
    """A job of the caller's project.

    Raises:
        NotFound: there is none with this id; another project's is none.
    """
    row = session.get(Job, wanted_id("job", job_id))
    if row is None or row.project_id != caller.project_id:
        raise missing("job", job_id)
    return row


@router.get(
    "/{job_id}/events",
    response_model=shapes.Page[shapes.Event],
    summary="Show a job's history",
    responses=responses(NotFound, Unavailable),
)
def read_events(
    job_id: str, caller: Reader, ports: Ports, limit: Limit = 200, cursor: Cursor = None
) -> shapes.Page[shapes.Event]:
    """Every move and piece of news, with time, attempt and reason; newest first."""
    page = pages.page_of(f"events of {job_id}", limit, cursor)
    with ports.transaction() as session:
        own(session, caller, job_id)
        found = select(Event).where(col(Event.job_id) == job_id).order_by(col(Event.seq).desc()).limit(page.fetch)
        if page.after is not None:
            found = found.where(col(Event.seq) < int(page.after))
        rows = session.execute(found).scalars().all()
    has_more = len(rows) > limit
    return shapes.Page[shapes.Event](
        data=[shapes.Event.model_validate(row, from_attributes=True) for row in rows[:limit]],
        has_more=has_more,
        next_cursor=page.cursor(str(rows[limit - 1].seq)) if has_more else None,
    )


@router.post(
    "/{job_id}/cancel",
    response_model=shapes.Job,
    summary="Cancel a job",
    responses=responses(Forbidden, NotFound, Conflict, Unavailable),
)
def cancel(job_id: str, caller: Writer, ports: Ports, links: ToLinks) -> Response:
    """Again is the same as once.  `state_reason` says what becomes of the money: the gateway cannot be stopped.

    A result that is paid for and still comes is kept: the job stays canceled and shows it, with `"late": true`.
    """
    with ports.transaction() as session:
        steering.cancel(session, caller.project_id, wanted_id("job", job_id))
        shown = showing.job(session, job_id, ports.catalog, links)
    ports.hints.dispatch()
    return _answer(shown, 200)


@router.post(
    "/{job_id}/retry",
    response_model=shapes.Job,
    summary="Try a job again",
    responses=responses(Forbidden, NotFound, Conflict, KeyReused, Unavailable),
)
def retry(
    job_id: str,
    request: Request,
    caller: Writer,
    ports: Ports,
    links: ToLinks,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Queues a failed, canceled or held job as a new attempt; its time to live begins anew."""
    ticket = idempotency.ticket(caller.project_id, idempotency_key, request.method, request.url.path, None)
    job_id = wanted_id("job", job_id)
    return _steered(job_id, ticket, ports, links, lambda session: steering.retry(session, caller.project_id, job_id))


@router.post(
    "/{job_id}/resolve",
    response_model=shapes.Job,
    summary="Say what became of a held job",
    responses=responses(Forbidden, NotFound, Conflict, KeyReused, Unavailable),
)
def resolve(
    job_id: str,
    body: shapes.Resolution,
    request: Request,
    caller: Writer,
    ports: Ports,
    links: ToLinks,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A held job waits for a person, who looked at the gateway: it failed, try again, or it runs as this task."""
    content = body.model_dump(mode="json", by_alias=True)
    ticket = idempotency.ticket(caller.project_id, idempotency_key, request.method, request.url.path, content)
    job_id = wanted_id("job", job_id)
    return _steered(
        job_id,
        ticket,
        ports,
        links,
        lambda session: steering.resolve(session, caller.project_id, job_id, body, ports.catalog),
    )


def _steered(
    job_id: str, ticket: Ticket | None, ports: AppPorts, links: Links, change: Callable[[Session], object]
) -> Response:
    """The job after the change, which is made once for each key."""
    with ports.transaction() as session:
        kept = idempotency.enter(session, ticket)
        if kept is not None:
            return kept.response()
        change(session)
        body = showing.job(session, job_id, ports.catalog, links).model_dump(mode="json", by_alias=True)
        idempotency.keep(session, ticket, 200, body, None)
    ports.hints.dispatch()
    return JSONResponse(body, 200)


@router.post(
    "/{job_id}/actions",
    status_code=201,
    response_model=shapes.Job,
    summary="Follow up on a result",
    responses={**CREATED, **responses(Forbidden, NotFound, Conflict, KeyReused, Unavailable)},
)
async def act(
    job_id: str,
    body: shapes.NewAction,
    request: Request,
    caller: Writer,
    ports: Ports,
    links: ToLinks,
    waiting: Waiter,
    idempotency_key: IdempotencyKey = None,
    wait: Wait = 0,
) -> Response:
    """Goes on from a finished job; the answer is a new job, whose `parent_id` is this one.

    Midjourney's results say in `result.buttons` what they offer: press one by `action` or by `custom_id`.  Its single
    pictures and its films can be animated.  A film of Sora's can be made again by another prompt (`remix`), and a
    picture of any other model be changed by words (`variation`, `remix`) or in one part (`inpaint`, with a mask).
    What the result does not offer is a conflict that lists what it does.
    """
    content = body.model_dump(mode="json", exclude_unset=True)
    ticket = idempotency.ticket(caller.project_id, idempotency_key, request.method, request.url.path, content)

    def make() -> JSONResponse:
        wanted = _follow_up(job_id, body, caller, ticket, ports)
        return wanted.response() if isinstance(wanted, Kept) else _make(wanted, caller, ticket, ports, links)

    return await _waited(await run_in_threadpool(make), wait, ports, links, waiting)


def _follow_up(
    job_id: str, body: shapes.NewAction, caller: Caller, ticket: Ticket | None, ports: AppPorts
) -> Kept | intake.Admissible:
    with ports.transaction() as session:
        kept = idempotency.find(session, ticket)
        if kept is not None:
            return kept
        parent = own(session, caller, job_id)
        asked, came = session.get_one(JobRequest, job_id), session.get(JobResult, job_id)
        stored = _stored(session, parent)
    if parent.state is not State.SUCCEEDED:
        raise Conflict(f"the job is {parent.state}; only a result that is there can be followed up")
    result = (came.result or {}) if came is not None and came.attempt == parent.attempt else {}
    facts = follow_ups.Parent(
        parent.operation, asked.prompt, asked.params, parent.upstream_task_id, result.get("buttons") or [], stored
    )
    return intake.follow_up(parent, follow_ups.of(facts, body), body, ports)


def _stored(session: Session, job: Job) -> list[follow_ups.Stored]:
    """The artifacts of a job's present attempt, in order."""
    found = select(col(Artifact.id), col(Artifact.kind)).where(
        col(Artifact.job_id) == job.id, col(Artifact.attempt) == job.attempt
    )
    return [follow_ups.Stored(row.id, row.kind) for row in session.execute(found.order_by(col(Artifact.index)))]
