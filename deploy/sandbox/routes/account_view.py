"""What the account's routes answer otherwise than on a good day, by route and word.  Pure.

Contract: gateway/images-text-audio-system.md 6.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from deploy.sandbox import responses
from deploy.sandbox.ledger import UNITS_PER_USD, Entry
from deploy.sandbox.replies import Reply, openai_error, system_error
from deploy.sandbox.routes.image_view import PAGE_200

Body = dict[str, Any]
Variant = Callable[[Body], Reply]

USER_ID: Final = 1842
EXPIRED_AT: Final = 1_767_225_600
LOG_MOST: Final = 1000
UNLIMITED_USD: Final = 100_000_000
HTML: Final = "text/html; charset=utf-8"


def token(granted: int, used: int) -> Body:
    """The balance of a key, in quota units (6.1)."""
    data = {
        "object": "token_usage",
        "name": "sandbox",
        "total_granted": granted,
        "total_used": used,
        "total_available": granted - used,
        "unlimited_quota": False,
        "model_limits": {},
        "model_limits_enabled": False,
        "expires_at": 0,
    }
    return {"code": True, "message": "ok", "data": data}


def log(entries: Sequence[Entry]) -> Body:
    """The usage log of a key (6.6), a thousand entries at most."""
    return {"success": True, "message": "", "data": [_logged(entry) for entry in entries[:LOG_MOST]]}


def _logged(entry: Entry) -> Body:
    """One paid call; a task is named in words alone, and an action by what the price list calls it."""
    price = Decimal(entry.price_usd)
    words = f"模型固定价格 {price:.2f}，分组倍率 1.00"
    if entry.kind.startswith("midjourney."):
        words += f"，操作 {entry.kind.removeprefix('midjourney.').upper()}，ID {entry.task_id}"
    return {
        "id": entry.seq,
        "user_id": USER_ID,
        "created_at": int(datetime.fromisoformat(entry.at).timestamp()),
        "type": 2,
        "content": words,
        "username": "sandbox",
        "token_name": "sandbox",
        "model_name": entry.model,
        "quota": int(price * UNITS_PER_USD),
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "use_time": 1,
        "is_stream": False,
        "channel": 0,
        "channel_name": "",
        "token_id": 7,
        "group": "default",
        "ip": "",
        "request_id": entry.request_id,
        "other": json.dumps({"model_price": float(price), "group_ratio": 1}),
    }


def _named_apart(whole: Body) -> Reply:
    """As newer builds name a task, in `other` alone."""
    data = []
    for entry in whole["data"]:
        words, _, task_id = entry["content"].partition("，ID ")
        other = {**json.loads(entry["other"]), "is_task": True, "task_id": task_id}
        data.append({**entry, "content": words, "other": json.dumps(other)} if task_id else entry)
    return Reply(200, {**whole, "data": data})


def subscription(granted_usd: float) -> Body:
    """What a key may spend, the older way (6.2)."""
    limits = dict.fromkeys(("soft_limit_usd", "hard_limit_usd", "system_hard_limit_usd"), granted_usd)
    return {"object": "billing_subscription", "has_payment_method": True, **limits, "access_until": 0}


def spent(used_usd: float) -> Body:
    """What it has spent, in cents (6.2)."""
    return {"object": "list", "total_usage": used_usd * 100}


def user(granted: int, used: int, requests: int) -> Body:
    """The balance of the user, in quota units (6.3)."""
    data = {
        "id": USER_ID,
        "username": "sandbox",
        "display_name": "sandbox",
        "role": 1,
        "status": 1,
        "email": "",
        "group": "default",
        "quota": granted - used,
        "used_quota": used,
        "request_count": requests,
        "aff_code": "sand",
        "aff_count": 0,
        "aff_quota": 0,
        "aff_history_quota": 0,
        "inviter_id": 0,
        "setting": "{}",
        "sidebar_modules": "",
        "permissions": {},
    }
    return {"success": True, "message": "", "data": data}


def model(name: str, owner: str, endpoint_types: tuple[str, ...]) -> Body:
    """One model of the key (6.4)."""
    return {
        "id": name,
        "object": "model",
        "created": 1626777600,
        "owned_by": owner,
        "supported_endpoint_types": list(endpoint_types),
    }


def gemini_model(name: str) -> Body:
    """The same in Gemini's shape; new-api fills in nothing else (6.5)."""
    empty = ("baseModelId", "version", "description", "inputTokenLimit", "outputTokenLimit")
    return {"name": name, "displayName": name, **dict.fromkeys((*empty, "supportedGenerationMethods"))}


