"""The key's own usage log: the newest paid calls of our key, as the gateway wrote them down.  Pure.

Of a Midjourney task an entry names the id, in words (`…，操作 IMAGINE，ID 1772611200345018`), newer builds in
`other.task_id`, too.  That is where a task is found whose answer was lost: nothing else of the gateway lists tasks.
Builds that do not write calls down answer with an empty log, so what is not in it proves nothing.

Contract: gateway/images-text-audio-system.md 6.6.  Literal replies: tests/replies/account/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from shared.errors import UnreadableReply
from shared.gateway import classify, reading
from shared.gateway.adapters.account import ANSWER_S, UNITS_PER_USD, Seen, Standing, Way, usd
from shared.gateway.request import Request, Response

CONSUMED: Final = 2
"""The type of an entry that was paid for; others are errors, refunds and what the operator did."""

NAMED: Final = re.compile(r"\bID\s*[:：]?\s*([A-Za-z0-9][\w.-]{5,127})")
"""How the words of an entry name its task."""

LISTS: Final = ("data", "data.items", "data.logs", "data.data")


def build_log() -> Request:
    """Ask for the newest entries of our key, a thousand at most."""
    return Request("GET", "/api/log/token", timeout_s=ANSWER_S, name="account.log")


def read_log(response: Response, now: datetime) -> Seen:
    """The paid calls, as `{entries: [{at, model, task_id, request_id, cost_usd}]}`; `at` in Unix seconds.

    Reply: `{success, data: [entry]}`, in some forks a page of it.  What an entry does not tell is null.

    Raises:
        UnreadableReply: it is no list.
    """
    body = reading.json_of(response)
    places = (body, *(reading.dig(body, path) for path in LISTS))
    listed = next((place for place in places if isinstance(place, list)), None)
    if listed is None and isinstance(body, Mapping) and body.get("success") is True and body.get("data", 0) is None:
        listed = []
    if listed is None:
        raise UnreadableReply("no list of calls in the answer")
    return Seen({"entries": list(_entries(listed))}, Standing.OK)


def _entries(listed: list[Any]) -> Iterator[dict[str, Any]]:
    for entry in listed:
        if isinstance(entry, Mapping) and entry.get("type", CONSUMED) == CONSUMED:
            yield {
                "at": _at(entry),
                "model": reading.first_text(entry, "model_name"),
                "task_id": _task_id(entry) or None,
                "request_id": reading.first_text(entry, "request_id") or None,
                "cost_usd": _cost_usd(entry),
            }


def _at(entry: Mapping[str, Any]) -> int:
    at = entry.get("created_at")
    return at if type(at) is int else 0


def _task_id(entry: Mapping[str, Any]) -> str:
    other = entry.get("other")
    if isinstance(other, str):
        other = next(iter(classify.documents(other.encode())), None)
    named = NAMED.search(reading.first_text(entry, "content"))
    return reading.first_id(other, "task_id") or (named[1] if named else "")


def _cost_usd(entry: Mapping[str, Any]) -> str | None:
    units = entry.get("quota")
    return usd(Decimal(units) / UNITS_PER_USD) if type(units) is int else None


LOG: Final = (Way((build_log(),), read_log),)
