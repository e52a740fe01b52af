"""What comes in is bounded before anybody reads it, and odd JSON is told from good."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from shared.tables import Scope
from tests.integration.api.conftest import Team
from tests.integration.api.said import PICTURE, listed, make, pointers, problem

JSON = {"Content-Type": "application/json"}


def test_an_upload_that_says_it_is_too_large_is_refused_unread(team: Team, url: str) -> None:
    """200 MB are announced; not one byte of them is sent, and the answer is there."""
    place = urlsplit(url)
    head = (
        f"POST /v1/assets HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {team.key(Scope.WRITE)}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 209715200\r\nExpect: 100-continue\r\n\r\n"
    )

    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"payload_too_large" in answer


def test_a_200_mb_upload_is_refused_before_it_is_read_whole(api: httpx.Client) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        for _ in range(200):
            sent += 2**20
            yield bytes(2**20)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}  # no length: it comes in chunks
    response = api.post("/v1/assets", content=endless(), headers=headers)

    problem(response, 413, "payload_too_large")
    assert response.headers["connection"] == "close"
    assert sent < 100 * 2**20


def test_a_file_that_is_a_little_too_large_is_refused(api: httpx.Client) -> None:
    problem(api.post("/v1/assets", files={"file": bytes(2 * 2**20 + 1)}), 413, "payload_too_large")


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/assets"])
@pytest.mark.parametrize("has_length", [True, False])
def test_json_that_is_too_large_is_refused(api: httpx.Client, path: str, has_length: bool) -> None:
    body = b'{"prompt":"' + b"x" * 2**20 + b'"}'

    problem(api.post(path, content=body if has_length else iter([body]), headers=JSON), 413, "payload_too_large")


def test_the_next_request_is_served_after_one_that_was_too_large(api: httpx.Client) -> None:
    api.post("/v1/jobs", content=b"x" * (2**20 + 1), headers=JSON)

    assert make(api)["state"] == "queued"


NESTED = b'{"model":"m","params":' + b'{"a":' * 40 + b"1" + b"}" * 41
ODD: dict[str, tuple[bytes, str]] = {
    "broken": (b'{"model": "nano-banana", ', "not valid JSON"),
    "cut": (b'{"model": "nano', "not valid JSON"),
    "with something behind": (b"{} {}", "not valid JSON"),
    "NaN": (b'{"priority": NaN}', "NaN"),
    "Infinity": (b'{"priority": -Infinity}', "Infinity"),
    "too large a number": (b'{"priority": 1e999}', "too large"),
    "an endless number": (b'{"priority": ' + b"9" * 5000 + b"}", "too long"),
    "a NUL": (b'{"prompt": "a\\u0000b"}', "NUL"),
    "a NUL in a name": (b'{"a\\u0000": 1}', "NUL"),
    "half a pair": (b'{"prompt": "\\ud83d"}', "surrogate"),
    "no UTF-8": (b'{"prompt": "\xff"}', "UTF-8"),
    "deep": (NESTED, "deeper than 32"),
    "very deep": (b"[" * 100_000, "deeper than 32"),
    "many values": (b'{"a":[' + b"[]," * 250_000 + b"[]]}", "values"),
    "many fields": (json.dumps({"metadata": {str(n): "" for n in range(1001)}}).encode(), "fields"),
}


@pytest.mark.parametrize("kind", ODD)
def test_json_that_cannot_be_kept_is_refused(api: httpx.Client, kind: str) -> None:
    body, told = ODD[kind]

    response = api.post("/v1/jobs", content=body, headers=JSON)

    assert told in problem(response, 400, "invalid_request")["detail"]
    assert listed(api) == []


def test_what_is_odd_in_json_is_named(api: httpx.Client) -> None:
    response = api.post("/v1/jobs", content=b'{"params": {"a/b": ["x", "\\u0000"]}}', headers=JSON)

    assert pointers(response) == ["/params/a~1b/1"]


def test_a_pair_of_surrogates_is_text(api: httpx.Client) -> None:
    response = api.post(
        "/v1/jobs", content=json.dumps({**PICTURE, "prompt": "a boat \U0001f6a3"}).encode(), headers=JSON
    )

    assert response.json()["prompt"] == "a boat \U0001f6a3"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_that_is_no_json_is_told_so(api: httpx.Client, kind: str) -> None:
    response = api.post("/v1/jobs", content=b"{}", headers={"Content-Type": kind})

    assert "application/json" in problem(response, 400, "invalid_request")["detail"]


def test_json_without_a_type_is_taken(api: httpx.Client) -> None:
    assert api.post("/v1/jobs", content=json.dumps(PICTURE).encode()).status_code == 201


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"1"])
def test_json_that_is_no_object_is_refused(api: httpx.Client, body: bytes) -> None:
    problem(api.post("/v1/jobs", content=body, headers=JSON), 400, "invalid_request")


@pytest.mark.parametrize("query", ["q=%00", "metadata.a=%00"])
def test_a_nul_in_a_query_is_refused(api: httpx.Client, query: str) -> None:
    problem(api.get(f"/v1/jobs?{query}"), 400, "invalid_request")


def test_a_nul_in_an_address_leads_nowhere(api: httpx.Client) -> None:
    problem(api.get("/v1/jobs/job_%00"), 404, "not_found")


@pytest.mark.parametrize("query", ["q=%ff", "model=%ed%a0%80", "q=" + "'" * 50, "q=:*%26!"])
def test_an_odd_query_is_only_a_query(api: httpx.Client, query: str) -> None:
    assert api.get(f"/v1/jobs?{query}").json()["data"] == []
