"""The application: routes, the door around them, and what is answered where nobody answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from deploy.sandbox import door, parts, responses
from deploy.sandbox.door import Door
from deploy.sandbox.parts import Options
from deploy.sandbox.replies import Refused, Reply, openai_error
from deploy.sandbox.routes import (
    account,
    audio,
    chat,
    claude,
    control,
    files,
    gemini,
    images,
    midjourney,
    vectors,
    videos,
)
from deploy.sandbox.routes.responses import router as responses_router


def create_app(options: Options) -> ASGIApp:
    house = parts.build(options)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        house.studio.close()

    app = FastAPI(title="Darkroom sandbox gateway", lifespan=life, redirect_slashes=False)
    app.state.parts = house
    for routes in (account, audio, chat, claude, control, files, gemini, images, midjourney, vectors, videos):
        app.include_router(routes.router)
    app.include_router(responses_router)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(Exception, _panic)
    return Door(app)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _answer(request, error.reply)


async def _unknown(request: Request, error: Exception) -> Response:
    """A wrong path and a wrong method are the same to new-api (images 2.2); the rest is a body that it cannot read."""
    assert isinstance(error, HTTPException)
    if error.status_code not in (404, 405):
        return _answer(request, openai_error(error.status_code, "", str(error.detail)))
    message = f"Invalid URL ({request.method} {request.url.path})"
    return _answer(request, openai_error(404, "", message, type_="invalid_request_error"))


async def _not_understood(request: Request, error: Exception) -> Response:
    """A control route was asked for something that it does not know."""
    assert isinstance(error, RequestValidationError)
    return _answer(
        request, Reply(400, {"error": {"message": str(error.errors()), "type": "sandbox", "code": "sandbox"}})
    )


async def _panic(request: Request, error: Exception) -> Response:
    return _answer(request, openai_error(500, "", f"Panic detected, error: {error!r}", type_="new_api_panic"))


def _answer(request: Request, reply: Reply) -> Response:
    return responses.write(reply, door.visit(request).request_id)
