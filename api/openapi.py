"""The OpenAPI document: what FastAPI makes of the routes, with our errors in place of its own."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import Problem

DESCRIPTION: Final = """
Jobs go in, and come out as files in your object store: pictures, films, sounds.  A job that was answered with 201
survives any crash, and no attempt is paid for twice.

Authenticate with `Authorization: Bearer dk_…`.  Ids are TypeIDs, times are UTC (RFC 3339), sizes are bytes, durations
seconds, money USD as a decimal string.  Lists are newest first: follow `next_cursor`.  Errors are
`application/problem+json` (RFC 9457) with a stable `code`; every answer has an `X-Request-Id`.  Every POST that
creates something takes an `Idempotency-Key`.
"""


def installed_version() -> str:
    try:
        return version("darkroom")
    except PackageNotFoundError:
        return "0.0.0"  # run from a folder that was not installed


def install(app: FastAPI) -> None:
    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _made(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _made(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=[{"name": name, "description": told} for name, told in TAGS.items()],
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for ours in ("HTTPValidationError", "ValidationError"):
        schemas.pop(ours, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for path in made["paths"].values():
        for operation in path.values():
            _without_framework_error(operation)
    return made


def _without_framework_error(operation: dict[str, Any]) -> None:
    """FastAPI says that it answers 422; what is invalid is 400 here, and 422 an `Idempotency-Key` that was used."""
    told = operation.get("responses", {}).get("422", {})
    if "application/json" in told.get("content", {}):
        del operation["responses"]["422"]


TAGS: Final = {
    "jobs": "Requests for media.",
    "artifacts": "Stored results.",
    "assets": "Uploaded inputs.",
    "models": "The catalog.",
    "lanes": "Limits that jobs share.",
    "gateway": "What is left there.",
    "usage": "What a project used.",
    "api keys": "Who may do what.",
    "projects": "Walls between users.",
    "operations": "For those who run Darkroom.",
}
