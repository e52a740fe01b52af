"""What the client raises.

    ClientError
    ├── ApiError      the API answered with an error: its problem+json, whole
    ├── Unreachable   no answer of Darkroom's in time, tries included; what was asked may be asked again
    └── BadDownload   bytes that are not the artifact's: cut short, or another hash

Besides them only ValueError (an address or a key that cannot be one), TimeoutError (`jobs.wait`) and OSError (files).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx


class ClientError(Exception):
    """The root: catch this to catch all."""


class Unreachable(ClientError):
    """Nobody answered as Darkroom does, for as long as the client had patience."""


class BadDownload(ClientError):
    """A download that is not the artifact; no file is left behind."""


class ApiError(ClientError):
    """An answer that is an error.

    `problem` is the problem+json as it came (RFC 9457; empty if a proxy answered in its own words), `code` is
    stable and machine-readable, `errors` are the wrong fields as (JSON pointer, what is wrong).  `retry_after_s`
    is None where asking again is of no use, as far as the API knows.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: int | None = None) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        self.problem = problem
        self.code = str(problem.get("code") or f"http_{status}")
        self.detail = str(problem.get("detail") or problem.get("title") or f"the API answered {status}")
        self.errors = tuple(_field(each) for each in _listed(problem.get("errors")))
        request_id = problem.get("request_id")
        self.request_id = str(request_id) if request_id else None
        super().__init__(self.detail)

    @classmethod
    def of(cls, response: httpx.Response) -> ApiError:
        """From an answer whose body has been read."""
        try:
            problem = response.json()
        except ValueError:
            problem = None
        problem = dict(problem) if isinstance(problem, dict) else {}
        if request_id := response.headers.get("x-request-id"):
            problem.setdefault("request_id", request_id)
        return cls(response.status_code, problem, retry_after_s(response))


def retry_after_s(response: httpx.Response) -> int | None:
    """`Retry-After` in seconds; None if there is none, or a date."""
    asked = str(response.headers.get("retry-after", ""))
    return int(asked) if asked.isascii() and asked.isdecimal() else None


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _field(error: Mapping[str, Any]) -> tuple[str, str]:
    return str(error.get("pointer", "")), str(error.get("detail", ""))
