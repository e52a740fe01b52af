"""Whether this process lives, and whether the parts that it needs answer."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from api import shapes
from api.readiness import Readiness

router = APIRouter(tags=["operations"])


@router.get("/", include_in_schema=False)
@router.get("/console", include_in_schema=False)
def read_root() -> Response:
    """Until there is a console, whoever looks for it finds what there is."""
    return RedirectResponse("/docs", 302)


@router.get("/healthz", response_model=shapes.Health, summary="Liveness")
async def read_health() -> shapes.Health:
    """This process answers.  Needs no key."""
    return shapes.Health()


@router.get(
    "/readyz",
    response_model=shapes.Readiness,
    summary="Readiness",
    responses={503: {"model": shapes.Readiness, "description": "At least one part does not answer; it says which"}},
)
async def read_readiness(request: Request) -> Response:
    """Database, broker and object store, each with its state; 503 unless all answer.  Needs no key."""
    readiness = request.app.state.readiness
    assert isinstance(readiness, Readiness)
    found = await readiness.read()
    return Response(
        found.model_dump_json(), 200 if found.status == "ok" else 503, {"Cache-Control": "no-store"}, "application/json"
    )
