"""The same request twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from api import idempotency
from shared.db import Transaction
from shared.tables import Scope
from tests.integration.api.conftest import Team, picture
from tests.integration.api.said import PICTURE, listed, pointers, problem

KEY = {"Idempotency-Key": "order-113"}


def test_the_same_request_gets_the_first_answer_and_makes_nothing(api: httpx.Client) -> None:
    first = api.post("/v1/jobs", json=PICTURE, headers=KEY)
    api.post(f"/v1/jobs/{first.json()['id']}/cancel")

    second = api.post("/v1/jobs", json=PICTURE, headers=KEY)

    assert (second.status_code, second.text) == (201, second.text)
    assert second.json() == first.json()
    assert list(second.json()) == list(first.json())
    assert second.headers["location"] == first.headers["location"]
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert listed(api) == [first.json()["id"]]


def test_what_counts_is_the_content_and_not_how_it_is_written(api: httpx.Client) -> None:
    json = {"Content-Type": "application/json"}
    first = api.post("/v1/jobs", content=b'{"model":"nano-banana","prompt":"\\u0061 boat"}', headers=KEY | json)

    second = api.post("/v1/jobs", content=b'{ "prompt": "a boat", "model": "nano-banana" }', headers=KEY | json)

    assert second.json()["id"] == first.json()["id"]


def test_another_request_with_the_same_key_is_refused(api: httpx.Client) -> None:
    first = api.post("/v1/jobs", json=PICTURE, headers=KEY)

    problem(api.post("/v1/jobs", json={**PICTURE, "priority": 9}, headers=KEY), 422, "idempotency_key_reused")
    problem(api.post("/v1/assets", files={"file": picture()}, headers=KEY), 422, "idempotency_key_reused")
    assert listed(api) == [first.json()["id"]]


def test_keys_of_two_projects_do_not_meet(api: httpx.Client, strangers: Team) -> None:
    first = api.post("/v1/jobs", json=PICTURE, headers=KEY)

    second = strangers.client(Scope.WRITE).post("/v1/jobs", json=PICTURE, headers=KEY)

    assert second.json()["id"] != first.json()["id"]


def test_a_mistake_may_be_mended_under_the_same_key(api: httpx.Client) -> None:
    problem(api.post("/v1/jobs", json={**PICTURE, "priority": 99}, headers=KEY), 400, "invalid_request")

    assert api.post("/v1/jobs", json=PICTURE, headers=KEY).status_code == 201


def test_a_dry_run_leaves_no_trace_under_its_key(api: httpx.Client) -> None:
    api.post("/v1/jobs", params={"dry_run": "true"}, json=PICTURE, headers=KEY)

    assert api.post("/v1/jobs", json={**PICTURE, "priority": 9}, headers=KEY).status_code == 201


def test_while_the_first_is_served_the_second_is_told_to_come_back(
    api: httpx.Client, team: Team, rows: Transaction
) -> None:
    ticket = idempotency.ticket(team.project_id, KEY["Idempotency-Key"], "POST", "/v1/jobs", {})

    with rows() as session:
        assert idempotency.enter(session, ticket) is None
        response = api.post("/v1/jobs", json=PICTURE, headers=KEY)

    problem(response, 409, "conflict")
    assert int(response.headers["retry-after"]) >= 1
    assert api.post("/v1/jobs", json=PICTURE, headers=KEY).status_code == 201


def test_twenty_at_once_make_one_job(api: httpx.Client) -> None:
    together = threading.Barrier(20)

    def post(_: int) -> httpx.Response:
        together.wait()
        return api.post("/v1/jobs", json=PICTURE, headers=KEY)

    with ThreadPoolExecutor(20) as threads:
        responses = list(threads.map(post, range(20)))

    assert {response.status_code for response in responses} <= {201, 409}
    assert len({response.json()["id"] for response in responses if response.status_code == 201}) == 1
    assert len(listed(api)) == 1


def test_the_key_and_what_it_made_commit_together(
    api: httpx.Client, rows: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the row of the key cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "keep", fail)
        problem(api.post("/v1/jobs", json=PICTURE, headers=KEY), 500, "internal")

    assert listed(api) == []
    assert api.post("/v1/jobs", json={**PICTURE, "priority": 9}, headers=KEY).status_code == 201


def test_the_same_file_makes_one_asset_however_it_is_wrapped(api: httpx.Client, rows: Transaction) -> None:
    content = picture()
    first = api.post("/v1/assets", files={"file": ("a.png", content, "image/png")}, headers=KEY)

    second = api.post("/v1/assets", files={"file": ("a.png", content, "application/octet-stream")}, headers=KEY)

    assert first.status_code == 201
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    other = api.post("/v1/assets", files={"file": ("a.png", picture(10, 10))}, headers=KEY)
    problem(other, 422, "idempotency_key_reused")


def test_a_replay_does_not_show_a_key_again(team: Team) -> None:
    admin = team.client(Scope.ADMIN)
    first = admin.post("/v1/api-keys", json={"name": "shop"}, headers=KEY).json()

    second = admin.post("/v1/api-keys", json={"name": "shop"}, headers=KEY).json()

    assert second == {**first, "key": None}


def test_a_project_is_made_once(operator: Team, rows: Transaction) -> None:
    admin = operator.client(Scope.ADMIN)
    key = {"Idempotency-Key": operator.key(Scope.READ)}  # new for each run

    first, second = (admin.post("/v1/projects", json={"name": "autumn"}, headers=key) for _ in range(2))

    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "\u00fc"])
def test_a_key_that_is_none_is_refused(api: httpx.Client, key: str) -> None:
    response = api.post("/v1/jobs", json=PICTURE, headers={b"Idempotency-Key": key.encode("latin-1")})

    problem(response, 400, "invalid_request")
    assert pointers(response) == ["/header/Idempotency-Key"]
