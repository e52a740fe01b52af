"""`/mj`: pictures, films and words.  Contract: gateway/midjourney-and-video.md 2 to 5.

The speed prefix is accepted and ignored, as stock new-api does (2.1).  Here is what begins something new;
`midjourney_presses.py` goes on from what is there, `midjourney_looks.py` answers queries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from deploy.sandbox import calls, door, parts
from deploy.sandbox.calls import Call
from deploy.sandbox.door import Key
from deploy.sandbox.midjourney import drawings, words
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Refused, midjourney_error
from deploy.sandbox.routes import midjourney_looks, midjourney_presses
from deploy.sandbox.routes import midjourney_orders as orders
from deploy.sandbox.routes.midjourney_orders import Order
from deploy.sandbox.script import drawn

router = APIRouter(dependencies=[Depends(door.counted)])

MODES: Final = ("", "/mj-fast", "/mj-relax", "/mj-turbo", "/fast", "/relax", "/turbo")
FEWEST_BLENDED: Final = 2
MOST_BLENDED: Final = 5
BATCHES: Final = (1, 2, 4)


async def imagine(request: Request, key: Key) -> Response:
    """Accept a grid (3.1)."""
    house = parts.of(request)
    fields = await orders.fields_of(request)
    prompt = fields.get("prompt") or ""
    if not prompt.strip():
        raise Refused(midjourney_error("prompt_is_required"))
    call = _begin(request, key, "imagine", "mj_imagine", prompt)
    inputs = await orders.pictures(request, fields.get("base64Array"))
    spec = drawings.picture("IMAGINE", prompt, seed=drawn(prompt), inputs=inputs)
    return await orders.accept(house, call, Order("IMAGINE", spec), fields)


async def blend(request: Request, key: Key) -> Response:
    """Accept a grid from pictures (3.3)."""
    house = parts.of(request)
    fields = await orders.fields_of(request)
    prompt, dimensions = fields.get("prompt") or "", fields.get("dimensions") or "SQUARE"
    call = _begin(request, key, "blend", "mj_blend", prompt)
    inputs = await orders.pictures(request, fields.get("base64Array"))
    if not FEWEST_BLENDED <= len(inputs) <= MOST_BLENDED:
        raise orders.refused("base64List参数错误")
    if dimensions not in drawings.DIMENSIONS:
        raise orders.refused("dimensions参数错误")
    return await orders.accept(house, call, Order("BLEND", drawings.blend(prompt, inputs, dimensions)), fields)


async def describe(request: Request, key: Key) -> Response:
    """Accept a picture to be described (3.4)."""
    house = parts.of(request)
    fields = await orders.fields_of(request)
    call = _begin(request, key, "describe", "mj_describe", "")
    inputs = await orders.pictures(request, fields.get("base64"))
    if len(inputs) != 1:
        raise orders.refused("base64不能为空")
    spec = drawings.picture("DESCRIBE", "", seed=inputs[0], inputs=inputs, title="described")
    return await orders.accept(house, call, Order("DESCRIBE", spec, text=words.description(inputs[0])), fields)


async def shorten(request: Request, key: Key) -> Response:
    """Accept a prompt to be weighed (3.8)."""
    house = parts.of(request)
    fields = await orders.fields_of(request)
    prompt = fields.get("prompt") or ""
    call = _begin(request, key, "shorten", "mj_shorten", prompt)
    if not prompt.strip():
        raise orders.refused("prompt不能为空")
    return await orders.accept(house, call, Order("SHORTEN", text=words.short_prompts(prompt)), fields)


async def swap_face(request: Request, key: Key) -> Response:
    """Accept two pictures (3.9); the same one twice is accepted, and fails."""
    house = parts.of(request)
    fields = await orders.fields_of(request)
    given = [fields.get("sourceBase64"), fields.get("targetBase64")]
    if not all(given):
        raise Refused(midjourney_error("sour_base64_and_target_base64_is_required"))
    call = _begin(request, key, "swap_face", "swap_face", "InsightFace")
    source, target = await orders.pictures(request, given)
    spec = drawings.picture("SWAP_FACE", "", seed=f"{source}/{target}", inputs=[target, source], title="a swapped face")
    order = Order("SWAP_FACE", spec, paid_codes=frozenset({"1"}), doomed=source == target)
    return await orders.accept(house, call, order, fields)


async def video(request: Request, key: Key) -> Response:
    """Accept films from a first frame, or one that goes on (5.1)."""
    house = parts.of(request)
    fields = await orders.fields_of(request)
    prompt = fields.get("prompt") or ""
    parent = orders.parent_of(house, fields["taskId"]) if fields.get("taskId") else None
    call = _begin(request, key, "video", "mj_video", prompt or (parent.prompt if parent else ""))
    if fields.get("action") == "extend":
        return await _extend(house, call, fields)
    inputs = await orders.pictures(request, [fields[name] for name in ("image", "endImage") if fields.get(name)])
    count, video_type = fields.get("batchSize") or 4, fields.get("videoType") or "vid_1.1_i2v_480"
    if not fields.get("image") or count not in BATCHES or video_type not in drawings.FILM_SIZES:
        raise orders.refused("参数错误")
    seconds = drawings.FIRST_SECONDS
    seed = "/".join([drawn(prompt), *inputs])
    specs = drawings.films(prompt, inputs, seed=seed, count=count, video_type=video_type, seconds=seconds)
    cover = drawings.picture("VIDEO", prompt, seed=seed, inputs=inputs, title=drawn(prompt) or "a film")
    return await orders.accept(house, call, Order("VIDEO", cover, specs), fields)


async def _extend(house: Parts, call: Call, fields: dict[str, Any]) -> Response:
    parent = orders.parent_of(house, fields.get("taskId") or "")
    index, films = fields.get("index"), parent.params["films"]
    if not isinstance(index, int) or index not in range(len(films)):
        raise orders.refused("index参数错误")
    film = house.shelf.find(films[index])
    if film is None:
        raise orders.refused("关联任务不存在或已失效", 3)
    seconds = drawings.longer(parent.params["seconds"])
    spec = {**film.spec, "seed": f"{film.spec['seed']}/on", "seconds": seconds, "note": "Midjourney · goes on"}
    return await orders.accept(house, call, Order("VIDEO_EXTEND", parent.params["spec"], [spec]), fields)


def _begin(request: Request, key: str, act: str, model: str, prompt: str) -> Call:
    return calls.begin(request, key, family="midjourney", kind=f"midjourney.{act}", model=model, prompt=prompt)


ROUTES: Final[Sequence[tuple[str, str, str, Callable[..., Any], bool]]] = (
    # method, path, name, endpoint, whether it asks for the key before anything else
    ("POST", "/mj/submit/imagine", "mj.imagine", imagine, True),
    ("POST", "/mj/submit/blend", "mj.blend", blend, True),
    ("POST", "/mj/submit/describe", "mj.describe", describe, True),
    ("POST", "/mj/submit/shorten", "mj.shorten", shorten, True),
    ("POST", "/mj/submit/video", "mj.video", video, True),
    ("POST", "/mj/insight-face/swap", "mj.swap_face", swap_face, True),
    ("POST", "/mj/submit/action", "mj.action", midjourney_presses.action, True),
    ("POST", "/mj/submit/change", "mj.change", midjourney_presses.change, True),
    ("POST", "/mj/submit/simple-change", "mj.simple_change", midjourney_presses.simple_change, True),
    ("POST", "/mj/submit/modal", "mj.modal", midjourney_presses.modal, True),
    ("GET", "/mj/task/{task_id}/fetch", "mj.fetch", midjourney_looks.fetch, True),
    ("GET", "/mj/task/{task_id}/image-seed", "mj.seed", midjourney_looks.seed, True),
    ("POST", "/mj/task/list-by-condition", "mj.list", midjourney_looks.list_by_condition, True),
    ("GET", "/mj/image/{task_id}", "mj.image", midjourney_looks.image, False),
)
for mode in MODES:
    for method, path, name, endpoint, needs_key in ROUTES:
        needs = [Depends(door.key)] if needs_key else []
        router.add_api_route(mode + path, endpoint, methods=[method], name=name, dependencies=needs)
