"""`/mj`: grids, and the buttons under them.  Contract: gateway/midjourney-and-video.md 2, 3.1, 3.2, 4.

The speed prefix is accepted and ignored, as stock new-api does (2.1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from deploy.sandbox import calls, door, models, parts, responses, serving, sizes
from deploy.sandbox.calls import Call, Price
from deploy.sandbox.door import Key
from deploy.sandbox.inputs import NotAPicture
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Refused, Reply, midjourney_error, openai_error
from deploy.sandbox.routes import midjourney_view
from deploy.sandbox.script import drawn
from deploy.sandbox.tasks import Task, phase

router = APIRouter(dependencies=[Depends(door.counted)])

MODES: Final = ("", "/mj-fast", "/mj-relax", "/mj-turbo", "/fast", "/relax", "/turbo")

#: What a `customId` begins with → the action (2.7); the first that fits.
ACTIONS: Final[Sequence[tuple[str, str]]] = (
    ("MJ::JOB::upsample", "UPSCALE"),
    ("MJ::JOB::variation", "VARIATION"),
    ("MJ::JOB::low_variation", "LOW_VARIATION"),
    ("MJ::JOB::high_variation", "HIGH_VARIATION"),
    ("MJ::JOB::reroll", "REROLL"),
    ("MJ::JOB::pan_", "PAN"),
    ("MJ::Outpaint", "ZOOM"),
    ("MJ::CustomZoom", "CUSTOM_ZOOM"),
    ("MJ::Inpaint", "INPAINT"),
)
#: Actions that open a window, which this sandbox does not have.
WINDOWED: Final = frozenset({"CUSTOM_ZOOM", "INPAINT"})


async def imagine(request: Request, key: Key) -> Response:
    """Accept a grid."""
    house = parts.of(request)
    fields = await _json(request)
    prompt = fields.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise Refused(midjourney_error("prompt_is_required"))
    call = calls.begin(request, key, family="midjourney", kind="midjourney.imagine", model="mj_imagine", prompt=prompt)
    inputs = await _inputs(house, fields)
    spec = _spec(prompt, "IMAGINE", seed=drawn(prompt), inputs=inputs)
    return await _accept(house, call, "IMAGINE", spec, fields)


async def action(request: Request, key: Key) -> Response:
    """Press a button of a finished picture."""
    house = parts.of(request)
    fields = await _json(request)
    custom_id = str(fields.get("customId") or "")
    name = _action(custom_id)
    parent = _parent(house, str(fields.get("taskId") or ""))
    model = f"mj_{name.lower()}"
    call = calls.begin(request, key, family="midjourney", kind="midjourney.action", model=model, prompt=parent.prompt)
    if custom_id not in {button["customId"] for button in midjourney_view.buttons(parent)}:
        raise Refused(
            Reply(200, {"code": 4, "description": "参数错误", "properties": None, "result": None}, midjourney_view.TEXT)
        )
    if name in WINDOWED:
        return await _open_window(house, call, name, fields)
    return await _accept(house, call, name, _action_spec(parent, name, custom_id), fields)


async def fetch(request: Request, task_id: str) -> Response:
    """One task (4.1)."""
    house = parts.of(request)
    house.settle()
    task = house.tasks.find(task_id, "midjourney")
    await calls.query(request, "midjourney", task)
    if task is None:
        raise Refused(midjourney_error("task_no_found"))
    calls.spoil(house, task, "midjourney")
    return responses.write(Reply(200, midjourney_view.row(house, _base(request), task)), _id(request))


async def list_by_condition(request: Request) -> Response:
    """Many tasks; ids that nobody knows are left out (4.2)."""
    house = parts.of(request)
    house.settle()
    await calls.query(request, "midjourney")
    ids = (await _json(request)).get("ids") or []
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise Refused(midjourney_error("do_request_failed", code=5))
    found = [task for one in ids if (task := house.tasks.find(one, "midjourney")) is not None]
    for task in found:
        calls.spoil(house, task, "midjourney")
    rows = [row for task in found for row in midjourney_view.rows(house, _base(request), task)]
    forms = [task.behaviour.list_form for task in found if task.behaviour.list_form != "bare"]
    return responses.write(Reply(200, midjourney_view.LIST_FORMS[forms[0] if forms else "bare"](rows)), _id(request))


async def image(request: Request, task_id: str) -> Response:
    """A task's picture, no key needed; a blurred one while it runs (4.4)."""
    house = parts.of(request)
    task = house.tasks.find(task_id, "midjourney")
    await calls.query(request, "system", task)
    if task is None or task.is_modal:
        raise Refused(Reply(400, {"error": "midjourney_task_not_found"}))
    result = midjourney_view.result(house, task)
    state = phase(task, house.now()).state
    if state == "failed":
        raise Refused(Reply(500, {"error": "http_get_image_failed"}))
    if state == "completed":
        return await serving.serve(house, result, serving.WholeFile)
    preview = await house.shelf.drawn({**result.spec, "preview": True})
    return Response(preview.read_bytes(), media_type=result.media_type)


ROUTES: Final[Sequence[tuple[str, str, str, Callable[..., Any], bool]]] = (
    # method, path, name, endpoint, whether it asks for the key before anything else
    ("POST", "/mj/submit/imagine", "mj.imagine", imagine, True),
    ("POST", "/mj/submit/action", "mj.action", action, True),
    ("GET", "/mj/task/{task_id}/fetch", "mj.fetch", fetch, True),
    ("POST", "/mj/task/list-by-condition", "mj.list", list_by_condition, True),
    ("GET", "/mj/image/{task_id}", "mj.image", image, False),
)
for mode in MODES:
    for method, path, name, endpoint, needs_key in ROUTES:
        needs = [Depends(door.key)] if needs_key else []
        router.add_api_route(mode + path, endpoint, methods=[method], name=name, dependencies=needs)


