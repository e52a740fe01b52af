from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.gateway.adapters import account
from shared.gateway.adapters.account import Seen, Standing, Untold, Way
from shared.gateway.request import Ambiguous, NotSent, Request, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, reply

NOW: Final = datetime(2026, 11, 20, 9, 14, tzinfo=UTC)
USER: Final = account.user(1842)

#: By file, what a key has left and how it stands.
KEYS: Final[dict[str, tuple[dict[str, Any], Standing]]] = {
    "6.1.json": (
        {
            "source": "usage",
            "name": "render-farm",
            "remaining_usd": "7.531",
            "used_usd": "2.469",
            "total_usd": "10.00",
            "unlimited": False,
            "models": ["gpt-image-1"],
            "expires_at": None,
        },
        Standing.OK,
    ),
    "6.1-unlimited.json": (
        {
            "source": "usage",
            "name": "everything",
            "remaining_usd": None,
            "used_usd": "2.00",
            "total_usd": None,
            "unlimited": True,
            "models": None,
            "expires_at": None,
        },
        Standing.OK,
    ),
    "6.1-exhausted.json": (
        {
            "source": "usage",
            "name": "render-farm",
            "remaining_usd": "0.00",
            "used_usd": "10.00",
            "total_usd": "10.00",
            "unlimited": False,
            "models": None,
            "expires_at": "2030-01-01T00:00:00+00:00",
        },
        Standing.EXHAUSTED,
    ),
    "6.1-expired.json": (
        {
            "source": "usage",
            "name": "autumn",
            "remaining_usd": "10.00",
            "used_usd": "0.00",
            "total_usd": "10.00",
            "unlimited": False,
            "models": None,
            "expires_at": "2026-01-01T00:00:00+00:00",
        },
        Standing.EXPIRED,
    ),
}

#: By the two files, the same in the older way.
BILLS: Final[dict[tuple[str, str], tuple[dict[str, Any], Standing]]] = {
    ("6.2-subscription.json", "6.2-usage.json"): (
        {"remaining_usd": "7.531", "used_usd": "2.469", "total_usd": "10.00", "unlimited": False, "expires_at": None},
        Standing.OK,
    ),
    ("6.2-subscription.json", "6.2-usage-all.json"): (
        {"remaining_usd": "0.00", "used_usd": "10.00", "total_usd": "10.00", "unlimited": False, "expires_at": None},
        Standing.EXHAUSTED,
    ),
    ("6.2-subscription-unlimited.json", "6.2-usage.json"): (
        {"remaining_usd": None, "used_usd": "2.469", "total_usd": None, "unlimited": True, "expires_at": None},
        Standing.OK,
    ),
    ("6.2-subscription-expired.json", "6.2-usage.json"): (
        {
            "remaining_usd": "8.031",
            "used_usd": "2.469",
            "total_usd": "10.50",
            "unlimited": False,
            "expires_at": "2026-01-01T00:00:00+00:00",
        },
        Standing.EXPIRED,
    ),
}

#: By file, what a user has left.
USERS: Final[dict[str, tuple[dict[str, Any], Standing]]] = {
    "6.3.json": (
        {
            "username": "farm",
            "group": "vip",
            "remaining_usd": "36.50",
            "used_usd": "13.50",
            "total_usd": "50.00",
            "requests": 913,
        },
        Standing.OK,
    ),
    "6.3-message-null.json": (
        {
            "username": "farm",
            "group": None,
            "remaining_usd": "0.00",
            "used_usd": "50.00",
            "total_usd": "50.00",
            "requests": 913,
        },
        Standing.EXHAUSTED,
    ),
    "6.3-disabled.json": (
        {
            "username": "farm",
            "group": "default",
            "remaining_usd": "1.00",
            "used_usd": "0.00",
            "total_usd": "1.00",
            "requests": 0,
        },
        Standing.BANNED,
    ),
}

#: By file, the models of a key and the types of their endpoints.
LISTS: Final[dict[str, dict[str, list[str] | None]]] = {
    "6.4.json": {"gemini-3-pro-image-preview": ["gemini", "openai"], "gpt-image-1": ["image-generation"]},
    "6.4-without-types.json": {"gemini-3-pro-image-preview": None, "gpt-image-1": None},
    "6.4-anthropic.json": {"gemini-3-pro-image-preview": None, "gpt-image-1": None},
}
GEMINI_LISTS: Final = ("6.5.json", "6.5-google.json")

