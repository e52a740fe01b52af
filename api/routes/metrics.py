"""`/metrics`, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.deps import Reader
from api.problems import responses
from shared.errors import Unavailable

router = APIRouter(tags=["operations"])


@router.get(
    "/metrics",
    response_class=Response,
    summary="Metrics",
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text format"},
        **responses(Unavailable),
    },
)
def read(request: Request, _: Reader) -> Response:
    """Jobs by state and lane, lags, gateway calls, stored bytes, requests of this process.  Needs a key."""
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)
