"""An admin's hand on the lanes: limits, rates and pauses that hold, and stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import func, text
from structlog.testing import capture_logs

from api.jobs import intake
from shared.catalog.entry import Lane as ListedLane
from shared.catalog.lookup import Catalog
from shared.db import Transaction
from shared.lifecycle import State
from shared.settings import Settings
from shared.tables import Scope
from tests import factories
from tests.factories import RecordedHints
from tests.integration.api.conftest import Team
from tests.integration.api.said import pointers, problem
from workers import lanes

SORA = "default.sora"
KNOWN = Settings(_env_file=None).credentials  # type: ignore[call-arg]


@pytest.fixture
def admin(operator: Team) -> httpx.Client:
    """The operator's."""
    return operator.client(Scope.ADMIN)


@pytest.fixture
def lane(rows: Transaction) -> str:
    """One that the catalog does not know."""
    with rows() as session:
        return factories.lane(session, limit=3, rate_per_minute=600).name


@pytest.fixture
def listed(rows: Transaction) -> Iterator[Catalog]:
    """Lanes as the catalog has them, again after the test."""
    catalog = Catalog.built_in()
    with rows() as session:
        intake.set_lanes(session, catalog, KNOWN)
    yield catalog
    with rows() as session:
        session.execute(text("UPDATE lanes SET limit_by_hand = false, rate_by_hand = false, paused_until = NULL"))
        intake.set_lanes(session, catalog, KNOWN)


def change(admin: httpx.Client, lane: str, **body: Any) -> dict[str, Any]:
    response = admin.patch(f"/v1/lanes/{lane}", json=body)
    assert response.status_code == 200, response.text
    changed: dict[str, Any] = response.json()
    assert changed == admin.get(f"/v1/lanes/{lane}").json()
    return changed


def room(rows: Transaction, lane: str) -> int | None:
    """How many jobs a dispatcher would let go; None: it would not look."""
    with rows() as session:
        locked = lanes.lock(session, [lane])
        return lanes.room(session, locked)[lane] if locked else None


def test_a_limit_and_a_rate_can_be_set(admin: httpx.Client, lane: str, rows: Transaction, hints: RecordedHints) -> None:
    hinted = hints.dispatches

    changed = change(admin, lane, limit=7, rate_per_minute=1200)

    assert (changed["limit"], changed["limit_now"], changed["rate_per_minute"]) == (7, 7, 1200)
    assert changed["set_by_hand"] == ["limit", "rate_per_minute"]
    assert room(rows, lane) == 7
    assert hints.dispatches == hinted + 1


def test_what_is_left_out_stays(admin: httpx.Client, lane: str) -> None:
    changed = change(admin, lane, limit=7)

    assert (changed["rate_per_minute"], changed["paused"], changed["set_by_hand"]) == (600, False, ["limit"])


def test_a_limit_of_nothing_lets_none_go(admin: httpx.Client, lane: str, rows: Transaction) -> None:
    change(admin, lane, limit=0)

    assert room(rows, lane) == 0


def test_a_pause_has_no_end_until_somebody_ends_it(
    admin: httpx.Client, lane: str, rows: Transaction, hints: RecordedHints
) -> None:
    paused = change(admin, lane, paused=True, reason="  the provider has trouble ")
    with rows() as session:
        lanes.pause(session, lane, 60, "the gateway's own pause is shorter")
    during = room(rows, lane)
    hinted = hints.dispatches

    resumed = change(admin, lane, paused=False)

    assert (paused["paused"], paused["paused_until"]) == (True, None)
    assert paused["pause_reason"] == "the provider has trouble"
    assert during is None
    assert (resumed["paused"], resumed["pause_reason"]) == (False, None)
    assert room(rows, lane) == 3
    assert hints.dispatches == hinted + 1


def test_a_pause_without_a_reason_says_whose_it_is(admin: httpx.Client, lane: str) -> None:
    assert change(admin, lane, paused=True)["pause_reason"] == "an admin paused it"


def test_a_pause_of_the_gateways_can_be_ended_too(admin: httpx.Client, lane: str, rows: Transaction) -> None:
    with rows() as session:
        lanes.pause(session, lane, 600, "quota_exhausted")
    before = admin.get(f"/v1/lanes/{lane}").json()

    after = change(admin, lane, paused=False)

    assert (before["paused"], before["pause_reason"], before["paused_until"] is None) == (
        True,
        "quota_exhausted",
        False,
    )
    assert (after["paused"], after["paused_until"]) == (False, None)


def test_a_job_in_a_lane_that_is_paused_without_an_end_can_be_shown(
    admin: httpx.Client, api: httpx.Client, team: Team, lane: str, rows: Transaction
) -> None:
    with rows() as session:
        job = factories.job(session, lane_name=lane, project_id=team.project_id)
    change(admin, lane, paused=True)

    queue = api.get(f"/v1/jobs/{job.id}").json()["queue"]

    assert queue == {"reason": "lane_paused", "detail": "an admin paused it", "position": 1, "eta_seconds": None}
    assert "darkroom_lane_paused" in api.get("/metrics").text
    change(admin, lane, paused=False)
    assert api.get(f"/v1/jobs/{job.id}").json()["queue"]["reason"] is None


