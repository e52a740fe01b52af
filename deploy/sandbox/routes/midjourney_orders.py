"""What all submits have in common: a body, pictures in it, and a task that is paid for, remembered and answered.

Contract: gateway/midjourney-and-video.md 1.6, 2.2, 2.3, 2.11.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request, Response

from deploy.sandbox import calls, models, parts
from deploy.sandbox.calls import Call, Price
from deploy.sandbox.inputs import NotAPicture
from deploy.sandbox.midjourney.drawings import Spec
from deploy.sandbox.models import Family
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Refused, Reply, midjourney_error
from deploy.sandbox.routes import midjourney_view
from deploy.sandbox.shelf import Result
from deploy.sandbox.tasks import Task, phase

#: Fields that new-api's decoder insists on, with their JSON type (3).
TYPES: Final[Mapping[str, type]] = {"index": int, "taskId": str, "prompt": str, "action": str, "content": str}


@dataclass(frozen=True)
class Order:
    """A task to be, checked."""

    action: str
    picture: Spec | None = None
    """Its picture; of a film the cover."""
    films: Sequence[Spec] = ()
    text: str = ""
    """Its result, where that is words."""
    task_id: str = ""
    """That of the window that was filled in; empty for a new one."""
    paid_codes: frozenset[str] = midjourney_view.PAID_CODES
    doomed: bool = False
    """It will fail, whatever its behaviour says."""


async def fields_of(request: Request) -> dict[str, Any]:
    """The body of a submit."""
    try:
        fields = json.loads(await request.body())
    except ValueError as error:
        raise Refused(midjourney_error("bind_request_body_failed")) from error
    if not isinstance(fields, dict) or any(
        not isinstance(fields.get(name), wanted | None) for name, wanted in TYPES.items()
    ):
        raise Refused(midjourney_error("bind_request_body_failed"))
    return fields


async def pictures(request: Request, words: object) -> list[str]:
    """Pictures of a body as the studio wants them; the proxy refuses what is none."""
    try:
        listed = words if isinstance(words, list) else [words] if words else []
        return await parts.of(request).inputs.keep_words([str(word) for word in listed])
    except NotAPicture as error:
        raise refused("base64格式错误") from error


def refused(description: str, code: int = 4) -> Refused:
    """The proxy's own refusal: HTTP 200 (2.11)."""
    body = {"code": code, "description": description, "properties": None, "result": None}
    return Refused(Reply(200, body, midjourney_view.TEXT))


def parent_of(house: Parts, task_id: str) -> Task:
    """The task that is gone on from; it must have succeeded (3.2)."""
    parent = known(house, task_id)
    if parent.is_modal or phase(parent, house.now()).state != "completed":
        raise Refused(midjourney_error("task_status_not_success"))
    return parent


def known(house: Parts, task_id: str) -> Task:
    if not task_id:
        raise Refused(midjourney_error("task_id_is_required"))
    parent = house.tasks.find(task_id, "midjourney")
    if parent is None:
        raise Refused(midjourney_error("task_not_found"))
    return parent


async def accept(house: Parts, call: Call, order: Order, fields: Mapping[str, Any]) -> Response:
    """Pay for the task and remember it, as far as its code says that it was accepted."""
    family = family_of(call)
    code = call.behaviour.code or "1"
    task_id = order.task_id or str(house.tasks.next_number(house.now()))
    is_taken = code in midjourney_view.PAID_CODES

    async def work(paid_seq: int | None) -> Reply:
        if is_taken:
            _begin(house, call, order, fields, task_id, paid_seq, calls.work_seconds(house, call, family.takes_s))
        await calls.submit_pause(call)
        return midjourney_view.submitted(code, task_id, call.behaviour)

    price = Price(family.price_usd, task_id) if code in order.paid_codes else None
    return await calls.carry(house, call, price, work)


def family_of(call: Call) -> Family:
    family = models.family_of(call.model, "midjourney")
    if family is None:
        raise Refused(models.no_channel(call.model))
    return family


def _begin(
    house: Parts,
    call: Call,
    order: Order,
    fields: Mapping[str, Any],
    task_id: str,
    paid_seq: int | None,
    duration_s: float,
) -> None:
    results = [_put(house, call, spec) for spec in (order.picture, *order.films)]
    cover, *films = results
    said = call.behaviour.said() | ({"task": "fail"} if order.doomed else {})
    task = Task(
        id=task_id,
        kind="midjourney",
        action=order.action,
        model=call.model,
        prompt=call.prompt,
        key=call.key,
        created_at=house.now(),
        duration_s=duration_s,
        paid_seq=paid_seq,
        said=said,
        params={
            "state": str(fields.get("state") or ""),
            "result": cover.id if cover is not None else "",
            "films": [film.id for film in films if film is not None],
            "spec": order.picture or {},
            "seconds": order.films[0]["seconds"] if order.films else 0,
            "text": order.text,
            "was_window": bool(order.task_id),
        },
    )
    house.tasks.add(task)
    house.traffic.task(task.model, task.created_at, task.ends_at)
    house.shelf.ahead([result for result in results if result is not None])


def _put(house: Parts, call: Call, spec: Spec | None) -> Result | None:
    return None if spec is None else house.shelf.add(spec, call.behaviour, house.now())


async def open_window(
    house: Parts, call: Call, parent: Task, action: str, custom_id: str, fields: Mapping[str, Any]
) -> Response:
    """Ask back (3.2): for nothing with code 21 that stays 21, or in remix mode paid, with code 1 made of it (1.6)."""
    task_id = str(house.tasks.next_number(house.now()))
    kept = {"state": str(fields.get("state") or ""), "result": "", "parent": parent.id, "custom_id": custom_id}
    is_free = action in midjourney_view.FREE_WINDOWS

    async def work(paid_seq: int | None) -> Reply:
        window = Task(
            id=task_id,
            kind="midjourney",
            action=action,
            model=call.model,
            prompt=call.prompt,
            key=call.key,
            created_at=house.now(),
            duration_s=0,
            paid_seq=paid_seq,
            said={},
            params=kept,
            is_modal=True,
        )
        house.tasks.add(window)
        return midjourney_view.window(task_id, parent.prompt, is_free=is_free)

    return await calls.carry(house, call, None if is_free else Price(family_of(call).price_usd, task_id), work)
