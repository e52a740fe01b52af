"""Assets: inputs that users upload, or let us fetch."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import unquote, urlsplit

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from sqlalchemy import delete, func, select
from sqlmodel import Session, col
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from api import idempotency, inbound, limits, pages, problems, shapes
from api.auth import Caller
from api.deps import Cursor, IdempotencyKey, Limit, Ports, Reader, Writer, missing, wanted_id
from api.idempotency import Ticket
from api.jobs import inputs, showing
from api.ports import AppPorts
from api.problems import responses
from shared import ids, media, storage
from shared.errors import (
    Conflict,
    FetchFailed,
    FieldError,
    Forbidden,
    InvalidRequest,
    KeyReused,
    NotFound,
    PayloadTooLarge,
    StorageUnavailable,
    Unavailable,
    UnsafeAddress,
    WrongMedia,
)
from shared.tables import Asset

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/v1/assets", tags=["assets"])

FETCH_S: Final = 60.0
"""Longest fetch of an input by address."""
COPY_BYTES: Final = 2**20
TAKEN: Final[tuple[media.Kind, ...]] = ("image", "video", "audio", "document")
"""What operations take as inputs; anything else would be kept for nothing."""
WANTED: Final = "taken are whole pictures, films, sounds and PDFs"
NEEDED: Final = 'a file is needed (multipart/form-data, field file), or JSON with its address: {"url": "https://…"}'

BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/json": {"schema": shapes.AssetFromUrl.model_json_schema()},
        },
    }
}


@dataclass(frozen=True)
class InHand:
    """An input's bytes, in a file of ours, before anybody has looked at them."""

    path: Path
    pointer: str
    """Where the caller named it."""
    filename: str
    content: dict[str, str]
    """What tells one request from another: the hash of the bytes, or the address."""


