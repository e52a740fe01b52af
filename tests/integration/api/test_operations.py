"""What those who run Darkroom look at: health, metrics, documentation, logs; and what is there before the start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import func, make_url, text

from api.main import create_app
from api.prepare import prepare
from shared.db import Transaction
from shared.errors import SettingsError
from shared.lifecycle import State
from shared.settings import Settings
from shared.tables import GatewayCalls, Job, Scope
from tests import factories
from tests.integration.api.conftest import Team, served
from tests.integration.api.said import PICTURE, make, problem

NOBODY = "127.0.0.1:9"
DOWN = {
    "database": {"database_url": f"postgresql://x:secret@{NOBODY}/x"},
    "broker": {"broker_url": f"redis://:secret@{NOBODY}/0"},
    "s3": {"s3_endpoint_url": f"http://{NOBODY}"},
}


@contextmanager
def api_with(settings: Settings, **changed: Any) -> Iterator[str]:
    """An API that builds its own ports, as in production."""
    with served(create_app(settings.model_copy(update=changed))) as url:
        yield url


def test_it_lives(anybody: httpx.Client) -> None:
    assert anybody.get("/healthz").json() == {"status": "ok"}


def test_it_is_ready_when_every_part_answers(anybody: httpx.Client) -> None:
    response = anybody.get("/readyz")

    body = response.json()
    assert (response.status_code, body["status"]) == (200, "ok"), body
    for part in ("database", "broker", "s3"):
        assert body[part]["state"] == "ok"
        assert body[part]["milliseconds"] >= 0


@pytest.mark.parametrize("part", DOWN)
def test_readiness_names_the_part_that_is_down_and_keeps_its_secrets(
    api_settings: Settings, store: Any, part: str
) -> None:
    with api_with(api_settings, **DOWN[part]) as url:
        began_at = time.monotonic()
        response = httpx.get(f"{url}/readyz", timeout=10, trust_env=False)
        took_s = time.monotonic() - began_at
        alive = httpx.get(f"{url}/healthz", trust_env=False)

    body = response.json()
    assert (response.status_code, body["status"]) == (503, "down")
    assert {name for name in ("database", "broker", "s3") if body[name]["state"] == "down"} == {part}
    assert took_s < 4
    assert "secret" not in response.text
    assert alive.status_code == 200


def test_a_job_is_accepted_while_broker_and_object_store_are_down(api_settings: Settings, team: Team) -> None:
    with api_with(api_settings, **DOWN["broker"], **DOWN["s3"]) as url:
        api = team.client(Scope.WRITE, url=url)
        began_at = time.monotonic()
        job = make(api)
        took_s = time.monotonic() - began_at

    assert job["state"] == "queued"
    assert took_s < 2


def test_while_the_database_is_down_it_says_so(api_settings: Settings, team: Team) -> None:
    with api_with(api_settings, **DOWN["database"]) as url:
        response = team.client(Scope.WRITE, url=url).post("/v1/jobs", json=PICTURE)

    assert "database" in problem(response, 503, "unavailable")["detail"]
    assert "retry-after" in response.headers


# Waiting.


def finish_later(rows: Transaction, job_id: str, after_s: float) -> Any:
    from threading import Timer

    def finish() -> None:
        with rows() as session:
            session.execute(
                text("UPDATE jobs SET state = 'failed', finished_at = now() WHERE id = :id"), {"id": job_id}
            )

    timer = Timer(after_s, finish)
    timer.start()
    return timer


def test_waiting_ends_when_the_job_does(api: httpx.Client, rows: Transaction) -> None:
    job = make(api)
    timer = finish_later(rows, job["id"], 0.5)
    began_at = time.monotonic()

    body = api.get(f"/v1/jobs/{job['id']}", params={"wait": 20}).json()

    timer.join()
    assert body["state"] == "failed"
    assert 0.4 < time.monotonic() - began_at < 5


def test_waiting_ends_when_the_time_is_over(api: httpx.Client) -> None:
    began_at = time.monotonic()

    response = api.post("/v1/jobs", params={"wait": 0.5}, json=PICTURE)

    assert response.status_code == 201
    assert response.json()["state"] == "queued"
    assert "location" in response.headers
    assert 0.4 < time.monotonic() - began_at < 5


def test_many_who_wait_hold_no_session(team: Team, url: str, rows: Transaction) -> None:
    """More than the pool has connections, and others are served meanwhile."""
    from concurrent.futures import ThreadPoolExecutor

    api = team.client(Scope.WRITE)
    job = make(api)

    def wait(_: int) -> str:
        return str(api.get(f"/v1/jobs/{job['id']}", params={"wait": 20}).json()["state"])

    with ThreadPoolExecutor(50) as threads:
        waiting = threads.map(wait, range(50))
        time.sleep(0.5)
        served_meanwhile = httpx.get(f"{url}/readyz", trust_env=False, timeout=5).status_code
        finish_later(rows, job["id"], 0).join()
        states = set(waiting)

    assert served_meanwhile == 200
    assert states == {"failed"}


@pytest.mark.parametrize("wait", ["61", "-1", "long"])
def test_nobody_waits_for_longer_than_a_minute(api: httpx.Client, wait: str) -> None:
    problem(api.get("/v1/jobs/job_01k8f0v4kge8yrbx6m4v0h2z9c", params={"wait": wait}), 400, "invalid_request")


def test_nobody_waits_for_what_is_not_there(api: httpx.Client) -> None:
    began_at = time.monotonic()

    problem(api.get("/v1/jobs/job_01k8f0v4kge8yrbx6m4v0h2z9c", params={"wait": 20}), 404, "not_found")

    assert time.monotonic() - began_at < 5


def test_who_waits_is_answered_at_once_when_the_process_stops(
    team: Team, serve: Callable[..., AbstractContextManager[str]]
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    began_at = time.monotonic()
    with ThreadPoolExecutor(1) as thread:
        with serve() as url:
            api = team.client(Scope.WRITE, url=url)
            job = make(api)
            waiting = thread.submit(api.get, f"/v1/jobs/{job['id']}", params={"wait": 20})
            time.sleep(0.3)
        response = waiting.result()

    assert response.json()["state"] == "queued"
    assert time.monotonic() - began_at < 10


# Models and lanes.


def test_a_model_tells_what_it_takes_and_costs(api: httpx.Client) -> None:
    body = api.get("/v1/models/sora-2").json()

    assert body["operation"] == "video.create"
    assert body["params"]["properties"]["seconds"]["enum"] == [4, 8, 12]
    assert body["inputs"] == {"images": {"min": 0, "max": 1}}
    assert body["price"] == {
        "per_call": "0.00",
        "per_second": "0.10",
        "per_minute": "0.00",
        "per_million_characters": "0.00",
        "per_million_tokens": "0.00",
        "size_factors": {"1024x1792": "1.666667", "1792x1024": "1.666667"},
        "currency": "USD",
    }
    listed = api.get("/v1/models").json()["data"]
    assert body in listed
    problem(api.get("/v1/models/sora-9"), 404, "not_found")


def test_a_lane_tells_how_much_of_it_is_used(api: httpx.Client, rows: Transaction) -> None:
    with rows() as session:
        lane = factories.lane(session, limit=3, paused_until=func.now() + text("interval '1 hour'"), pause_reason="key")
        for state in (State.QUEUED, State.QUEUED, State.RUNNING):
            factories.job(session, state=state, lane_name=lane.name)

    body = api.get(f"/v1/lanes/{lane.name}").json()

    assert (body["limit"], body["in_flight"], body["queued"]) == (3, 1, 2)
    assert (body["paused"], body["pause_reason"]) == (True, "key")
    assert body in api.get("/v1/lanes").json()["data"]
    problem(api.get("/v1/lanes/nothing"), 404, "not_found")


@pytest.mark.parametrize(
    ("lane", "columns", "reason"),
    [
        ({"limit": 5}, {}, None),
        ({"limit": 0}, {}, "lane_limit"),
        ({"limit": 5, "tokens": 0, "rate_per_minute": 1}, {}, "rate"),
        ({"limit": 5, "paused_until": func.now() + text("interval '1 hour'")}, {}, "lane_paused"),
        ({"limit": 5}, {"due_at": func.now() + text("interval '1 minute'")}, "retry_at"),
    ],
)
def test_a_job_says_why_it_waits(
    api: httpx.Client, team: Team, rows: Transaction, lane: dict[str, Any], columns: dict[str, Any], reason: str | None
) -> None:
    with rows() as session:
        name = factories.lane(session, **lane).name
        factories.job(session, lane_name=name, priority=9)
        job = factories.job(session, lane_name=name, project_id=team.project_id, **columns)

    queue = api.get(f"/v1/jobs/{job.id}").json()["queue"]

    assert (queue["reason"], queue["position"]) == (reason, 2)


# Metrics.


def figures(api: httpx.Client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    response = api.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_metrics_count_jobs_and_show_what_is_late(api: httpx.Client, team: Team, rows: Transaction) -> None:
    minute_ago = func.now() - text("interval '1 minute'")
    with rows() as session:
        lane = factories.lane(session).name
        factories.job(session, lane_name=lane, moved_at=minute_ago)
        factories.job(session, lane_name=lane, state=State.RUNNING, due_at=minute_ago)
        factories.job(session, lane_name=lane, state=State.STORING, due_at=minute_ago)
        factories.job(session, lane_name=lane, state=State.DISPATCHED)
        factories.job(session, lane_name=lane, state=State.WAITING)

    found = figures(api)

    for state in ("queued", "running", "storing", "dispatched", "waiting"):
        assert found["darkroom_jobs", (("lane", lane), ("state", state))] == 1
    assert found["darkroom_dispatch_lag_seconds", (("lane", lane),)] >= 60
    assert found["darkroom_poll_lag_seconds", ()] >= 60
    for kind in ("queued", "running", "storing"):
        assert found["darkroom_oldest_due_seconds", (("kind", kind),)] >= 60
    assert found["darkroom_lane_limit", (("lane", lane),)] == 100


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("call", {"state": State.SUBMITTING, "claimed_by": "process_dead"}),
        ("store", {"state": State.STORING, "claimed_by": "process_dead"}),
        ("hint", {"state": State.DISPATCHED, "moved_at": func.now() - text("interval '2 minutes'")}),
        ("result", {"state": State.STORING, "due_at": func.now() - text("interval '2 minutes'")}),
        ("task", {"state": State.RUNNING, "due_at": func.now() - text("interval '2 minutes'")}),
    ],
)
def test_metrics_count_what_nobody_holds_any_more(
    api: httpx.Client, rows: Transaction, kind: str, columns: dict[str, Any]
) -> None:
    place = ("darkroom_orphans", (("kind", kind),))
    before = figures(api)[place]
    with rows() as session:
        job = factories.job(session, **columns)

    assert figures(api)[place] == before + 1

    with rows() as session:
        session.get_one(Job, job.id).state = State.FAILED
    assert figures(api)[place] == before


def test_metrics_show_the_gateways_calls_and_the_stored_bytes(
    api: httpx.Client, team: Team, rows: Transaction, serve: Callable[..., AbstractContextManager[str]]
) -> None:
    with rows() as session:
        job = factories.job(session, state=State.SUCCEEDED, project_id=team.project_id)
        factories.artifact(session, job, size_bytes=12345)
        for outcome in ("ok", "rate_limited"):
            counted = GatewayCalls(call=job.id, outcome=outcome, count=3, seconds_sum=4.5, buckets=[0, 1, *[2] * 10, 3])
            session.add(counted)

    with serve() as url:  # a fresh one has kept no slow figures
        found = figures(team.client(Scope.READ, url=url))

    assert found["darkroom_gateway_call_seconds_count", (("call", job.id), ("outcome", "ok"))] == 3
    assert found["darkroom_gateway_call_seconds_bucket", (("call", job.id), ("le", "0.1"), ("outcome", "ok"))] == 1
    assert found["darkroom_gateway_errors_total", (("call", job.id), ("error_class", "rate_limited"))] == 3
    assert found["darkroom_stored_bytes", (("kind", "image"), ("what", "artifact"))] >= 12345


def test_metrics_count_requests_by_route_and_not_by_address(api: httpx.Client) -> None:
    job = make(api)
    api.get(f"/v1/jobs/{job['id']}")
    api.get("/v1/nothing-of-the-kind")

    found = figures(api)

    labels = (("method", "GET"), ("route", "/v1/jobs/{job_id}"), ("status", "200"))
    assert found["darkroom_http_request_seconds_count", labels] >= 1
    assert not any(job["id"] in str(name) or "of-the-kind" in str(name) for name in found)


# Documentation.


def test_the_documentation_needs_no_key(anybody: httpx.Client) -> None:
    assert anybody.get("/docs").status_code == 200
    assert anybody.get("/").headers["location"] == "/docs"


def test_every_route_is_documented_with_its_answers_and_errors(anybody: httpx.Client) -> None:
    document = anybody.get("/openapi.json").json()

    assert document["components"]["securitySchemes"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            answers = operation["responses"]
            good = [answer for status, answer in answers.items() if status.startswith(("2", "3"))]
            assert "204" in answers or any("content" in answer for answer in good), where
            assert "HTTPValidationError" not in str(answers), where
            if path in ("/healthz", "/readyz"):
                continue
            assert operation["security"], where
            assert "application/problem+json" in answers["401"]["content"], where


def test_what_can_be_sent_has_an_example_that_would_be_taken(api: httpx.Client, anybody: httpx.Client) -> None:
    document = anybody.get("/openapi.json").json()
    example = document["components"]["schemas"]["NewJob"]["examples"][0]

    assert api.post("/v1/jobs", params={"dry_run": "true"}, json=example).status_code == 200


# Problems.


def test_an_address_that_leads_nowhere_is_a_problem(api: httpx.Client) -> None:
    problem(api.get("/v1/nothing"), 404, "not_found")


def test_a_method_that_an_address_does_not_know_is_a_problem(api: httpx.Client) -> None:
    response = api.put("/v1/jobs")

    problem(response, 405, "method_not_allowed")
    assert "allow" in response.headers


@pytest.mark.parametrize(("given", "is_kept"), [("my-id-1", True), ("x" * 65, False), ("a b", False)])
def test_a_request_has_the_id_that_its_caller_gave_it(api: httpx.Client, given: str, is_kept: bool) -> None:
    answered = api.get("/v1/jobs", headers={"X-Request-Id": given}).headers["x-request-id"]

    assert (answered == given) is is_kept


def test_an_error_of_ours_is_logged_under_the_id_that_the_caller_sees(
    team: Team, serve: Callable[..., AbstractContextManager[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from structlog.testing import capture_logs

    from api.jobs import showing

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(showing, "jobs", fail)
    with capture_logs() as lines:
        response = team.client(Scope.READ).get("/v1/jobs")

    body = problem(response, 500, "internal")
    assert "a bug" not in response.text
    (line,) = [line for line in lines if line["event"] == "api.failed"]
    assert line["exc_info"]
    assert body["request_id"] in body["detail"]


# What is there before the start.


@pytest.fixture
def fresh(api_settings: Settings, stack: dict[str, Any], request: pytest.FixtureRequest) -> Settings:
    """An empty database and no bucket."""
    name = f"prepare-{time.monotonic_ns()}"
    with psycopg.connect(stack["database_url"], autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    database_url = make_url(stack["database_url"]).set(database=name).render_as_string(hide_password=False)
    return api_settings.model_copy(update={"database_url": database_url, "s3_bucket": name})


def test_a_prepared_darkroom_serves_its_admin_and_is_prepared_only_once(fresh: Settings) -> None:
    first, second = prepare(fresh), prepare(fresh)

    assert second == {**first, "admin_key": None}
    with api_with(fresh) as url:
        headers = {"Authorization": f"Bearer {first['admin_key']}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20) as admin:
            assert admin.get("/readyz").status_code == 200
            assert "default.sora" in [lane["name"] for lane in admin.get("/v1/lanes").json()["data"]]
            assert admin.post("/v1/projects", json={"name": "autumn"}).status_code == 201
            assert make(admin)["state"] == "queued"


def test_a_given_admin_key_is_there_afterwards(fresh: Settings) -> None:
    key = "dk_" + "a1B2" * 12

    assert prepare(with_key(fresh, key))["admin_key"] == key
    assert prepare(with_key(fresh, key))["admin_key"] == key
    with pytest.raises(SettingsError, match="DARKROOM_ADMIN_KEY"):
        prepare(with_key(fresh, key + "x"))


def with_key(settings: Settings, key: str) -> Settings:
    return settings.model_copy(update={"admin_key": SecretStr(key)})


@pytest.mark.parametrize("key", ["dk_short", "sk_" + "x" * 50])
def test_an_admin_key_that_is_none_is_refused(fresh: Settings, key: str) -> None:
    with pytest.raises(SettingsError, match="DARKROOM_ADMIN_KEY"):
        prepare(with_key(fresh, key))


def test_a_changed_catalog_changes_the_limits_of_its_lanes(fresh: Settings, tmp_path: Any) -> None:
    prepare(fresh)
    catalog = tmp_path / "catalog.toml"
    catalog.write_text("[lanes.sora]\nlimit = 3\n[lanes.mine]\nrate_per_minute = 7\n")

    prepare(fresh.model_copy(update={"catalog": catalog}))

    with psycopg.connect(fresh.database_url) as connection:
        found = connection.execute("SELECT name, limit_in_flight, rate_per_minute FROM lanes").fetchall()
    assert ("default.sora", 3, 60) in found
    assert ("default.mine", 10, 7) in found
