"""The key's own usage log: which calls were paid for, and which tasks they made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pytest

from shared.gateway.adapters import account, usage_log
from shared.gateway.adapters.account import Seen, Untold
from shared.gateway.request import Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, reply

NOW: Final = datetime(2026, 3, 4, 8, 0, tzinfo=UTC)
GRID: Final[dict[str, Any]] = {
    "at": 1772611200,
    "model": "mj_imagine",
    "task_id": "1772611200345018",
    "request_id": None,
    "cost_usd": "0.10",
}
PICTURE: Final[dict[str, Any]] = {
    "at": 1772611190,
    "model": "gpt-image-1",
    "task_id": None,
    "request_id": "20260304075950345678901AbCdEf",
    "cost_usd": "0.04",
}

LOGS: Final[dict[str, list[dict[str, Any]]]] = {
    "6.6.json": [GRID, PICTURE],
    "6.6-task-in-other.json": [GRID],
    "6.6-page.json": [GRID],
    "6.6-empty.json": [],
    "6.6-null.json": [],
}
REPLIES: Final = frozenset(f"account/{name}" for name in (*LOGS, "6.6-200-key-wrong.json"))


def told(response: Response) -> Seen | Untold:
    (way,) = usage_log.LOG
    return account.told_by([response], way, NOW)


@pytest.mark.parametrize(("name", "entries"), LOGS.items())
def test_the_paid_calls_are_read_in_every_form_and_nothing_else(name: str, entries: list[dict[str, Any]]) -> None:
    seen = told(reply(f"account/{name}"))

    assert isinstance(seen, Seen)
    assert seen.data == {"entries": entries}


def test_a_log_that_is_refused_tells_nothing() -> None:
    assert isinstance(told(reply("account/6.6-200-key-wrong.json")), Untold)
    assert isinstance(told(reply("account/6.1-429-empty.txt", 429)), Untold)


@pytest.mark.parametrize("name", IN_NO_CONTRACT)
def test_an_answer_in_no_contract_tells_nothing(name: str) -> None:
    assert isinstance(told(reply(f"account/{name}")), Untold)


def test_the_log_is_asked_for_with_our_key_in_no_address() -> None:
    (request,) = usage_log.LOG[0].requests

    assert (request.method, request.path, request.headers) == ("GET", "/api/log/token", {})
