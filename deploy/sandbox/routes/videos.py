"""`/v1/videos`: films that take a while.  Contract: gateway/midjourney-and-video.md 6, 7, 8."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import UploadFile

from deploy.sandbox import calls, door, models, parts, responses, serving, sizes
from deploy.sandbox.calls import Call, Price
from deploy.sandbox.door import Key
from deploy.sandbox.inputs import NotAPicture
from deploy.sandbox.models import Family
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Refused, Reply, openai_error, task_error
from deploy.sandbox.routes import video_view
from deploy.sandbox.routes.video_view import View
from deploy.sandbox.sayings import table as sayings
from deploy.sandbox.script import drawn
from deploy.sandbox.sizes import Size
from deploy.sandbox.tasks import Phase, Task, phase, seen

router = APIRouter(dependencies=[Depends(door.counted)])

MOST_SECONDS: Final = 60
NOT_FOUND: Final = task_error(400, "task_not_exist", "task_not_exist")
NO_PROMPT: Final = task_error(400, "invalid_request", "field prompt is required")
#: Fields whose JSON type the gateway's decoder insists on (6.7).
TYPES: Final[Mapping[str, type]] = {"model": str, "prompt": str, "seconds": str, "size": str, "duration": int}
REFERENCES: Final = ("input_reference", "images", "image")


@dataclass(frozen=True)
class Order:
    """A film asked for, checked."""

    model: str
    family: Family
    prompt: str
    seconds: int
    size: Size
    said_size: str
    inputs: list[str]
    remixed_from: str = ""
    """The id of the film that it is to be like."""
    seed: str = ""
    """What it is drawn from, if not its own prompt."""


@router.post("/v1/videos", name="videos.create")
async def create(request: Request, key: Key) -> Response:
    """Accept a film."""
    house = parts.of(request)
    fields, files = await _body(request)
    if not fields.get("model"):
        raise Refused(task_error(400, "missing_model", "model field is required"))
    named = {"model": fields["model"], "prompt": fields.get("prompt", "")}
    call = calls.begin(request, key, family="video", kind="video.create", **named)
    order = await _order(house, fields, files)
    return await _accept(house, call, order)


@router.post("/v1/videos/{task_id}/remix", name="videos.remix")
async def remix(request: Request, key: Key, task_id: str) -> Response:
    """Accept a film like another one: its model, length, size and scene, by another prompt (7.3)."""
    house = parts.of(request)
    fields, _ = await _body(request)
    parent = house.tasks.find(task_id, "video")
    if parent is None:
        raise Refused(task_error(400, "task_origin_not_exist", "task_origin_not_exist"))
    prompt = str(fields.get("prompt") or "")
    call = calls.begin(request, key, family="video", kind="video.remix", model=parent.model, prompt=prompt)
    if not prompt:
        raise Refused(NO_PROMPT)
    if phase(parent, house.now()).state != "completed":
        raise Refused(_upstream_refusal("Video is not ready yet, use GET /v1/videos/{video_id} to check status."))
    return await _accept(house, call, _again(house, parent, prompt))


@router.get("/v1/videos/{task_id}", name="videos.fetch", dependencies=[Depends(door.key)])
async def fetch(request: Request, task_id: str) -> Response:
    """How a film stands."""
    view = await _looked(request, task_id, "videos")
    return responses.write(_said(view, video_view.body(view)), _id(request))


@router.get("/v1/video/generations/{task_id}", name="videos.generations", dependencies=[Depends(door.key)])
async def fetch_old(request: Request, task_id: str) -> Response:
    """The same at the older route, in its own format (6.8)."""
    view = await _looked(request, task_id, "generations")
    return responses.write(_said(view, video_view.old_body(view)), _id(request))


def _said(view: View, body: dict[str, Any]) -> Reply:
    return sayings.said(view.task.behaviour.say, "films, queried", Reply(200, body))


async def _looked(request: Request, task_id: str, route: str) -> View:
    house = parts.of(request)
    house.settle()
    task = house.tasks.find(task_id, "video")
    await calls.query(request, "video", task)
    if task is None:
        raise Refused(NOT_FOUND)
    if task.behaviour.query not in ("both", route):
        message = f"Invalid URL (GET {request.url.path})"
        raise Refused(openai_error(404, "", message, type_="invalid_request_error"))
    calls.spoil(house, task, "video")
    return await _view(house, request, task, seen(house.tasks, task, house.now()))


@router.get("/v1/videos/{task_id}/content", name="videos.content", dependencies=[Depends(door.key)])
async def content(request: Request, task_id: str) -> Response:
    """A film's bytes (6.6)."""
    house = parts.of(request)
    task = house.tasks.find(task_id, "video")
    await calls.query(request, "system", task)
    if task is None:
        raise Refused(openai_error(404, "", "Task not found", type_="invalid_request_error"))
    state = phase(task, house.now()).state
    if state != "completed":
        message = f"Task is not completed yet, current status: {video_view.WORDS['upper'][state]}"
        raise Refused(openai_error(400, "", message, type_="invalid_request_error"))
    result = house.shelf.find(task.params["result"])
    if result is None:
        raise Refused(openai_error(502, "", "Failed to fetch video content", type_="server_error"))
    if task.behaviour.variant == "content_json":
        return responses.write(Reply(200, {"url": result.url(_base(request))}), _id(request))
    return await serving.serve(house, result)


