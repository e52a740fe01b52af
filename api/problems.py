"""Every error as RFC 9457 `application/problem+json`.  The only place that knows HTTP statuses of errors.

    {type, title, status, detail, code, errors?: [{pointer, detail}], request_id}

`code` is stable and for programs, `detail` a sentence for people.  A pointer is a JSON pointer into the body
(`/params/seconds`); what came otherwise is named by where it stood (`/query/limit`, `/header/Idempotency-Key`).
"""

from __future__ import annotations

import difflib
import http
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from api import inbound, methods
from shared import errors
from shared.catalog import wording
from shared.catalog.wording import Wrong
from shared.errors import CallerError, FieldError, InvalidRequest

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

STATUS: Final[Mapping[type[CallerError], int]] = {
    errors.InvalidRequest: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PayloadTooLarge: 413,
    errors.KeyReused: 422,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
}
TITLE: Final[Mapping[str, str]] = {
    "invalid_request": "The request is not valid",
    "unauthorized": "A valid API key is needed",
    "forbidden": "The API key may not do this",
    "not_found": "There is no such thing",
    "conflict": "The state of things does not allow this",
    "payload_too_large": "The body is too large",
    "idempotency_key_reused": "This Idempotency-Key belongs to another request",
    "rate_limited": "Too many requests",
    "unavailable": "A part of Darkroom is down",
    "method_not_allowed": "The address knows no such method",
    "range_not_satisfiable": "There are no such bytes",
    "internal": "An error of ours",
}
CODE_OF_STATUS: Final[Mapping[int, str]] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    416: "range_not_satisfiable",
    429: "rate_limited",
    503: "unavailable",
}
"""For errors of the framework, which only have a status."""

RETRY_UNAVAILABLE_S: Final = 5


class ProblemField(BaseModel):
    """One field that is wrong."""

    pointer: str = Field(examples=["/params/seconds"])
    detail: str = Field(examples=["seconds must be 4, 8 or 12, not 9 (model sora-2)"])


class Problem(BaseModel):
    """An error, as RFC 9457 shapes it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str = Field(examples=["urn:darkroom:problem:invalid_request"])
    title: str
    status: int = Field(examples=[400])
    detail: str
    """A sentence for people."""
    code: str = Field(examples=["invalid_request"])
    """Stable, for programs."""
    errors: list[ProblemField] = []
    """Left out where no single field is to blame."""
    request_id: str
    """The same as in `X-Request-Id`, and in the log."""


def answer(
    request_id: str,
    code: str,
    status: int,
    detail: str,
    fields: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body: dict[str, Any] = {
        "type": f"urn:darkroom:problem:{code}",
        "title": TITLE.get(code, http.HTTPStatus(status).phrase),
        "status": status,
        "detail": detail,
        "code": code,
    }
    if status == 413:
        headers = {**(headers or {}), "Connection": "close"}  # or we would have to read the rest of it
    if fields:
        body["errors"] = [{"pointer": field.pointer, "detail": field.detail} for field in fields]
    return JSONResponse({**body, "request_id": request_id}, status, headers, media_type=MEDIA_TYPE)


def of(error: Exception, request_id: str) -> JSONResponse | None:
    """The answer to an error that can happen on a good day; None for a bug of ours."""
    if isinstance(error, CallerError):
        return _of_caller(error, request_id)
    if isinstance(error, errors.StorageUnavailable):
        return _unavailable("the object store does not answer", error, request_id)
    if isinstance(error, PoolTimeout | OperationalError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    ):
        return _unavailable("the database does not answer", error, request_id)
    if isinstance(error, HTTPException):
        code = CODE_OF_STATUS.get(error.status_code, "invalid_request")
        return answer(request_id, code, error.status_code, str(error.detail), headers=error.headers)
    return None


def of_bug(request_id: str) -> JSONResponse:
    return answer(request_id, "internal", 500, f"something went wrong on our side; the log has it under {request_id}")


def _of_caller(error: CallerError, request_id: str) -> JSONResponse:
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="darkroom"'
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return answer(request_id, error.code, status, error.detail, error.errors, headers)


def _unavailable(detail: str, error: Exception, request_id: str) -> JSONResponse:
    log.info("api.unavailable", request_id=request_id, detail=detail, error=type(error).__name__)
    return _of_caller(errors.Unavailable(detail, retry_after_s=RETRY_UNAVAILABLE_S), request_id)


def register(app: FastAPI) -> None:
    """Let the framework's own errors and ours leave an endpoint as problems; what is unexpected goes on rising."""

    async def expected(request: Request, error: Exception) -> JSONResponse:
        response = of(error, request.state.request_id)
        if response is None:
            raise error
        if response.status_code == 405:
            response.headers["Allow"] = methods.allowed(request)
        return response

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        route = request.scope.get("route")
        body = getattr(getattr(route, "body_field", None), "field_info", None)
        fields = fields_of(error.errors(), error.body, getattr(body, "annotation", None))
        return _of_caller(InvalidRequest(summary(fields), tuple(fields)), request.state.request_id)

    for kind in (CallerError, errors.StorageUnavailable, PoolTimeout, DBAPIError, HTTPException):
        app.add_exception_handler(kind, expected)
    app.add_exception_handler(RequestValidationError, invalid)


