"""What an address can be asked: HEAD wherever it knows GET, and `Allow` with all that it knows.

FastAPI gives each route its one method, so HEAD would be refused, and a refusal would name the first route alone
(RFC 9110, 9.3.2 and 15.5.6).
"""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI, Request
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
IS_HEAD: Final = "darkroom.is_head"


class Heads:
    """Asks the route of GET for what HEAD wants to know; the server sends the head of that answer alone."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        # A copy: by the method of its own scope the server knows that no body may follow.
        asked = {**scope, "method": "GET", IS_HEAD: True}
        try:
            await self.app(asked, receive, send)
        finally:
            scope["route"] = asked.get("route")  # for the log and the figures


def is_head(request: Request) -> bool:
    """Whether nobody will see the body of the answer."""
    return bool(request.scope.get(IS_HEAD))


def allowed(request: Request) -> str:
    """The value of `Allow` for the address of a request."""
    app = request.scope["app"]
    assert isinstance(app, FastAPI)
    place = {"type": "http", "path": request.scope["path"], "root_path": request.scope.get("root_path", "")}
    routed = {method: "GET" if method == "HEAD" else method for method in METHODS}
    return ", ".join(
        method
        for method, asked in routed.items()
        if any(route.matches({**place, "method": asked})[0] is Match.FULL for route in app.routes)
    )
