"""`/v1/images/generations` and `/v1/images/edits`: pictures while you wait.

Contract: gateway/images-text-audio-system.md 3.3, 4.3, 4.4, 4.10, 4.11, 4.14.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import FormData, UploadFile

from deploy.sandbox import bodies, calls, door, models, parts, sizes
from deploy.sandbox.calls import Call, Price
from deploy.sandbox.door import Key
from deploy.sandbox.inputs import NotAPicture
from deploy.sandbox.models import Family
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Refused, Reply, openai_error, upstream_error
from deploy.sandbox.routes import image_view
from deploy.sandbox.routes.image_view import Answer, Order, View
from deploy.sandbox.script import drawn
from deploy.sandbox.shelf import Result
from deploy.sandbox.sizes import Size

router = APIRouter(dependencies=[Depends(door.counted)])

MOST_PICTURES: Final = 15
WRONG_IMAGE: Final = "Invalid image file or mode for image {}, please check your image file."


@router.post("/v1/images/generations", name="images.generate")
async def generate(request: Request, key: Key) -> Response:
    """Pictures from words, and from `image` (data URLs)."""
    fields = await bodies.json_fields(request)
    call = calls.begin(request, key, family="image", kind="image.generate", **_named(fields))
    given = fields.get("image") or []
    words = [given] if isinstance(given, str) else list(given)
    # In JSON the gateway keeps the fields that it knows, and these are not among them (4.3).
    kept = {name: value for name, value in fields.items() if name not in ("aspect_ratio", "image_size")}
    order = await _order(parts.of(request), kept, words=words)
    return await paint(parts.of(request), call, order, image_view.VIEW)


@router.post("/v1/images/edits", name="images.edit")
async def edit(request: Request, key: Key) -> Response:
    """Pictures from pictures and words, as multipart."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refused(openai_error(500, "convert_request_failed", "failed to parse multipart form"))
    async with request.form() as form:
        fields = _fields(form)
        call = calls.begin(request, key, family="image", kind="image.edit", **_named(fields))
        files = _files(form)
        if not files:
            raise Refused(openai_error(500, "convert_request_failed", "image is required"))
        contents = [await file.read() for file in files]
        order = await _order(parts.of(request), fields, files=contents)
    return await paint(parts.of(request), call, order, image_view.VIEW)


def _named(fields: Mapping[str, Any]) -> dict[str, str]:
    return {"model": str(fields.get("model", "")), "prompt": str(fields.get("prompt", ""))}


def _fields(form: FormData) -> dict[str, Any]:
    """The text fields; a form has strings only, so `n` is read here."""
    fields: dict[str, Any] = {name: value for name, value in form.items() if isinstance(value, str)}
    if str(fields.get("n", "")).isdecimal():
        fields["n"] = int(fields["n"])
    return fields


def _files(form: FormData) -> list[UploadFile]:
    """The files of the first group that has any: `image`, `image[]`, `image[0]` … (4.4); the mask apart."""
    groups = (("image",), ("image[]",), tuple(name for name in form if name.startswith("image[")))
    found = [[file for name in group for file in form.getlist(name)] for group in groups]
    first = next((group for group in found if group), [])
    masks = form.getlist("mask")[:1]
    return [file for file in (*first, *(masks if first else [])) if isinstance(file, UploadFile)]


async def _order(
    house: Parts, fields: Mapping[str, Any], *, files: Sequence[bytes] = (), words: Sequence[str] = ()
) -> Order:
    """Check the fields in the order in which new-api does."""
    model = str(fields.get("model", ""))
    family = models.family_of(model, "image")
    if family is None:
        raise Refused(models.no_channel(model))
    return Order(
        model=model,
        family=family,
        prompt=str(fields.get("prompt", "")),
        n=_count(fields),
        size=size_of(fields, family),
        format=_format(fields, family),
        response_format=str(fields.get("response_format") or family.response_format),
        inputs=await inputs_of(house, files, words),
    )


def _count(fields: Mapping[str, Any]) -> int:
    n = fields.get("n") or 1
    if not isinstance(n, int):
        # In JSON it must be a number (1.4).
        raise Refused(openai_error(500, "invalid_request", "json: cannot unmarshal string into Go struct field .n"))
    if not 1 <= n <= MOST_PICTURES:
        raise Refused(upstream_error(400, "invalid_value", f"Invalid n: {n}.", type_="invalid_request_error"))
    return n


def size_of(fields: Mapping[str, Any], family: Family) -> Size:
    """Pixels by `size`, `aspect_ratio` and `image_size`, or a 4xx."""
    size = fields.get("size") or family.default_size or "auto"
    if not isinstance(size, str) or "×" in size:
        raise Refused(openai_error(500, "invalid_request", "size an unexpected error occurred in the parameter"))
    try:
        return sizes.picture_size(
            size, aspect=str(fields.get("aspect_ratio") or ""), long_side=str(fields.get("image_size") or "")
        )
    except ValueError as error:
        raise Refused(upstream_error(400, "invalid_value", str(error), type_="invalid_request_error")) from error


def _format(fields: Mapping[str, Any], family: Family) -> str:
    wanted = fields.get("output_format")
    return wanted if wanted in ("png", "jpeg", "webp") else family.picture


async def inputs_of(house: Parts, files: Sequence[bytes], words: Sequence[str]) -> list[str]:
    """Paths of pictures that came as files, as data URLs or as base64, or a 400."""
    try:
        return [await house.inputs.keep(file) for file in files] + await house.inputs.keep_words(list(words))
    except NotAPicture as error:
        message = WRONG_IMAGE.format(1)
        raise Refused(upstream_error(400, "invalid_image_file", message, type_="invalid_request_error")) from error


async def paint(house: Parts, call: Call, order: Order, view: View) -> Response:
    """Pay for the pictures and make them in the time that they are said to take."""

    async def work(_: int | None) -> Reply:
        ready_at = house.now() + calls.work_seconds(house, call, order.family.takes_s)
        results = [house.shelf.add(_spec(order, index), call.behaviour, house.now()) for index in range(order.n)]
        variant = call.behaviour.variant or order.response_format
        base64s = await _base64s(house, results) if variant in view.with_bytes else []
        house.shelf.ahead(results)
        await calls.until(house, ready_at)
        urls = [result.url(call.base_url) for result in results]
        return view.reply(variant, Answer(order, int(ready_at), urls, base64s))

    return await calls.carry(house, call, Price(order.family.price_usd * order.n), work)


def _spec(order: Order, index: int) -> dict[str, Any]:
    width, height = order.size
    number = f" · {index + 1} of {order.n}" if order.n > 1 else ""
    came = f" · from {len(order.inputs)} picture{'s' if len(order.inputs) > 1 else ''}" if order.inputs else ""
    return {
        "draws": "picture",
        "format": order.format,
        "seed": f"{drawn(order.prompt)}/{index}",
        "width": width,
        "height": height,
        "title": drawn(order.prompt),
        "note": f"{order.model}{came}{number}",
        "inputs": order.inputs,
    }


async def _base64s(house: Parts, results: Sequence[Result]) -> list[str]:
    files = await asyncio.gather(*(house.shelf.file(result) for result in results))
    return [base64.b64encode(file.read_bytes()).decode() for file in files]
