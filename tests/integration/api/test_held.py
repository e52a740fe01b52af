"""What the API tells of a held job: what is known, and what to do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import func

from shared import claims
from shared.db import Transaction
from shared.lifecycle import State
from shared.policy import OnUnknown
from shared.tables import HeldAttempt
from tests import factories
from tests.integration.api.conftest import Team

CAME_BACK: dict[str, Any] = {
    "class": "unknown_outcome",
    "code": "http_502",
    "message": "an HTML page",
    "retryable": False,
    "upstream_status": 502,
    "upstream_request_id": "20260304101112Ab",
    "body": "an HTML page",
}
BEFORE = {"remaining_usd": "7.631", "used_usd": "2.369", "at": "2026-11-20T09:12:00+00:00"}
AFTER = {"remaining_usd": "7.531", "used_usd": "2.469", "at": "2026-11-20T09:16:00+00:00"}
SEARCH = {"at": "2026-11-20T09:15:00+00:00", "found": None, "told": "no task that the gateway lists has its mark"}


@pytest.fixture
def job_in(team: Team, rows: Transaction) -> Any:
    def job_in(state: State, **columns: Any) -> str:
        with rows() as session:
            return factories.job(session, state=state, project_id=team.project_id, **columns).id

    return job_in


def hold(rows: Transaction, job_id: str, **columns: Any) -> None:
    """Write down what is known of its attempt."""
    values = {
        "attempt": 1,
        "held_at": func.now(),
        "sent_at": claims.seconds_from_now(-90),
        "heard_at": func.now(),
        "came_back": CAME_BACK,
        "credential": "default",
        "balance_before": BEFORE,
        "balance_after": AFTER,
        "looked_for": [SEARCH],
        "gives_way": OnUnknown.HOLD,
        **columns,
    }
    with rows() as session:
        session.add(HeldAttempt(job_id=job_id, **values))


def test_a_held_job_tells_what_is_known_of_its_call(api: httpx.Client, job_in: Any, rows: Transaction) -> None:
    job_id = job_in(State.HELD, operation="midjourney.imagine")
    hold(rows, job_id)

    held = api.get(f"/v1/jobs/{job_id}").json()["held"]

    assert held["sent_at"] < held["came_back"]["at"] == held["since"]
    assert (held["came_back"]["upstream_status"], held["came_back"]["body"]) == (502, "an HTML page")
    assert held["came_back"]["upstream_request_id"] == "20260304101112Ab"
    assert (held["balance"]["before"], held["balance"]["after"]) == ("7.631", "7.531")
    assert (held["balance"]["used_between"], held["balance"]["currency"]) == ("0.10", "USD")
    assert held["balance"]["unknown_because"] is None
    assert [one["told"] for one in held["looked_for"]] == [SEARCH["told"]]
    assert held["mark"] == f"{job_id}.1"


def test_it_says_what_to_do_in_calls_that_can_be_made_as_they_stand(
    api: httpx.Client, job_in: Any, rows: Transaction
) -> None:
    job_id = job_in(State.HELD, operation="midjourney.imagine")
    hold(rows, job_id)

    told = api.get(f"/v1/jobs/{job_id}").json()["held"]["what_to_do"]
    resolved = api.post(f"/v1/jobs/{job_id}/resolve", json={"as": "retry"})

    assert f'POST /v1/jobs/{job_id}/resolve {{"as": "running", "task_id": "…"}}' in told
    assert f'POST /v1/jobs/{job_id}/resolve {{"as": "retry"}}' in told
    assert f"darkroom resolve {job_id} --as failed" in told
    assert resolved.status_code == 200
    assert resolved.json()["held"]["what_to_do"] == "nothing: the job is queued"


def test_what_has_no_upstream_task_is_not_to_be_resolved_as_running(
    api: httpx.Client, job_in: Any, rows: Transaction
) -> None:
    job_id = job_in(State.HELD, operation="image.generate")
    hold(rows, job_id, looked_for=[])

    assert "running" not in api.get(f"/v1/jobs/{job_id}").json()["held"]["what_to_do"]


@pytest.mark.parametrize(
    ("balances", "why"),
    [
        ({"balance_before": None}, "no balance was seen before the call was begun"),
        ({"balance_after": None}, "the balance was not seen since; workers look every few minutes"),
        (
            {"balance_before": {**BEFORE, "remaining_usd": None}, "balance_after": {**AFTER, "remaining_usd": None}},
            "the key has no limit of its own; see what it used",
        ),
    ],
)
def test_where_a_balance_is_not_known_it_says_why(
    api: httpx.Client, job_in: Any, rows: Transaction, balances: dict[str, Any], why: str
) -> None:
    job_id = job_in(State.HELD)
    hold(rows, job_id, **balances)

    assert api.get(f"/v1/jobs/{job_id}").json()["held"]["balance"]["unknown_because"] == why


def test_while_it_is_searched_for_it_says_so_and_until_when(api: httpx.Client, job_in: Any, rows: Transaction) -> None:
    job_id = job_in(State.HELD, operation="midjourney.imagine")
    hold(rows, job_id, due_at=claims.seconds_from_now(30), gives_way=OnUnknown.RETRY, looked_for=[])

    held = api.get(f"/v1/jobs/{job_id}").json()["held"]

    assert held["looks_again_at"] > held["since"]
    assert held["what_to_do"].startswith(
        "Its task is being searched for at the gateway, then it is tried again; you can wait."
    )


def test_held_jobs_are_listed_with_what_is_known_and_others_have_nothing_held(
    api: httpx.Client, job_in: Any, rows: Transaction
) -> None:
    held_id, running_id = job_in(State.HELD), job_in(State.RUNNING, operation="video.create")
    hold(rows, held_id)

    listed = {job["id"]: job for job in api.get("/v1/jobs", params={"state": "held", "limit": 200}).json()["data"]}

    assert listed[held_id]["held"]["came_back"]["code"] == "http_502"
    assert running_id not in listed
    assert api.get(f"/v1/jobs/{running_id}").json()["held"] is None


def test_what_was_held_in_an_earlier_attempt_is_not_told_of_the_present_one(
    api: httpx.Client, job_in: Any, rows: Transaction
) -> None:
    job_id = job_in(State.RUNNING, operation="midjourney.imagine", attempt=2)
    hold(rows, job_id)

    assert api.get(f"/v1/jobs/{job_id}").json()["held"] is None


def test_the_openapi_document_explains_what_is_held(api: httpx.Client) -> None:
    schemas = api.get("/openapi.json").json()["components"]["schemas"]

    assert {"since", "sent_at", "came_back", "balance", "looked_for", "what_to_do"} <= set(
        schemas["Held"]["properties"]
    )
    assert "held" in schemas["Job"]["properties"]
