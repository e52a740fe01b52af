"""What a project used: by day, model, operation and state."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlmodel import Session

from api.auth import Caller
from api.routes import usage
from shared import ids
from shared.db import Transaction
from shared.lifecycle import State
from shared.tables import Job, Scope
from tests import factories
from tests.integration.api.conftest import Team
from tests.integration.api.said import make, pointers, problem

NOW = datetime.now(UTC)


def used(api: httpx.Client, **query: str) -> dict[str, Any]:
    response = api.get("/v1/usage", params=query)
    assert response.status_code == 200, response.text
    return dict(response.json())


def job(
    session: Session,
    team: Team,
    state: State = State.SUCCEEDED,
    *,
    days_ago: float = 0,
    cost: str | None = "0.04",
    **more: Any,
) -> Job:
    """A job of that price that was created so many days before noon of today, with the id that it got then."""
    created_at = NOW.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)
    tail = ids.new("job")[-16:]
    with patch.object(ids, "new", lambda prefix: ids.first_of(prefix, created_at)[:-16] + tail):
        made = factories.job(
            session,
            state=state,
            project_id=team.project_id,
            lane_name=factories.lane(session).name,
            created_at=created_at,
            **more,
        )
    session.execute(
        text("UPDATE job_requests SET estimated_cost_usd = :cost WHERE job_id = :id"), {"cost": cost, "id": made.id}
    )
    return made


def day(days_ago: int) -> str:
    return (NOW - timedelta(days=days_ago)).date().isoformat()


def until_tomorrow(**query: str) -> dict[str, str]:
    """Noon of today may be still to come."""
    return {"to": (NOW + timedelta(days=1)).isoformat(), "from": (NOW - timedelta(days=40)).isoformat(), **query}


def test_jobs_bytes_and_spend_are_told_by_day_and_model(api: httpx.Client, team: Team, rows: Transaction) -> None:
    with rows() as session:
        for size_bytes in (1000, 2000):
            factories.artifact(session, job(session, team, model="nano-banana"), size_bytes=size_bytes)
        film = job(session, team, model="sora-2", cost="0.8", days_ago=1)
        for index in range(2):
            factories.artifact(session, film, index=index, size_bytes=5_000_000_000)
        job(session, team, State.FAILED, model="sora-2", cost="0.8", days_ago=1)

    body = used(api, **until_tomorrow())

    assert (body["object"], body["group_by"]) == ("usage", ["day", "model"])
    assert body["data"] == [
        {
            "day": day(0),
            "model": "nano-banana",
            "jobs": 2,
            "bytes": 3000,
            "spend": {"estimated": "0.08", "currency": "USD"},
            "unpriced_jobs": 0,
        },
        {
            "day": day(1),
            "model": "sora-2",
            "jobs": 2,
            "bytes": 10_000_000_000,
            "spend": {"estimated": "0.80", "currency": "USD"},
            "unpriced_jobs": 0,
        },
    ]
    assert body["total"] == {
        "jobs": 4,
        "bytes": 10_000_003_000,
        "spend": {"estimated": "0.88", "currency": "USD"},
        "unpriced_jobs": 0,
    }


@pytest.mark.parametrize(
    ("state", "columns", "spend"),
    [
        (State.QUEUED, {}, "0.00"),
        (State.DISPATCHED, {}, "0.00"),
        (State.SUBMITTING, {}, "0.04"),
        (State.RUNNING, {}, "0.04"),
        (State.STORING, {}, "0.04"),
        (State.HELD, {}, "0.04"),
        (State.SUCCEEDED, {}, "0.04"),
        (State.FAILED, {}, "0.00"),
        (State.CANCELED, {}, "0.04"),
        (State.CANCELED, {"submitted_at": None}, "0.00"),
    ],
)
def test_a_job_counts_as_spend_once_it_may_have_cost_something(
    api: httpx.Client, team: Team, rows: Transaction, state: State, columns: dict[str, Any], spend: str
) -> None:
    with rows() as session:
        job(session, team, state, **columns)

    body = used(api, **until_tomorrow(group_by="state"))

    assert [(group["state"], group["jobs"]) for group in body["data"]] == [(state.value, 1)]
    assert body["total"]["spend"]["estimated"] == spend


def test_a_job_whose_price_nobody_knows_is_counted_apart(api: httpx.Client, team: Team, rows: Transaction) -> None:
    with rows() as session:
        job(session, team, cost=None)
        job(session, team, State.QUEUED, cost=None)
        job(session, team, cost="0.000001")

    total = used(api, **until_tomorrow())["total"]

    assert (total["spend"]["estimated"], total["unpriced_jobs"], total["jobs"]) == ("0.000001", 1, 3)


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        ("model", [{"model": "nano-banana"}, {"model": "sora-2"}]),
        ("operation", [{"operation": "image.generate"}, {"operation": "video.create"}]),
        ("day", [{"day": day(0)}, {"day": day(2)}]),
        ("state, model", [{"state": "queued", "model": "sora-2"}, {"state": "succeeded", "model": "nano-banana"}]),
        (
            "model,day,state,operation",
            [
                {"model": "nano-banana", "day": day(0), "state": "succeeded", "operation": "image.generate"},
                {"model": "sora-2", "day": day(2), "state": "queued", "operation": "video.create"},
            ],
        ),
    ],
)
def test_it_is_grouped_by_whatever_is_asked_for(
    api: httpx.Client, team: Team, rows: Transaction, group_by: str, groups: list[dict[str, str]]
) -> None:
    with rows() as session:
        job(session, team)
        job(session, team, State.QUEUED, operation="video.create", days_ago=2)

    body = used(api, **until_tomorrow(group_by=group_by))

    counts = {"jobs", "bytes", "spend", "unpriced_jobs"}
    assert [{name: value for name, value in group.items() if name not in counts} for group in body["data"]] == groups
    assert [list(group) for group in body["data"]] == [list(group) for group in body["data"][:1]] * len(groups)


def test_only_jobs_of_the_time_count(api: httpx.Client, team: Team, rows: Transaction) -> None:
    with rows() as session:
        for days_ago in (1, 2, 3):
            job(session, team, days_ago=days_ago)
    noon = NOW.replace(hour=12, minute=0, second=0, microsecond=0)

    def jobs(begin: timedelta, end: timedelta) -> int:
        query = {"from": (noon - begin).isoformat(), "to": (noon - end).isoformat()}
        return int(used(api, **query)["total"]["jobs"])

    second = timedelta(seconds=1)
    assert jobs(timedelta(days=3), timedelta(0)) == 3
    assert jobs(timedelta(days=3) - second, timedelta(0)) == 2
    assert jobs(timedelta(days=3), timedelta(days=1)) == 2
    assert jobs(timedelta(days=3), timedelta(days=1) - second) == 3


def test_an_id_may_be_some_time_apart_from_its_row(api: httpx.Client, team: Team, rows: Transaction) -> None:
    with rows() as session:
        for shift_min in (-30, 30):
            made = job(session, team, days_ago=2)
            session.execute(
                text("UPDATE jobs SET created_at = created_at + make_interval(mins => :shift) WHERE id = :id"),
                {"shift": shift_min, "id": made.id},
            )
    noon = NOW.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
    half = timedelta(minutes=30)

    before = used(api, **{"from": (noon - half).isoformat(), "to": noon.isoformat()})
    after = used(api, **{"from": (noon + half).isoformat(), "to": (noon + 2 * half).isoformat()})

    assert (before["total"]["jobs"], after["total"]["jobs"]) == (1, 1)


def test_left_out_the_time_is_the_last_thirty_days_with_today(api: httpx.Client, team: Team) -> None:
    made = make(api)

    body = used(api)

    begin, end = datetime.fromisoformat(body["from"]), datetime.fromisoformat(body["to"])
    assert begin.tzinfo is not None
    assert (begin.hour, begin.minute, begin.second) == (0, 0, 0)
    assert (end.date() - begin.date()).days == 29
    assert body["data"] == [
        {
            "day": made["created_at"][:10],
            "model": "nano-banana",
            "jobs": 1,
            "bytes": 0,
            "spend": {"estimated": "0.00", "currency": "USD"},
            "unpriced_jobs": 0,
        }
    ]


def test_times_of_any_zone_are_meant_and_told_in_utc(api: httpx.Client) -> None:
    body = used(api, **{"from": "2026-11-01T02:00:00+02:00", "to": "2026-11-02T02:00:00+02:00"})
    usual = used(api, to="2026-11-02T01:00:00+02:00")

    assert (body["from"], body["to"]) == ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")
    assert (usual["from"], usual["to"]) == ("2026-10-03T00:00:00Z", "2026-11-01T23:00:00Z")


def test_another_projects_usage_is_not_seen(api: httpx.Client, strangers: Team, rows: Transaction) -> None:
    with rows() as session:
        factories.artifact(session, job(session, strangers))

    body = used(api, **until_tomorrow())

    assert (body["data"], body["total"]["jobs"], body["total"]["bytes"]) == ([], 0, 0)
    assert used(strangers.client(Scope.READ), **until_tomorrow())["total"]["jobs"] == 1


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"group_by": "days"}, "/query/group_by"),
        ({"group_by": "day,day"}, "/query/group_by"),
        ({"group_by": ""}, "/query/group_by"),
        ({"group_by": "day;model"}, "/query/group_by"),
        ({"from": "yesterday"}, "/query/from"),
        ({"to": "2026-11-20"}, "/query/to"),
        ({"from": "2026-11-20T00:00:00Z", "to": "2026-11-20T00:00:00Z"}, "/query/from"),
        ({"from": "2020-01-01T00:00:00Z", "to": "2026-11-20T00:00:00Z"}, "/query/from"),
        ({"from": "0001-01-01T00:00:00+14:00", "to": "0001-01-02T00:00:00Z"}, "/query/from"),
        ({"from": "0001-01-01T00:00:00Z", "to": "0001-01-02T00:00:00Z"}, "/query/from"),
        ({"to": "0001-01-05T00:00:00Z"}, "/query/to"),
        ({"from": "8999-12-31T00:00:00Z", "to": "9999-12-31T23:59:59-14:00"}, "/query/to"),
        ({"form": "2026-11-20T00:00:00Z"}, "/query/form"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(api: httpx.Client, query: dict[str, str], pointer: str) -> None:
    answer = api.get("/v1/usage", params=query)

    problem(answer, 400, "invalid_request")
    assert pointers(answer) == [pointer]


def test_more_groups_than_anybody_reads_are_refused(
    api: httpx.Client, team: Team, rows: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.routes.usage.MOST_GROUPS", 1)
    with rows() as session:
        job(session, team)
        job(session, team, operation="video.create")

    answer = api.get("/v1/usage", params=until_tomorrow())

    assert "groups" in problem(answer, 400, "invalid_request")["detail"]


def test_it_is_found_by_the_index_of_the_list(team: Team, rows: Transaction) -> None:
    query = usage._query(Caller(team.project_id, "key_x", Scope.READ), ["day"], NOW - timedelta(days=1), NOW)
    compiled = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
    with rows() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(session.execute(text(f"EXPLAIN {compiled}")).scalars())

    assert "jobs_list" in plan
    assert re.search(r"Index Cond: \(\(project_id = .*id >= .*id < ", plan)
