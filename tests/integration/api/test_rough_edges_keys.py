"""Keys and projects: each can be looked at where it says it is, and nobody locks themselves out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import delete
from sqlmodel import col

from shared.db import Transaction
from shared.tables import ApiKey, Scope
from tests.integration.api.conftest import Team
from tests.integration.api.said import problem


def admin_with_id(team: Team) -> tuple[httpx.Client, str]:
    """A client of a new admin key, and the key's id."""
    admin = team.client(Scope.ADMIN)
    return admin, admin.get("/v1/api-keys").json()["data"][0]["id"]


@pytest.fixture
def lone_operator(operator: Team, rows: Transaction) -> Team:
    """The first project, in which no test has left a key."""
    with rows() as session:
        session.execute(delete(ApiKey).where(col(ApiKey.project_id) == operator.project_id))
    return operator


# Where they are.


def test_the_location_of_a_new_key_leads_to_it(team: Team) -> None:
    admin = team.client(Scope.ADMIN)
    made = admin.post("/v1/api-keys", json={"name": "shop"})

    shown = admin.get(made.headers["location"])

    assert shown.status_code == 200
    assert {**shown.json(), "key": made.json()["key"]} == made.json()
    assert "sha256" not in shown.json()


def test_the_location_of_a_new_project_leads_to_it(operator: Team) -> None:
    admin = operator.client(Scope.ADMIN)
    made = admin.post("/v1/projects", json={"name": "autumn"})

    shown = admin.get(made.headers["location"])

    assert (shown.status_code, shown.json()) == (200, made.json())


def test_the_operator_sees_all_projects_newest_first(operator: Team, team: Team, strangers: Team) -> None:
    admin = operator.client(Scope.ADMIN)
    made = [admin.post("/v1/projects", json={"name": name}).json()["id"] for name in ("one", "two")]

    first = admin.get("/v1/projects", params={"limit": 1}).json()
    second = admin.get("/v1/projects", params={"limit": 1, "cursor": first["next_cursor"]}).json()

    assert [first["data"][0]["id"], second["data"][0]["id"]] == made[::-1]
    assert admin.get(f"/v1/projects/{strangers.project_id}").json()["id"] == strangers.project_id


def test_other_admins_see_their_own_project_alone(team: Team, strangers: Team) -> None:
    admin = team.client(Scope.ADMIN)

    listed = admin.get("/v1/projects").json()

    assert [item["id"] for item in listed["data"]] == [team.project_id]
    assert listed["has_more"] is False
    assert admin.get(f"/v1/projects/{team.project_id}").status_code == 200
    problem(admin.get(f"/v1/projects/{strangers.project_id}"), 404, "not_found")
    problem(admin.get("/v1/projects/nonsense"), 404, "not_found")


@pytest.mark.parametrize(
    "path",
    ["/v1/projects", "/v1/projects/project_01k8ezz0m1fatrq4d7x2v9n5kc", "/v1/api-keys/key_01k8ezz1c8ebx9t3h6g0p2m4sw"],
)
def test_only_admins_look_at_keys_and_projects(team: Team, path: str) -> None:
    problem(team.client(Scope.WRITE).get(path), 403, "forbidden")


# Whose they are.


def test_the_operator_shows_and_revokes_a_key_of_any_project_by_its_id(operator: Team, strangers: Team) -> None:
    admin = operator.client(Scope.ADMIN)
    _, theirs = admin_with_id(strangers)

    shown = admin.get(f"/v1/api-keys/{theirs}").json()
    revoked = admin.delete(f"/v1/api-keys/{theirs}").json()

    assert (shown["project_id"], shown["revoked_at"]) == (strangers.project_id, None)
    assert revoked["revoked_at"]


def test_an_admin_does_not_find_a_key_of_another_project(team: Team, strangers: Team) -> None:
    admin = team.client(Scope.ADMIN)
    _, theirs = admin_with_id(strangers)

    problem(admin.get(f"/v1/api-keys/{theirs}"), 404, "not_found")
    problem(admin.delete(f"/v1/api-keys/{theirs}"), 404, "not_found")


# The last one.


@pytest.mark.parametrize("whose", ["lone_operator", "team"])
def test_the_last_admin_key_of_ones_own_project_cannot_be_revoked(whose: str, request: pytest.FixtureRequest) -> None:
    project: Team = request.getfixturevalue(whose)
    admin, key_id = admin_with_id(project)
    project.key(Scope.READ, Scope.WRITE)  # makes no keys

    detail = problem(admin.delete(f"/v1/api-keys/{key_id}"), 409, "conflict")["detail"]

    assert "last admin key" in detail
    assert admin.get(f"/v1/api-keys/{key_id}").json()["revoked_at"] is None


def test_an_admin_key_can_be_revoked_while_there_is_another(team: Team) -> None:
    admin, first = admin_with_id(team)
    other, second = admin_with_id(team)

    assert other.delete(f"/v1/api-keys/{first}").json()["revoked_at"]

    problem(admin.get("/v1/api-keys"), 401, "unauthorized")
    assert other.delete(f"/v1/api-keys/{first}").status_code == 200  # again is the same as once
    problem(other.delete(f"/v1/api-keys/{second}"), 409, "conflict")


def test_admins_who_revoke_each_other_at_once_leave_one(team: Team) -> None:
    for _ in range(5):
        pairs = [admin_with_id(team) for _ in range(2)]
        together = threading.Barrier(2)

        def revoke(
            which: int, pairs: list[tuple[httpx.Client, str]] = pairs, together: threading.Barrier = together
        ) -> int:
            together.wait()
            return pairs[which][0].delete(f"/v1/api-keys/{pairs[1 - which][1]}").status_code

        with ThreadPoolExecutor(2) as threads:
            statuses = sorted(threads.map(revoke, range(2)))

        # Who comes second is told that it would be the last, or is no admin any more by then.
        assert statuses in ([200, 401], [200, 409])
        alive = [client for client, _ in pairs if client.get("/v1/api-keys").status_code == 200]
        assert len(alive) == 1
        with team.transaction() as session:
            session.execute(delete(ApiKey).where(col(ApiKey.project_id) == team.project_id))


def test_the_operator_may_take_the_last_admin_key_of_another_project(operator: Team, strangers: Team) -> None:
    _, theirs = admin_with_id(strangers)

    assert operator.client(Scope.ADMIN).delete(f"/v1/api-keys/{theirs}").status_code == 200