#: By file: the status it comes with, the way of asking, and what it proves.
REFUSALS: Final[dict[str, tuple[int, Way, Standing | None]]] = {
    "6.1-401-no-header.json": (401, account.TOKEN[0], Standing.REFUSED),
    "6.1-401-unknown-key.json": (401, account.TOKEN[0], Standing.REFUSED),
    "6.1-401-unknown-key-coded.json": (401, account.TOKEN[0], Standing.REFUSED),
    "6.1-403-banned.json": (403, account.TOKEN[0], Standing.BANNED),
    "6.1-403-banned-coded.json": (403, account.TOKEN[0], Standing.BANNED),
    "6.1-200-lookup-failed.json": (200, account.TOKEN[0], None),
    "6.1-429-empty.txt": (429, account.TOKEN[0], None),
    "6.2-200-error.json": (200, account.TOKEN[1], None),
    "6.2-401-generic.json": (401, account.TOKEN[1], None),
    "6.2-401-exhausted.json": (401, account.TOKEN[1], Standing.EXHAUSTED),
    "6.3-401-no-token.json": (401, USER[0], Standing.REFUSED),
    "6.3-401-user-id-missing.json": (401, USER[0], Standing.REFUSED),
    "6.3-401-user-id-no-number.json": (401, USER[0], Standing.REFUSED),
    "6.3-401-user-id-of-another.json": (401, USER[0], Standing.REFUSED),
    "6.3-200-token-wrong.json": (200, USER[0], Standing.REFUSED),
    "6.3-200-banned.json": (200, USER[0], Standing.REFUSED),
    "6.3-401-coded.json": (401, USER[0], Standing.REFUSED),
    "6.3-403-privilege-coded.json": (403, USER[0], Standing.REFUSED),
    "6.3-403-banned-coded.json": (403, USER[0], Standing.BANNED),
    "6.4-200-failed.json": (200, account.MODELS[0], None),
    "6.4-200-model-not-found.json": (200, account.MODELS[0], None),
    "6.4-401.json": (401, account.MODELS[0], None),
}

#: By file, the status of a route that this build does not have.
NOT_HERE: Final = {"6.1-301.html": 301, "6.1-404.json": 404}
EMPTY_LISTS: Final = {"6.4-empty.json": account.MODELS[0], "6.5-empty.json": account.MODELS[1]}
WAYS: Final = (*account.TOKEN, *USER, *account.MODELS)

REPLIES: Final = frozenset(
    f"account/{name}"
    for name in (
        *KEYS,
        *(name for pair in BILLS for name in pair),
        *USERS,
        *LISTS,
        *GEMINI_LISTS,
        *REFUSALS,
        *NOT_HERE,
        *EMPTY_LISTS,
        *IN_NO_CONTRACT,
    )
)


def told(way: Way, *names: str, status: int = 200) -> Seen | Untold:
    """What the files tell, each as the answer to one of the way's requests."""
    return account.told_by([reply(f"account/{name}", status) for name in names], way, NOW)


def answered(way: Way, body: Any, status: int = 200) -> Seen | Untold:
    response = Response(status, {"content-type": "application/json"}, json.dumps(body).encode())
    return account.told_by([response] * len(way.requests), way, NOW)


@pytest.mark.parametrize("name", KEYS)
def test_a_key_tells_what_it_has_left_and_how_it_stands(name: str) -> None:
    assert told(account.TOKEN[0], name) == Seen(*KEYS[name])


@pytest.mark.parametrize("names", BILLS)
def test_the_older_way_tells_the_same(names: tuple[str, str]) -> None:
    data, standing = BILLS[names]

    seen = told(account.TOKEN[1], *names)

    assert seen == Seen({"source": "billing", "name": None, "models": None, **data}, standing)


@pytest.mark.parametrize("name", USERS)
def test_a_user_tells_what_is_left_and_nothing_private(name: str) -> None:
    assert told(USER[0], name) == Seen(*USERS[name])


