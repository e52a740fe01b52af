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
    Query(
        max_length=64,
        description="Another project than the key's own: for admins of the first project, the operator's.",
        examples=[shapes.PROJECT_ID],
    ),
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


@router.get(
    "/{key_id}",
    response_model=shapes.Key,
    summary="Show an API key",
    responses=responses(Forbidden, NotFound, Unavailable),
)
def read(key_id: str, caller: Admin, ports: Ports) -> shapes.Key:
    """What is known of it, never the key itself.  The operator's admins see those of all projects."""
    with ports.transaction() as session:
        return shapes.Key.model_validate(_fields(_reached_key(session, caller, key_id)))


def _reached_key(session: Session, caller: Caller, key_id: str) -> ApiKey:
    """
    Raises:
        NotFound: there is none, or it is of a project that the caller does not reach.
    """
    row = session.get(ApiKey, wanted_id("key", key_id))
    if row is None or (row.project_id != caller.project_id and not is_operator(session, caller)):
        raise missing("API key", key_id)
    return row


@router.delete(
    "/{key_id}",
    response_model=shapes.Key,
    summary="Revoke an API key",
    responses=responses(Forbidden, NotFound, Conflict, Unavailable),
)
def revoke(key_id: str, caller: Admin, ports: Ports) -> shapes.Key:
    """From now on nobody can use it; again is the same as once.  Its row stays, so that old answers can be read.

    The operator's admins revoke those of all projects.  The last admin key of your own project cannot be revoked.
    """
    with ports.transaction() as session:
        row = _reached_key(session, caller, key_id)
        if row.project_id == caller.project_id and row.revoked_at is None and Scope.ADMIN in row.scopes:
            _check_that_another_is_left(session, row)
        revoked = session.execute(
            update(ApiKey)
            .where(col(ApiKey.id) == row.id)
            .values(revoked_at=func.coalesce(col(ApiKey.revoked_at), func.now()))
            .returning(ApiKey)
            .execution_options(populate_existing=True)
        ).scalar_one()
        return shapes.Key.model_validate(_fields(revoked))


def _check_that_another_is_left(session: Session, row: ApiKey) -> None:
    """Whoever is left without an admin key can make no other.

    Raises:
        Conflict: it is the last one.
    """
    admins = session.execute(
        select(col(ApiKey.id))
        .where(
            col(ApiKey.project_id) == row.project_id,
            col(ApiKey.scopes).contains([Scope.ADMIN.value]),
            col(ApiKey.revoked_at).is_(None),
        )
        .order_by(col(ApiKey.id))  # one order for all, so that two who revoke each other's key do not deadlock
        .with_for_update()
    ).scalars()
    if list(admins) == [row.id]:
        raise Conflict("this is the last admin key of the project; make another one first, or nobody can make keys")
