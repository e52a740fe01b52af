"""Pictures over `/v1/chat/completions`: what was asked for is found in the last message of the user.

Contract: gateway/images-text-audio-system.md 3.6, 4.1, 4.2, 4.8, 4.9, 4.12, 4.13.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import Request, Response

from deploy.sandbox import bodies, calls, models, parts
from deploy.sandbox.models import Family
from deploy.sandbox.replies import Refused, openai_error
from deploy.sandbox.routes import chat_image_view, images
from deploy.sandbox.routes.image_view import Order
from deploy.sandbox.script import drawn

#: How a family answers unless it is told otherwise.
HABITS: Final[Mapping[Family, str]] = {models.NANO_BANANA: "data_uri", models.GPT_4O_IMAGE: "progress"}

TAKEN: Final = ("data:image/png;", "data:image/jpeg;", "data:image/jpg;", "data:image/webp;", "http://", "https://")
"""How the address of a picture may begin that a Gemini channel takes (3.6)."""


async def answer(request: Request, key: str, family: Family, fields: dict[str, Any]) -> Response:
    """Paint what the last message asks for; streamed with `stream`."""
    house, model = parts.of(request), str(fields.get("model", ""))
    content = bodies.last_said(fields.get("messages"))
    prompt = " ".join(bodies.texts(content))
    call = calls.begin(request, key, family="image", kind="image.chat", model=model, prompt=prompt)
    words = list(_pictures(content))
    if family is models.NANO_BANANA and not all(word.startswith(TAKEN) for word in words):
        raise Refused(openai_error(500, "convert_request_failed", "mime type is not supported by Gemini"))
    order = Order(
        model=model,
        family=family,
        prompt=prompt,
        n=_count(fields, prompt, family),
        size=images.size_of(_size_fields(fields, drawn(prompt), family), family),
        format=family.picture,
        response_format=HABITS.get(family, "url"),
        inputs=await images.inputs_of(house, (), words),
    )
    view = chat_image_view.STREAMED if fields.get("stream") is True else chat_image_view.WHOLE
    return await images.paint(house, call, order, view)


def _pictures(content: Any) -> Iterator[str]:
    """Addresses of pictures; `image_url` may be a plain text (3.6)."""
    for part in content if isinstance(content, list) else []:
        if isinstance(part, dict) and part.get("type") == "image_url":
            url = part.get("image_url")
            yield str(url.get("url", "") if isinstance(url, dict) else url)


def _count(fields: Mapping[str, Any], prompt: str, family: Family) -> int:
    if family is models.NANO_BANANA:
        return 1
    said = re.search(r"\b(\d{1,2}) images\b", prompt)
    n = fields.get("n") or (int(said[1]) if said else 1)
    if not isinstance(n, int):
        raise Refused(openai_error(500, "invalid_request", "json: cannot unmarshal string into Go struct field .n"))
    return min(max(n, 1), images.MOST_PICTURES)


def _size_fields(fields: Mapping[str, Any], words: str, family: Family) -> dict[str, Any]:
    """Size and shape as the images format names them: a Gemini channel looks at `extra_body`, others at the words."""
    said = {
        "size": _found(r"\b\d{2,5}x\d{2,5}\b", words),
        "aspect_ratio": _found(r"\b\d{1,2}:\d{1,2}\b", words),
        "image_size": _found(r"(?<![\w.])(?:0\.5K|[124]K)\b", words),
    }
    if family is models.NANO_BANANA:
        return {**said, **_gemini_config(fields)}
    shape = "auto" if said["aspect_ratio"] or said["image_size"] else ""  # else the family's own size
    return {**said, "size": fields.get("size") or said["size"] or shape}


def _found(pattern: str, words: str) -> str:
    found = re.search(pattern, words)
    return found[0] if found else ""


def _gemini_config(fields: Mapping[str, Any]) -> dict[str, Any]:
    google = (fields.get("extra_body") or {}).get("google") or {}
    if {"imageConfig", "thinkingConfig"} & set(google):
        raise Refused(openai_error(500, "convert_request_failed", "extra_body.google: use snake_case"))
    config = google.get("image_config") or {}
    return {name: config[name] for name in ("aspect_ratio", "image_size") if config.get(name)}
