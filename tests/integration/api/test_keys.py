"""Keys and projects, and the walls between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import func, text, update
from sqlmodel import col, select

from shared.db import Transaction
from shared.lifecycle import State
from shared.tables import ApiKey, Scope
from tests import factories
from tests.integration.api.conftest import Team
from tests.integration.api.said import PICTURE, make, pointers, problem


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Basic ZGs6",
        "Bearer sk-something",
        "Bearer dk_",
        "Bearer dk_" + "x" * 51,
        "Bearer dk_" + "x" * 500,
        "Bearer dk_\xe9" + "x" * 50,
    ],
)
def test_without_a_right_key_nothing_is_told(anybody: httpx.Client, header: str | None) -> None:
    headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]

    response = anybody.get("/v1/jobs", headers=headers)

    problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_a_key_that_is_right_but_for_its_end_is_wrong(team: Team, anybody: httpx.Client) -> None:
    key = team.key(Scope.READ)
    wrong = key[:-1] + ("x" if key[-1] != "x" else "y")

    problem(anybody.get("/v1/jobs", headers={"Authorization": f"Bearer {wrong}"}), 401, "unauthorized")


def test_a_stranger_is_asked_for_a_key_before_the_body_is_looked_at(anybody: httpx.Client) -> None:
    problem(anybody.post("/v1/jobs", content=b"{ this is no JSON"), 401, "unauthorized")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/models"),
        ("GET", "/v1/lanes"),
        ("GET", "/metrics"),
        ("POST", "/v1/assets"),
        ("GET", "/v1/api-keys"),
        ("GET", "/v1/nothing"),
    ],
)
def test_every_address_but_the_open_ones_needs_a_key(anybody: httpx.Client, method: str, path: str) -> None:
    problem(anybody.request(method, path), 401, "unauthorized")


@pytest.mark.parametrize(
    ("scope", "method", "path", "needed"),
    [
        (Scope.READ, "POST", "/v1/jobs", "write"),
        (Scope.READ, "POST", "/v1/jobs/{job}/cancel", "write"),
        (Scope.READ, "POST", "/v1/assets", "write"),
        (Scope.WRITE, "POST", "/v1/api-keys", "admin"),
        (Scope.WRITE, "GET", "/v1/api-keys", "admin"),
        (Scope.WRITE, "POST", "/v1/projects", "admin"),
    ],
)
def test_a_key_may_do_no_more_than_its_scope(team: Team, scope: Scope, method: str, path: str, needed: str) -> None:
    job = make(team.client(Scope.WRITE))
    body = {"/v1/jobs": PICTURE, "/v1/api-keys": {"name": "x"}, "/v1/projects": {"name": "x"}}.get(path)

    response = team.client(scope).request(method, path.format(job=job["id"]), json=body if method == "POST" else None)

    assert needed in problem(response, 403, "forbidden")["detail"]


def test_a_wider_scope_includes_the_narrower_ones(team: Team) -> None:
    admin = team.client(Scope.ADMIN)

    assert make(admin)["state"] == "queued"


def test_a_new_key_is_shown_once_and_works(team: Team, anybody: httpx.Client) -> None:
    admin = team.client(Scope.ADMIN)

    made = admin.post("/v1/api-keys", json={"name": "shop", "scopes": ["write", "read"]})

    body = made.json()
    assert made.status_code == 201
    assert body["key"].startswith(body["prefix"])
    assert body["scopes"] == ["read", "write"]
    assert anybody.get("/v1/jobs", headers={"Authorization": f"Bearer {body['key']}"}).status_code == 200
    listed = admin.get("/v1/api-keys").json()["data"]
    assert body["id"] in [item["id"] for item in listed]
    assert all("key" not in item and "sha256" not in item for item in listed)


def test_the_text_of_a_key_is_nowhere_in_the_database(team: Team, rows: Transaction) -> None:
    made = team.client(Scope.ADMIN).post("/v1/api-keys", json={"name": "x"}, headers={"Idempotency-Key": "k"})
    secret = f"%{made.json()['key'][12:]}%"

    with rows() as session:
        for table in ("api_keys", "idempotency_keys"):
            found = text(f"SELECT count(*) FROM {table} AS kept WHERE kept::text LIKE :secret")
            assert session.execute(found, {"secret": secret}).scalar_one() == 0


def test_a_revoked_key_is_none(team: Team, anybody: httpx.Client) -> None:
    admin = team.client(Scope.ADMIN)
    made = admin.post("/v1/api-keys", json={"name": "shop"}).json()

    revoked = admin.delete(f"/v1/api-keys/{made['id']}")
    again = admin.delete(f"/v1/api-keys/{made['id']}")

    assert revoked.json()["revoked_at"] == again.json()["revoked_at"] is not None
    problem(anybody.get("/v1/jobs", headers={"Authorization": f"Bearer {made['key']}"}), 401, "unauthorized")


def test_a_scope_that_does_not_exist_is_refused(team: Team) -> None:
    response = team.client(Scope.ADMIN).post("/v1/api-keys", json={"name": "x", "scopes": ["root"]})

    problem(response, 400, "invalid_request")
    assert pointers(response) == ["/scopes/0"]


def test_the_last_use_of_a_key_is_written_once_a_minute(team: Team, rows: Transaction) -> None:
    def last_used(set_back_s: float | None = None) -> Any:
        with rows() as session:
            of_team = col(ApiKey.project_id) == team.project_id
            if set_back_s is not None:
                earlier = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, set_back_s)
                session.execute(update(ApiKey).where(of_team).values(last_used_at=earlier))
            return session.exec(select(ApiKey.last_used_at).where(of_team)).one()

    client = team.client(Scope.READ)
    assert last_used() is None
    client.get("/v1/jobs")
    first = last_used()
    client.get("/v1/jobs")
    assert first == last_used() is not None
    long_ago = last_used(61)
    client.get("/v1/jobs")
    assert last_used() > long_ago


def test_the_operator_makes_projects_and_their_keys(operator: Team, anybody: httpx.Client) -> None:
    admin = operator.client(Scope.ADMIN)
    project = admin.post("/v1/projects", json={"name": "autumn"}).json()

    key = admin.post("/v1/api-keys", json={"name": "shop", "project_id": project["id"], "scopes": ["write"]}).json()

    assert key["project_id"] == project["id"]
    listed = admin.get("/v1/api-keys", params={"project_id": project["id"]}).json()["data"]
    assert [item["id"] for item in listed] == [key["id"]]
    headers = {"Authorization": f"Bearer {key['key']}"}
    assert anybody.get("/v1/jobs", headers=headers).json()["data"] == []
    assert admin.delete(f"/v1/api-keys/{key['id']}").json()["revoked_at"]


def test_an_admin_of_another_project_reaches_no_project_but_its_own(team: Team, strangers: Team) -> None:
    admin = team.client(Scope.ADMIN)

    problem(admin.post("/v1/projects", json={"name": "x"}), 403, "forbidden")
    problem(admin.post("/v1/api-keys", json={"name": "x", "project_id": strangers.project_id}), 404, "not_found")
    problem(admin.get("/v1/api-keys", params={"project_id": strangers.project_id}), 404, "not_found")


ROUTES: dict[str, Callable[[dict[str, str]], tuple[str, str, Any]]] = {
    "a job": lambda ids: ("GET", f"/v1/jobs/{ids['job']}", None),
    "its events": lambda ids: ("GET", f"/v1/jobs/{ids['job']}/events", None),
    "cancel": lambda ids: ("POST", f"/v1/jobs/{ids['job']}/cancel", None),
    "retry": lambda ids: ("POST", f"/v1/jobs/{ids['job']}/retry", None),
    "resolve": lambda ids: ("POST", f"/v1/jobs/{ids['job']}/resolve", {"as": "failed"}),
    "actions": lambda ids: ("POST", f"/v1/jobs/{ids['job']}/actions", {"action": "reroll"}),
    "an artifact": lambda ids: ("GET", f"/v1/artifacts/{ids['artifact']}", None),
    "its bytes": lambda ids: ("GET", f"/v1/artifacts/{ids['artifact']}/content", None),
    "an asset": lambda ids: ("GET", f"/v1/assets/{ids['asset']}", None),
    "a key": lambda ids: ("DELETE", f"/v1/api-keys/{ids['key']}", None),
}


@pytest.fixture
def theirs(strangers: Team, rows: Transaction) -> dict[str, str]:
    """One of each, of another project."""
    with rows() as session:
        job = factories.job(session, state=State.SUCCEEDED, project_id=strangers.project_id)
        artifact = factories.artifact(session, job)
        asset = factories.asset(session, strangers.project_id)
    key = strangers.client(Scope.ADMIN).get("/v1/api-keys").json()["data"][0]["id"]
    return {"job": job.id, "artifact": artifact.id, "asset": asset.id, "key": key}


@pytest.mark.parametrize("route", ROUTES)
def test_what_is_another_projects_is_not_found(team: Team, theirs: dict[str, str], route: str) -> None:
    method, path, body = ROUTES[route](theirs)

    problem(team.client(Scope.ADMIN).request(method, path, json=body), 404, "not_found")


@pytest.mark.parametrize("named", ["asset", "artifact", "job"])
def test_what_is_another_projects_is_no_input(api: httpx.Client, theirs: dict[str, str], named: str) -> None:
    image = {"job": theirs["job"]} if named == "job" else theirs[named]

    response = api.post("/v1/jobs", json={**PICTURE, "inputs": {"images": [image]}})

    assert "there is no" in problem(response, 400, "invalid_request")["detail"]
    assert pointers(response) == ["/inputs/images/0"]
