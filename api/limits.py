"""Bounds on what comes in, held before anything reads it (reliability 4.2).

A body that says it is too large is refused unread; one that does not say is cut where it becomes too large.
JSON is read here, checked once, and handed on whole.
"""

from __future__ import annotations

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import inbound
from shared.errors import InvalidRequest, NotFound, PayloadTooLarge
from shared.settings import Settings

UPLOADS: Final = frozenset({"/v1/assets"})
"""Addresses that take a file as multipart; all others take JSON alone."""
FRAME_BYTES: Final = 64 * 2**10
"""What boundaries and part headers may add to an uploaded file."""
THREAD_FROM_BYTES: Final = 64 * 2**10
"""Larger JSON is checked in a thread, so that others need not wait for it."""


class Limits:
    """Counts the bytes of each body, and lets nothing odd through."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if "\x00" in scope["path"]:
            raise NotFound("there is nothing at this address")
        if b"%00" in scope["query_string"]:
            raise InvalidRequest("the query holds a NUL character")
        headers = MutableHeaders(scope=scope)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        is_upload = scope["path"] in UPLOADS and kind == "multipart/form-data"
        limit = self.settings.upload_limit_bytes if is_upload else self.settings.json_limit_bytes
        told = too_large(limit, "a file" if is_upload else "a JSON body")
        frame = FRAME_BYTES if is_upload else 0
        announced = headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > limit + frame:
            raise told
        bounded = counted(receive, limit + frame, told)
        if not is_upload:
            bounded = await self._json(kind, headers, bounded, scope["path"] in UPLOADS)
        await self.app(scope, bounded, send)

    async def _json(self, kind: str, headers: MutableHeaders, receive: Receive, takes_files: bool) -> Receive:
        body = await read(receive)
        if body:
            if not kind:
                headers["content-type"] = "application/json"
            elif kind != "application/json" and not kind.endswith("+json"):
                wanted = "a file as multipart/form-data, or JSON" if takes_files else "JSON"
                raise InvalidRequest(f"the body must be {wanted} (Content-Type: application/json), not {kind[:80]}")
            await run_in_threadpool(inbound.read, body) if len(body) > THREAD_FROM_BYTES else inbound.read(body)
        return replayed(body, receive)


def too_large(limit_bytes: int, what: str = "a file") -> PayloadTooLarge:
    return PayloadTooLarge(f"{what} may have at most {limit_bytes} bytes ({limit_bytes / 2**20:.3g} MiB)")


def counted(receive: Receive, limit_bytes: int, told: PayloadTooLarge) -> Receive:
    """The same messages, until there are more bytes than allowed."""
    size_bytes = 0

    async def bounded() -> Message:
        nonlocal size_bytes
        message = await receive()
        size_bytes += len(message.get("body", b""))
        if size_bytes > limit_bytes:
            # FastAPI lets this one through from wherever it reads a body.
            raise HTTPException(413, str(told))
        return message

    return bounded


async def read(receive: Receive) -> bytes:
    """A whole body.  A caller that hung up gets what it sent; nobody will see the answer."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def replayed(body: bytes, receive: Receive) -> Receive:
    """The body as one message, then what comes after it."""
    is_read = False

    async def again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
