"""Rarer answers about the account.  Contract: gateway/images-text-audio-system.md 6.1, 6.3 to 6.6.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from deploy.sandbox.sayings.saying import Saying, Sayings, Usual, body, changed, halved

DETAILS: Final = {
    "version": "2.0",
    "inputTokenLimit": 32_768,
    "outputTokenLimit": 32_768,
    "supportedGenerationMethods": ["generateContent", "countTokens"],
}


def _googles(usual: Usual) -> Any:
    """As Google itself lists them: without null, and without the next page."""
    names = [one["name"] for one in usual.body["models"]]
    first = {"name": f"models/{names[0]}", "displayName": names[0], **DETAILS}
    others = [{"name": f"models/{name}", "version": "1", "displayName": name} for name in names[1:]]
    return {"models": [first, *others]}


def _data(make: Callable[[Any], Any]) -> Saying:
    return body(lambda usual: {**usual.body, "data": make(usual.body["data"])})


def _of_all_kinds(entries: list[Any]) -> list[Any]:
    """A log of an older build, of a newer one, a refund and an error (6.6)."""
    newer = entries[0]
    older = {name: value for name, value in newer.items() if name != "request_id"}
    return [older, newer, {**older, "type": 6}, {**older, "type": 5, "content": "bad response", "quota": 0}]


SAYINGS: Final[Sayings] = {
    "cut_off": halved,
    "other_login": _data(lambda data: {**data, "linux_do_id": "", "telegram_id": None}),
    "no_models": changed(models=[]),
    "googles": body(_googles),
    "null": changed(data=None),
    "of_all_kinds": _data(_of_all_kinds),
    "page": _data(lambda data: {"page": 1, "page_size": 10, "total": len(data), "items": data}),
}
