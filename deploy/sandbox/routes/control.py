"""`/_sandbox/*`: what tests ask and tell the sandbox.  All of it needs the key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from deploy.sandbox import door, parts
from deploy.sandbox.script import Rule

router = APIRouter(prefix="/_sandbox", dependencies=[Depends(door.key)])


class Change(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    speed: float | None = Field(None, ge=0)
    balance_usd: Decimal | None = None


@router.get("/ledger")
async def read_ledger(request: Request, prompt: str = "", since_seq: int = 0) -> dict[str, Any]:
    """Every paid generation in order; `prompt` is looked for anywhere in the prompt."""
    house = parts.of(request)
    house.settle()
    entries = [asdict(entry) for entry in house.ledger.entries(prompt=prompt, since_seq=since_seq)]
    return {"data": entries, "count": len(entries), "spent_usd": str(house.ledger.spent_usd)}


@router.delete("/ledger")
async def reset_ledger(request: Request) -> dict[str, Any]:
    """Forget what was paid and what came in; tasks and results stay."""
    house = parts.of(request)
    house.ledger.reset()
    house.traffic.reset()
    return {"ok": True}


@router.get("/requests")
async def read_requests(request: Request, prompt: str = "") -> dict[str, Any]:
    """Calls by route, calls and tasks at once by model, arrivals of paid calls."""
    house = parts.of(request)
    return house.traffic.report(house.now(), prompt)


@router.get("/script")
async def read_script(request: Request) -> list[Rule]:
    return parts.of(request).script.rules


@router.post("/script")
async def add_rules(request: Request, rules: Sequence[Rule]) -> list[Rule]:
    """Add rules behind those that hold."""
    script = parts.of(request).script
    script.add(rules)
    return script.rules


@router.delete("/script")
async def clear_script(request: Request) -> dict[str, Any]:
    parts.of(request).script.clear()
    return {"ok": True}


@router.get("/settings")
async def read_settings(request: Request) -> dict[str, Any]:
    house = parts.of(request)
    return {"speed": house.dials.speed, "balance_usd": str(house.dials.balance_usd), "left_usd": str(house.left_usd())}


@router.post("/settings")
async def change_settings(request: Request, change: Change) -> dict[str, Any]:
    """Turn the dials, until the next restart."""
    dials = parts.of(request).dials
    for name, value in change.model_dump(exclude_none=True).items():
        setattr(dials, name, value)
    return await read_settings(request)
