"""`/mj/task` and `/mj/image`: queries.  Contract: gateway/midjourney-and-video.md 4."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import Request, Response

from deploy.sandbox import calls, door, parts, responses, serving
from deploy.sandbox.replies import Refused, Reply, midjourney_error
from deploy.sandbox.routes import midjourney_view
from deploy.sandbox.sayings import table as sayings
from deploy.sandbox.tasks import phase


async def fetch(request: Request, task_id: str) -> Response:
    """One task (4.1)."""
    house = parts.of(request)
    house.settle()
    task = house.tasks.find(task_id, "midjourney")
    await calls.query(request, "midjourney", task)
    if task is None:
        raise Refused(midjourney_error("task_no_found"))
    calls.spoil(house, task, "midjourney")
    row = Reply(200, midjourney_view.fetched(house, _base(request), task))
    return responses.write(sayings.said(task.behaviour.say, "Midjourney, queried", row), _id(request))


async def list_by_condition(request: Request) -> Response:
    """Many tasks; ids that nobody knows are left out (4.2)."""
    house = parts.of(request)
    house.settle()
    await calls.query(request, "midjourney")
    ids = await _ids(request)
    found = [task for one in ids if (task := house.tasks.find(one, "midjourney")) is not None]
    for task in found:
        calls.spoil(house, task, "midjourney")
    rows = [row for task in found for row in midjourney_view.rows(house, _base(request), task)]
    says = next((task.behaviour.say for task in found if task.behaviour.say), None)
    forms = [task.behaviour.list_form for task in found if task.behaviour.list_form != "bare"]
    listed = Reply(200, midjourney_view.LIST_FORMS[forms[0] if forms else "bare"](rows))
    return responses.write(sayings.said(says, "Midjourney, listed", listed), _id(request))


async def seed(request: Request, task_id: str) -> Response:
    """A picture's seed (4.3), where the proxy can tell it."""
    house = parts.of(request)
    task = house.tasks.find(task_id, "midjourney")
    await calls.query(request, "midjourney", task)
    if task is None:
        raise Refused(midjourney_error("task_no_found"))
    is_done = not task.is_modal and phase(task, house.now()).state == "completed"
    body = SEEDS[task.behaviour.seed if is_done else "4"](midjourney_view.seed_of(task))
    return responses.write(Reply(200, body, midjourney_view.TEXT), _id(request))


async def image(request: Request, task_id: str) -> Response:
    """A task's picture, no key needed; a blurred one while it runs (4.4)."""
    house = parts.of(request)
    task = house.tasks.find(task_id, "midjourney")
    await calls.query(request, "system", task)
    result = midjourney_view.behind_image(house, task) if task is not None else None
    if task is None or task.is_modal or result is None:
        raise Refused(Reply(400, {"error": "midjourney_task_not_found"}))
    state = phase(task, house.now()).state
    if state == "failed":
        raise Refused(Reply(500, {"error": "http_get_image_failed"}))
    if state == "completed":
        return await serving.serve(house, result, serving.WholeFile)
    preview = await house.shelf.drawn({**result.spec, "preview": True})
    return Response(preview.read_bytes(), media_type=result.media_type)


SEEDS: Final[Mapping[str, Callable[[int], dict[str, Any]]]] = {
    "string": lambda seed: {"code": 1, "description": "成功", "properties": None, "result": str(seed)},
    "number": lambda seed: {"code": 1, "description": "成功", "properties": None, "result": seed},
    "null": lambda seed: {"code": 1, "description": "成功", "properties": None, "result": None},
    "4": lambda seed: {"code": 4, "description": "关联任务状态错误", "properties": None, "result": None},
    "9": lambda seed: {"code": 9, "description": "获取seed失败", "properties": None, "result": None},
}


async def _ids(request: Request) -> list[str]:
    try:
        fields = json.loads(await request.body())
    except ValueError as error:
        raise Refused(midjourney_error("bind_request_body_failed")) from error
    ids = (fields.get("ids") or []) if isinstance(fields, dict) else None
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise Refused(midjourney_error("do_request_failed"))
    return ids


def _id(request: Request) -> str:
    return door.visit(request).request_id


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")
