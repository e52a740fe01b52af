"""Cancel, retry, resolve, follow up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, text, update
from sqlmodel import col, select

from shared import claims
from shared.db import Transaction
from shared.lifecycle import Cause, State
from shared.tables import Event, Job, JobRequest
from tests import factories
from tests.integration.api.conftest import Team
from tests.integration.api.said import listed, make, pointers, problem

FINISHED = [State.SUCCEEDED, State.FAILED, State.CANCELED]
MONEY = {
    State.WAITING: "nothing is charged",
    State.QUEUED: "nothing is charged",
    State.DISPATCHED: "nothing is charged",
    State.SUBMITTING: "may be charged",
    State.RUNNING: "charges unless it fails",
    State.STORING: "paid for",
    State.HELD: "may have been charged",
}


@pytest.fixture
def job_in(team: Team, rows: Transaction) -> Any:
    def job_in(state: State, **columns: Any) -> str:
        with rows() as session:
            return factories.job(session, state=state, project_id=team.project_id, **columns).id

    return job_in


@pytest.mark.parametrize("state", MONEY)
def test_a_job_that_is_not_finished_can_be_canceled_and_says_what_becomes_of_the_money(
    api: httpx.Client, job_in: Any, state: State
) -> None:
    job_id = job_in(state)

    body = api.post(f"/v1/jobs/{job_id}/cancel").json()

    assert body["state"] == "canceled"
    assert MONEY[state] in body["state_reason"]
    assert body["finished_at"]


def test_canceled_again_is_the_same(api: httpx.Client, rows: Transaction) -> None:
    job = make(api)
    first = api.post(f"/v1/jobs/{job['id']}/cancel")

    second = api.post(f"/v1/jobs/{job['id']}/cancel")

    assert (second.status_code, second.json()) == (200, first.json())
    with rows() as session:
        told = session.exec(select(Event.type).where(col(Event.job_id) == job["id"])).all()
    assert told.count("job.canceled") == 1


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED])
def test_what_is_finished_cannot_be_canceled(api: httpx.Client, job_in: Any, state: State) -> None:
    problem(api.post(f"/v1/jobs/{job_in(state)}/cancel"), 409, "conflict")


def test_a_cancel_that_meets_the_end_of_its_job_has_one_winner(
    api: httpx.Client, job_in: Any, rows: Transaction
) -> None:
    for _ in range(10):
        job_id = job_in(State.STORING)
        together = threading.Barrier(2)

        def finish(job_id: str = job_id, together: threading.Barrier = together) -> bool:
            with rows() as session:
                claim = claims.read(session, job_id)
                assert claim is not None
                together.wait()
                return claims.move(session, claim, Cause.STORED)

        with ThreadPoolExecutor(1) as thread:
            stored = thread.submit(finish)
            together.wait()
            response = api.post(f"/v1/jobs/{job_id}/cancel")

        # The one who comes second sees what the first one made of it.
        assert (stored.result(), response.status_code) in [(True, 409), (False, 200)]
        state = api.get(f"/v1/jobs/{job_id}").json()["state"]
        assert state == ("succeeded" if stored.result() else "canceled")


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELED, State.HELD])
def test_what_ended_badly_can_be_tried_again(api: httpx.Client, job_in: Any, rows: Transaction, state: State) -> None:
    job_id = job_in(state, attempt=3, waits=4)
    with rows() as session:
        past = {
            "created_at": func.now() - text("interval '9 hours'"),
            "deadline_at": func.now() - text("interval '1 hour'"),  # it was retried before
        }
        session.execute(update(Job).where(col(Job.id) == job_id).values(**past))
        session.execute(update(JobRequest).where(col(JobRequest.job_id) == job_id).values(ttl_seconds=3600))
        factories.result(session, session.get_one(Job, job_id), error={"class": "x", "code": "x", "message": "x"})

    body = api.post(f"/v1/jobs/{job_id}/retry").json()

    assert body["state"] == "queued"
    assert body["error"] is None
    assert body["finished_at"] is None
    assert body["attempt"] == 3  # counted up when it is claimed
    with rows() as session:
        row = session.get_one(Job, job_id)
        assert row.waits == 0
        now = session.exec(select(func.now())).one()
        assert row.deadline_at is not None
        assert timedelta(minutes=59) < row.deadline_at - now <= timedelta(hours=1)


@pytest.mark.parametrize(("route", "body"), [("retry", None), ("resolve", {"as": "retry"})])
def test_a_repeated_request_to_try_again_gets_the_first_answer(
    api: httpx.Client, job_in: Any, route: str, body: Any
) -> None:
    address, key = f"/v1/jobs/{job_in(State.HELD)}/{route}", {"Idempotency-Key": f"again-{route}"}

    first = api.post(address, json=body, headers=key)
    second = api.post(address, json=body, headers=key)

    assert first.status_code == second.status_code == 200
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.json() == first.json()
    assert api.post(address, json=body).status_code == 409  # without the key it is another request


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.SUCCEEDED])
def test_what_did_not_end_badly_cannot_be_tried_again(api: httpx.Client, job_in: Any, state: State) -> None:
    assert str(state) in problem(api.post(f"/v1/jobs/{job_in(state)}/retry"), 409, "conflict")["detail"]


def test_a_held_job_can_be_resolved_as_failed(api: httpx.Client, job_in: Any) -> None:
    body = api.post(f"/v1/jobs/{job_in(State.HELD)}/resolve", json={"as": "failed"}).json()

    assert body["state"] == "failed"
    assert (body["error"]["class"], body["error"]["code"]) == ("unknown_outcome", "resolved_failed")


def test_a_held_job_can_be_resolved_by_another_try(api: httpx.Client, job_in: Any) -> None:
    assert api.post(f"/v1/jobs/{job_in(State.HELD)}/resolve", json={"as": "retry"}).json()["state"] == "queued"


def test_a_held_job_can_be_resolved_by_its_upstream_task(api: httpx.Client, job_in: Any, rows: Transaction) -> None:
    job_id = job_in(State.HELD, operation="video.create")

    body = api.post(f"/v1/jobs/{job_id}/resolve", json={"as": "running", "task_id": "video_abc"}).json()

    assert body["state"] == "running"
    assert body["upstream"]["task_id"] == "video_abc"
    with rows() as session:
        assert session.get_one(Job, job_id).due_at is not None


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"as": "running"}, "/task_id"),
        ({"as": "failed", "task_id": "x"}, "/task_id"),
        ({"as": "maybe"}, "/as"),
        ({}, "/as"),
        ({"outcome": "failed"}, "/outcome"),
    ],
)
def test_a_resolution_that_makes_no_sense_is_refused(
    api: httpx.Client, job_in: Any, said: dict[str, str], pointer: str
) -> None:
    response = api.post(f"/v1/jobs/{job_in(State.HELD)}/resolve", json=said)

    problem(response, 400, "invalid_request")
    assert pointer in pointers(response)


def test_only_a_held_job_can_be_resolved(api: httpx.Client, job_in: Any) -> None:
    problem(api.post(f"/v1/jobs/{job_in(State.RUNNING)}/resolve", json={"as": "failed"}), 409, "conflict")


def test_the_upstream_task_of_another_project_cannot_be_taken_up(
    api: httpx.Client, job_in: Any, rows: Transaction, strangers: Any
) -> None:
    with rows() as session:
        factories.job(
            session,
            project_id=strangers.project_id,
            state=State.RUNNING,
            operation="video.create",
            upstream_task_id="v_1",
        )
    job_id = job_in(State.HELD, operation="video.create")

    resolved = api.post(f"/v1/jobs/{job_id}/resolve", json={"as": "running", "task_id": "v_1"})
    pressed = api.post(
        "/v1/jobs",
        json={
            "model": "midjourney",
            "operation": "midjourney.action",
            "params": {"task_id": "v_1", "custom_id": "MJ::JOB::upsample::1::x"},
        },
    )

    problem(resolved, 409, "conflict")
    assert problem(pressed, 400, "invalid_request")["errors"][0]["pointer"] == "/params/task_id"
    assert api.get(f"/v1/jobs/{job_id}").json()["state"] == "held"


def test_a_call_without_an_upstream_task_cannot_be_running(api: httpx.Client, job_in: Any) -> None:
    response = api.post(f"/v1/jobs/{job_in(State.HELD)}/resolve", json={"as": "running", "task_id": "x"})

    problem(response, 409, "conflict")


# Follow-ups.

HASH = "7d2f0c11-0a3b-4f6e-9a77-3f5b2a9e0c41"
GRID = [
    *({"custom_id": f"MJ::JOB::upsample::{n}::{HASH}", "label": f"U{n}"} for n in (1, 2, 3, 4)),
    *({"custom_id": f"MJ::JOB::variation::{n}::{HASH}", "label": f"V{n}"} for n in (1, 2, 3, 4)),
    {"custom_id": f"MJ::JOB::reroll::0::{HASH}::SOLO", "emoji": "🔄"},
]
SINGLE = [
    {"custom_id": f"MJ::JOB::upsample_v6_2x_subtle::1::{HASH}::SOLO", "label": "Upscale (Subtle)"},
    {"custom_id": f"MJ::JOB::upsample_v6_2x_creative::1::{HASH}::SOLO", "label": "Upscale (Creative)"},
    {"custom_id": f"MJ::JOB::low_variation::1::{HASH}::SOLO", "label": "Vary (Subtle)"},
    {"custom_id": f"MJ::JOB::high_variation::1::{HASH}::SOLO", "label": "Vary (Strong)"},
    {"custom_id": f"MJ::Outpaint::50::1::{HASH}::SOLO", "label": "Zoom Out 2x"},
    {"custom_id": f"MJ::CustomZoom::{HASH}", "label": "Custom Zoom"},
    {"custom_id": f"MJ::Inpaint::1::{HASH}::SOLO", "label": "Vary (Region)"},
    {"custom_id": f"MJ::JOB::pan_left::1::{HASH}::SOLO", "emoji": "⬅️"},
    {"custom_id": f"MJ::JOB::pan_right::1::{HASH}::SOLO", "emoji": "➡️"},
]


@pytest.fixture
def parent(team: Team, rows: Transaction) -> Any:
    def parent(buttons: Any, state: State = State.SUCCEEDED, **columns: Any) -> Job:
        with rows() as session:
            columns = {"operation": "midjourney.imagine", "params": {"mode": "relax"}, "priority": 7, **columns}
            job = factories.job(
                session, state=state, project_id=team.project_id, upstream_task_id="1772611200345018", **columns
            )
            factories.result(session, job, result={"buttons": buttons, "seed": "1"})
        return job

    return parent


@pytest.mark.parametrize(
    ("buttons", "said", "custom_id"),
    [
        (GRID, {"action": "upscale", "index": 2}, f"MJ::JOB::upsample::2::{HASH}"),
        (GRID, {"action": "variation", "index": 4}, f"MJ::JOB::variation::4::{HASH}"),
        (GRID, {"action": "reroll"}, f"MJ::JOB::reroll::0::{HASH}::SOLO"),
        (GRID, {"custom_id": f"MJ::JOB::upsample::1::{HASH}"}, f"MJ::JOB::upsample::1::{HASH}"),
        (SINGLE, {"action": "upscale"}, f"MJ::JOB::upsample_v6_2x_subtle::1::{HASH}::SOLO"),
        (SINGLE, {"action": "upscale", "direction": "creative"}, f"MJ::JOB::upsample_v6_2x_creative::1::{HASH}::SOLO"),
        (SINGLE, {"action": "variation", "direction": "strong"}, f"MJ::JOB::high_variation::1::{HASH}::SOLO"),
        (SINGLE, {"action": "zoom"}, f"MJ::Outpaint::50::1::{HASH}::SOLO"),
        (SINGLE, {"action": "pan", "direction": "right"}, f"MJ::JOB::pan_right::1::{HASH}::SOLO"),
    ],
)
def test_a_follow_up_presses_the_button_that_is_meant(
    api: httpx.Client, parent: Any, buttons: Any, said: dict[str, Any], custom_id: str
) -> None:
    of = parent(buttons)

    response = api.post(f"/v1/jobs/{of.id}/actions", json=said)

    body = response.json()
    assert response.status_code == 201, body
    assert response.headers["location"] == f"/v1/jobs/{body['id']}"
    assert body["parent_id"] == of.id
    assert body["operation"] == "midjourney.action"
    assert body["params"] == {"task_id": "1772611200345018", "custom_id": custom_id, "mode": "relax"}
    assert body["priority"] == 7
    assert listed(api, parent_id=of.id) == [body["id"]]


def test_a_follow_up_shares_the_lane_of_its_parent(api: httpx.Client, parent: Any, rows: Transaction) -> None:
    of = parent(GRID)

    job_id = api.post(f"/v1/jobs/{of.id}/actions", json={"action": "reroll", "params": {"mode": "fast"}}).json()["id"]

    with rows() as session:
        assert session.get_one(Job, job_id).lane == of.lane


@pytest.mark.parametrize(
    ("buttons", "said"),
    [
        (GRID, {"action": "pan", "direction": "left"}),
        (GRID, {"custom_id": "MJ::JOB::upsample::1::made-up"}),
        (SINGLE, {"action": "upscale", "index": 3}),
        (GRID, {"action": "upscale", "index": 5}),
        (SINGLE, {"action": "pan", "direction": "up"}),
        ([], {"action": "reroll"}),
        (None, {"action": "reroll"}),
    ],
)
def test_what_the_result_does_not_offer_is_a_conflict_that_lists_what_it_offers(
    api: httpx.Client, parent: Any, buttons: Any, said: dict[str, Any]
) -> None:
    body = problem(api.post(f"/v1/jobs/{parent(buttons).id}/actions", json=said), 409, "conflict")

    for button in buttons or []:
        assert button["custom_id"] in body["detail"]


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({}, "/action"),
        ({"action": "upscale", "custom_id": "MJ::x"}, "/action"),
        ({"action": "explode"}, "/action"),
        ({"action": "upscale"}, "/index"),
        ({"action": "upscale", "index": 0}, "/index"),
        ({"action": "upscale", "index": 65}, "/index"),
        ({"action": "reroll", "params": {"mod": "fast"}}, "/params/mod"),
    ],
)
def test_a_follow_up_that_is_not_clear_is_refused(
    api: httpx.Client, parent: Any, said: dict[str, Any], pointer: str
) -> None:
    response = api.post(f"/v1/jobs/{parent(GRID).id}/actions", json=said)

    problem(response, 400, "invalid_request")
    assert pointers(response) == [pointer]


def test_which_way_to_pan_must_be_said(api: httpx.Client, parent: Any) -> None:
    response = api.post(f"/v1/jobs/{parent(SINGLE).id}/actions", json={"action": "pan"})

    problem(response, 400, "invalid_request")
    assert pointers(response) == ["/direction"]


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED])
def test_only_a_result_that_is_there_can_be_followed_up(api: httpx.Client, parent: Any, state: State) -> None:
    problem(api.post(f"/v1/jobs/{parent(GRID, state).id}/actions", json={"action": "reroll"}), 409, "conflict")


def test_a_picture_of_another_model_has_no_buttons(api: httpx.Client, parent: Any) -> None:
    of = parent(GRID, operation="image.generate", params={})

    problem(api.post(f"/v1/jobs/{of.id}/actions", json={"action": "reroll"}), 409, "conflict")


def test_the_same_follow_up_under_one_key_is_made_once(api: httpx.Client, parent: Any) -> None:
    of, key = parent(GRID), {"Idempotency-Key": "u2"}

    first, second = (
        api.post(f"/v1/jobs/{of.id}/actions", json={"action": "upscale", "index": 2}, headers=key) for _ in range(2)
    )

    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
