"""Projects: the walls between users."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlmodel import Session, col

from api import idempotency, pages, shapes
from api.deps import Admin, Cursor, IdempotencyKey, Limit, Ports, missing
from api.problems import responses
from api.routes.keys import is_operator, reached
from shared import ids
from shared.errors import Conflict, Forbidden, KeyReused, NotFound, Unavailable
from shared.tables import Project

router = APIRouter(prefix="/v1/projects", tags=["projects"])


@router.post(
    "",
    status_code=201,
    response_model=shapes.Project,
    summary="Create a project",
    responses=responses(Forbidden, Conflict, KeyReused, Unavailable),
)
def create(
    body: shapes.NewProject, request: Request, caller: Admin, ports: Ports, idempotency_key: IdempotencyKey = None
) -> Response:
    """For admins of the first project, the operator's.  Its keys are made with `POST /v1/api-keys` and `project_id`."""
    ticket = idempotency.ticket(
        caller.project_id, idempotency_key, request.method, request.url.path, body.model_dump(mode="json")
    )
    with ports.transaction() as session:
        kept = idempotency.enter(session, ticket)
        if kept is not None:
            return kept.response()
        if not is_operator(session, caller):
            raise Forbidden("only an admin of the first project, the operator's, makes projects")
        row = make(session, body.name)
        shown = show(row).model_dump(mode="json")
        location = f"/v1/projects/{row.id}"
        idempotency.keep(session, ticket, 201, shown, location)
    return JSONResponse(shown, 201, {"Location": location})


def make(session: Session, name: str) -> Project:
    row = Project(id=ids.new("project"), name=name, created_at=session.execute(select(func.now())).scalar_one())
    session.add(row)
    session.flush()
    return row


def show(row: Project) -> shapes.Project:
    return shapes.Project(id=row.id, name=row.name, created_at=row.created_at)


@router.get(
    "",
    response_model=shapes.Page[shapes.Project],
    summary="List projects",
    responses=responses(Forbidden, Unavailable),
)
def read_all(caller: Admin, ports: Ports, limit: Limit = 50, cursor: Cursor = None) -> shapes.Page[shapes.Project]:
    """All of them, newest first, for admins of the first project, the operator's; for others their own."""
    page = pages.page_of(f"projects for {caller.project_id}", limit, cursor)
    found = select(Project).order_by(col(Project.id).desc()).limit(page.fetch)
    if page.after is not None:
        found = found.where(col(Project.id) < page.after)
    with ports.transaction() as session:
        if not is_operator(session, caller):
            found = found.where(col(Project.id) == caller.project_id)
        rows = session.execute(found).scalars().all()
    has_more = len(rows) > limit
    return shapes.Page[shapes.Project](
        data=[show(row) for row in rows[:limit]],
        has_more=has_more,
        next_cursor=page.cursor(rows[limit - 1].id) if has_more else None,
    )


@router.get(
    "/{project_id}",
    response_model=shapes.Project,
    summary="Show a project",
    responses=responses(Forbidden, NotFound, Unavailable),
)
def read(project_id: str, caller: Admin, ports: Ports) -> shapes.Project:
    """Your own; for admins of the first project, the operator's, any."""
    with ports.transaction() as session:
        row = session.get(Project, reached(session, caller, project_id))
    if row is None:
        raise missing("project", project_id)
    return show(row)
