"""The sandbox gateway's usage log and its list of tasks: what a lost call can be found by.

Contract: gateway/images-text-audio-system.md 6.6; gateway/midjourney-and-video.md 2.9, 4.2.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.sandbox import SandboxServer


@pytest.fixture
def client(server: SandboxServer) -> Iterator[httpx.Client]:
    server.forget()
    with server.client() as client:
        yield client
    server.forget()


def imagine(client: httpx.Client, tags: str = "", state: str = "") -> str:
    prompt = f"boat {uuid.uuid4().hex} [[sandbox render=plain {tags}]]"
    return str(client.post("/mj/submit/imagine", json={"prompt": prompt, "state": state}).json()["result"])


def entries(client: httpx.Client) -> list[dict[str, Any]]:
    answer = client.get("/api/log/token").json()
    assert (answer["success"], answer["message"]) == (True, "")
    return list(answer["data"])


def test_the_log_has_the_paid_calls_of_the_key_newest_first(client: httpx.Client) -> None:
    client.post("/v1/images/generations", json={"model": "nano-banana", "prompt": "x", "size": "64x64"})
    imagine(client)

    newest, oldest = entries(client)

    assert [newest["model_name"], oldest["model_name"]] == ["mj_imagine", "nano-banana"]
    assert (newest["type"], newest["quota"]) == (2, 50_000)
    assert newest["created_at"] >= oldest["created_at"]


def test_an_entry_names_its_task_in_words_and_on_request_apart(server: SandboxServer, client: httpx.Client) -> None:
    task_id = imagine(client)
    (in_words,) = entries(client)
    server.script([{"match": {"route": "log"}, "times": 1, "do": {"variant": "coded"}}])
    (apart,) = entries(client)

    assert in_words["content"].endswith(f"，操作 IMAGINE，ID {task_id}")
    assert json.loads(apart["other"])["task_id"] == task_id
    assert task_id not in apart["content"]


def test_a_call_whose_answer_was_cut_is_in_the_log_and_one_that_was_not_paid_is_not(client: httpx.Client) -> None:
    for tag in ("cut=after_charge", "cut=before_charge"):
        with pytest.raises(httpx.TransportError):
            imagine(client, tag)

    assert len(entries(client)) == 1


def test_the_log_wants_the_key(client: httpx.Client) -> None:
    answer = client.get("/api/log/token", headers={"Authorization": "Bearer sk-another"})

    assert answer.status_code == 401


@pytest.mark.parametrize(("variant", "is_json"), [("failed", True), ("html200", False)])
def test_it_misbehaves_on_request(server: SandboxServer, client: httpx.Client, variant: str, is_json: bool) -> None:
    server.script([{"match": {"route": "log"}, "times": 1, "do": {"variant": variant}}])

    answer = client.get("/api/log/token")

    assert answer.status_code == 200
    assert (answer.headers["content-type"].startswith("application/json")) is is_json


def test_the_list_answers_for_ids_alone_whatever_else_is_asked(client: httpx.Client) -> None:
    task_id = imagine(client, state="job_1.1")

    by_state = client.post("/mj/task/list-by-condition", json={"ids": [], "state": "job_1.1"}).json()
    by_id = client.post("/mj/task/list-by-condition", json={"ids": [task_id], "state": "another"}).json()

    assert by_state == []
    assert [task["id"] for task in by_id] == [task_id]


def test_a_task_shows_its_state_only_after_the_gateways_own_first_look(client: httpx.Client) -> None:
    fresh = imagine(client, "latency=600", state="job_1.1")
    done = imagine(client, "latency=0", state="job_2.1")

    listed = client.post("/mj/task/list-by-condition", json={"ids": [fresh, done]}).json()

    assert {task["id"]: task["state"] for task in listed} == {fresh: "", done: "job_2.1"}