def test_a_lane_that_was_slowed_down_shows_what_holds_just_now(api: httpx.Client, lane: str, rows: Transaction) -> None:
    with rows() as session:
        told = factories.job(session, lane_name=lane, state=State.SUBMITTING, submitted_at=func.now())
        factories.job(session, lane_name=lane, state=State.RUNNING)
        lanes.slow(session, lane, told.id, "rate_limited: too many")

    shown = api.get(f"/v1/lanes/{lane}").json()

    assert (shown["limit"], shown["limit_now"], shown["slow_reason"]) == (3, 1, "rate_limited: too many")


# What stays.


def test_what_an_admin_set_survives_a_start_and_the_rest_follows_the_catalog(
    admin: httpx.Client, rows: Transaction, listed: Catalog
) -> None:
    change(admin, SORA, limit=77)
    other = Catalog(listed.models, {"sora": ListedLane(limit=4, rate_per_minute=9)}, listed.operations)

    with rows() as session:
        intake.set_lanes(session, other, KNOWN)

    shown = admin.get(f"/v1/lanes/{SORA}").json()
    assert (shown["limit"], shown["rate_per_minute"], shown["set_by_hand"]) == (77, 9, ["limit"])


def test_a_limit_can_be_given_back_to_the_catalog(admin: httpx.Client, listed: Catalog) -> None:
    change(admin, SORA, limit=77, rate_per_minute=7)

    shown = change(admin, SORA, limit=None, rate_per_minute=None)

    own = listed.lanes["sora"]
    assert (shown["limit"], shown["rate_per_minute"], shown["set_by_hand"]) == (own.limit, own.rate_per_minute, [])


def test_a_lane_that_the_catalog_does_not_know_goes_back_to_what_it_says_of_all_others(
    admin: httpx.Client, lane: str
) -> None:
    other = Catalog.built_in().lanes["other"]

    assert change(admin, lane, limit=None)["limit"] == other.limit


def test_a_pause_survives_a_start(admin: httpx.Client, rows: Transaction, listed: Catalog) -> None:
    change(admin, SORA, paused=True)

    with rows() as session:
        intake.set_lanes(session, listed, KNOWN)

    assert admin.get(f"/v1/lanes/{SORA}").json()["paused"] is True


# Who may, and what may not be.


@pytest.mark.parametrize("scope", [Scope.READ, Scope.WRITE])
def test_only_an_admin_changes_a_lane(operator: Team, lane: str, scope: Scope) -> None:
    problem(operator.client(scope).patch(f"/v1/lanes/{lane}", json={"limit": 1}), 403, "forbidden")


def test_an_admin_of_another_project_has_no_hand_on_what_all_share(team: Team, lane: str, api: httpx.Client) -> None:
    answer = team.client(Scope.ADMIN).patch(f"/v1/lanes/{lane}", json={"limit": 1})

    assert "operator" in problem(answer, 403, "forbidden")["detail"]
    assert api.get(f"/v1/lanes/{lane}").json()["limit"] == 3


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"limit": -1}, "/limit"),
        ({"limit": 1.5}, "/limit"),
        ({"limit": True}, "/limit"),
        ({"limit": 10**9}, "/limit"),
        ({"rate_per_minute": 0}, "/rate_per_minute"),
        ({"paused": "yes"}, "/paused"),
        ({"paused": 1}, "/paused"),
        ({"paused": True, "reason": " "}, "/reason"),
        ({"paused": False, "reason": "because"}, "/reason"),
        ({"reason": "because"}, "/reason"),
        ({"limits": 3}, "/limits"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_by_name(
    admin: httpx.Client, lane: str, body: dict[str, Any], pointer: str
) -> None:
    answer = admin.patch(f"/v1/lanes/{lane}", json=body)

    problem(answer, 400, "invalid_request")
    assert pointers(answer) == [pointer]
    assert admin.get(f"/v1/lanes/{lane}").json()["limit"] == 3


@pytest.mark.parametrize("body", [{}, {"paused": None}])
def test_a_change_of_nothing_is_refused(admin: httpx.Client, lane: str, body: dict[str, Any]) -> None:
    assert (
        "what is to be different"
        in problem(admin.patch(f"/v1/lanes/{lane}", json=body), 400, "invalid_request")["detail"]
    )


def test_a_lane_that_is_not_there_cannot_be_changed(admin: httpx.Client) -> None:
    problem(admin.patch("/v1/lanes/default.nothing", json={"limit": 1}), 404, "not_found")


def test_who_changed_a_lane_stands_in_the_log(admin: httpx.Client, lane: str) -> None:
    with capture_logs() as lines:
        change(admin, lane, limit=5)

    [line] = [line for line in lines if line["event"] == "lane.changed"]
    assert (line["lane"], line["limit"]) == (lane, 5)
    assert line["key_id"].startswith("key_")
    assert "paused" not in line


def test_the_examples_of_a_change_would_be_taken(admin: httpx.Client, anybody: httpx.Client, lane: str) -> None:
    schema = anybody.get("/openapi.json").json()["components"]["schemas"]["LaneChange"]

    for example in schema["examples"]:
        change(admin, lane, **example)