async def _body(request: Request) -> tuple[dict[str, Any], list[bytes]]:
    """The fields and files of a multipart or a JSON body."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await _form(request)
    try:
        fields = json.loads(await request.body())
    except ValueError as error:
        raise Refused(task_error(400, "invalid_json", "invalid character looking for beginning of value")) from error
    if not isinstance(fields, dict):
        raise Refused(task_error(400, "invalid_json", "json: cannot unmarshal into Go value of type TaskSubmitReq"))
    for name, wanted in TYPES.items():
        if not isinstance(fields.get(name, wanted()), wanted):
            message = f"json: cannot unmarshal into Go struct field TaskSubmitReq.{name} of type {wanted.__name__}"
            raise Refused(task_error(400, "invalid_json", message))
    return fields, []


async def _form(request: Request) -> tuple[dict[str, Any], list[bytes]]:
    async with request.form() as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        files = [file for file in form.getlist("input_reference") if isinstance(file, UploadFile)]
        return fields, [await file.read() for file in files]


async def _order(house: Parts, fields: Mapping[str, Any], files: list[bytes]) -> Order:
    """Check the fields in the order in which new-api does."""
    model, prompt = fields["model"], fields.get("prompt", "")
    family = models.family_of(model, "video")
    if family is None:
        raise Refused(models.no_channel(model))
    if not prompt:
        raise Refused(NO_PROMPT)
    said_size = fields.get("size") or family.default_size
    if family.sizes and said_size not in family.sizes:
        raise Refused(task_error(400, "invalid_size", f"sora-2 size is invalid: {said_size}"))
    return Order(
        model,
        family,
        prompt,
        _seconds(fields, family),
        _size(fields, said_size),
        said_size,
        await _inputs(house, fields, files),
    )


def _seconds(fields: Mapping[str, Any], family: Family) -> int:
    """The length; what the upstream does not like comes back as its own error in a string (6.7)."""
    said = str(fields.get("seconds") or fields.get("duration") or family.default_seconds)
    allowed = family.seconds or range(1, MOST_SECONDS + 1)
    if not said.isdecimal() or int(said) not in allowed:
        raise Refused(_upstream_refusal(f"Invalid value: '{said}'. Supported values are: {list(allowed)[:8]}."))
    return int(said)


def _size(fields: Mapping[str, Any], said: str) -> Size:
    try:
        return sizes.film_size(said, str(fields.get("aspect_ratio") or ""), str(fields.get("orientation") or ""))
    except ValueError as error:
        raise Refused(_upstream_refusal(str(error))) from error


async def _inputs(house: Parts, fields: Mapping[str, Any], files: list[bytes]) -> list[str]:
    given = [fields[name] for name in REFERENCES if fields.get(name)]
    words = [word for some in given for word in ([some] if isinstance(some, str) else some)]
    try:
        return [await house.inputs.keep(file) for file in files] + await house.inputs.keep_words(words)
    except NotAPicture as error:
        raise Refused(_upstream_refusal("Invalid image file in input_reference.")) from error


def _upstream_refusal(message: str) -> Reply:
    """The upstream said 400; its body is the message."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_value"}}
    return task_error(400, "fail_to_fetch_task", json.dumps(body))


