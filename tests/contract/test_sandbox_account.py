"""The sandbox gateway tells of key, user and models as the contract says, and misbehaves there on request.

Contract: gateway/images-text-audio-system.md 1.2, 6.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest

from deploy.sandbox import behaviour
from deploy.sandbox.routes import account_view
from tests.sandbox import SandboxServer

USER = {"Authorization": "sandbox-access-token-for-user-1842", "New-Api-User": "1842"}
PATHS = {
    "usage": "/api/usage/token/",
    "log": "/api/log/token",
    "billing.subscription": "/v1/dashboard/billing/subscription",
    "billing.usage": "/v1/dashboard/billing/usage",
    "user": "/api/user/self",
    "models": "/v1/models",
    "gemini.models": "/v1beta/models",
}


@pytest.fixture
def client(server: SandboxServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client
    server.forget()
    server.set(balance_usd="1000")


def look(client: httpx.Client, route: str) -> httpx.Response:
    return client.get(PATHS[route], headers=USER if route == "user" else {})


def ruled(server: SandboxServer, client: httpx.Client, route: str, **does: Any) -> httpx.Response:
    """What the route answers once it was told so."""
    server.script([{"match": {"route": route}, "times": 1, "do": does}])
    return look(client, route)


def varied(server: SandboxServer, client: httpx.Client, route: str, variant: str) -> dict[str, Any]:
    return dict(ruled(server, client, route, variant=variant).json())


# The key.


def test_a_key_tells_what_it_has_left_in_units(client: httpx.Client) -> None:
    client.post("/v1/images/generations", json={"model": "nano-banana", "prompt": "x", "size": "64x64"})

    answer = look(client, "usage").json()

    assert (answer["code"], answer["message"], answer["data"]["object"]) == (True, "ok", "token_usage")
    assert answer["data"]["total_granted"] == 500_000_000
    assert answer["data"]["total_used"] == 19_500
    assert answer["data"]["total_available"] == 499_980_500
    assert "success" not in answer


def test_the_older_way_says_the_same_in_dollars_and_cents(client: httpx.Client) -> None:
    client.post("/v1/images/generations", json={"model": "nano-banana", "prompt": "x", "size": "64x64"})

    granted, used = look(client, "billing.subscription").json(), look(client, "billing.usage").json()

    assert (granted["object"], granted["hard_limit_usd"], granted["access_until"]) == ("billing_subscription", 1000, 0)
    assert used == {"object": "list", "total_usage": pytest.approx(3.9)}
    for path in ("/dashboard/billing/subscription", "/dashboard/billing/usage"):
        assert client.get(path).json() == client.get(f"/v1{path}").json()


def test_without_its_last_slash_the_balance_is_elsewhere(client: httpx.Client) -> None:
    answer = client.get("/api/usage/token", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (301, "/api/usage/token/")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "sk-sandbox"}, {"Authorization": "Bearer sk-wrong"}])
def test_who_asks_for_the_balance_in_another_way_is_401_in_e4(server: SandboxServer, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{server.url}/api/usage/token/", headers=headers)

    assert (answer.status_code, answer.json()["success"]) == (401, False)


def test_a_key_may_be_unlimited_exhausted_expired_or_limited_to_some_models(
    server: SandboxServer, client: httpx.Client
) -> None:
    words = ("unlimited", "exhausted", "expired", "limited")
    unlimited, exhausted, expired, limited = (varied(server, client, "usage", word)["data"] for word in words)

    assert unlimited["unlimited_quota"] is True
    assert unlimited["total_available"] <= 0
    assert (exhausted["total_available"], exhausted["total_used"]) == (0, exhausted["total_granted"])
    assert expired["expires_at"] == account_view.EXPIRED_AT
    assert (limited["model_limits_enabled"], limited["model_limits"]["sora-2"]) == (True, True)


def test_the_older_way_knows_keys_without_a_limit_and_without_time(server: SandboxServer, client: httpx.Client) -> None:
    unlimited = varied(server, client, "billing.subscription", "unlimited")
    expired = varied(server, client, "billing.subscription", "expired")

    assert unlimited["hard_limit_usd"] == 100_000_000
    assert expired["access_until"] == account_view.EXPIRED_AT


@pytest.mark.parametrize("route", ["billing.subscription", "billing.usage"])
def test_the_older_way_fails_with_status_200(server: SandboxServer, client: httpx.Client, route: str) -> None:
    answer = ruled(server, client, route, variant="error200")

    assert answer.status_code == 200
    assert answer.json()["error"]["message"].startswith("record not found")


# The user.


def test_a_user_has_what_is_left_of_the_account(client: httpx.Client) -> None:
    answer = look(client, "user").json()

    assert (answer["success"], answer["message"]) == (True, "")
    assert (answer["data"]["id"], answer["data"]["status"]) == (1842, 1)
    assert (answer["data"]["quota"], answer["data"]["used_quota"]) == (500_000_000, 0)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"New-Api-User": ""}, 401),
        ({"New-Api-User": "farm"}, 401),
        ({"New-Api-User": "1"}, 401),
        ({"Authorization": "another-token"}, 200),
        ({"Authorization": "Bearer sk-sandbox"}, 200),
    ],
)
def test_who_is_not_that_user_is_told_so(server: SandboxServer, changed: dict[str, str], status: int) -> None:
    answer = httpx.get(f"{server.url}/api/user/self", headers={**USER, **changed})

    assert (answer.status_code, answer.json()["success"]) == (status, False)


def test_a_user_may_be_told_in_other_forms(server: SandboxServer, client: httpx.Client) -> None:
    assert varied(server, client, "user", "message_null")["message"] is None
    assert varied(server, client, "user", "exhausted")["data"]["quota"] == 0
    assert varied(server, client, "user", "disabled")["data"]["status"] == 2
    assert varied(server, client, "user", "failed")["success"] is False
    coded = ruled(server, client, "user", variant="coded")
    assert (coded.status_code, coded.json()["code"]) == (401, "AUTH_UNAUTHORIZED")


def test_an_answer_may_be_zipped(server: SandboxServer, client: httpx.Client) -> None:
    server.script([{"match": {"route": "user"}, "times": 1, "do": {"variant": "gzip"}}])

    with client.stream("GET", PATHS["user"], headers=USER) as answer:
        content = gzip.decompress(b"".join(answer.iter_raw()))

    assert answer.headers["content-encoding"] == "gzip"
    assert b'"username":"sandbox"' in content


# The models.


def test_both_lists_name_the_same_models(client: httpx.Client) -> None:
    listed, gemini = look(client, "models").json(), look(client, "gemini.models").json()

    assert (listed["success"], listed["object"]) == (True, "list")
    assert {"sora-2", "nano-banana", "mj_imagine"} <= {one["id"] for one in listed["data"]}
    assert [one["id"] for one in listed["data"]] == [one["name"] for one in gemini["models"]]
    assert gemini["models"][0]["version"] is None
    assert client.get("/v1beta/openai/models").json() == listed


def test_the_list_may_have_other_forms(server: SandboxServer, client: httpx.Client) -> None:
    whole = [one["id"] for one in look(client, "models").json()["data"]]
    untyped = varied(server, client, "models", "no_types")["data"]
    anthropic = varied(server, client, "models", "anthropic")
    prefixed = varied(server, client, "gemini.models", "prefixed")["models"]

    assert {one.get("supported_endpoint_types", "absent") for one in untyped} == {None, "absent"}
    assert [one["id"] for one in anthropic["data"]] == whole
    assert (anthropic["first_id"], anthropic["data"][0]["type"]) == (whole[0], "model")
    assert [one["name"] for one in prefixed] == [f"models/{name}" for name in whole]
    assert varied(server, client, "models", "empty")["data"] is None
    assert varied(server, client, "models", "failed")["success"] is False


def test_who_speaks_as_anthropics_clients_do_gets_anthropics_list(client: httpx.Client) -> None:
    headers = {"x-api-key": "sk-sandbox", "anthropic-version": "2023-06-01"}

    assert "first_id" in client.get("/v1/models", headers=headers).json()


@pytest.mark.parametrize("shown", [{"headers": {"x-goog-api-key": "sk-sandbox"}}, {"params": {"key": "sk-sandbox"}}])
def test_googles_way_of_showing_the_key_works_for_geminis_list_alone(
    server: SandboxServer, shown: dict[str, Any]
) -> None:
    right = httpx.get(f"{server.url}/v1beta/models", **shown)
    astray = httpx.get(f"{server.url}/v1/models", **shown)

    assert right.json()["models"]
    assert (astray.status_code, astray.json()["error"]["code"]) == (200, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/models", "/v1beta/models", "/v1/dashboard/billing/usage"])
def test_a_wrong_key_is_401_in_envelope_a(server: SandboxServer, path: str) -> None:
    bare, wrong = (httpx.get(server.url + path, headers=headers) for headers in ({}, {"Authorization": "Bearer sk-x"}))

    assert {bare.status_code, wrong.status_code} == {401}
    assert wrong.json()["error"]["type"] == "new_api_error"
    assert httpx.get(server.url + path, params={"key": "sk-x"}).status_code == 401


def test_one_model_is_looked_up_in_a_table_that_knows_few(client: httpx.Client) -> None:
    known, unknown = client.get("/v1/models/gpt-image-1").json(), client.get("/v1/models/nano-banana")

    assert (known["id"], known["owned_by"]) == ("gpt-image-1", "openai")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (200, "model_not_found")


# Trouble.


@pytest.mark.parametrize(
    ("route", "fault", "status", "envelope"),
    [
        ("usage", "401", 401, "success"),
        ("usage", "403", 403, "success"),
        ("usage", "429", 429, ""),
        ("usage", "404", 404, "error"),
        ("user", "429", 429, ""),
        ("models", "401", 401, "error"),
        ("models", "502", 502, ""),
        ("gemini.models", "429", 429, "error"),
        ("billing.usage", "401_exhausted", 401, "error"),
    ],
)
def test_a_query_fails_on_request_in_its_own_envelope(
    server: SandboxServer, client: httpx.Client, route: str, fault: str, status: int, envelope: str
) -> None:
    answer = ruled(server, client, route, fail=fault)

    assert answer.status_code == status
    assert not envelope or envelope in answer.json()
    assert look(client, route).status_code == 200


@pytest.mark.parametrize("route", PATHS)
def test_where_a_route_is_missing_the_console_shows_itself(
    server: SandboxServer, client: httpx.Client, route: str
) -> None:
    answer = ruled(server, client, route, variant="html200")

    assert (answer.status_code, answer.headers["content-type"]) == (200, account_view.HTML)


def test_every_variant_of_the_account_is_known_by_one_of_its_routes() -> None:
    known = {word for variants in account_view.VARIANTS.values() for word in variants}

    assert known == set(get_args(behaviour.AccountVariant))
    assert set(account_view.VARIANTS) == set(PATHS)