@pytest.mark.parametrize("name", LISTS)
def test_models_are_listed_with_the_types_of_their_endpoints_where_those_are_told(name: str) -> None:
    assert told(account.MODELS[0], name) == Seen({"source": "openai", "models": LISTS[name]}, Standing.OK)


@pytest.mark.parametrize("name", GEMINI_LISTS)
def test_models_in_geminis_shape_have_the_same_names(name: str) -> None:
    models = {"gemini-2.5-flash-image": None, "gpt-image-1": None}

    assert told(account.MODELS[1], name) == Seen({"source": "gemini", "models": models}, Standing.OK)


@pytest.mark.parametrize("name", EMPTY_LISTS)
def test_a_list_of_no_models_takes_none_from_us(name: str) -> None:
    untold = told(EMPTY_LISTS[name], name)

    assert isinstance(untold, Untold)
    assert (untold.standing, untold.is_elsewhere) == (None, True)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_proves_what_the_contract_says_of_it_and_no_more(name: str) -> None:
    status, way, standing = REFUSALS[name]

    untold = told(way, *[name] * len(way.requests), status=status)

    assert isinstance(untold, Untold)
    assert (untold.standing, untold.is_elsewhere) == (standing, False)
    assert f"HTTP {status}" in untold.error


def test_an_exhausted_key_and_a_wrong_one_are_told_apart_where_both_are_401_elsewhere() -> None:
    exhausted, wrong = (
        told(account.TOKEN[0], "6.1-exhausted.json"),
        told(account.TOKEN[0], "6.1-401-unknown-key.json", status=401),
    )

    assert isinstance(exhausted, Seen)
    assert isinstance(wrong, Untold)
    assert (exhausted.standing, wrong.standing) == (Standing.EXHAUSTED, Standing.REFUSED)


def test_what_a_refusal_proves_is_said_in_english_before_the_gateways_own_words() -> None:
    untold = told(USER[0], "6.3-200-token-wrong.json")

    assert isinstance(untold, Untold)
    assert untold.error == "the gateway refuses this credential: 无权进行此操作，access token 无效 (HTTP 200)"


@pytest.mark.parametrize("name", NOT_HERE)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.read.__name__)
def test_a_route_that_a_build_does_not_have_leads_to_the_next_way(name: str, way: Way) -> None:
    untold = told(way, *[name] * len(way.requests), status=NOT_HERE[name])

    assert isinstance(untold, Untold)
    assert (untold.standing, untold.is_elsewhere) == (None, True)


@pytest.mark.parametrize("name", IN_NO_CONTRACT)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.read.__name__)
def test_what_is_in_no_contract_leads_to_the_next_way(name: str, way: Way) -> None:
    untold = told(way, *[name] * len(way.requests))

    assert isinstance(untold, Untold)
    assert (untold.standing, untold.is_elsewhere) == (None, True)
    assert "no contract" in untold.error


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.read.__name__)
def test_a_page_of_the_edge_says_nothing_about_us(status: int, way: Way) -> None:
    untold = told(way, *["0-page.html"] * len(way.requests), status=status)

    assert isinstance(untold, Untold)
    assert (untold.standing, untold.is_elsewhere) == (None, False)


@pytest.mark.parametrize(
    ("limits", "is_on", "models"),
    [
        ({"b": True, "a": True, "c": False}, True, ["a", "b"]),
        ({"a": True}, False, None),
        ({}, True, []),
        (None, True, None),
        ("a,b", True, None),
    ],
)
def test_an_allow_list_counts_only_where_it_is_switched_on(limits: Any, is_on: bool, models: list[str] | None) -> None:
    seen = answered(account.TOKEN[0], {**KEY, "model_limits": limits, "model_limits_enabled": is_on})

    assert isinstance(seen, Seen)
    assert seen.data["models"] == models


@pytest.mark.parametrize("nothing", [NotSent("no route to the gateway"), Ambiguous("no route to the gateway")])
def test_no_answer_is_told_as_such(nothing: NotSent | Ambiguous) -> None:
    assert account.told_by([nothing], account.TOKEN[0], NOW) == Untold("no route to the gateway")


