"""Films over `/v1/chat/completions`: the caller waits, and reads a log meanwhile (9).

Contract: gateway/midjourney-and-video.md 9.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from fastapi import Request, Response

from deploy.sandbox import bodies, calls, parts, sizes
from deploy.sandbox.calls import Call, Price
from deploy.sandbox.inputs import NotAPicture
from deploy.sandbox.models import Family
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Refused, Reply, openai_error
from deploy.sandbox.responses import Stream
from deploy.sandbox.routes import chat_film_view
from deploy.sandbox.routes.chat_film_view import Answer
from deploy.sandbox.script import drawn
from deploy.sandbox.shelf import Result

MOST_FILMS: Final = 4
MOST_SECONDS: Final = 60
LENGTH: Final = re.compile(r"\b(\d{1,2}) ?(?:s|sec|seconds?)\b|(\d{1,2}) ?秒", re.IGNORECASE)
PORTRAIT: Final = re.compile(r"portrait|竖屏|9:16", re.IGNORECASE)
EVENT_END: Final = b"\n\n"


async def answer(request: Request, key: str, family: Family, fields: dict[str, Any]) -> Response:
    """Film what the last message asks for; streamed with `stream`, over the time that it takes."""
    house, model, content = parts.of(request), str(fields["model"]), bodies.last_said(fields.get("messages"))
    prompt = " ".join(bodies.texts(content))
    call = calls.begin(request, key, family="video", kind="video.chat", model=model, prompt=prompt)
    if not drawn(prompt):
        raise Refused(openai_error(400, "invalid_request", "field prompt is required"))
    inputs = await _inputs(house, content)
    specs = [_spec(call, family, inputs, number) for number in range(_count(fields))]
    is_stream = fields.get("stream") is True
    takes_s = calls.work_seconds(house, call, family.takes_s)
    # What ends badly is told at its end, in one piece.
    is_spread = is_stream and call.behaviour.fail_after is None and call.behaviour.cut is None

    async def work(_: int | None) -> Reply:
        results = [house.shelf.add(spec, call.behaviour, house.now()) for spec in specs]
        house.shelf.ahead(results)
        if not is_spread:
            await asyncio.sleep(takes_s)
        variant = call.behaviour.variant or ""
        told = await _told(house, call, results, variant)
        return (chat_film_view.streamed if is_stream else chat_film_view.whole)(variant, told)

    price = Price(family.price_usd * sum(spec["seconds"] for spec in specs))
    response = await calls.carry(house, call, price, work)
    return _spread(house, call, response, takes_s) if is_spread else response


async def _inputs(house: Parts, content: Any) -> list[str]:
    """First frames and reference pictures, under either name of their part (9.1)."""
    found = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    urls = [part.get(kind) for part in found for kind in ("image_url", "file_url") if part.get("type") == kind]
    words = [str(url.get("url", "") if isinstance(url, dict) else url) for url in urls]
    try:
        return await house.inputs.keep_words(words)
    except NotAPicture as error:
        raise Refused(openai_error(400, "invalid_image", "the image cannot be decoded")) from error


def _count(fields: Mapping[str, Any]) -> int:
    n = fields.get("n") or 1
    if not isinstance(n, int):
        raise Refused(openai_error(500, "invalid_request", "json: cannot unmarshal string into Go struct field .n"))
    return min(max(n, 1), MOST_FILMS)


def _spec(call: Call, family: Family, inputs: list[str], number: int) -> dict[str, Any]:
    """Length and shape are told by the words, or by the model's name (9.1)."""
    words = drawn(call.prompt)
    width, height = sizes.film_size("portrait" if PORTRAIT.search(f"{words} {call.model}") else "landscape")
    return {
        "draws": "film",
        "format": "mp4",
        "seed": f"{words}/{number}",
        "width": width,
        "height": height,
        "seconds": _seconds(words, call.model, family),
        "title": words,
        "note": f"{call.model}{' · from a picture' if inputs else ''}",
        "inputs": inputs,
    }


def _seconds(words: str, model: str, family: Family) -> int:
    said = LENGTH.search(f"{words} {model}")
    if said is None:
        return family.default_seconds
    return min(max(int(said[1] or said[2]), 1), MOST_SECONDS)


async def _told(house: Parts, call: Call, results: list[Result], variant: str) -> Answer:
    films = [await house.shelf.file(one) for one in results] if variant in chat_film_view.WITH_BYTES else []
    return Answer(
        id=secrets.token_hex(13),
        created=int(house.now()),
        model=call.model,
        words=drawn(call.prompt),
        has_picture=any(result.spec["inputs"] for result in results if "inputs" in result.spec),
        urls=tuple(result.url(call.base_url) for result in results),
        watch_urls=tuple(result.url(call.base_url, "watch.mp4") for result in results),
        bare_urls=tuple(result.url(call.base_url, "download") for result in results),
        data_urls=tuple(f"data:video/mp4;base64,{base64.b64encode(film.read_bytes()).decode()}" for film in films),
    )


def _spread(house: Parts, call: Call, response: Response, takes_s: float) -> Response:
    """The same stream, event after event, over so many seconds; its length is told by nobody."""
    if response.status_code != 200 or response.media_type != "text/event-stream":
        return response
    events = [event + EVENT_END for event in bytes(response.body).split(EVENT_END) if event]

    async def send() -> AsyncIterator[bytes]:
        with house.traffic.call(call.model):
            for event in events:
                yield event
                if takes_s:
                    await asyncio.sleep(takes_s / len(events))

    return Stream(send(), "text/event-stream", None)
