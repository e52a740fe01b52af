"""Around every request: its id, its line in the log, its figures, and a problem if it raises."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems

log = structlog.get_logger(__name__)

ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
"""What a caller may choose as `X-Request-Id`; anything else is replaced."""
BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
UNROUTED: Final = "unknown"
"""In place of addresses that lead nowhere: their number has no bound."""
QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines; told at debug only."""


class Requests:
    """How many requests of each kind were answered, and how long that took; of this process alone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "darkroom_http_request_seconds",
            "Time until a request was answered whole, by route and status.",
            ("method", "route", "status"),
            buckets=BUCKETS_S,
            registry=registry,
        )

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        self._seconds.labels(method, route, str(status)).observe(seconds)


class Access:
    """The outermost of ours: whatever is raised inside becomes an answer, with the id under which the log has it."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self.app = app
        self.requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began_at = time.monotonic()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if status:
                log.exception("api.broken_off", status=status)
                raise
            response = problems.of(error, request_id)
            if response is None:
                log.exception("api.failed", method=scope["method"], route=_route(scope))
                response = problems.of_bug(request_id)
            await response(scope, receive, sending)
        finally:
            self._tell(scope, status, time.monotonic() - began_at)
            structlog.contextvars.unbind_contextvars("request_id")

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route(scope)
        self.requests.add(scope["method"], route, status, seconds)
        say = log.debug if scope["path"] in QUIET else log.info
        say(
            "api.answered",
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            **_who(scope),
        )


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if ID.fullmatch(given) else uuid.uuid4().hex


def _route(scope: Scope) -> str:
    """The template of the address, never the address itself: it may name what is secret, and there are too many."""
    return getattr(scope.get("route"), "path", UNROUTED)


def _who(scope: Scope) -> dict[str, Any]:
    caller = scope["state"].get("caller")
    return {} if caller is None else {"project_id": caller.project_id, "key_id": caller.key_id}