def test_one_of_two_answers_is_not_enough() -> None:
    whole, failed = reply("account/6.2-subscription.json"), reply("account/6.2-200-error.json")

    assert isinstance(account.told_by([whole, failed], account.TOKEN[1], NOW), Untold)
    assert isinstance(account.told_by([whole, NotSent("gone")], account.TOKEN[1], NOW), Untold)


KEY: Final = {"object": "token_usage", "total_available": 1, "total_used": 0, "unlimited_quota": False}


@pytest.mark.parametrize("value", [None, True, "", "much", [], {}, float("nan"), float("inf"), 10**30])
@pytest.mark.parametrize(
    ("way", "whole", "field"),
    [
        (account.TOKEN[0], KEY, "total_available"),
        (account.TOKEN[0], KEY, "total_used"),
        (account.TOKEN[1], {"hard_limit_usd": 1, "total_usage": 0}, "hard_limit_usd"),
        (account.TOKEN[1], {"hard_limit_usd": 1, "total_usage": 0}, "total_usage"),
        (USER[0], {"id": 1, "quota": 1, "used_quota": 0}, "quota"),
        (USER[0], {"id": 1, "quota": 1, "used_quota": 0}, "used_quota"),
    ],
)
def test_a_balance_that_is_no_number_is_not_guessed(way: Way, whole: dict[str, Any], field: str, value: Any) -> None:
    assert isinstance(answered(way, whole), Seen)
    assert isinstance(answered(way, {**whole, field: value}), Untold)


@pytest.mark.parametrize(
    ("units", "text"), [(1, "0.000002"), (500_000, "1.00"), (-250_000, "-0.50"), (5 * 10**14, "1000000000.00")]
)
def test_units_become_dollars_without_a_loss(units: int, text: str) -> None:
    seen = answered(account.TOKEN[0], {**KEY, "total_available": units})

    assert isinstance(seen, Seen)
    assert seen.data["remaining_usd"] == text


@pytest.mark.parametrize("value", [0, -1, None, "", "soon", True, 10**20])
def test_an_end_that_is_no_time_is_none(value: Any) -> None:
    seen = answered(account.TOKEN[0], {**KEY, "expires_at": value})

    assert isinstance(seen, Seen)
    assert (seen.data["expires_at"], seen.standing) == (None, Standing.OK)


KEYS_OF_ALL: Final = (
    *("data", "id", "models", "name", "quota", "used_quota", "total_available", "total_used", "error", "success"),
    *("model_limits", "model_limits_enabled", "expires_at", "hard_limit_usd", "total_usage", "access_until"),
)


@settings(max_examples=300, deadline=None, database=None)
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS_OF_ALL),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    ),
    status=st.sampled_from([200, 200, 401, 403, 404, 429, 503]),
)
def test_whatever_the_gateway_says_has_a_meaning_that_can_be_kept(body: Any, status: int) -> None:
    for way in WAYS:
        found = answered(way, body, status)
        assert isinstance(found, Seen | Untold)
        if isinstance(found, Seen):
            json.dumps(found.data, allow_nan=False)
            assert all(is_money(value) for name, value in found.data.items() if name.endswith("_usd"))


def is_money(value: Any) -> bool:
    return value is None or Decimal(value).is_finite()


#: By request: its path, and what its headers say.
ASKED: Final[Mapping[str, tuple[Request, dict[str, str]]]] = {
    "/api/usage/token/": (account.build_token(), {}),
    "/v1/dashboard/billing/subscription": (account.build_billing()[0], {}),
    "/v1/dashboard/billing/usage": (account.build_billing()[1], {}),
    "/api/user/self": (account.build_user(1842), {"New-Api-User": "1842"}),
    "/v1/models": (account.build_models(), {}),
    "/v1beta/models": (account.build_gemini_models(), {}),
}


@pytest.mark.parametrize("path", ASKED)
def test_it_is_asked_by_get_and_without_a_body(path: str) -> None:
    request, headers = ASKED[path]

    assert (request.method, request.path, dict(request.headers)) == ("GET", path, headers)
    assert (request.json, request.form, request.files) == (None, None, ())
    assert request.name.startswith("account.")
