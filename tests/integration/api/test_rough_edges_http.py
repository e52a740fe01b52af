"""What HTTP promises: methods, heads, ranges, times."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func

from api.ports import AppPorts
from shared import claims
from shared.db import Transaction
from shared.lifecycle import Cause, State
from shared.tables import Artifact, Scope
from tests import factories
from tests.integration.api.conftest import Team
from tests.integration.api.said import listed, make, pointers, problem


@pytest.fixture
def artifact(team: Team, rows: Transaction, app_ports: AppPorts) -> Artifact:
    """Ten bytes, stored."""
    with rows() as session:
        job = factories.job(session, state=State.SUCCEEDED, project_id=team.project_id)
        row = factories.artifact(session, job, size_bytes=10, sha256="ab" * 32)
    app_ports.store.put_bytes(row.object_key, b"0123456789", "image/png")
    return row


@pytest.fixture
def proxied(team: Team, serve: Callable[..., AbstractContextManager[str]]) -> Iterator[httpx.Client]:
    """An API that hands the bytes through."""
    with serve(artifact_delivery="proxy") as url:
        yield team.client(Scope.READ, url=url)


# Methods.

JOB = "/v1/jobs/job_01k8f0v4kge8yrbx6m4v0h2z9c"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", "GET, HEAD, POST"),
        ("DELETE", "/v1/jobs", "GET, HEAD, POST"),
        ("POST", JOB, "GET, HEAD"),
        ("GET", f"{JOB}/cancel", "POST"),
        ("HEAD", f"{JOB}/cancel", "POST"),
        ("PUT", "/v1/assets", "GET, HEAD, POST"),
        ("PATCH", "/v1/assets/asset_x", "GET, HEAD, DELETE"),
        ("PATCH", "/v1/api-keys/key_x", "GET, HEAD, DELETE"),
        ("DELETE", "/v1/projects", "GET, HEAD, POST"),
        ("OPTIONS", "/v1/artifacts/artifact_x/content", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_known_is_told_all_that_are(
    api: httpx.Client, method: str, path: str, allowed: str
) -> None:
    response = api.request(method, path)

    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    if method != "HEAD":
        problem(response, 405, "method_not_allowed")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs",
        "/v1/jobs/{job}",
        "/v1/jobs/{job}/events",
        "/v1/artifacts/{artifact}",
        "/v1/assets",
        "/v1/models/sora-2",
        "/healthz",
        "/docs",
        "/openapi.json",
    ],
)
def test_a_head_has_the_headers_of_its_get(api: httpx.Client, artifact: Artifact, path: str) -> None:
    address = path.format(job=artifact.job_id, artifact=artifact.id)

    head, get = api.head(address), api.get(address)

    assert (head.status_code, get.status_code) == (200, 200)
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers["x-request-id"]


@pytest.mark.parametrize(("path", "status"), [(JOB, 404), ("/v1/nothing", 404), ("/v1/jobs?stat=queued", 400)])
def test_a_head_tells_what_its_get_would_answer(api: httpx.Client, path: str, status: int) -> None:
    assert api.head(path).status_code == api.get(path).status_code == status


def test_no_byte_of_a_body_follows_a_head(team: Team) -> None:
    """Two requests on one connection: behind the first head stands the second one's answer, and nothing between."""
    place = urlsplit(team.url)
    job = make(team.client(Scope.WRITE))
    common = f"Host: {place.netloc}\r\nAuthorization: Bearer {team.key(Scope.READ)}\r\n"
    requests = (
        f"HEAD /v1/jobs/{job['id']} HTTP/1.1\r\n{common}\r\n"
        f"HEAD /v1/jobs/nonsense HTTP/1.1\r\n{common}Connection: close\r\n\r\n"
    )

    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(requests.encode())
        answers = b""
        while piece := connection.recv(65536):
            answers += piece

    first, second, rest = answers.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert b"application/json" in first
    assert second.startswith(b"HTTP/1.1 404 ")
    assert rest == b""


def test_heads_are_counted_by_their_route(api: httpx.Client) -> None:
    job = make(api)

    api.head(f"/v1/jobs/{job['id']}")

    families = text_string_to_metric_families(api.get("/metrics").text)
    counted = [
        sample.labels
        for family in families
        for sample in family.samples
        if sample.name == "darkroom_http_request_seconds_count" and sample.labels["method"] == "HEAD"
    ]
    assert {"method": "HEAD", "route": "/v1/jobs/{job_id}", "status": "200"} in counted


def test_the_head_of_bytes_is_that_of_all_of_them_and_reads_none(
    proxied: httpx.Client, artifact: Artifact, app_ports: AppPorts
) -> None:
    app_ports.store.delete(artifact.object_key)  # so that to read it would be noticed

    response = proxied.head(f"/v1/artifacts/{artifact.id}/content", headers={"Range": "bytes=2-3"})

    assert response.status_code == 200
    assert response.headers["content-length"] == "10"
    assert response.headers["content-type"] == "image/png"
    assert "content-range" not in response.headers