async def _json(request: Request) -> dict[str, Any]:
    try:
        fields = json.loads(await request.body())
    except ValueError as error:
        raise Refused(midjourney_error("bind_request_body_failed")) from error
    if not isinstance(fields, dict):
        raise Refused(midjourney_error("bind_request_body_failed"))
    return fields


async def _inputs(house: Parts, fields: Mapping[str, Any]) -> list[str]:
    words = fields.get("base64Array") or []
    try:
        return await house.inputs.keep_words([str(word) for word in words])
    except NotAPicture as error:
        body = {"code": 4, "description": "base64格式错误", "properties": None, "result": None}
        raise Refused(Reply(200, body, midjourney_view.TEXT)) from error


def _action(custom_id: str) -> str:
    """The action that a button stands for; errors as of the distributor, in envelope A (1.4, 2.7)."""
    if not custom_id:
        raise Refused(openai_error(400, "", "custom_id_is_required"))
    if "::" not in custom_id:
        message = "Panic detected, error: runtime error: index out of range [1] with length 1"
        raise Refused(openai_error(500, "", message, type_="new_api_panic"))
    name = next((name for start, name in ACTIONS if custom_id.startswith(start)), None)
    if name is None:
        raise Refused(openai_error(400, "", f"unknown_action:{custom_id}"))
    return name


def _parent(house: Parts, task_id: str) -> Task:
    """The task whose button is pressed; it must have succeeded (3.2)."""
    if not task_id:
        raise Refused(midjourney_error("task_id_is_required"))
    parent = house.tasks.find(task_id, "midjourney")
    if parent is None:
        raise Refused(midjourney_error("task_not_found"))
    if phase(parent, house.now()).state != "completed":
        raise Refused(midjourney_error("task_status_not_success"))
    return parent


async def _accept(house: Parts, call: Call, name: str, spec: dict[str, Any], fields: Mapping[str, Any]) -> Response:
    """Pay for the task and remember it, as far as its code says that it was accepted."""
    family = models.family_of(call.model, "midjourney") or models.MIDJOURNEY
    code = call.behaviour.code or "1"
    task_id = str(house.tasks.next_number(house.now()))

    async def work(paid_seq: int | None) -> Reply:
        if code in midjourney_view.PAID_CODES:
            result = house.shelf.add(spec, call.behaviour, house.now())
            task = Task(
                id=task_id,
                kind="midjourney",
                action=name,
                model=call.model,
                prompt=call.prompt,
                key=call.key,
                created_at=house.now(),
                duration_s=calls.work_seconds(house, call, family.takes_s),
                paid_seq=paid_seq,
                said=call.behaviour.said(),
                params={"state": str(fields.get("state") or ""), "result": result.id, "spec": spec},
            )
            house.tasks.add(task)
            house.traffic.task(task.model, task.created_at, task.ends_at)
            house.shelf.ahead([result])
        await calls.submit_pause(call)
        return midjourney_view.submitted(code, task_id, call.behaviour)

    price = Price(family.price_usd, task_id) if code in midjourney_view.PAID_CODES else None
    return await calls.carry(house, call, price, work)


async def _open_window(house: Parts, call: Call, name: str, fields: Mapping[str, Any]) -> Response:
    """Vary Region and Custom Zoom: free, and code 21 that stays 21 (3.2)."""
    task = Task(
        id=str(house.tasks.next_number(house.now())),
        kind="midjourney",
        action=name,
        model=call.model,
        prompt=call.prompt,
        key=call.key,
        created_at=house.now(),
        duration_s=0,
        paid_seq=None,
        said={},
        params={"state": str(fields.get("state") or ""), "result": ""},
        is_modal=True,
    )

    async def work(_: int | None) -> Reply:
        house.tasks.add(task)
        properties = {"finalPrompt": drawn(task.prompt), "remix": True}
        return Reply(200, {**midjourney_view.WINDOW, "properties": properties, "result": task.id}, midjourney_view.TEXT)

    return await calls.carry(house, call, None, work)


def _spec(prompt: str, name: str, *, seed: str, inputs: Sequence[str] = ()) -> dict[str, Any]:
    width, height = sizes.midjourney_size(prompt)
    return {
        "draws": "picture" if name in midjourney_view.SINGLE else "grid",
        "format": "png",
        "seed": seed,
        "width": width,
        "height": height,
        "title": drawn(prompt),
        "note": f"Midjourney · {name.lower().replace('_', ' ')}",
        "inputs": list(inputs),
    }


def _action_spec(parent: Task, name: str, custom_id: str) -> dict[str, Any]:
    """A tile alone, or a new grid that follows from the parent and the button."""
    came = parent.params["spec"]
    number = re.search(r"::(\d+)::", custom_id)
    is_tile = name in midjourney_view.SINGLE and came["draws"] == "grid" and number is not None
    seed = f"{came['seed']}/{number[1]}" if is_tile and number else f"{came['seed']}/{custom_id}"
    return _spec(parent.prompt, name, seed=seed, inputs=came["inputs"])


def _id(request: Request) -> str:
    return door.visit(request).request_id


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")
