"""A result that came late: how its job shows it, and what a cancel says of the money."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import func
from sqlmodel import col, select, update

from shared import claims, late
from shared.db import Transaction
from shared.lifecycle import State
from shared.tables import Artifact, Job, LateResult, LateState
from tests import factories
from tests.integration.api.conftest import Team
from tests.integration.api.said import problem

MONEY = {
    State.WAITING: "canceled before anything was sent; nothing is charged",
    State.QUEUED: "canceled while it waited in the queue; nothing is charged for another attempt",
    State.DISPATCHED: "canceled before its call was made; nothing is charged for this attempt",
    State.SUBMITTING: "canceled while its call was under way; it may be charged, and a result that still comes is kept",
    State.RUNNING: (
        "canceled while the gateway was at work; it goes on, and charges unless it fails;"
        " should the gateway's task still give a result, it is kept"
    ),
    State.STORING: (
        "canceled while its result was being stored; it is paid for; the result goes on being stored and is kept"
    ),
    State.HELD: (
        "canceled while it was unknown whether its call went through; it may have been charged, and a result that"
        " still comes is kept"
    ),
}
"""As a caller reads it."""


@pytest.fixture
def job_in(team: Team, rows: Transaction) -> Any:
    def job_in(state: State, **columns: Any) -> Job:
        with rows() as session:
            job = factories.job(session, state=state, project_id=team.project_id, **columns)
            if state is State.STORING:
                factories.result(session, job, outputs=[{"kind": "image", "sources": [{"url": "https://x.example/1"}]}])
        return job

    return job_in


@pytest.fixture
def left(job_in: Any, rows: Transaction) -> Any:
    """A job that ended with a task at the gateway."""

    def left(state: State = State.CANCELED, late_state: LateState = LateState.LOOKING, **columns: Any) -> Job:
        job: Job = job_in(state, state_reason="it ended", submitted_at=func.now())
        values = {"attempt": job.attempt, "due_at": func.now(), "created_at": func.now(), **columns}
        with rows() as session:
            session.add(LateResult(job_id=job.id, lane=job.lane, state=late_state, **values))
        return job

    return left


@pytest.mark.parametrize("state", MONEY)
def test_the_answer_of_a_cancel_says_what_happens_with_the_money(api: httpx.Client, job_in: Any, state: State) -> None:
    task = {"upstream_task_id": "video_1"} if state is State.RUNNING else {}
    job = job_in(state, **task)

    body = api.post(f"/v1/jobs/{job.id}/cancel").json()

    assert (body["state"], body["state_reason"]) == ("canceled", MONEY[state])
    assert body == api.post(f"/v1/jobs/{job.id}/cancel").json()
    assert body == api.get(f"/v1/jobs/{job.id}").json()


def keep(rows: Transaction, job: Job, **known: Any) -> Artifact:
    """The late result is stored."""
    with rows() as session:
        claim = factories.claim(job, **known)
        assert late.stored(session, claim, 1)
        return factories.artifact(session, job)


@pytest.mark.parametrize("state", [State.CANCELED, State.FAILED, State.HELD])
def test_a_job_without_a_result_of_its_own_shows_what_came_late(
    api: httpx.Client, rows: Transaction, left: Any, state: State
) -> None:
    job = left(state, LateState.STORING, result={"seed": 7})
    before = api.get(f"/v1/jobs/{job.id}").json()

    artifact = keep(rows, job)

    after = api.get(f"/v1/jobs/{job.id}").json()
    (shown,) = after["artifacts"]
    assert (shown["id"], shown["late"], shown["attempt"]) == (artifact.id, True, 1)
    assert shown["url"].endswith(f"/v1/artifacts/{artifact.id}/content")
    assert (before["state_reason"], after["state_reason"]) == (
        "it ended; the result goes on being stored and is kept",
        "it ended; the result came late and is kept",
    )
    assert (before["result"], after["result"]) == (None, {"seed": 7})
    changed = {"artifacts", "result", "state_reason"}
    assert {name: after[name] for name in after if name not in changed} == {
        name: before[name] for name in before if name not in changed
    }


def test_a_late_artifact_can_be_read_by_its_id_as_any_other(
    api: httpx.Client, rows: Transaction, left: Any, strangers: Team
) -> None:
    artifact = keep(rows, left(late_state=LateState.STORING))

    body = api.get(f"/v1/artifacts/{artifact.id}").json()

    assert (body["id"], body["job_id"]) == (artifact.id, artifact.job_id)
    assert "late" not in body
    problem(strangers.client().get(f"/v1/jobs/{artifact.job_id}"), 404, "not_found")


def test_the_artifacts_of_a_success_are_its_own_alone(api: httpx.Client, rows: Transaction, left: Any) -> None:
    job = left(State.FAILED, LateState.STORING, result={"seed": 1})
    keep(rows, job)
    with rows() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(state=State.SUCCEEDED, attempt=2))
        second = factories.artifact(session, factories.reread(session, job))

    body = api.get(f"/v1/jobs/{job.id}").json()

    assert [shown["id"] for shown in body["artifacts"]] == [second.id]
    assert not {"late", "attempt"} & set(body["artifacts"][0])
    assert (body["result"], body["state_reason"]) == (None, "it ended")


@pytest.mark.parametrize("state", [State.QUEUED, State.SUBMITTING, State.RUNNING])
def test_a_job_that_goes_on_says_nothing_of_earlier_attempts(
    api: httpx.Client, rows: Transaction, left: Any, state: State
) -> None:
    job = left(State.FAILED, LateState.STORING)
    keep(rows, job)
    with rows() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(state=state, state_reason=None))

    body = api.get(f"/v1/jobs/{job.id}").json()

    assert (body["artifacts"], body["state_reason"]) == ([], None)


def test_what_came_of_several_attempts_is_shown_the_newest_first(
    api: httpx.Client, rows: Transaction, left: Any
) -> None:
    job = left(State.FAILED, LateState.STORED)
    with rows() as session:
        first = factories.artifact(session, job).id
        session.execute(update(Job).where(col(Job.id) == job.id).values(attempt=2))
        second = factories.artifact(session, factories.reread(session, job)).id
        kept = {"state": LateState.GIVEN_UP, "reason": "its task failed", "created_at": func.now()}
        session.add(LateResult(job_id=job.id, attempt=2, lane=job.lane, **kept))

    body = api.get(f"/v1/jobs/{job.id}").json()

    assert [(shown["id"], shown["attempt"]) for shown in body["artifacts"]] == [(second, 2), (first, 1)]
    assert body["state_reason"] == (
        "it ended; nothing came of attempt 2 later: its task failed; the result of attempt 1 came late and is kept"
    )


def test_its_history_has_the_news_which_is_no_move(api: httpx.Client, rows: Transaction, left: Any) -> None:
    job = left(late_state=LateState.STORING)

    keep(rows, job, by="process_1")

    (news,) = api.get(f"/v1/jobs/{job.id}/events").json()["data"]
    assert (news["type"], news["state"], news["from_state"], news["cause"]) == (
        "job.late_result",
        "canceled",
        None,
        None,
    )
    assert (news["attempt"], news["process_id"]) == (1, "process_1")
    assert news["reason"] == "the result of attempt 1 came late and is kept"
    assert news["data"] == {"late": "stored", "artifacts": 1}


def test_news_of_late_results_can_be_asked_for(api: httpx.Client) -> None:
    webhook = {"url": "https://shop.example/hooks", "events": ["job.late_result"]}

    made = api.post("/v1/jobs", json={"model": "nano-banana", "prompt": "a boat", "webhook": webhook})

    assert made.status_code == 201


def test_a_list_shows_late_results_as_one_job_does(api: httpx.Client, rows: Transaction, left: Any) -> None:
    jobs = [left(late_state=LateState.STORING) for _ in range(3)]
    for job in jobs:
        keep(rows, job)

    listed = api.get("/v1/jobs", params={"state": "canceled"}).json()["data"]

    assert {len(shown["artifacts"]) for shown in listed} == {1}
    assert {shown["state_reason"] for shown in listed} == {"it ended; the result came late and is kept"}


def test_a_canceled_job_that_is_tried_again_keeps_its_first_task(
    api: httpx.Client, rows: Transaction, job_in: Any
) -> None:
    job = job_in(State.RUNNING, upstream_task_id="video_1")
    api.post(f"/v1/jobs/{job.id}/cancel")

    api.post(f"/v1/jobs/{job.id}/retry")

    with rows() as session:
        (kept,) = session.exec(select(LateResult).where(col(LateResult.job_id) == job.id)).all()
        claim = claims.read(session, job.id)
    assert (kept.attempt, kept.state, kept.upstream_task_id) == (1, LateState.LOOKING, "video_1")
    assert claim is not None
    assert (claim.state, claim.upstream_task_id) == (State.QUEUED, None)


def test_a_held_job_that_is_resolved_as_failed_keeps_the_task_that_was_known(
    api: httpx.Client, rows: Transaction, job_in: Any
) -> None:
    job = job_in(State.HELD, upstream_task_id="video_1")

    body = api.post(f"/v1/jobs/{job.id}/resolve", json={"as": "failed"}).json()

    assert body["state"] == "failed"
    assert body["state_reason"].endswith("should the gateway's task still give a result, it is kept")
    with rows() as session:
        kept = session.exec(select(LateResult.state).where(col(LateResult.job_id) == job.id)).all()
    assert kept == [LateState.LOOKING]
