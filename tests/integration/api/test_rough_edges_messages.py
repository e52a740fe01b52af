"""What is wrong is said in plain words, at its place, and without what may be a prompt."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.tables import Scope
from tests.integration.api.conftest import Team
from tests.integration.api.said import PICTURE, pointers, problem

SAID: dict[str, tuple[dict[str, Any], str, str]] = {
    "a priority that is true": ({"priority": True}, "/priority", "must be a whole number, not true"),
    "a priority that is a word": ({"priority": "high"}, "/priority", 'must be a whole number, not "high"'),
    "a priority with a fraction": ({"priority": 5.5}, "/priority", "must be a whole number, not 5.5"),
    "a time to live that is true": ({"ttl_seconds": True}, "/ttl_seconds", "must be a whole number, not true"),
    "attempts that are true": ({"max_attempts": True}, "/max_attempts", "must be a whole number, not true"),
    "an index that is true": (
        {"inputs": {"images": [{"job": "job_01k8f0v4kge8yrbx6m4v0h2z9c", "index": True}]}},
        "/inputs/images/0/index",
        "must be a whole number, not true",
    ),
    "params that are a list": ({"params": []}, "/params", "must be an object, not a list"),
    "inputs that are a text": ({"inputs": "a.png"}, "/inputs", "must be an object, not a string"),
    "an input that is a number": (
        {"inputs": {"images": [5]}},
        "/inputs/images/0",
        "must be an https:// URL, a data: URL",
    ),
    "a single input that is a number": (
        {"inputs": {"images": 5}},
        "/inputs/images",
        "must be an https:// URL, a data: URL",
    ),
    "a webhook that is an address": (
        {"webhook": "https://shop.example/"},
        "/webhook",
        "must be an object, not a string",
    ),
    "no events": ({"webhook": {"url": "https://shop.example/", "events": []}}, "/webhook/events", "must not be empty"),
    "a wish that nobody knows": ({"on_unknown": "pray"}, "/on_unknown", "must be hold, retry or fail, not pray"),
    "no model": ({"model": ""}, "/model", "must not be empty"),
    "metadata without a name": ({"metadata": {"": "x"}}, "/metadata/", "must not be empty"),
    "seconds far off": (
        {"model": "sora-2", "params": {"seconds": 999}},
        "/params/seconds",
        "seconds must be 4, 8 or 12, not 999 (model sora-2)",
    ),
    "seconds that are none": (
        {"model": "sora-2", "params": {"seconds": "x"}},
        "/params/seconds",
        'seconds must be 4, 8 or 12, not "x" (model sora-2)',
    ),
    "a size of another model": (
        {"model": "sora-2", "params": {"size": "huge"}},
        "/params/size",
        "size must be 720x1280 or 1280x720, not huge (model sora-2)",
    ),
    "a size that is none": (
        {"params": {"size": "huge"}},
        "/params/size",
        "size must be WIDTHxHEIGHT as 1024x1024, a ratio as 16:9, 512, 0.5K, 1K, 2K, 4K or auto, not huge",
    ),
    "a number that is none": (
        {"model": "gpt-image-2", "params": {"n": "x"}},
        "/params/n",
        'n must be a whole number, not "x"',
    ),
    "both spellings": (
        {"params": {"aspect_ratio": "1:1", "aspectRatio": "3:2"}},
        "/params/aspectRatio",
        "aspect_ratio and aspectRatio are the same parameter",
    ),
}


@pytest.mark.parametrize("wrong", SAID)
def test_what_is_wrong_is_said_in_our_words(api: httpx.Client, wrong: str) -> None:
    fields, pointer, told = SAID[wrong]

    response = api.post("/v1/jobs", json={**PICTURE, **fields})

    body = problem(response, 400, "invalid_request")
    assert pointers(response) == [pointer]
    assert told in body["errors"][0]["detail"]
    assert told in body["detail"]
    for foreign in ("Input should", "valid integer", "valid string", "^", "pydantic"):
        assert foreign not in response.text


@pytest.mark.parametrize(
    ("path", "query", "told"),
    [
        ("/v1/jobs", {"limit": "many"}, 'must be a whole number, not "many"'),
        ("/v1/jobs", {"limit": "0"}, 'must be at least 1, not "0"'),
        ("/v1/jobs", {"state": "lost"}, "must be waiting, queued, dispatched"),
        ("/v1/jobs", {"q": "x" * 1001}, "must have at most 1000 characters"),
        ("/v1/jobs/job_01k8f0v4kge8yrbx6m4v0h2z9c", {"wait": "long"}, 'must be a number, not "long"'),
        ("/v1/assets", {"cursor": "nowhere"}, "is not a cursor of this list"),
    ],
)
def test_what_is_wrong_in_a_query_is_said_in_our_words(
    api: httpx.Client, path: str, query: dict[str, str], told: str
) -> None:
    response = api.get(path, params=query)

    assert told in problem(response, 400, "invalid_request")["errors"][0]["detail"]
    assert "Input should" not in response.text


def test_a_wish_for_a_dry_run_is_yes_or_no(api: httpx.Client) -> None:
    response = api.post("/v1/jobs", params={"dry_run": "perhaps"}, json=PICTURE)

    assert 'must be true or false, not "perhaps"' in problem(response, 400, "invalid_request")["detail"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "a JSON body is needed"),
        (b"[]", "must be an object, not a list"),
        (b'"x"', "must be an object, not a string"),
    ],
)
def test_a_body_that_is_no_job_is_told_what_it_must_be(api: httpx.Client, body: bytes, told: str) -> None:
    response = api.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})

    assert told in problem(response, 400, "invalid_request")["detail"]


def test_an_action_is_told_in_our_words(api: httpx.Client) -> None:
    response = api.post("/v1/jobs/job_01k8f0v4kge8yrbx6m4v0h2z9c/actions", json={"action": "enlarge", "index": True})

    details = {error["pointer"]: error["detail"] for error in problem(response, 400, "invalid_request")["errors"]}
    assert details["/index"] == "must be a whole number, not true"
    assert details["/action"].startswith("must be upscale, ")
    assert details["/action"].endswith(", not enlarge")


@pytest.mark.parametrize("body", [{"url": 5}, {"url": "https://example.com/", "link": "x"}, ["https://example.com/"]])
def test_an_asset_by_address_is_told_in_our_words(api: httpx.Client, body: Any) -> None:
    response = api.post("/v1/assets", json=body)

    assert "Input should" not in problem(response, 400, "invalid_request")["detail"]


SECRET = "a confession that nobody may repeat"


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": [SECRET]},
        {"prompt": {"text": SECRET}},
        {"prompt": SECRET * 2000},
        {"prompt": SECRET, "params": {"n": 99}},
        {"prompt": SECRET, "priority": 99},
        {"prompt": SECRET, "model": "nobodys"},
        {"model": "text-embedding-3-small", "prompt": "", "params": {"input": {"text": SECRET}}},
        {"model": "bge-reranker-v2-m3", "prompt": "x", "params": {"documents": SECRET}},
    ],
)
def test_a_prompt_is_never_repeated(api: httpx.Client, fields: dict[str, Any]) -> None:
    response = api.post("/v1/jobs", json={**PICTURE, **fields})

    problem(response, 400, "invalid_request")
    assert SECRET[:10] not in response.text


def test_an_unknown_scope_and_name_of_a_key_are_told_in_our_words(team: Team) -> None:
    response = team.client(Scope.ADMIN).post("/v1/api-keys", json={"name": " ", "scopes": ["root"]})

    details = {error["pointer"]: error["detail"] for error in problem(response, 400, "invalid_request")["errors"]}
    assert details == {"/name": "must not be empty", "/scopes/0": "must be read, write or admin, not root"}


@pytest.mark.parametrize(
    ("schema", "name", "bounds"),
    [
        ("NewJob", "priority", (0, 9)),
        ("NewJob", "ttl_seconds", (1, 365 * 86400)),
        ("NewJob", "max_attempts", (1, 10)),
        ("JobInput", "index", (0, 63)),
        ("NewAction", "index", (1, 64)),
        ("NewAction", "priority", (0, 9)),
    ],
)
def test_the_documentation_tells_the_same_bounds(
    anybody: httpx.Client, schema: str, name: str, bounds: tuple[int, int]
) -> None:
    field = anybody.get("/openapi.json").json()["components"]["schemas"][schema]["properties"][name]

    number = next(option for option in (field, *field.get("anyOf", ())) if option.get("type") == "integer")
    assert (number["minimum"], number["maximum"]) == bounds
