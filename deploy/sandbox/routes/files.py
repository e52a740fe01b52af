"""Hosted results under signed-looking addresses; no key, but the query must arrive as it was handed out."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from deploy.sandbox import calls, door, parts, serving
from deploy.sandbox.replies import Refused, Reply

router = APIRouter(dependencies=[Depends(door.counted)])

XML: str = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code></Error>'


@router.api_route("/files/{result_id}/{name}", methods=["GET", "HEAD"], name="files")
async def download(request: Request, result_id: str, name: str) -> Response:
    """A result's bytes, as its address asks for them."""
    house = parts.of(request)
    await calls.query(request, "system")
    result = house.shelf.find(result_id)
    if result is None:
        raise Refused(Reply(404, XML.format("NoSuchKey"), "application/xml"))
    if request.url.query != result.query:
        raise Refused(Reply(403, XML.format("SignatureDoesNotMatch"), "application/xml"))
    return await serving.serve(house, result)
