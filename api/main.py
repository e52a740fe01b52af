"""The API: puts the pieces together, and does nothing itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from fastapi import Depends, FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware import Middleware

from api import deps, openapi, ports, problems
from api.access import Access, Requests
from api.auth import Authentication
from api.figures import DatabaseFigures
from api.jobs.waiting import Waiting
from api.limits import Limits
from api.methods import Heads
from api.ports import AppPorts
from api.readiness import Readiness
from api.routes import artifacts, assets, docs, gateway, health, jobs, keys, lanes, metrics, models, projects, usage
from shared.settings import Settings

ROUTES: Final = (jobs, artifacts, assets, models, lanes, gateway, usage, keys, projects, health, metrics, docs)


def create_app(settings: Settings, given: AppPorts | None = None) -> FastAPI:
    """One process's app.  Tests hand in their ports; they stay theirs to close."""
    registry = CollectorRegistry()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.ports = given or stack.enter_context(ports.opened(settings))
            app.state.waiting = Waiting(app.state.ports.transaction)
            await stack.enter_async_context(app.state.waiting.running())
            app.state.readiness = Readiness(app.state.ports)
            stack.callback(app.state.readiness.close)
            registry.register(DatabaseFigures(app.state.ports.transaction, app.state.ports.settings))
            yield

    app = FastAPI(
        title="Darkroom",
        version=openapi.installed_version(),
        summary="Prompts in, stored pictures, films and sounds out.",
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        dependencies=[Depends(deps.only_known_query)],
        # The outermost first: each sees only what those before it let through.
        middleware=[
            Middleware(Access, requests=Requests(registry)),
            Middleware(Authentication),
            Middleware(Limits, settings=settings),
            Middleware(Heads),
        ],
    )
    app.state.registry = registry
    problems.register(app)
    for routes in ROUTES:
        app.include_router(routes.router)
    openapi.install(app)
    return app
