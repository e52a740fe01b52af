"""`/mj/submit/action` and kin: what goes on from a finished picture.

Contract: gateway/midjourney-and-video.md 3.2, 3.5, 3.6, 3.7.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import Request, Response

from deploy.sandbox import calls, models, parts
from deploy.sandbox.calls import Call
from deploy.sandbox.door import Key
from deploy.sandbox.midjourney import buttons, drawings
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Refused, midjourney_error, openai_error
from deploy.sandbox.routes import midjourney_orders as orders
from deploy.sandbox.routes.midjourney_orders import Order
from deploy.sandbox.tasks import Task

#: What change knows, and the button that it stands for.
CHANGES: Final = {
    "UPSCALE": "MJ::JOB::upsample::{}::",
    "VARIATION": "MJ::JOB::variation::{}::",
    "REROLL": "MJ::JOB::reroll::0::",
}
ZOOM: Final = re.compile(r"--zoom\s+(\d(?:\.\d+)?)(?!\S)")


async def action(request: Request, key: Key) -> Response:
    """Press a button of a finished picture (3.2)."""
    house = parts.of(request)
    fields = await orders.fields_of(request)
    custom_id = str(fields.get("customId") or "")
    name = _action(custom_id)
    parent = orders.parent_of(house, fields.get("taskId") or "")
    call = _begin(request, key, "action", f"mj_{name.lower()}", parent.prompt)
    if custom_id not in {button["customId"] for button in buttons.below(parent)}:
        raise orders.refused("参数错误")
    return await _press(house, call, parent, name, custom_id, fields)


async def change(request: Request, key: Key) -> Response:
    """The same by number (3.5)."""
    fields = await orders.fields_of(request)
    return await _change(request, key, fields, "change")


async def simple_change(request: Request, key: Key) -> Response:
    """Stock reads the fields of change here and not `content`, so that alone has no channel (3.6)."""
    fields = await orders.fields_of(request)
    if not fields.get("action"):
        raise Refused(models.no_channel("mj_"))
    return await _change(request, key, fields, "simple_change")


async def modal(request: Request, key: Key) -> Response:
    """Fill in a window (3.7)."""
    house = parts.of(request)
    fields = await orders.fields_of(request)
    window = orders.known(house, fields.get("taskId") or "")
    prompt = (fields.get("prompt") or "").strip() or window.prompt
    call = _begin(request, key, "modal", "mj_modal", prompt)
    if not window.is_modal:
        raise orders.refused("关联任务状态错误")
    mask = await orders.pictures(request, fields.get("maskBase64"))
    if window.action == "INPAINT" and not mask:
        raise orders.refused("maskBase64不能为空")
    if window.action == "CUSTOM_ZOOM" and not _zooms(prompt):
        raise orders.refused("prompt参数错误: --zoom")
    parent = house.tasks.find(window.params.get("parent", ""), "midjourney")
    if parent is None:
        raise orders.refused("关联任务不存在或已失效", 3)
    spec = drawings.pressed(parent, window.action, window.params["custom_id"], prompt)
    task_id = window.id if call.behaviour.modal_id == "same" else ""
    return await orders.accept(house, call, Order(window.action, spec, task_id=task_id), fields)


async def _change(request: Request, key: str, fields: dict[str, Any], act: str) -> Response:
    house = parts.of(request)
    if not fields.get("taskId"):
        raise Refused(midjourney_error("task_id_is_required"))
    name, index = fields.get("action") or "", fields.get("index") or 0
    if not name:
        raise Refused(midjourney_error("action_is_required"))
    if not index:  # also for a reroll
        raise Refused(midjourney_error("index_is_required"))
    parent = orders.parent_of(house, fields["taskId"])
    call = _begin(request, key, act, f"mj_{name.lower()}", parent.prompt)
    if name not in CHANGES or index not in range(1, 5):
        raise orders.refused("action参数错误")
    start = CHANGES[name].format(index)
    below = [button["customId"] for button in buttons.below(parent)]
    custom_id = next((one for one in below if one.startswith(start)), None)
    if custom_id is None:
        raise orders.refused("关联任务不允许执行变化")
    return await _press(house, call, parent, name, custom_id, fields)


async def _press(house: Parts, call: Call, parent: Task, name: str, custom_id: str, fields: dict[str, Any]) -> Response:
    asks = name in buttons.REMIXED and (call.behaviour.remix or fields.get("enableRemix") is True)
    if asks or name in buttons.WINDOWED:
        return await orders.open_window(house, call, parent, name, custom_id, fields)
    spec = drawings.pressed(parent, name, custom_id, parent.prompt)
    return await orders.accept(house, call, Order(name, spec), fields)


def _begin(request: Request, key: str, act: str, model: str, prompt: str) -> Call:
    return calls.begin(request, key, family="midjourney", kind=f"midjourney.{act}", model=model, prompt=prompt)


def _action(custom_id: str) -> str:
    """The action that a button stands for; errors as of the distributor, in envelope A (1.4, 2.7)."""
    if not custom_id:
        raise Refused(openai_error(400, "", "custom_id_is_required"))
    if "::" not in custom_id:
        message = "Panic detected, error: runtime error: index out of range [1] with length 1"
        raise Refused(openai_error(500, "", message, type_="new_api_panic"))
    name = buttons.action_of(custom_id)
    if name is None:
        raise Refused(openai_error(400, "", f"unknown_action:{custom_id}"))
    return name


def _zooms(prompt: str) -> bool:
    found = ZOOM.search(prompt)
    return found is not None and 1 < float(found[1]) <= 2
