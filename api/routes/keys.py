"""API keys: made, listed, revoked.  Only their hashes are kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import func, select, update
from sqlmodel import Session, col

from api import auth, idempotency, pages, shapes
from api.auth import Caller
from api.deps import Admin, Cursor, IdempotencyKey, Limit, Ports, missing, wanted_id
from api.problems import responses
from shared import ids
from shared.errors import Conflict, Forbidden, KeyReused, NotFound, Unavailable
from shared.tables import ApiKey, Project, Scope

router = APIRouter(prefix="/v1/api-keys", tags=["api keys"])

OfProject = Annotated[
    str | None,
    Query(max_length=64, description="Another project than the caller's: for the operator's project alone."),
]


@router.post(
    "",
    status_code=201,
    response_model=shapes.FreshKey,
    summary="Create an API key",
    responses=responses(Forbidden, NotFound, Conflict, KeyReused, Unavailable),
)
def create(
    body: shapes.NewKey, request: Request, caller: Admin, ports: Ports, idempotency_key: IdempotencyKey = None
) -> Response:
    """The answer is the only one that ever shows the key; a replay for the same `Idempotency-Key` shows it as null."""
    content = body.model_dump(mode="json", exclude_unset=True)
    ticket = idempotency.ticket(caller.project_id, idempotency_key, request.method, request.url.path, content)
    with ports.transaction() as session:
        kept = idempotency.enter(session, ticket)
        if kept is not None:
            return kept.response()
        project_id = reached(session, caller, body.project_id)
        key = auth.make_key()
        row = make(session, project_id, body.name, body.scopes, key)
        shown = shapes.FreshKey(**_fields(row), key=None).model_dump(mode="json")
        location = f"/v1/api-keys/{row.id}"
        idempotency.keep(session, ticket, 201, shown, location)
    return JSONResponse({**shown, "key": key}, 201, {"Location": location, "Cache-Control": "no-store"})


def make(session: Session, project_id: str, name: str, scopes: list[Scope], key: str) -> ApiKey:
    """Write a key's row; its times are the database's."""
    made = ApiKey.model_validate(
        {
            "id": ids.new("key"),
            "project_id": project_id,
            "name": name,
            "prefix": auth.prefix_of(key),
            "sha256": auth.sha256_of(key),
            "scopes": [scope.value for scope in sorted(set(scopes), key=auth.RANK.__getitem__)],
            "created_at": session.execute(select(func.now())).scalar_one(),
        }
    )
    session.add(made)
    session.flush()
    return made


def reached(session: Session, caller: Caller, project_id: str | None) -> str:
    """The project that is meant: the caller's own, or for an admin of the first project, the operator's, any.

    Raises:
        NotFound: there is none, or it is another's.
    """
    if project_id is None or project_id == caller.project_id:
        return caller.project_id
    wanted_id("project", project_id)
    if not is_operator(session, caller) or session.get(Project, project_id) is None:
        raise missing("project", project_id)
    return project_id


def is_operator(session: Session, caller: Caller) -> bool:
    """Whether the caller belongs to the first project, that of whoever runs this Darkroom."""
    return bool(session.execute(select(func.min(col(Project.id)))).scalar_one() == caller.project_id)


def _fields(row: ApiKey) -> dict[str, object]:
    return row.model_dump(exclude={"sha256"})


@router.get(
    "",
    response_model=shapes.Page[shapes.Key],
    summary="List API keys",
    responses=responses(Forbidden, NotFound, Unavailable),
)
def read_all(
    caller: Admin, ports: Ports, project_id: OfProject = None, limit: Limit = 50, cursor: Cursor = None
) -> shapes.Page[shapes.Key]:
    """Those of the project, revoked ones too, newest first; never the keys themselves."""
    with ports.transaction() as session:
        whose = reached(session, caller, project_id)
        page = pages.page_of(f"keys of {whose}", limit, cursor)
        found = select(ApiKey).where(col(ApiKey.project_id) == whose).order_by(col(ApiKey.id).desc()).limit(page.fetch)
        if page.after is not None:
            found = found.where(col(ApiKey.id) < page.after)
        rows = session.execute(found).scalars().all()
    has_more = len(rows) > limit
    return shapes.Page[shapes.Key](
        data=[shapes.Key.model_validate(_fields(row)) for row in rows[:limit]],
        has_more=has_more,
        next_cursor=page.cursor(rows[limit - 1].id) if has_more else None,
    )


@router.delete(
    "/{key_id}",
    response_model=shapes.Key,
    summary="Revoke an API key",
    responses=responses(Forbidden, NotFound, Unavailable),
)
def revoke(key_id: str, caller: Admin, ports: Ports, project_id: OfProject = None) -> shapes.Key:
    """From now on nobody can use it; again is the same as once.  Its row stays, so that old answers can be read."""
    with ports.transaction() as session:
        whose = reached(session, caller, project_id)
        row = session.execute(
            update(ApiKey)
            .where(col(ApiKey.id) == wanted_id("key", key_id), col(ApiKey.project_id) == whose)
            .values(revoked_at=func.coalesce(col(ApiKey.revoked_at), func.now()))
            .returning(ApiKey)
        ).scalar_one_or_none()
        if row is None:
            raise missing("API key", key_id)
        return shapes.Key.model_validate(_fields(row))
