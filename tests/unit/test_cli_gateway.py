"""`darkroom balance`, `lanes`, `usage`: what they ask for, and what people and programs read."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from api.cli import ending
from tests.unit.pretend_api import PretendApi as Api
from tests.unit.pretend_api import run
from tests.unit.test_client_gateway import KEY, LANE, USAGE


def answer(api: Api, path: str, body: dict[str, Any]) -> None:
    api.answers[f"GET {path}"] = httpx.Response(200, json=body)


def test_the_balance_is_told_with_when_it_was_seen(api: Api) -> None:
    user = {**KEY, "status": "exhausted", "remaining_usd": "0.00"}
    answer(api, "/v1/gateway/balance", {"remaining_usd": "7.531", "token": KEY, "user": user})

    code, said, trouble = run("balance")

    assert (code, trouble) == (0, "")
    assert "$7.531 left to spend" in said
    key, of_user = (line.split() for line in said.splitlines()[-2:])
    assert key[:5] == ["key", "ok", "$7.531", "$2.469", "$10.00"]
    assert of_user[:3] == ["user", "exhausted", "$0.00"]
    assert "2026-11-20" in said


def test_each_credential_has_its_lines(api: Api) -> None:
    each = [{"name": name, "remaining_usd": "1.00", "token": KEY, "user": None} for name in ("default", "vip")]
    answer(api, "/v1/gateway/balance", {"remaining_usd": "2.00", "token": KEY, "user": None, "credentials": each})

    code, said, _ = run("balance")

    assert code == 0
    assert "default: key" in said
    assert "vip: key" in said


def test_a_balance_that_nobody_has_seen_is_not_told_as_nothing(api: Api) -> None:
    unseen = {**dict.fromkeys(KEY), "error": "the gateway does not answer"}
    answer(api, "/v1/gateway/balance", {"remaining_usd": None, "token": unseen, "user": None})

    code, said, _ = run("balance")

    assert code == 0
    assert "$" not in said
    assert all(words in said for words in ("an unknown amount", "never", "the gateway does not answer"))


def test_a_key_without_a_limit_says_so(api: Api) -> None:
    unlimited = {**KEY, "unlimited": True, "remaining_usd": None, "total_usd": None}
    answer(api, "/v1/gateway/balance", {"remaining_usd": None, "token": unlimited, "user": None})

    assert "no limit" in run("balance")[1]


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({}, "paused: the provider has trouble"),
        ({"paused_until": "2026-11-20T09:14:03Z"}, "paused until 2026-11-20"),
        ({"paused": False}, "slowed down from 20"),
        ({"paused": False, "probing": True}, "one job at a time"),
        ({"per_day": 500}, "60 a minute, 500 a day"),
    ],
)
def test_a_lane_says_how_full_it_is_and_what_slows_it(api: Api, state: dict[str, Any], told: str) -> None:
    answer(api, "/v1/lanes", {"data": [{**LANE, **state}], "has_more": False, "next_cursor": None})

    code, said, _ = run("lanes")

    assert code == 0
    assert "default.sora" in said
    assert "3 of 10" in said
    assert told in said


def test_a_lane_at_its_whole_limit_has_nothing_to_say(api: Api) -> None:
    lane = {**LANE, "paused": False, "limit_now": 20}
    answer(api, "/v1/lanes", {"data": [lane], "has_more": False, "next_cursor": None})

    assert run("lanes")[1].splitlines()[-1].split() == ["default.sora", "3", "of", "20", "5", "60", "a", "minute"]


def test_usage_is_told_by_group_and_in_all(api: Api) -> None:
    answer(api, "/v1/usage", USAGE)

    code, said, _ = run("usage")

    assert code == 0
    *_, group, total = (line.split() for line in said.splitlines())
    assert group == ["2026-11-20", "sora-2", "3", "5000.0", "MB", "$2.40", "1"]
    assert total == ["total", "3", "5000.0", "MB", "$2.40", "1"]
    assert not api.requests[0].url.query


def test_usage_is_asked_for_by_what_and_when(api: Api) -> None:
    answer(api, "/v1/usage", USAGE)

    code, _, trouble = run(
        *("usage", "--group-by", "model", "--group-by", "state"),
        *("--from", "2026-11-01T00:00:00Z", "--to", "2026-11-20T00:00:00Z"),
    )

    assert (code, trouble) == (0, "")
    assert dict(api.requests[0].url.params) == {
        "group_by": "model,state",
        "from": "2026-11-01T00:00:00+00:00",
        "to": "2026-11-20T00:00:00+00:00",
    }


def test_usage_of_nothing_is_a_total_of_nothing(api: Api) -> None:
    total = {"jobs": 0, "bytes": 0, "spend": {"estimated": "0", "currency": "USD"}, "unpriced_jobs": 0}
    answer(api, "/v1/usage", {**USAGE, "data": [], "total": total})

    assert run("usage")[1].splitlines()[-1].split() == ["0", "0", "B", "$0"]


def test_a_time_that_is_none_is_wrong_usage_and_nothing_is_asked(api: Api) -> None:
    code, _, trouble = run("usage", "--from", "yesterday")

    assert code == ending.USAGE
    assert "must be a time" in trouble
    assert api.requests == []


@pytest.mark.parametrize(
    ("command", "path", "body"),
    [
        ("balance", "/v1/gateway/balance", {"remaining_usd": "7.531", "token": KEY, "user": None}),
        ("lanes", "/v1/lanes", {"data": [LANE]}),
        ("usage", "/v1/usage", USAGE),
    ],
)
def test_json_is_what_the_api_said_and_nothing_else(api: Api, command: str, path: str, body: dict[str, Any]) -> None:
    answer(api, path, body)

    code, said, trouble = run(command, "--json")

    assert (code, trouble) == (0, "")
    assert json.loads(said) == body