def summary(fields: Sequence[FieldError]) -> str:
    told = [f"{field.pointer or 'the body'}: {field.detail}" for field in fields]
    return told[0] if len(told) == 1 else f"{len(told)} fields are wrong: {'; '.join(told)}"


def fields_of(found: Sequence[Mapping[str, Any]], body: Any, annotation: Any) -> list[FieldError]:
    """Pydantic's errors, named where the caller wrote what is wrong.

    Args:
        body: what was sent, as JSON holds it.
        annotation: the type that it should have.
    """
    elsewhere = [item for item in found if item["loc"][0] != "body"]
    inside = [{**item, "loc": item["loc"][1:]} for item in found if item["loc"][0] == "body"]
    return [
        *(FieldError(_pointer(item["loc"]), wording.told([{**item, "loc": ()}], None)[0].told) for item in elsewhere),
        *(_field_of(wrong, annotation) for wrong in wording.told(inside, body)),
    ]


def _field_of(wrong: Wrong, annotation: Any) -> FieldError:
    pointer = _pointer(wrong.path)
    if wrong.kind == "extra_forbidden":
        known = _known_fields(annotation, wrong.path[:-1])
        return FieldError(pointer, f"there is no such field{nearest(str(wrong.path[-1]), known)}")
    if wrong.kind == "missing" and not wrong.path:
        return FieldError(pointer, "a JSON body is needed (Content-Type: application/json)")
    return FieldError(pointer, wrong.told)


def _pointer(path: Sequence[str | int]) -> str:
    return "".join(f"/{inbound.escaped(step)}" for step in path)


def _known_fields(annotation: Any, path: Sequence[str | int]) -> list[str]:
    """The names of fields that the type at `path` inside this one knows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
        return _known_fields(fields.get(str(path[0])), path[1:]) if path else list(fields)
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) in (list, dict):
        return _known_fields(inner[-1], path[1:]) if path else []
    if typing.get_origin(annotation) is typing.Annotated:
        return _known_fields(inner[0], path)
    return [name for member in inner for name in _known_fields(member, path)]  # of a union, or of nothing


def nearest(name: str, known: Sequence[str]) -> str:
    """`; did you mean …?`, or nothing."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def responses(*kinds: type[CallerError]) -> dict[int | str, dict[str, Any]]:
    """What a route may answer besides its success, for its OpenAPI entry; 400 and 401 go without saying."""
    told: dict[int | str, dict[str, Any]] = {}
    asked: tuple[type[CallerError], ...] = (errors.InvalidRequest, errors.Unauthorized, *kinds)
    for kind in asked:
        code, status = kind.code, STATUS[kind]
        example = {
            "type": f"urn:darkroom:problem:{code}",
            "title": TITLE[code],
            "status": status,
            "detail": EXAMPLE.get(code, TITLE[code]),
            "code": code,
            "request_id": "0197a1f5c2a47c1b9f0e6d1c5b7a3e42",
        }
        told[status] = {
            "description": TITLE[code],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
        }
    return told


EXAMPLE: Final[Mapping[str, str]] = {
    "invalid_request": "/params/seconds: seconds must be 4, 8 or 12, not 9 (model sora-2)",
    "unauthorized": "this API key is not known, or was revoked",
    "forbidden": "this needs a key with the scope write",
    "not_found": "there is no job job_01k8f0v4kge8yrbx6m4v0h2z9c",
    "conflict": "the job is succeeded; only a job that is not finished can be canceled",
    "payload_too_large": "a file may have at most 104857600 bytes (100 MiB)",
    "idempotency_key_reused": "this Idempotency-Key was used for another request",
    "unavailable": "the object store does not answer",
}
