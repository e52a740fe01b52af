"""Making jobs and looking at them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from shared.db import Transaction
from shared.lifecycle import State
from shared.tables import Event, Job, JobNeed, JobRequest, Lane, Scope
from tests import factories
from tests.factories import RecordedHints
from tests.integration.api.conftest import Team, picture
from tests.integration.api.said import PICTURE, listed, make, pointers, problem

FIELDS = [
    "id",
    "object",
    "state",
    "state_reason",
    "operation",
    "model",
    "prompt",
    "inputs",
    "params",
    "priority",
    "progress",
    "attempt",
    "max_attempts",
    "on_unknown",
    "batch_id",
    "batch_index",
    "schedule_id",
    "parent_id",
    "upstream",
    "artifacts",
    "result",
    "error",
    "cost",
    "created_at",
    "submitted_at",
    "upstream_finished_at",
    "finished_at",
    "deadline_at",
    "metadata",
    "held",
]
ARTIFACT_FIELDS = [
    "id",
    "index",
    "kind",
    "content_type",
    "bytes",
    "sha256",
    "width",
    "height",
    "duration_seconds",
    "url",
    "download_url",
    "download_url_expires_at",
    "thumbnail_url",
]


def test_a_job_is_answered_with_all_its_fields_in_order_and_is_there(api: httpx.Client, rows: Transaction) -> None:
    asked = {
        **PICTURE,
        "params": {"size": "1024x1024"},
        "priority": 7,
        "ttl_seconds": 60,
        "max_attempts": 2,
        "on_unknown": "fail",
        "metadata": {"sku": "A-113"},
        "webhook": {"url": "https://shop.example/hooks", "events": ["job.succeeded"]},
    }

    response = api.post("/v1/jobs", json=asked)

    body = response.json()
    assert response.status_code == 201, body
    assert list(body) == [*FIELDS, "queue"]
    assert response.headers["location"] == f"/v1/jobs/{body['id']}"
    assert body["state"] == "queued"
    assert body["operation"] == "image.generate"
    assert body["params"] == {"size": "1024x1024"}
    assert body["cost"] == {"estimated": "0.039", "currency": "USD"}
    assert body["created_at"].endswith("Z")
    assert body["deadline_at"].endswith("Z")
    assert body["queue"]["position"] >= 1
    again = api.get(f"/v1/jobs/{body['id']}").json()
    assert {**again, "queue": None} == {**body, "queue": None}
    with rows() as session:
        asked_row = session.get_one(JobRequest, body["id"])
        job = session.get_one(Job, body["id"])
        assert session.get(Lane, job.lane) is not None
    assert asked_row.webhook == {"url": "https://shop.example/hooks", "events": ["job.succeeded"]}
    assert (job.priority, job.max_attempts, job.on_unknown) == (7, 2, "fail")


def test_a_new_job_tells_that_it_was_created_and_queued_and_hints(
    api: httpx.Client, rows: Transaction, hints: RecordedHints
) -> None:
    before = hints.dispatches

    job = make(api)

    with rows() as session:
        told = session.exec(select(Event.type).where(col(Event.job_id) == job["id"]).order_by(col(Event.seq))).all()
    assert told == ["job.created", "job.queued"]
    assert hints.dispatches == before + 1


def test_an_image_as_an_input_makes_it_an_edit(api: httpx.Client) -> None:
    job = make(api, inputs={"images": "https://example.com/a.png"})

    assert job["operation"] == "image.edit"
    assert job["inputs"] == {"images": ["https://example.com/a.png"]}


def test_a_data_url_is_kept_whole_and_shown_short(api: httpx.Client, rows: Transaction) -> None:
    content = picture()
    data_url = f"data:image/png;base64,{base64.b64encode(content).decode()}"

    job = make(api, inputs={"images": [data_url]})

    assert job["inputs"]["images"] == [f"data:image/png;base64,… ({len(content)} bytes)"]
    with rows() as session:
        assert session.get_one(JobRequest, job["id"]).inputs == {"images": [data_url]}


def test_any_other_model_of_the_gateway_works_with_its_operation(api: httpx.Client) -> None:
    job = make(api, model="flux-9", operation="image.generate")

    assert job["model"] == "flux-9"
    assert job["cost"]["estimated"] is None


def test_a_dry_run_prices_the_job_and_makes_nothing(api: httpx.Client) -> None:
    asked = {"model": "sora-2", "prompt": "a boat", "params": {"seconds": 8}}

    response = api.post("/v1/jobs", params={"dry_run": "true"}, json=asked)

    body = response.json()
    assert response.status_code == 200, body
    assert body["operation"] == "video.create"
    assert body["request"]["params"] == {"seconds": 8}
    assert body["cost"] == {"estimated": "0.80", "currency": "USD"}
    assert listed(api) == []


def test_a_dry_run_refuses_what_a_real_run_would_refuse(api: httpx.Client) -> None:
    asked = {**PICTURE, "inputs": {"images": ["asset_01k8f0t2e5ecvs8k6a9w3r7bhd"]}}

    response = api.post("/v1/jobs", params={"dry_run": "true"}, json=asked)

    problem(response, 400, "invalid_request")
    assert pointers(response) == ["/inputs/images/0"]


# What is waited for.


def test_a_job_that_needs_anothers_result_waits_for_it(api: httpx.Client, rows: Transaction) -> None:
    first = make(api)

    second = make(api, inputs={"images": [{"job": first["id"], "index": 0}]})

    assert second["state"] == "waiting"
    assert second["queue"] == {"reason": "inputs", "position": None, "eta_seconds": None}
    with rows() as session:
        needs = session.exec(select(JobNeed.needs_id).where(col(JobNeed.job_id) == second["id"])).all()
        told = session.exec(select(Event.type).where(col(Event.job_id) == second["id"]).order_by(col(Event.seq))).all()
    assert needs == [first["id"]]
    assert told == ["job.created", "job.waiting"]


def test_a_result_that_is_there_is_not_waited_for(api: httpx.Client, team: Team, rows: Transaction) -> None:
    with rows() as session:
        done = factories.job(session, state=State.SUCCEEDED, project_id=team.project_id)
        factories.artifact(session, done)

    job = make(api, inputs={"images": [{"job": done.id}]})

    assert job["state"] == "queued"


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELED])
def test_a_result_that_will_never_be_there_is_refused(
    api: httpx.Client, team: Team, rows: Transaction, state: State
) -> None:
    with rows() as session:
        ended = factories.job(session, state=state, project_id=team.project_id)

    response = api.post("/v1/jobs", json={**PICTURE, "inputs": {"images": [{"job": ended.id}]}})

    assert str(state) in problem(response, 400, "invalid_request")["detail"]
    assert pointers(response) == ["/inputs/images/0"]


def test_a_video_is_no_picture_to_edit(api: httpx.Client) -> None:
    film = make(api, model="sora-2")

    response = api.post("/v1/jobs", json={**PICTURE, "inputs": {"images": [{"job": film["id"]}]}})

    assert "a video" in problem(response, 400, "invalid_request")["detail"]


# Bad input.

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "a model that nobody knows": ({"model": "nano-bananna"}, "/model", "did you mean nano-banana?"),
    "an operation that does not exist": ({"operation": "image.generat"}, "/operation", "image.generate"),
    "an unknown field": ({"promt": "x"}, "/promt", "did you mean prompt?"),
    "an unknown field of the webhook": (
        {"webhook": {"url": "https://shop.example/", "event": ["job.failed"]}},
        "/webhook/event",
        "did you mean events?",
    ),
    "an unknown parameter": ({"params": {"sise": "1K"}}, "/params/sise", "did you mean size?"),
    "an unknown role of inputs": ({"inputs": {"image": []}}, "/inputs/image", "did you mean images?"),
    "seconds out of range": (
        {"model": "sora-2", "params": {"seconds": 9}},
        "/params/seconds",
        "seconds must be 4, 8 or 12, not 9 (model sora-2)",
    ),
    "no prompt": ({"prompt": " "}, "/prompt", "needs a prompt"),
    "too high a priority": ({"priority": 10}, "/priority", "must be at most 9, not 10"),
    "no time to live": ({"ttl_seconds": 0}, "/ttl_seconds", "must be at least 1, not 0"),
    "too many attempts": ({"max_attempts": 11}, "/max_attempts", "10"),
    "an odd on_unknown": ({"on_unknown": "hope"}, "/on_unknown", "hold"),
    "too much metadata": ({"metadata": {str(n): "x" for n in range(17)}}, "/metadata", "at most 16 pairs"),
    "metadata that is no text": ({"metadata": {"n": 1}}, "/metadata/n", "must be a string, not a number"),
    "a long metadata value": ({"metadata": {"n": "x" * 513}}, "/metadata/n", "512"),
    "a webhook without an address": ({"webhook": {}}, "/webhook/url", "needed"),
    "an event that does not exist": (
        {"webhook": {"url": "https://shop.example/", "events": ["job.exploded"]}},
        "/webhook/events/0",
        "no such event",
    ),
    "a webhook inside": ({"webhook": {"url": "https://inside.example/"}}, "/webhook/url", "private"),
    "an input inside, by address": ({"inputs": {"images": ["https://10.0.0.1/a.png"]}}, "/inputs/images/0", "private"),
    "an input inside, by name": (
        {"inputs": {"images": ["https://inside.example/a.png"]}},
        "/inputs/images/0",
        "private",
    ),
    "an input at the cloud's metadata": (
        {"inputs": {"images": ["http://169.254.169.254/latest"]}},
        "/inputs/images/0",
        "private",
    ),
    "an input over plain HTTP": ({"inputs": {"images": ["http://example.com/a.png"]}}, "/inputs/images/0", "https"),
    "an input that is no address": ({"inputs": {"images": ["a.png"]}}, "/inputs/images/0", "https:// URL"),
    "an input that is a number": ({"inputs": {"images": [5]}}, "/inputs/images/0", ""),
    "an asset that does not exist": (
        {"inputs": {"images": ["asset_01k8f0t2e5ecvs8k6a9w3r7bhd"]}},
        "/inputs/images/0",
        "there is no asset_",
    ),
    "a job that does not exist": (
        {"inputs": {"images": [{"job": "job_01k8f0v4kge8yrbx6m4v0h2z9c"}]}},
        "/inputs/images/0",
        "there is no job",
    ),
    "a job that is no id": ({"inputs": {"images": [{"job": "42"}]}}, "/inputs/images/0", "job_"),
    "an unknown field of an input": (
        {"inputs": {"images": [{"job": "job_01k8f0v4kge8yrbx6m4v0h2z9c", "indx": 0}]}},
        "/inputs/images/0/indx",
        "did you mean index?",
    ),
    "a data URL that is no picture": (
        {"inputs": {"images": [f"data:image/png;base64,{base64.b64encode(b'<html>').decode()}"]}},
        "/inputs/images/0",
        "HTML",
    ),
    "a data URL that is cut": (
        {"inputs": {"images": [f"data:image/png;base64,{base64.b64encode(picture()[:-20]).decode()}"]}},
        "/inputs/images/0",
        "",
    ),
    "a data URL that is no base64": (
        {"inputs": {"images": ["data:image/png;base64,%%%"]}},
        "/inputs/images/0",
        "base64",
    ),
    "a data URL without base64": ({"inputs": {"images": ["data:,hello"]}}, "/inputs/images/0", "base64"),
    "too many inputs": ({"inputs": {"images": ["https://example.com/a.png"] * 4}}, "/inputs/images", "not 4"),
    "a mask where none is taken": (
        {"operation": "image.generate", "inputs": {"mask": "https://example.com/a.png"}},
        "/inputs/mask",
        "takes no such input",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named_and_makes_nothing(api: httpx.Client, wrong: str) -> None:
    fields, pointer, told = WRONG[wrong]

    response = api.post("/v1/jobs", json={**PICTURE, **fields})

    assert told in problem(response, 400, "invalid_request")["detail"]
    assert pointer in pointers(response)
    assert listed(api) == []


def test_every_input_that_is_wrong_is_named_at_once(api: httpx.Client) -> None:
    images = ["https://10.0.0.1/a.png", "https://example.com/a.png", "nonsense"]

    response = api.post("/v1/jobs", json={**PICTURE, "inputs": {"images": images}})

    assert pointers(response) == ["/inputs/images/0", "/inputs/images/2"]


def test_an_address_that_the_settings_allow_may_be_plain(api: httpx.Client, site: Any) -> None:
    job = make(api, inputs={"images": [f"{site.url}/a.png"]})

    assert job["state"] == "queued"


# Looking.


def test_a_finished_job_shows_its_artifacts_with_links_that_work(
    api: httpx.Client, team: Team, rows: Transaction, app_ports: Any
) -> None:
    content = picture()
    with rows() as session:
        job = factories.job(session, state=State.SUCCEEDED, project_id=team.project_id)
        earlier = factories.artifact(session, job)
        job.attempt = 2
        factories.result(session, job, result={"seed": 7})
        key = f"projects/{team.project_id}/jobs/{job.id}/2-0.png"
        artifact = factories.artifact(session, job, object_key=key, thumbnail_key=key)
    app_ports.store.put_bytes(key, content, "image/png")

    body = api.get(f"/v1/jobs/{job.id}").json()

    assert [item["id"] for item in body["artifacts"]] == [artifact.id] != [earlier.id]
    shown = body["artifacts"][0]
    assert list(shown) == [
        "id",
        "index",
        "kind",
        "content_type",
        "bytes",
        "sha256",
        "width",
        "height",
        "duration_seconds",
        "url",
        "download_url",
        "download_url_expires_at",
        "thumbnail_url",
    ]
    assert shown["url"] == f"{team.url}/v1/artifacts/{artifact.id}/content"
    assert httpx.get(shown["download_url"], trust_env=False).content == content
    assert httpx.get(shown["thumbnail_url"], trust_env=False).headers["content-type"] == "image/jpeg"
    assert shown["download_url_expires_at"].endswith("Z")
    assert body["result"] == {"seed": 7}
    assert "queue" not in body


def test_a_failed_job_says_why(api: httpx.Client, team: Team, rows: Transaction) -> None:
    error = {
        "class": "content_policy",
        "code": "moderation_blocked",
        "message": "no",
        "retryable": False,
        "upstream_status": 400,
        "upstream_request_id": "r1",
    }
    with rows() as session:
        job = factories.job(session, state=State.FAILED, project_id=team.project_id)
        factories.result(session, job, error=error)

    assert api.get(f"/v1/jobs/{job.id}").json()["error"] == error


@pytest.mark.parametrize(
    ("job_id", "why"),
    [
        ("job_01k8f0v4kge8yrbx6m4v0h2z9c", "no such row"),
        ("nonsense", "no id"),
        ("asset_01k8f0t2e5ecvs8k6a9w3r7bhd", ""),
    ],
)
def test_what_is_not_there_is_not_found(api: httpx.Client, job_id: str, why: str) -> None:
    for path in (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/events"):
        problem(api.get(path), 404, "not_found")


def test_the_history_of_a_job_names_every_move(api: httpx.Client) -> None:
    job = make(api)
    api.post(f"/v1/jobs/{job['id']}/cancel")

    events = api.get(f"/v1/jobs/{job['id']}/events").json()["data"]

    assert [event["type"] for event in events] == ["job.canceled", "job.queued", "job.created"]
    assert events[0]["from_state"] == "queued"
    assert events[0]["cause"] == "canceled"
    assert events[0]["reason"]
    assert events[0]["created_at"].endswith("Z")


# Lists.


def test_a_list_is_newest_first_and_goes_on_where_the_page_before_ended(api: httpx.Client) -> None:
    made = [make(api)["id"] for _ in range(5)]

    seen, cursor = [], None
    while True:
        page = api.get("/v1/jobs", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [job["id"] for job in page["data"]]
        cursor = page["next_cursor"]
        assert page["has_more"] is (cursor is not None)
        if cursor is None:
            break

    assert seen == made[::-1]


FILTERS: dict[str, Callable[[dict[str, Any]], dict[str, str]]] = {
    "state": lambda job: {"state": "queued"},
    "model": lambda job: {"model": "sora-2"},
    "operation": lambda job: {"operation": "video.create"},
    "created_after": lambda job: {"created_after": job["created_at"]},
    "metadata": lambda job: {"metadata.sku": "A-113"},
    "two of metadata": lambda job: {"metadata.sku": "A-113", "metadata.shop": "x"},
    "words": lambda job: {"q": "BOAT rainy"},
    "words and metadata": lambda job: {"q": "boat", "metadata.sku": "A-113"},
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_leaves_what_it_names(api: httpx.Client, name: str) -> None:
    other = make(api, prompt="a castle", metadata={"sku": "B-1"})
    api.post(f"/v1/jobs/{other['id']}/cancel")
    wanted = make(api, model="sora-2", prompt="Rainy boat", metadata={"sku": "A-113", "shop": "x"})

    assert listed(api, **FILTERS[name](wanted)) == [wanted["id"]]


def test_created_before_leaves_what_is_older(api: httpx.Client) -> None:
    older, newer = make(api), make(api)

    assert listed(api, created_before=newer["created_at"]) == [older["id"]]


def test_a_batch_that_does_not_exist_has_no_jobs(api: httpx.Client) -> None:
    make(api)

    assert listed(api, batch_id="batch_01k8f0v4kge8yrbx6m4v0h2z9c") == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"cursor": "nowhere"}, "/query/cursor"),
        ({"cursor": "am9iXzAxazhmMHY0a2dlOHlyYng2bTR2MGgyejlj"}, "/query/cursor"),
        ({"limit": 201}, "/query/limit"),
        ({"limit": 0}, "/query/limit"),
        ({"state": "lost"}, "/query/state/0"),
        ({"stat": "queued"}, "/query/stat"),
        ({"created_after": "yesterday"}, "/query/created_after"),
        ({"created_after": "2026-11-20T09:14:03"}, "/query/created_after"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(api: httpx.Client, query: dict[str, Any], pointer: str) -> None:
    response = api.get("/v1/jobs", params=query)

    problem(response, 400, "invalid_request")
    assert pointers(response) == [pointer]


def test_the_cursor_of_another_project_is_one_from_nowhere(api: httpx.Client, strangers: Team) -> None:
    theirs = strangers.client(Scope.WRITE)
    for _ in range(2):
        make(theirs)
    cursor = theirs.get("/v1/jobs", params={"limit": 1}).json()["next_cursor"]

    problem(api.get("/v1/jobs", params={"cursor": cursor}), 400, "invalid_request")
