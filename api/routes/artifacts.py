"""Artifacts: what is known of a stored result, and its bytes."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from sqlmodel import Session
from starlette.exceptions import HTTPException

from api import methods, ranges, shapes
from api.auth import Caller
from api.deps import Ports, Reader, ToLinks, missing, wanted_id
from api.jobs import showing
from api.links import filename
from api.ports import AppPorts
from api.problems import MEDIA_TYPE, responses
from api.ranges import Unsatisfiable
from shared.errors import NotFound, ObjectMissing, Unavailable
from shared.storage import ByteRange, delivery_headers
from shared.tables import Artifact

router = APIRouter(prefix="/v1/artifacts", tags=["artifacts"])

BYTES: Final = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


@router.get(
    "/{artifact_id}",
    response_model=shapes.Artifact,
    summary="Show an artifact",
    responses=responses(NotFound, Unavailable),
)
def read(artifact_id: str, caller: Reader, ports: Ports, links: ToLinks) -> shapes.Artifact:
    """What is known of a stored result."""
    with ports.transaction() as session:
        row = _own(session, caller, artifact_id)
    return shapes.Artifact(
        id=row.id,
        index=row.index,
        job_id=row.job_id,
        created_at=row.created_at,
        **showing.measured(row),
        **links.to_artifact(row),
    )


def _own(session: Session, caller: Caller, artifact_id: str) -> Artifact:
    row = session.get(Artifact, wanted_id("artifact", artifact_id))
    if row is None or row.project_id != caller.project_id:
        raise missing("artifact", artifact_id)
    return row


CONTENT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The bytes, if they are streamed through here", **BYTES},
    206: {"description": "The bytes that `Range` asked for", **BYTES},
    302: {
        "description": "To a presigned address of the bytes",
        "headers": {"Location": {"schema": {"type": "string"}}},
    },
    304: {"description": "They are what `If-None-Match` says"},
    416: {
        "description": "There are no such bytes; `Content-Range` says how many there are",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
    **responses(NotFound, Unavailable),
}


@router.get("/{artifact_id}/content", response_class=Response, summary="Download an artifact", responses=CONTENT)
def read_content(artifact_id: str, request: Request, caller: Reader, ports: Ports, links: ToLinks) -> Response:
    """A redirect to the object store, or the bytes themselves, as the operator has set it.

    The address never changes.  Where the bytes are streamed, `Range` and `If-None-Match` are honoured.
    """
    with ports.transaction() as session:
        row = _own(session, caller, artifact_id)
    if ports.settings.artifact_delivery == "redirect":
        where = str(links.to_artifact(row)["download_url"])
        return RedirectResponse(where, 302, {"Cache-Control": "private, no-store"})
    return _streamed(row, request, ports)


def _streamed(row: Artifact, request: Request, ports: AppPorts) -> Response:
    etag = f'"{row.sha256}"'
    headers = {
        **delivery_headers(filename(row), row.content_type),
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, max-age=31536000, immutable",
    }
    if ranges.matches(request.headers.get("if-none-match"), etag):
        return Response(None, 304, headers)
    asked = request.headers.get("range")
    # A range of a head means nothing (RFC 9110, 14.2).
    if methods.is_head(request) or request.headers.get("if-range", etag) != etag:
        asked = None
    part = ranges.read(asked, row.size_bytes)
    if isinstance(part, Unsatisfiable):
        told = f"the artifact has {row.size_bytes} bytes, from 0 to {row.size_bytes - 1}"
        raise HTTPException(416, told, {"Content-Range": f"bytes */{row.size_bytes}", "Accept-Ranges": "bytes"})
    status, length = (200, row.size_bytes) if part is None else (206, ranges.length(part, row.size_bytes))
    headers["Content-Length"] = str(length)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.first}-{part.first + length - 1}/{row.size_bytes}"
    if methods.is_head(request):
        return Response(None, status, headers)
    return _body(row, part, status, headers, ports)


def _body(row: Artifact, part: ByteRange | None, status: int, headers: dict[str, str], ports: AppPorts) -> Response:
    try:
        opened = ports.store.open(row.object_key, part)
    except ObjectMissing:
        raise Unavailable("the bytes of this artifact are not where they should be") from None
    return StreamingResponse(iter(opened), status, headers)
