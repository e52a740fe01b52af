"""What tests of the API say again and again."""

from __future__ import annotations

from typing import Any

import httpx

PICTURE = {"model": "nano-banana", "prompt": "a paper boat on a rainy street"}
"""A job that is fine."""


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an error, after a look at what all errors have."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    return body


def pointers(response: httpx.Response) -> list[str]:
    return [error["pointer"] for error in response.json()["errors"]]


def make(api: httpx.Client, **fields: Any) -> dict[str, Any]:
    """A new job."""
    response = api.post("/v1/jobs", json={**PICTURE, **fields})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def listed(api: httpx.Client, **query: Any) -> list[str]:
    """Ids of a first page."""
    response = api.get("/v1/jobs", params=query)
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["data"]]
