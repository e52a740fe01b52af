"""In place of the API, for the command line: answers by method and path, and what it was asked."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import httpx
from typer.testing import CliRunner

from api.cli import commands

PNG: Final = b"\x89PNG\r\n\x1a\n and the rest"
ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
JOB: Final[dict[str, Any]] = {
    "id": "job_1",
    "state": "succeeded",
    "model": "nano-banana",
    "operation": "image.generate",
    "prompt": "a boat",
    "progress": 100,
    "artifacts": [],
    "error": None,
    "created_at": "2026-11-20T09:14:03.218000Z",
    "finished_at": "2026-11-20T09:14:05.218000Z",
    "metadata": {},
}


class PretendApi:
    """Keeps the bodies that it was sent, and the addresses with their queries."""

    def __init__(self) -> None:
        self.answers: dict[str, httpx.Response | list[httpx.Response]] = {}
        """By method and path; of a list each answer is given once, in order."""
        self.bodies: list[Any] = []
        self.keys: list[str | None] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.keys.append(request.headers.get("idempotency-key"))
        is_json = request.headers.get("content-type") == "application/json"
        self.bodies.append(json.loads(request.read()) if is_json else request.read())
        answer = self.answers.get(f"{request.method} {request.url.path}")
        if isinstance(answer, list):
            return answer.pop(0)
        return answer if answer is not None else httpx.Response(404, json={"code": "not_found"})

    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.requests]


def page(*jobs: dict[str, Any], next_cursor: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={"data": jobs, "has_more": next_cursor is not None, "next_cursor": next_cursor})


def artifact(content: bytes = b"png", **more: Any) -> dict[str, Any]:
    whole = {"id": "artifact_1", "index": 0, "kind": "image", "content_type": "image/png", "bytes": len(content)}
    return {**whole, **more}


def run(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `darkroom …`."""
    result = CliRunner().invoke(commands.app, words, env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, ANSI.sub("", result.stdout), ANSI.sub("", result.stderr)