def test_the_head_of_bytes_elsewhere_is_the_redirect(api: httpx.Client, artifact: Artifact) -> None:
    response = api.head(f"/v1/artifacts/{artifact.id}/content")

    assert response.status_code == 302
    assert response.headers["location"].startswith("http")


# Ranges.


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_bytes_that_are_not_there_are_a_problem_that_tells_how_many_are(
    proxied: httpx.Client, artifact: Artifact, asked: str
) -> None:
    response = proxied.get(f"/v1/artifacts/{artifact.id}/content", headers={"Range": asked})

    body = problem(response, 416, "range_not_satisfiable")
    assert response.headers["content-range"] == "bytes */10"
    assert response.headers["accept-ranges"] == "bytes"
    assert "10 bytes" in body["detail"]
    assert "content-disposition" not in response.headers


# Times.


def test_a_link_lasts_at_least_as_long_as_it_says(api: httpx.Client, artifact: Artifact, app_ports: AppPorts) -> None:
    for _ in range(5):
        body = api.get(f"/v1/artifacts/{artifact.id}").json()

        query = parse_qs(urlsplit(body["download_url"]).query)
        signed_at = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        ends_at = signed_at + timedelta(seconds=int(query["X-Amz-Expires"][0]))
        told = datetime.fromisoformat(body["download_url_expires_at"])
        assert ends_at - timedelta(seconds=5) < told <= ends_at


@pytest.mark.parametrize("state", [State.DISPATCHED, State.SUBMITTING, State.RUNNING, State.SUCCEEDED])
def test_what_does_not_wait_any_more_has_no_place_in_a_queue(
    api: httpx.Client, team: Team, rows: Transaction, state: State
) -> None:
    with rows() as session:
        job = factories.job(session, state=state, project_id=team.project_id)

    assert "queue" not in api.get(f"/v1/jobs/{job.id}").json()


def test_a_new_attempt_that_is_not_submitted_yet_has_no_time_of_it(
    api: httpx.Client, team: Team, rows: Transaction
) -> None:
    with rows() as session:
        job = factories.job(session, state=State.FAILED, project_id=team.project_id)
    before = api.get(f"/v1/jobs/{job.id}").json()

    retried = api.post(f"/v1/jobs/{job.id}/retry").json()

    assert before["submitted_at"]
    assert (retried["state"], retried["submitted_at"]) == ("queued", None)


def test_a_late_success_still_tells_when_it_was_submitted(api: httpx.Client, team: Team, rows: Transaction) -> None:
    with rows() as session:
        job = factories.job(session, state=State.HELD, project_id=team.project_id, operation="video.create")
        zombie = factories.claim(job)
    api.post(f"/v1/jobs/{job.id}/retry")

    with rows() as session:
        assert claims.move(session, zombie, Cause.ACCEPTED, upstream_task_id="video_1")

    body = api.get(f"/v1/jobs/{job.id}").json()
    assert body["state"] == "running"
    assert body["submitted_at"]


@pytest.mark.parametrize("name", ["created_after", "created_before"])
@pytest.mark.parametrize(
    "value",
    [
        "1763630043",
        "1763630043.5",
        "0",
        "2026-11-20",
        "20261120T091403Z",
        "2026-11-20T09:14Z",
        "2026-02-30T09:14:03Z",
        "2026-11-20T25:14:03Z",
        "2026-11-20T09:14:03",
        "P1D",
        "",
    ],
)
def test_a_time_is_taken_as_rfc_3339_alone(api: httpx.Client, name: str, value: str) -> None:
    response = api.get("/v1/jobs", params={name: value})

    assert "2026-11-20T09:14:03Z" in problem(response, 400, "invalid_request")["detail"]
    assert pointers(response) == [f"/query/{name}"]


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02t03:04:05z",
        "2026-01-02T03:04:05.123456789+05:30",
        "2026-01-02 03:04:05-00:00",
    ],
)
def test_every_form_of_rfc_3339_is_taken(api: httpx.Client, team: Team, rows: Transaction, value: str) -> None:
    with rows() as session:
        job = factories.job(session, project_id=team.project_id, created_at=func.now())

    assert listed(api, created_after=value, created_before="9999-12-31T23:59:59Z") == [job.id]


# What is said of webhooks.


def test_the_documentation_says_that_webhooks_are_not_delivered_yet(anybody: httpx.Client) -> None:
    schemas = anybody.get("/openapi.json").json()["components"]["schemas"]

    assert "not delivered yet" in schemas["NewJob"]["properties"]["webhook"]["description"]
    assert "does not deliver it yet" in schemas["Webhook"]["description"]


def test_heads_are_not_documented_twice(anybody: httpx.Client) -> None:
    paths: dict[str, Any] = anybody.get("/openapi.json").json()["paths"]

    assert not any("head" in methods for methods in paths.values())
