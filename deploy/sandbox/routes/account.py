"""What the gateway says of itself, the key and the user.  Contract: gateway/images-text-audio-system.md 6."""

from __future__ import annotations

import secrets
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from deploy.sandbox import calls, door, models, parts, responses
from deploy.sandbox.faults import Family
from deploy.sandbox.ledger import UNITS_PER_USD
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Refused, Reply, openai_error, system_error
from deploy.sandbox.routes import account_view
from deploy.sandbox.routes.account_view import USER_ID
from deploy.sandbox.sayings import table as sayings

router = APIRouter(dependencies=[Depends(door.counted)])

GOOGLE_KEY: Final = "x-goog-api-key"


async def any_key(request: Request) -> None:
    """A key where Google's clients put it, too (1.2)."""
    shown = request.headers.get(GOOGLE_KEY) or request.query_params.get("key")
    if shown is None:
        await door.key(request)
        return
    known = parts.of(request).options.keys
    if not any(secrets.compare_digest(shown.encode(), one.encode()) for one in known):
        raise Refused(openai_error(401, "", "无效的令牌"))


@router.get("/healthz", name="healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/api/status", name="status")
async def status(request: Request) -> Response:
    data = {"version": "sandbox", "system_name": "Darkroom sandbox", "quota_per_unit": UNITS_PER_USD}
    return await _answer(request, "system", {"success": True, "message": "", "data": data})


@router.get("/v1/models", name="models", dependencies=[Depends(any_key)])
@router.get("/v1beta/openai/models", name="models", dependencies=[Depends(any_key)])
async def list_models(request: Request) -> Response:
    """The models of the key (6.4); by Google's way of showing it an older build asks for a model without a name."""
    is_googles = GOOGLE_KEY in request.headers or "key" in request.query_params
    if is_googles and request.url.path == "/v1/models":
        return _written(request, account_view.no_model(""))
    data = [
        account_view.model(name, family.owner, family.endpoint_types)
        for family in models.FAMILIES
        for name in family.names
    ]
    whole = {"success": True, "object": "list", "data": data}
    if {"x-api-key", "anthropic-version"} <= set(request.headers):
        whole = account_view.anthropic(whole)
    return await _answer(request, "text", whole)


@router.get("/v1/models/{model:path}", name="model", dependencies=[Depends(door.key)])
async def read_model(request: Request, model: str) -> Response:
    """One model, if new-api's own table has it: of the others it says that there are none (6.4)."""
    owned = {name: family for family in models.FAMILIES if family.owner == "openai" for name in family.names}
    if model not in owned:
        return _written(request, account_view.no_model(model))
    family = owned[model]
    return await _answer(request, "text", account_view.model(model, family.owner, family.endpoint_types))


@router.get("/v1beta/models", name="gemini.models", dependencies=[Depends(any_key)])
async def list_gemini_models(request: Request) -> Response:
    """All models of the key, in Gemini's shape (6.5)."""
    listed = [account_view.gemini_model(name) for family in models.FAMILIES for name in family.names]
    return await _answer(request, "text", {"models": listed, "nextPageToken": None})


@router.get("/api/usage/token", name="usage.redirect")
async def redirect_usage() -> Response:
    """Without its last slash the address is another one (6.1)."""
    page = '<a href="/api/usage/token/">Moved Permanently</a>.\n\n'
    return Response(page, 301, {"Location": "/api/usage/token/"}, account_view.HTML)


@router.get("/api/usage/token/", name="usage")
async def usage(request: Request) -> Response:
    """The key's balance (6.1). Here `Bearer` must be said, and errors are E4."""
    if not request.headers.get("authorization", "").startswith("Bearer "):
        raise Refused(system_error(401, "No Authorization header"))
    try:
        await door.key(request)
    except Refused as error:
        raise Refused(system_error(401, "无效的令牌")) from error
    return await _answer(request, "system", account_view.token(*_units(parts.of(request))))


@router.get("/api/log/token", name="log")
async def log(request: Request, key: door.Key) -> Response:
    """The key's own paid calls, newest first (6.6)."""
    house = parts.of(request)
    house.settle()
    entries = [entry for entry in house.ledger.entries() if entry.key == key]
    return await _answer(request, "system", account_view.log(entries[::-1]))


@router.get("/v1/dashboard/billing/subscription", name="billing.subscription", dependencies=[Depends(door.key)])
@router.get("/dashboard/billing/subscription", name="billing.subscription", dependencies=[Depends(door.key)])
async def subscription(request: Request) -> Response:
    """What the key may spend, the older way (6.2)."""
    granted, _ = _units(parts.of(request))
    return await _answer(request, "text", account_view.subscription(granted / UNITS_PER_USD))


@router.get("/v1/dashboard/billing/usage", name="billing.usage", dependencies=[Depends(door.key)])
@router.get("/dashboard/billing/usage", name="billing.usage", dependencies=[Depends(door.key)])
async def spent(request: Request) -> Response:
    """What it has spent (6.2)."""
    _, used = _units(parts.of(request))
    return await _answer(request, "text", account_view.spent(used / UNITS_PER_USD))


@router.get("/api/user/self", name="user")
async def user(request: Request) -> Response:
    """The user's balance (6.3): wants the access token of the console, not an API key."""
    house = parts.of(request)
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not token:
        raise Refused(system_error(401, "无权进行此操作，未登录且未提供 access token"))
    if request.headers.get("new-api-user") != str(USER_ID):
        raise Refused(system_error(401, "无权进行此操作，未提供 New-Api-User 或与登录用户不匹配"))
    if not secrets.compare_digest(token.encode(), house.options.access_token.encode()):
        raise Refused(system_error(200, "无权进行此操作，access token 无效"))
    whole = account_view.user(*_units(house), house.traffic.calls.total())
    return await _answer(request, "system", whole)


def _units(house: Parts) -> tuple[int, int]:
    """Granted and used quota units."""
    house.settle()
    return int(house.dials.balance_usd * UNITS_PER_USD), int(house.ledger.spent_usd * UNITS_PER_USD)


async def _answer(request: Request, family: Family, whole: dict[str, Any]) -> Response:
    """This, unless a rule for the route says otherwise."""
    told = await calls.query(request, family)
    make = account_view.VARIANTS.get(request.scope["route"].name, {}).get(told.variant or "")
    reply = make(whole) if make is not None else Reply(200, whole)
    return _written(request, sayings.said(told.say, "account", reply))


def _written(request: Request, reply: Reply) -> Response:
    return responses.write(reply, door.visit(request).request_id)
