"""The course of a call: what comes before the charge, the charge, the work, and how the answer leaves.

A caller that hangs up changes nothing: the work goes on and is paid for, as at new-api (images 1.5).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from fastapi import Request, Response

from deploy.sandbox import door, parts, responses
from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.door import Visit
from deploy.sandbox.faults import Family, fault
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Refused, Reply
from deploy.sandbox.sayings import table as sayings
from deploy.sandbox.tasks import Task
from deploy.sandbox.traffic import Arrival


@dataclass(frozen=True)
class Call:
    """One call to a paid route, once its body is understood."""

    visit: Visit
    route: str
    family: Family
    kind: str
    model: str
    prompt: str
    key: str
    base_url: str
    behaviour: Behaviour


@dataclass(frozen=True)
class Price:
    """What a call costs, and the task that it starts."""

    usd: Decimal
    task_id: str | None = None


def begin(request: Request, key: str, *, family: Family, kind: str, model: str, prompt: str) -> Call:
    """Note that the call came, and find out how it is to behave."""
    house, visit, route = parts.of(request), door.visit(request), request.scope["route"].name
    house.traffic.arrivals.append(Arrival(visit.arrived_at, route, request.url.path, model, prompt))
    behaviour = house.script.behaviour(route, model=model, prompt=prompt)
    base_url = str(request.base_url).rstrip("/")
    return Call(visit, route, family, kind, model, prompt, key, base_url, behaviour)


async def carry(
    house: Parts, call: Call, price: Price | None, work: Callable[[int | None], Awaitable[Reply]]
) -> Response:
    """Refuse or cut, charge, work, answer.

    `work` gets the ledger's number of the charge; without a price nothing is charged.
    """
    with house.traffic.call(call.model):
        await _before(house, call, price)
        reply = await work(_charge(house, call, price))
        await asyncio.sleep(call.behaviour.hang)
    return responses.write(_after(call, reply), call.visit.request_id)


async def query(request: Request, family: Family, task: Task | None = None) -> Behaviour:
    """What rules for this route say about a query, as far as it is answered at all."""
    house = parts.of(request)
    model, prompt = (task.model, task.prompt) if task else ("", "")
    told = house.script.query_behaviour(request.scope["route"].name, model=model, prompt=prompt)
    await asyncio.sleep((told.latency or 0) + told.hang)
    if told.cut not in (None, "unnoticed"):
        raise Refused(responses.cut(Reply(200, "")))
    if told.fail is not None:
        raise Refused(fault(told.fail, family, told.retry_after))
    return told


def spoil(house: Parts, task: Task, family: Family) -> None:
    """Answer the first queries of a task with the error that its behaviour names."""
    told = task.behaviour
    if told.poll_fail is not None and house.tasks.looks(task, "poll_fail") < told.poll_fails:
        raise Refused(fault(told.poll_fail, family, told.retry_after))


def work_seconds(house: Parts, call: Call, usual: tuple[float, float]) -> float:
    """How long this work takes: as told, else something usual that follows from the prompt."""
    if call.behaviour.latency is not None:
        return call.behaviour.latency
    chance = random.Random(call.prompt)  # noqa: S311 - a duration, not a secret
    return house.scaled(chance.uniform(*usual))


async def until(house: Parts, moment: float) -> None:
    """Wait for a moment of the wall clock."""
    await asyncio.sleep(max(moment - house.now(), 0))


async def submit_pause(call: Call) -> None:
    """How long a submit keeps its caller waiting although the task has begun."""
    await asyncio.sleep(call.behaviour.submit_latency)


async def _before(house: Parts, call: Call, price: Price | None) -> None:
    told = call.behaviour
    spoiled = told.fail or ("moderation" if told.variant == "moderation" else None)
    if told.cut == "before_charge":
        raise Refused(responses.cut(Reply(200, "")))
    if spoiled is not None:
        await asyncio.sleep(told.latency or 0)
        raise Refused(fault(spoiled, call.family, told.retry_after))
    if price is not None and price.usd > house.left_usd():
        raise Refused(fault("403", call.family))


def _charge(house: Parts, call: Call, price: Price | None) -> int | None:
    if price is None:
        return None
    entry = house.ledger.charge(
        kind=call.kind,
        model=call.model,
        prompt=call.prompt,
        price=price.usd,
        task_id=price.task_id,
        request_id=call.visit.request_id,
        key=call.key,
    )
    return entry.seq


def _after(call: Call, reply: Reply) -> Reply:
    told = call.behaviour
    if told.fail_after is not None:
        return fault(told.fail_after, call.family, told.retry_after)
    reply = sayings.paid(told.say, call.kind, reply)
    if told.cut == "after_charge":
        return replace(reply, cut="all")
    if told.cut == "unnoticed":
        return responses.halved(reply)
    return replace(reply, cut="half") if told.cut == "mid_body" else reply