def _again(house: Parts, parent: Task, prompt: str) -> Order:
    """The order of a remix."""
    family, result = models.family_of(parent.model, "video"), house.shelf.find(parent.params["result"])
    if family is None or result is None:
        raise Refused(task_error(400, "channel_not_found", "channel_not_found"))
    spec = result.spec
    return Order(
        parent.model,
        family,
        prompt,
        int(parent.params["seconds"]),
        (spec["width"], spec["height"]),
        parent.params["size"],
        spec.get("inputs", []),
        remixed_from=parent.id,
        seed=spec["seed"],
    )


async def _accept(house: Parts, call: Call, order: Order) -> Response:
    """Pay for the film, remember it, answer with its id."""
    task_id = ID_FORMS[call.behaviour.id_form](order.model)

    async def work(paid_seq: int | None) -> Reply:
        result = house.shelf.add(_spec(order), call.behaviour, house.now())
        task = Task(
            id=task_id,
            kind="video",
            action="remixGenerate" if order.remixed_from else "textGenerate",
            model=order.model,
            prompt=order.prompt,
            key=call.key,
            created_at=house.now(),
            duration_s=calls.work_seconds(house, call, order.family.takes_s),
            paid_seq=paid_seq,
            said=call.behaviour.said(),
            params={
                "seconds": str(order.seconds),
                "size": order.said_size,
                "result": result.id,
                "remixed_from": order.remixed_from,
            },
        )
        house.tasks.add(task)
        house.traffic.task(task.model, task.created_at, task.ends_at)
        house.shelf.ahead([result])
        await calls.submit_pause(call)
        return Reply(200, video_view.submitted(task))

    return await calls.carry(house, call, Price(order.family.price_usd * order.seconds, task_id), work)


def _spec(order: Order) -> dict[str, Any]:
    width, height = order.size
    return {
        "draws": "film",
        "format": "mp4",
        "seed": order.seed or drawn(order.prompt),
        "width": width,
        "height": height,
        "seconds": order.seconds,
        "title": drawn(order.prompt),
        "note": f"{order.model}{' · from a picture' if order.inputs else ''}{' · remix' if order.remixed_from else ''}",
        "inputs": order.inputs,
    }


ID_FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "task": lambda model: f"task_{secrets.token_hex(16)}",
    "video": lambda model: f"video_{uuid.uuid4()}",
    "colon": lambda model: f"{model}:task_01k{secrets.token_hex(11)}",
    "long": lambda model: base64.urlsafe_b64encode(f"models/{model}/operations/{uuid.uuid4()}".encode()).decode(),
    "uuid": lambda model: str(uuid.uuid4()),
}


async def _view(house: Parts, request: Request, task: Task, at: Phase) -> View:
    result = house.shelf.find(task.params["result"])
    url = result.url(_base(request)) if result is not None and at.state == "completed" else ""
    data_url = ""
    if result is not None and url and task.behaviour.variant == "data_uri":
        film = (await house.shelf.file(result)).read_bytes()
        data_url = f"data:video/mp4;base64,{base64.b64encode(film).decode()}"
    if result is not None and url and house.tasks.looks(task, "stale_links") < task.behaviour.stale_links:
        url = result.stale_url(_base(request))
    if url and task.behaviour.variant == "late_url" and house.tasks.looks(task, "late_url") < 2:
        url = ""
    return View(task, at, house.now(), url, f"{_base(request)}/v1/videos/{task.id}/content", data_url)


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _id(request: Request) -> str:
    return door.visit(request).request_id
