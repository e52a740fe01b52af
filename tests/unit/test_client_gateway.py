"""The Python client sees through to the gateway: balances, lanes, usage."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from api.client import ApiError, Darkroom
from tests.unit.test_client import Server, client, pauses

assert pauses  # a fixture: nobody sleeps between two tries

KEY: dict[str, Any] = {
    "status": "ok",
    "remaining_usd": "7.531",
    "used_usd": "2.469",
    "total_usd": "10.00",
    "unlimited": False,
    "expires_at": "2030-01-01T00:00:00Z",
    "seen_at": "2026-11-20T09:14:03Z",
    "age_seconds": 42,
    "error": None,
}
LANE: dict[str, Any] = {
    "name": "default.sora",
    "limit": 20,
    "in_flight": 3,
    "queued": 5,
    "rate_per_minute": 60,
    "paused": True,
    "paused_until": None,
    "pause_reason": "the provider has trouble",
    "limit_now": 10,
}
USAGE: dict[str, Any] = {
    "from": "2026-10-22T00:00:00Z",
    "to": "2026-11-20T09:14:03Z",
    "group_by": ["day", "model"],
    "data": [
        {
            "day": "2026-11-20",
            "model": "sora-2",
            "jobs": 3,
            "bytes": 5_000_000_000,
            "spend": {"estimated": "2.40", "currency": "USD"},
            "unpriced_jobs": 1,
        }
    ],
    "total": {"jobs": 3, "bytes": 5_000_000_000, "spend": {"estimated": "2.40", "currency": "USD"}, "unpriced_jobs": 1},
}


def answering(body: dict[str, Any]) -> tuple[Server, Darkroom]:
    server = Server(httpx.Response(200, json=body))
    return server, client(server)


def test_a_balance_is_read_with_units() -> None:
    server, darkroom = answering({"remaining_usd": "7.531", "token": KEY, "user": None})

    balance = darkroom.gateway.balance()

    assert server.requests[0].url.path == "/v1/gateway/balance"
    assert (balance.remaining_usd, balance.user) == (Decimal("7.531"), None)
    key = balance.token
    assert (key.remaining_usd, key.used_usd, key.total_usd) == (Decimal("7.531"), Decimal("2.469"), Decimal("10.00"))
    assert (key.status, key.is_unlimited, key.age_s, key.error) == ("ok", False, 42, None)
    assert key.expires_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert key.seen_at == datetime(2026, 11, 20, 9, 14, 3, tzinfo=UTC)


def test_a_balance_that_nobody_has_seen_is_none_and_not_zero() -> None:
    nothing = dict.fromkeys(KEY)

    balance = answering({"remaining_usd": None, "token": nothing, "user": {**nothing, "error": "it refuses"}})[
        1
    ].gateway.balance()

    assert (balance.remaining_usd, balance.token.remaining_usd, balance.token.seen_at) == (None, None, None)
    assert balance.user is not None
    assert balance.user.error == "it refuses"


def test_a_lane_says_what_holds_and_whether_it_is_paused() -> None:
    _, darkroom = answering({"data": [LANE]})

    [lane] = darkroom.lanes.list()

    assert (lane.name, lane.limit, lane.limit_now, lane.rate_per_minute) == ("default.sora", 20, 10, 60)
    assert (lane.in_flight, lane.queued) == (3, 5)
    assert (lane.is_paused, lane.paused_until, lane.pause_reason) == (True, None, "the provider has trouble")


def test_a_lane_is_changed_in_what_is_named_and_in_nothing_else() -> None:
    server, darkroom = answering({**LANE, "limit": 5})

    lane = darkroom.lanes.update("default.sora", limit=5, rate_per_minute=None)

    [request] = server.requests
    assert (request.method, request.url.path) == ("PATCH", "/v1/lanes/default.sora")
    assert json.loads(request.content) == {"limit": 5, "rate_per_minute": None}
    assert lane.limit == 5


def test_a_change_whose_answer_was_lost_is_asked_for_again() -> None:
    server = Server(httpx.ReadTimeout("late"), httpx.Response(503), httpx.Response(200, json=LANE))

    lane = client(server).lanes.update("default.sora", paused=True, reason="the provider has trouble")

    assert lane.is_paused
    assert len({request.content for request in server.requests}) == 1


def test_a_change_that_is_refused_says_why() -> None:
    server = Server(httpx.Response(403, json={"code": "forbidden", "detail": "only admins"}))

    with pytest.raises(ApiError, match="only admins"):
        client(server).lanes.update("a/b", paused=False)

    assert server.requests[0].url.raw_path == b"/v1/lanes/a%2Fb"


def test_usage_is_read_by_what_it_was_grouped_by() -> None:
    server, darkroom = answering(USAGE)

    usage = darkroom.usage()

    assert dict(server.requests[0].url.params) == {}
    [group] = usage.groups
    assert group.keys == {"day": "2026-11-20", "model": "sora-2"}
    assert (group.jobs, group.size_bytes, group.spend_usd, group.unpriced_jobs) == (3, 5 * 10**9, Decimal("2.40"), 1)
    assert (usage.total.keys, usage.total.spend_usd) == ({}, Decimal("2.40"))
    assert usage.begin == datetime(2026, 10, 22, tzinfo=UTC)


def test_usage_is_asked_for_a_time_and_by_groups() -> None:
    server, darkroom = answering({**USAGE, "group_by": ["state"], "data": []})
    begin, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)

    darkroom.usage(group_by=["state"], begin=begin, end=end)

    assert dict(server.requests[0].url.params) == {
        "group_by": "state",
        "from": "2026-11-01T00:00:00+00:00",
        "to": "2026-11-02T00:00:00+00:00",
    }


def test_a_time_without_its_zone_is_asked_about_by_nobody() -> None:
    server, darkroom = answering(USAGE)

    with pytest.raises(ValueError, match="has no zone"):
        darkroom.usage(begin=datetime(2026, 11, 1))  # noqa: DTZ001 - that is the mistake

    assert server.requests == []
