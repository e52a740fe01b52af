"""Several credentials as the API meets them: where new jobs and follow-ups go, and what is told of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import func, text
from sqlmodel import col, select

from api.jobs import intake
from shared.catalog.lookup import Catalog
from shared.credentials import Credential, Limits
from shared.db import Transaction
from shared.errors import SettingsError
from shared.lifecycle import State
from shared.settings import Settings
from shared.tables import GatewayView, Job, Lane, Scope
from tests import factories
from tests.integration.api.conftest import Team
from tests.integration.api.said import pointers, problem

KEY: Final = "sk-very-secret"
BUTTONS: Final = [{"custom_id": "MJ::JOB::reroll::0::7d2f0c11-0a3b-4f6e-9a77-3f5b2a9e0c41::SOLO", "emoji": "🔄"}]


def credential(name: str, **fields: Any) -> Credential:
    return Credential(name=name, base_url=f"https://{name}.example", api_key=SecretStr(KEY), **fields)


KNOWN: Final = (
    credential("alpha", models=("nano-banana", "midjourney*", "sora-*")),
    credential("beta", models=("nano-banana", "midjourney*", "veo*"), weight=3),
)


@pytest.fixture
def lanes(rows: Transaction) -> Iterator[None]:
    """Those of both credentials, none of them paused."""
    with rows() as session:
        intake.set_lanes(session, Catalog.built_in(), KNOWN)
    yield
    with rows() as session:
        session.execute(text("DELETE FROM lanes WHERE name LIKE 'alpha.%' OR name LIKE 'beta.%'"))
        session.execute(text("DELETE FROM gateway_views"))
        intake.set_lanes(session, Catalog.built_in(), Settings(_env_file=None).credentials)  # type: ignore[call-arg]


@pytest.fixture
def api(team: Team, serve: Callable[..., AbstractContextManager[str]], lanes: None) -> Iterator[httpx.Client]:
    """Of a Darkroom with two credentials."""
    with serve(gateways=KNOWN) as url:
        yield team.client(Scope.WRITE, url=url)


def post(api: httpx.Client, **fields: Any) -> dict[str, Any]:
    response = api.post("/v1/jobs", json={"model": "nano-banana", "prompt": "a boat", **fields})
    assert response.status_code == 201, response.text
    return dict(response.json())


def row(rows: Transaction, job_id: str) -> Job:
    with rows() as session:
        return session.get_one(Job, job_id)


def pause(rows: Transaction, lane: str) -> None:
    with rows() as session:
        paused = text(
            "UPDATE lanes SET paused_until = now() + interval '1 hour', pause_reason = 'why' WHERE name = :lane"
        )
        session.execute(paused, {"lane": lane})


# Where jobs go.


def test_new_jobs_go_to_all_who_serve_their_model_by_weight(api: httpx.Client, rows: Transaction) -> None:
    found = Counter(row(rows, post(api)["id"]).lane for _ in range(40))

    assert set(found) == {"alpha.nano-banana", "beta.nano-banana"}
    assert found["beta.nano-banana"] > found["alpha.nano-banana"]


@pytest.mark.parametrize(
    ("model", "operation", "lane"), [("sora-2", None, "alpha.sora"), ("veo-9", "video.create", "beta.other")]
)
def test_a_model_goes_to_who_serves_it(
    api: httpx.Client, rows: Transaction, model: str, operation: str | None, lane: str
) -> None:
    asked = {"model": model, **({} if operation is None else {"operation": operation})}

    assert row(rows, post(api, **asked)["id"]).lane == lane


def test_a_model_that_nobody_serves_is_refused(api: httpx.Client) -> None:
    response = api.post("/v1/jobs", json={"model": "gpt-image-1", "prompt": "a boat"})

    body = problem(response, 400, "invalid_request")
    assert pointers(response) == ["/model"]
    assert "gpt-image-1" in body["detail"]


def test_a_paused_lane_gets_no_new_jobs_unless_all_are_paused(api: httpx.Client, rows: Transaction) -> None:
    pause(rows, "beta.nano-banana")
    alone = {row(rows, post(api)["id"]).lane for _ in range(10)}
    pause(rows, "alpha.nano-banana")
    nobody = post(api)

    assert alone == {"alpha.nano-banana"}
    assert (nobody["queue"]["reason"], nobody["queue"]["detail"]) == ("lane_paused", "why")


def test_a_dry_run_names_the_lanes_that_it_may_go_to(api: httpx.Client) -> None:
    body = api.post("/v1/jobs?dry_run=true", json={"model": "nano-banana", "prompt": "a boat"}).json()

    assert (body["lane"], body["lanes"]) == ("alpha.nano-banana", ["alpha.nano-banana", "beta.nano-banana"])


# Follow-ups.


@pytest.fixture
def parent(team: Team, rows: Transaction) -> Callable[[str], Job]:
    """A finished grid of a lane, with a button."""

    def make(lane: str, **columns: Any) -> Job:
        with rows() as session:
            values = {"upstream_task_id": f"177{lane}", "project_id": team.project_id, "model": "midjourney", **columns}
            job = factories.job(
                session, state=State.SUCCEEDED, operation="midjourney.imagine", lane_name=lane, **values
            )
            factories.result(session, job, result={"buttons": BUTTONS})
            factories.artifact(session, job)
        return job

    return make


@pytest.mark.parametrize("lane", ["alpha.midjourney", "beta.midjourney"])
def test_a_follow_up_on_a_task_stays_with_its_credential_and_no_other_may_take_it(
    api: httpx.Client, rows: Transaction, parent: Callable[[str], Job], lane: str
) -> None:
    of = parent(lane)
    pause(rows, lane)

    response = api.post(f"/v1/jobs/{of.id}/actions", json={"custom_id": BUTTONS[0]["custom_id"]})

    assert response.status_code == 201, response.text
    made = row(rows, response.json()["id"])
    assert (made.lane, made.pinned) == (lane, True)


def test_a_follow_up_on_a_task_whose_credential_is_gone_is_refused(
    api: httpx.Client, parent: Callable[[str], Job]
) -> None:
    of = parent("gone.midjourney")

    body = problem(api.post(f"/v1/jobs/{of.id}/actions", json={"custom_id": BUTTONS[0]["custom_id"]}), 409, "conflict")

    assert "credential gone" in body["detail"]


def test_a_job_that_names_a_task_goes_where_the_task_was_made(
    api: httpx.Client, rows: Transaction, parent: Callable[[str], Job]
) -> None:
    for lane in ("alpha.midjourney", "beta.midjourney"):
        of = parent(lane)
        params = {"task_id": of.upstream_task_id, "custom_id": BUTTONS[0]["custom_id"]}

        made = row(rows, post(api, model="midjourney", operation="midjourney.action", params=params)["id"])

        assert (made.lane, made.pinned) == (lane, True)


def test_a_follow_up_on_a_picture_stays_while_it_may_and_goes_elsewhere_when_that_is_paused(
    api: httpx.Client, rows: Transaction, team: Team
) -> None:
    with rows() as session:
        values = {"project_id": team.project_id, "lane_name": "alpha.nano-banana"}
        of = factories.job(session, state=State.SUCCEEDED, **values)
        factories.artifact(session, of)
    asked = {"action": "variation", "prompt": "at night"}

    stays = row(rows, api.post(f"/v1/jobs/{of.id}/actions", json=asked).json()["id"])
    pause(rows, "alpha.nano-banana")
    goes = row(rows, api.post(f"/v1/jobs/{of.id}/actions", json=asked).json()["id"])

    assert (stays.lane, stays.pinned) == ("alpha.nano-banana", False)
    assert (goes.lane, goes.pinned) == ("beta.nano-banana", False)


# What is told.


def saw(rows: Transaction, name: str, data: dict[str, Any]) -> None:
    with rows() as session:
        session.merge(GatewayView(name=name, data=data, seen_at=func.now(), tried_at=func.now(), status="ok"))


def test_the_balance_is_the_sum_and_each_is_told(api: httpx.Client, rows: Transaction) -> None:
    saw(rows, "alpha.token", {"remaining_usd": "7.50"})
    saw(rows, "alpha.user", {"remaining_usd": "3.25"})
    saw(rows, "beta.token", {"remaining_usd": "10.00"})

    body = api.get("/v1/gateway/balance").json()

    assert body["remaining_usd"] == "13.25"
    assert [(one["name"], one["remaining_usd"]) for one in body["credentials"]] == [
        ("alpha", "3.25"),
        ("beta", "10.00"),
    ]
    assert (body["token"]["remaining_usd"], body["user"]["remaining_usd"]) == ("7.50", "3.25")
    assert body["credentials"][1]["user"] is None


@pytest.mark.parametrize(
    ("alpha", "beta", "available"),
    [
        ([], ["nano-banana"], True),
        (["nano-banana"], None, True),
        ([], None, None),
        ([], [], False),
        (None, None, None),
    ],
)
def test_a_model_is_available_if_any_who_serves_it_may_use_it(
    api: httpx.Client, rows: Transaction, alpha: list[str] | None, beta: list[str] | None, available: bool | None
) -> None:
    for name, listed in (("alpha", alpha), ("beta", beta)):
        if listed is not None:
            saw(rows, f"{name}.models", {"models": {model: [] for model in listed}})

    body = api.get("/v1/models/nano-banana").json()

    assert body["available"] is available
    assert body["lanes"] == ["alpha.nano-banana", "beta.nano-banana"]


def test_a_list_of_who_does_not_serve_a_model_says_nothing_about_it(api: httpx.Client, rows: Transaction) -> None:
    saw(rows, "beta.models", {"models": {"sora-2": []}})

    body = api.get("/v1/models/sora-2").json()

    assert (body["available"], body["lanes"]) == (None, ["alpha.sora"])


@pytest.mark.parametrize("path", ["/v1/gateway/balance", "/v1/models", "/v1/lanes", "/metrics", "/openapi.json"])
def test_no_answer_shows_a_key(api: httpx.Client, path: str) -> None:
    response = api.get(path)

    assert response.status_code == 200, response.text
    assert KEY not in response.text


# The lanes.


def lane(rows: Transaction, name: str) -> Lane:
    with rows() as session:
        return session.get_one(Lane, name)


def test_there_is_a_lane_of_each_credential_and_family_and_its_limits_win(rows: Transaction, lanes: None) -> None:
    limited = credential("beta", limits={"sora": Limits(limit=2, per_day=9)})
    catalog = Catalog.built_in()

    with rows() as session:
        intake.set_lanes(session, catalog, (KNOWN[0], limited))
        names = set(session.execute(select(col(Lane.name))).scalars())

    assert {f"{name}.{family}" for name in ("alpha", "beta") for family in catalog.lanes} <= names
    beta = lane(rows, "beta.sora")
    assert (beta.limit, beta.per_day, beta.rate_per_minute) == (2, 9, catalog.lanes["sora"].rate_per_minute)
    assert lane(rows, "alpha.sora").limit == catalog.lanes["sora"].limit


def test_limits_of_a_family_that_there_is_not_are_refused(rows: Transaction) -> None:
    wrong = credential("alpha", limits={"sorra": Limits(limit=2)})

    with rows() as session, pytest.raises(SettingsError, match=r"DARKROOM_GATEWAYS: alpha limits sorra, .*mean sora\?"):
        intake.set_lanes(session, Catalog.built_in(), (wrong,))


def test_a_lane_whose_credential_was_removed_says_so_until_it_is_back(
    api: httpx.Client, rows: Transaction, team: Team
) -> None:
    with rows() as session:
        job = factories.job(session, lane_name="beta.sora", project_id=team.project_id, pinned=True)
        intake.set_lanes(session, Catalog.built_in(), KNOWN[:1])
    without = api.get(f"/v1/jobs/{job.id}").json()["queue"]
    with rows() as session:
        intake.set_lanes(session, Catalog.built_in(), KNOWN)

    again = api.get(f"/v1/jobs/{job.id}").json()["queue"]

    told = "no gateway credential named beta is configured"
    assert (without["reason"], without["detail"], without["eta_seconds"]) == ("lane_paused", told, None)
    assert again["reason"] is None


def test_a_lane_that_is_probed_says_so_until_an_admin_knows_better(
    operator: Team, rows: Transaction, lanes: None
) -> None:
    admin = operator.client(Scope.ADMIN)
    with rows() as session:
        sick = "UPDATE lanes SET pauses = 2, pause_reason = 'the gateway refuses the key' WHERE name = 'alpha.sora'"
        session.execute(text(sick))

    before = admin.get("/v1/lanes/alpha.sora").json()
    after = admin.patch("/v1/lanes/alpha.sora", json={"paused": False}).json()

    assert (before["paused"], before["probing"], before["pause_reason"]) == (False, True, "the gateway refuses the key")
    assert (after["probing"], after["pause_reason"]) == (False, None)


def test_a_day_can_be_limited_and_the_limit_taken_back(
    operator: Team, team: Team, rows: Transaction, api: httpx.Client
) -> None:
    admin = operator.client(Scope.ADMIN)
    with rows() as session:
        session.execute(
            text("UPDATE lanes SET day_count = 3, day = (now() AT TIME ZONE 'UTC')::date WHERE name = 'alpha.sora'")
        )
    limited = admin.patch("/v1/lanes/alpha.sora", json={"per_day": 3}).json()
    job = post(api, model="sora-2")

    free = admin.patch("/v1/lanes/alpha.sora", json={"per_day": None}).json()

    assert (limited["per_day"], limited["left_today"], limited["set_by_hand"]) == (3, 0, ["per_day"])
    assert job["queue"]["reason"] == "rate"
    assert 0 < job["queue"]["eta_seconds"] <= 86400
    assert (free["per_day"], free["left_today"], free["set_by_hand"]) == (None, None, [])
