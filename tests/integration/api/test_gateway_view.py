"""The gateway, seen through: what a worker saw there, as the API shows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import func, text

from api.routes.models import is_offered
from shared.catalog.lookup import Catalog
from shared.db import Transaction
from shared.gateway.adapters import account
from shared.gateway.request import Response
from shared.tables import GatewayView, Scope
from tests.integration.api.conftest import Team
from tests.integration.api.said import problem

KEY: Final = {
    "source": "usage",
    "name": "render-farm",
    "remaining_usd": "7.531",
    "used_usd": "2.469",
    "total_usd": "10.00",
    "unlimited": False,
    "models": ["gpt-image-1"],
    "expires_at": "2030-01-01T00:00:00+00:00",
}
UNLIMITED: Final = {**KEY, "remaining_usd": None, "total_usd": None, "unlimited": True}
USER: Final = {
    "username": "farm",
    "group": "vip",
    "remaining_usd": "36.50",
    "used_usd": "13.50",
    "total_usd": "50.00",
    "requests": 913,
}
NOTHING: Final = dict.fromkeys(
    ("status", "remaining_usd", "used_usd", "total_usd", "seen_at", "age_seconds", "tried_at", "error")
)


@pytest.fixture(autouse=True)
def nothing_seen(rows: Transaction) -> Iterator[None]:
    yield
    with rows() as session:
        session.execute(text("DELETE FROM gateway_views"))


def saw(rows: Transaction, what: str, data: dict[str, Any] | None, *, age_s: float = 0, **columns: Any) -> None:
    """A row as a worker would have left it so long ago."""
    then = func.now() - text(f"interval '{age_s} seconds'")
    known = {} if data is None else {"data": data, "seen_at": then}
    with rows() as session:
        session.merge(GatewayView(name=f"default.{what}", **{"status": "ok", "tried_at": then, **known, **columns}))


def balance(api: httpx.Client) -> dict[str, Any]:
    response = api.get("/v1/gateway/balance")
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_while_nothing_was_seen_nothing_is_made_up(api: httpx.Client) -> None:
    body = balance(api)

    assert (body["object"], body["currency"], body["remaining_usd"], body["user"]) == (
        "gateway_balance",
        "USD",
        None,
        None,
    )
    more = dict.fromkeys(("name", "unlimited", "expires_at", "allowed_models", "source"))
    assert body["token"] == {**NOTHING, **more}


def test_the_balances_are_shown_with_their_age(api: httpx.Client, rows: Transaction) -> None:
    saw(rows, "token", KEY, age_s=42)
    saw(rows, "user", USER, age_s=7)

    body = balance(api)

    key, user = body["token"], body["user"]
    assert (key["status"], key["remaining_usd"], key["used_usd"], key["total_usd"]) == ("ok", "7.531", "2.469", "10.00")
    assert (key["name"], key["unlimited"], key["allowed_models"]) == ("render-farm", False, ["gpt-image-1"])
    assert (key["expires_at"], key["source"], key["error"]) == ("2030-01-01T00:00:00Z", "usage", None)
    assert 42 <= key["age_seconds"] < 60
    assert datetime.fromisoformat(key["seen_at"]).tzinfo is not None
    assert (user["username"], user["group"], user["requests"]) == ("farm", "vip", 913)
    assert (user["remaining_usd"], user["total_usd"]) == ("36.50", "50.00")
    assert 7 <= user["age_seconds"] < 30


def test_what_the_readers_make_is_what_is_shown(api: httpx.Client, rows: Transaction) -> None:
    body = b'{"data":{"total_available":1,"total_used":500000,"unlimited_quota":false,"expires_at":1893456000}}'
    with rows() as session:
        now = session.execute(func.now()).scalar_one()
    seen = account.told_by([Response(200, {}, body)], account.TOKEN[0], now)
    assert isinstance(seen, account.Seen)

    saw(rows, "token", dict(seen.data), status=seen.standing.value)

    shown = balance(api)["token"]
    assert (shown["remaining_usd"], shown["total_usd"], shown["status"]) == ("0.000002", "1.000002", "ok")
    assert shown["expires_at"] == "2030-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("key", "user", "remaining"),
    [
        (KEY, None, "7.531"),
        (KEY, USER, "7.531"),
        ({**KEY, "remaining_usd": "40.00"}, USER, "36.50"),
        ({**KEY, "remaining_usd": "9.00"}, {**USER, "remaining_usd": "10.00"}, "9.00"),
        (UNLIMITED, USER, "36.50"),
        (UNLIMITED, None, None),
        (None, USER, None),
        ({**KEY, "remaining_usd": "-0.50"}, USER, "-0.50"),
    ],
)
def test_what_can_be_spent_is_the_lesser_of_both(
    api: httpx.Client, rows: Transaction, key: dict[str, Any] | None, user: dict[str, Any] | None, remaining: str | None
) -> None:
    if key is not None:
        saw(rows, "token", key)
    if user is not None:
        saw(rows, "user", user)

    assert balance(api)["remaining_usd"] == remaining


def test_what_was_seen_stays_beside_the_reason_why_nothing_new_is(api: httpx.Client, rows: Transaction) -> None:
    saw(
        rows,
        "token",
        KEY,
        age_s=600,
        status="refused",
        error="the gateway refuses this credential",
        tried_at=func.now(),
    )

    key = balance(api)["token"]

    assert (key["status"], key["error"]) == ("refused", "the gateway refuses this credential")
    assert (key["remaining_usd"], key["age_seconds"] >= 600) == ("7.531", True)
    assert key["tried_at"] > key["seen_at"]


def test_a_user_that_was_never_seen_is_told_from_one_that_nobody_looks_for(
    api: httpx.Client, rows: Transaction
) -> None:
    saw(rows, "user", None, status="refused", error="it refuses")

    user = balance(api)["user"]

    assert (user["status"], user["error"], user["remaining_usd"]) == ("refused", "it refuses", None)


def test_the_balance_can_be_read_with_any_key_and_not_without_one(team: Team, anybody: httpx.Client) -> None:
    assert team.client(Scope.READ).get("/v1/gateway/balance").status_code == 200
    problem(anybody.get("/v1/gateway/balance"), 401, "unauthorized")


# The models.


def test_as_long_as_no_list_was_seen_nobody_knows_what_is_available(api: httpx.Client) -> None:
    models = api.get("/v1/models").json()["data"]

    assert {(model["available"], model["available_seen_at"]) for model in models} == {(None, None)}


def test_a_model_says_whether_the_key_may_use_it(api: httpx.Client, rows: Transaction) -> None:
    saw(rows, "models", {"source": "openai", "models": {"sora-2": ["openai-video"], "mj_imagine": None}}, age_s=90)

    models = {model["id"]: model for model in api.get("/v1/models").json()["data"]}

    assert (models["sora-2"]["available"], models["sora-2-pro"]["available"]) == (True, False)
    assert (models["midjourney"]["available"], models["midjourney-blend"]["available"]) == (True, False)
    assert api.get("/v1/models/sora-2").json() == models["sora-2"]
    assert models["sora-2"]["available_seen_at"] is not None


def test_a_list_that_was_never_seen_says_nothing_although_somebody_looked(api: httpx.Client, rows: Transaction) -> None:
    saw(rows, "models", None, error="it does not answer")

    assert api.get("/v1/models/sora-2").json()["available"] is None


@pytest.mark.parametrize(
    ("model", "names", "offered"),
    [
        ("midjourney", {"mj_imagine"}, True),
        ("midjourney", {"mj_relax_imagine"}, True),
        ("midjourney", {"mj_upscale", "imagine"}, False),
        ("midjourney-turbo", {"mj_imagine"}, True),
        ("midjourney-turbo", {"mj_imagine", "mj_fast_imagine", "mj_relax_imagine"}, False),
        ("midjourney-turbo", {"mj_turbo_imagine"}, True),
        ("midjourney-relax", {"mj_relax_imagine", "mj_fast_imagine"}, True),
        ("midjourney-swap-face", {"swap_face"}, True),
        ("midjourney-swap-face", {"swap_face_relax"}, True),
        ("midjourney-swap-face", {"mj_swap_face"}, False),
        ("midjourney-video", {"mj_video"}, True),
        ("sora-2", {"sora-2"}, True),
        ("sora-2", {"sora-2-pro"}, False),
    ],
)
def test_the_names_of_the_catalog_are_found_among_the_gateways(model: str, names: set[str], offered: bool) -> None:
    entry = Catalog.built_in().models[model]

    assert is_offered(model, entry, names) is offered


def test_a_model_that_the_gateway_calls_otherwise_is_looked_for_by_that_name() -> None:
    entry = Catalog.built_in().models["sora-2"].model_copy(update={"gateway_model": "sora_2_new"})

    assert is_offered("sora-2", entry, {"sora_2_new"})
    assert not is_offered("sora-2", entry, {"sora-2"})