@router.post(
    "",
    status_code=201,
    response_model=shapes.Asset,
    summary="Upload an input",
    openapi_extra=BODY,
    responses=responses(Forbidden, Conflict, PayloadTooLarge, KeyReused, Unavailable),
)
async def create(request: Request, caller: Writer, ports: Ports, idempotency_key: IdempotencyKey = None) -> Response:
    """A picture, a film, sound or a PDF: a file as multipart, or `{"url": …}` to be fetched.

    The type is what the bytes say.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        url = _read_url(await request.body())
        return await run_in_threadpool(_from_url, url, caller, request, idempotency_key, ports)
    try:
        async with request.form(max_files=1, max_fields=1, max_part_size=1024) as form:
            upload = _read_form(list(form.multi_items()))
            return await run_in_threadpool(_from_upload, upload, caller, request, idempotency_key, ports)
    except HTTPException as error:
        if error.status_code != 400:
            raise
        raise InvalidRequest(f"the multipart body cannot be read: {error.detail}") from None


def _read_url(body: bytes) -> str:
    if not body:
        raise InvalidRequest(NEEDED, (FieldError("", NEEDED),))
    given = inbound.read(body)
    try:
        return shapes.AssetFromUrl.model_validate(given).url
    except ValidationError as error:
        found = [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        fields = tuple(problems.fields_of(found, given, shapes.AssetFromUrl))
        raise InvalidRequest(problems.summary(fields), fields) from None


def _read_form(parts: list[tuple[str, UploadFile | str]]) -> UploadFile:
    for name, _ in parts:
        if name != "file":
            raise _wrong(f"/{name[:80]}", f"there is no such field{problems.nearest(name, ['file'])}")
    for _, value in parts:
        if isinstance(value, UploadFile):
            return value
    raise _wrong("/file", "is needed: a file, as multipart/form-data")


def _wrong(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer}: {detail}", (FieldError(pointer, detail),))


def _from_upload(upload: UploadFile, caller: Caller, request: Request, key: str | None, ports: AppPorts) -> Response:
    with _room() as folder:
        path = folder / "upload"
        sha256 = _copy(upload.file, path, ports.settings.upload_limit_bytes)
        in_hand = InHand(path, "/file", safe_name(upload.filename or ""), {"file": sha256})
        ticket = idempotency.ticket(caller.project_id, key, request.method, request.url.path, in_hand.content)
        return _replay(ticket, ports) or _keep(in_hand, caller, ticket, ports)


def _from_url(url: str, caller: Caller, request: Request, key: str | None, ports: AppPorts) -> Response:
    ticket = idempotency.ticket(caller.project_id, key, request.method, request.url.path, {"url": url})
    replayed = _replay(ticket, ports)
    if replayed is not None:
        return replayed
    told = inputs.wrong_address(url, ports.outbound)
    if told is not None:
        raise _wrong("/url", told)
    with _room() as folder:
        path = folder / "upload"
        try:
            ports.outbound.fetch(url, path, ports.settings.upload_limit_bytes, FETCH_S)
        except UnsafeAddress as error:
            raise _wrong("/url", str(error)) from error
        except FetchFailed as error:
            if error.too_large:
                raise limits.too_large(ports.settings.upload_limit_bytes) from error
            raise _wrong("/url", f"could not be fetched: {error}") from error
        name = unquote(urlsplit(url).path.rpartition("/")[2])
        return _keep(InHand(path, "/url", safe_name(name), {"url": url}), caller, ticket, ports)


@contextmanager
def _room() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="darkroom-asset-") as folder:
        yield Path(folder)


def _copy(file: BinaryIO, to: Path, limit_bytes: int) -> str:
    """Its SHA-256, hexadecimal."""
    digest, size_bytes = hashlib.sha256(), 0
    file.seek(0)
    with to.open("wb") as copy:
        while chunk := file.read(COPY_BYTES):
            size_bytes += len(chunk)
            if size_bytes > limit_bytes:
                raise limits.too_large(limit_bytes)
            digest.update(chunk)
            copy.write(chunk)
    return digest.hexdigest()


def safe_name(name: str) -> str:
    """A file name to be shown: the last step of a path, without what does not print."""
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "", last)[:255].strip()


def _replay(ticket: Ticket | None, ports: AppPorts) -> Response | None:
    with ports.transaction() as session:
        kept = idempotency.find(session, ticket)
    return kept.response() if kept is not None else None


def _keep(in_hand: InHand, caller: Caller, ticket: Ticket | None, ports: AppPorts) -> Response:
    """Look at it, upload it, then write its row: an object without a row is litter, a row without an object a lie."""
    facts = _look(in_hand, ports)
    asset_id = ids.new("asset")
    row = _row(asset_id, caller.project_id, in_hand, facts)
    ports.store.put_file(row["object_key"], in_hand.path, facts.content_type, {"asset": asset_id})
    try:
        with ports.transaction() as session:
            kept = idempotency.enter(session, ticket)
            if kept is None:
                return _record(session, row, ticket)
    except Exception:
        _discard(row["object_key"], ports)
        raise
    _discard(row["object_key"], ports)
    return kept.response()


def _look(in_hand: InHand, ports: AppPorts) -> media.Media:
    """
    Raises:
        InvalidRequest: no operation takes such a thing.
    """
    try:
        facts = media.inspect(in_hand.path, ports.settings.image_limit_pixels)
    except WrongMedia as error:
        raise _wrong(in_hand.pointer, f"is {error}; {WANTED}") from error
    if facts.kind not in TAKEN:
        raise _wrong(in_hand.pointer, f"is {media.ARTICLE[facts.kind]} ({facts.content_type}); {WANTED}")
    return facts


def _row(asset_id: str, project_id: str, in_hand: InHand, facts: media.Media) -> dict[str, Any]:
    with in_hand.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "id": asset_id,
        "project_id": project_id,
        "filename": in_hand.filename or f"upload.{facts.extension}",
        "kind": facts.kind,
        "content_type": facts.content_type,
        "size_bytes": in_hand.path.stat().st_size,
        "sha256": sha256,
        "width": facts.width,
        "height": facts.height,
        "duration_seconds": facts.duration_seconds,
        "object_key": storage.asset_key(project_id, asset_id, facts.extension),
    }


def _record(session: Session, row: dict[str, Any], ticket: Ticket | None) -> Response:
    made = Asset(**row, created_at=session.execute(select(func.now())).scalar_one())
    session.add(made)
    shown = show(made).model_dump(mode="json")
    location = f"/v1/assets/{made.id}"
    idempotency.keep(session, ticket, 201, shown, location)
    return JSONResponse(shown, 201, {"Location": location})


def _discard(key: str, ports: AppPorts) -> None:
    """Nobody will name this object."""
    try:
        ports.store.delete(key)
    except StorageUnavailable:
        log.info("api.litter", object_key=key)


@router.get("", response_model=shapes.Page[shapes.Asset], summary="List assets", responses=responses(Unavailable))
def read_all(caller: Reader, ports: Ports, limit: Limit = 50, cursor: Cursor = None) -> shapes.Page[shapes.Asset]:
    """Those of the key's project, newest first."""
    page = pages.page_of(f"assets of {caller.project_id}", limit, cursor)
    found = (
        select(Asset).where(col(Asset.project_id) == caller.project_id).order_by(col(Asset.id).desc()).limit(page.fetch)
    )
    if page.after is not None:
        found = found.where(col(Asset.id) < page.after)
    with ports.transaction() as session:
        rows = session.execute(found).scalars().all()
    has_more = len(rows) > limit
    return shapes.Page[shapes.Asset](
        data=[show(row) for row in rows[:limit]],
        has_more=has_more,
        next_cursor=page.cursor(rows[limit - 1].id) if has_more else None,
    )


@router.get(
    "/{asset_id}", response_model=shapes.Asset, summary="Show an asset", responses=responses(NotFound, Unavailable)
)
def read(asset_id: str, caller: Reader, ports: Ports) -> shapes.Asset:
    """What is known of an uploaded input."""
    return show(_own(asset_id, caller, ports))


def _own(asset_id: str, caller: Caller, ports: AppPorts) -> Asset:
    with ports.transaction() as session:
        row = session.get(Asset, wanted_id("asset", asset_id))
    if row is None or row.project_id != caller.project_id:
        raise missing("asset", asset_id)
    return row


@router.delete(
    "/{asset_id}",
    status_code=204,
    response_class=Response,
    summary="Delete an asset",
    responses=responses(Forbidden, NotFound, Unavailable),
)
def remove(asset_id: str, caller: Writer, ports: Ports) -> Response:
    """With its bytes.  A job that names it and has not been submitted yet will fail; what is submitted goes on."""
    row = _own(asset_id, caller, ports)
    # The bytes first: if the object store is down, the row still says where they are, and the caller may try again.
    ports.store.delete(row.object_key)
    with ports.transaction() as session:
        session.execute(delete(Asset).where(col(Asset.id) == row.id))
    return Response(status_code=204)


def show(row: Asset) -> shapes.Asset:
    return shapes.Asset(id=row.id, filename=row.filename, created_at=row.created_at, **showing.measured(row))
