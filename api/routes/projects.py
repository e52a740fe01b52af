"""Projects: the walls between users."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlmodel import Session

from api import idempotency, shapes
from api.deps import Admin, IdempotencyKey, Ports
from api.problems import responses
from api.routes.keys import is_operator
from shared import ids
from shared.errors import Conflict, Forbidden, KeyReused, Unavailable
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
        shown = shapes.Project(id=row.id, name=row.name, created_at=row.created_at).model_dump(mode="json")
        idempotency.keep(session, ticket, 201, shown, None)
    return JSONResponse(shown, 201)


def make(session: Session, name: str) -> Project:
    row = Project(id=ids.new("project"), name=name, created_at=session.execute(select(func.now())).scalar_one())
    session.add(row)
    session.flush()
    return row
