"""The door: every call gets a request id, and shows a key where one is needed."""

from __future__ import annotations

import asyncio
import re
import secrets
import string
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, cast

from fastapi import Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.sandbox import parts
from deploy.sandbox.replies import Refused, openai_error

REQUEST_ID: Final = "X-Oneapi-Request-Id"


@dataclass(frozen=True)
class Visit:
    """One call, as the door saw it."""

    request_id: str
    arrived_at: float
    """Epoch seconds when its headers were read."""
    transport: asyncio.Transport | None


class Door:
    """ASGI around the whole application: makes the visit, and names it in the answer's headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Uvicorn hands out a bound method of the object that owns the connection.
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        visit = scope["sandbox"] = Visit(_request_id(), time.time(), transport)

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = visit.request_id
            await send(message)

        await self._app(scope, receive, send_named)


def visit(request: Request) -> Visit:
    return cast(Visit, request.scope["sandbox"])


async def counted(request: Request) -> None:
    """Count the call by the name of its route."""
    parts.of(request).traffic.calls[request.scope["route"].name] += 1


async def key(request: Request) -> str:
    """The caller's key, shortened so that it may be written down.

    Raises:
        Refused: 401 in envelope A, whatever the route (videos 1.4).
    """
    shown = _shown(request)
    if not shown:
        raise Refused(openai_error(401, "", "未提供令牌"))
    known = parts.of(request).options.keys
    if not any(secrets.compare_digest(shown.encode(), _bare(one).encode()) for one in known):
        raise Refused(openai_error(401, "", "无效的令牌"))
    return f"…{shown[-4:]}"


Key = Annotated[str, Depends(key)]


def _shown(request: Request) -> str:
    """The key in `Authorization`, on `/mj` also in `mj-api-secret`, without its decorations."""
    word = _bare(request.headers.get("authorization", ""))
    if word in ("", "midjourney-proxy") and "/mj/" in request.url.path:
        word = _bare(request.headers.get("mj-api-secret", ""))
    return word


def _bare(word: str) -> str:
    return re.sub(r"^(bearer\s+)?(sk-)?", "", word.strip(), flags=re.IGNORECASE)


def _request_id() -> str:
    """A time stamp and eight random letters, as new-api writes them."""
    letters = "".join(secrets.choice(string.ascii_letters) for _ in range(8))
    return datetime.now(UTC).strftime("%Y%m%d%H%M%S%f") + "000" + letters