def anthropic(whole: Body) -> Body:
    """The list of models in Anthropic's shape (6.4)."""
    names = [one["id"] for one in whole["data"]]
    data = [{"id": name, "created_at": "2021-07-20T10:40:00Z", "display_name": name, "type": "model"} for name in names]
    ends = {"first_id": names[0], "last_id": names[-1]} if names else {"first_id": None, "last_id": None}
    return {"data": data, "has_more": False, **ends}


def no_model(name: str) -> Reply:
    """What is not in the built-in table: an error with status 200 (2.5)."""
    message = f"The model '{name}' does not exist"
    error = {"message": message, "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    return Reply(200, {"error": error})


def _with(**fields: Any) -> Variant:
    """Other values inside `data`."""
    return lambda whole: Reply(200, {**whole, "data": {**whole["data"], **fields}})


def _all_used(whole: Body) -> Reply:
    data = whole["data"]
    return Reply(200, {**whole, "data": {**data, "total_used": data["total_granted"], "total_available": 0}})


def _unlimited(whole: Body) -> Reply:
    """Available goes below nothing, and means nothing."""
    data = whole["data"]
    numbers = {"total_granted": 0, "total_available": -data["total_used"], "unlimited_quota": True}
    return Reply(200, {**whole, "data": {**data, **numbers}})


def _unlimited_bill(whole: Body) -> Reply:
    return Reply(200, {**whole, **subscription(UNLIMITED_USD)})


def _zipped(whole: Body) -> Reply:
    return Reply(200, gzip.compress(responses.body(whole)), headers={"Content-Encoding": "gzip"})


def _without_types(whole: Body) -> Reply:
    """Null in one, and left out in the next."""
    kept = [{name: one[name] for name in ("id", "object", "created", "owned_by")} for one in whole["data"]]
    mixed = [{**one, "supported_endpoint_types": None} if place % 2 == 0 else one for place, one in enumerate(kept)]
    return Reply(200, {**whole, "data": mixed})


def _none(whole: Body) -> Reply:
    return Reply(200, {**whole, "data": None})


def _with_prefix(whole: Body) -> Reply:
    """As Google itself calls them."""
    named = [{**one, "name": f"models/{one['name']}"} for one in whole["models"]]
    return Reply(200, {**whole, "models": named})


def _page(whole: Body) -> Reply:
    return Reply(200, PAGE_200, HTML)


def _error_200(whole: Body) -> Reply:
    return Reply(200, openai_error(200, "", "record not found", type_="upstream_error").body)


def _failed(message: str) -> Variant:
    return lambda whole: system_error(200, message)


VARIANTS: Final[Mapping[str, Mapping[str, Variant]]] = {
    "usage": {
        "unlimited": _unlimited,
        "exhausted": _all_used,
        "expired": _with(expires_at=EXPIRED_AT),
        "limited": _with(model_limits={"nano-banana": True, "sora-2": True}, model_limits_enabled=True),
        "failed": _failed("record not found"),
        "html200": _page,
    },
    "log": {
        "empty": lambda whole: Reply(200, {**whole, "data": []}),
        "coded": _named_apart,
        "failed": _failed("无效的令牌"),
        "html200": _page,
    },
    "billing.subscription": {
        "unlimited": _unlimited_bill,
        "expired": lambda whole: Reply(200, {**whole, "access_until": EXPIRED_AT}),
        "error200": _error_200,
        "html200": _page,
    },
    "billing.usage": {"error200": _error_200, "html200": _page},
    "user": {
        "exhausted": _with(quota=0),
        "disabled": _with(status=2),
        "message_null": lambda whole: Reply(200, {**whole, "message": None}),
        "gzip": _zipped,
        "failed": _failed("用户已被封禁"),
        "coded": lambda whole: Reply(401, {**system_error(401, "Unauthorized").body, "code": "AUTH_UNAUTHORIZED"}),
        "html200": _page,
    },
    "models": {
        "no_types": _without_types,
        "anthropic": lambda whole: Reply(200, anthropic(whole)),
        "empty": _none,
        "failed": _failed("get user group failed"),
        "html200": _page,
    },
    "gemini.models": {"prefixed": _with_prefix, "html200": _page},
}
"""By the route's name; a word that a route does not know is passed over."""
