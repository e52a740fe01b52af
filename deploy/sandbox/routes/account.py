"""What the gateway says of itself, the key and the user.  Contract: gateway/images-text-audio-system.md 6."""

from __future__ import annotations

import secrets
from typing import Final

from fastapi import APIRouter, Depends, Request, Response

from deploy.sandbox import door, models, parts, responses
from deploy.sandbox.ledger import UNITS_PER_USD
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Refused, Reply, system_error

router = APIRouter(dependencies=[Depends(door.counted)])

USER_ID: Final = 1842


@router.get("/healthz", name="healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/api/status", name="status")
async def status(request: Request) -> Response:
    data = {"version": "sandbox", "system_name": "Darkroom sandbox", "quota_per_unit": UNITS_PER_USD}
    return _answer(request, {"success": True, "message": "", "data": data})


@router.get("/v1/models", name="models", dependencies=[Depends(door.key)])
async def list_models(request: Request) -> Response:
    """The models of the key (6.4)."""
    data = [
        {
            "id": name,
            "object": "model",
            "created": 1626777600,
            "owned_by": family.owner,
            "supported_endpoint_types": list(family.endpoint_types),
        }
        for family in models.FAMILIES
        for name in family.names
    ]
    return _answer(request, {"success": True, "object": "list", "data": data})


@router.get("/api/usage/token/", name="usage")
async def usage(request: Request) -> Response:
    """The key's balance (6.1). Here `Bearer` must be said, and errors are E4."""
    if not request.headers.get("authorization", "").startswith("Bearer "):
        raise Refused(system_error(401, "No Authorization header"))
    try:
        await door.key(request)
    except Refused as error:
        raise Refused(system_error(401, "无效的令牌")) from error
    house = parts.of(request)
    house.settle()
    granted, used = _units(house)
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
    return _answer(request, {"code": True, "message": "ok", "data": data})


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
    house.settle()
    granted, used = _units(house)
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
        "request_count": house.traffic.calls.total(),
    }
    return _answer(request, {"success": True, "message": "", "data": data})


def _units(house: Parts) -> tuple[int, int]:
    """Granted and used quota units."""
    return int(house.dials.balance_usd * UNITS_PER_USD), int(house.ledger.spent_usd * UNITS_PER_USD)


def _answer(request: Request, body: object) -> Response:
    return responses.write(Reply(200, body), door.visit(request).request_id)
