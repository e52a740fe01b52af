"""Every way in which a picture comes back, or does not.

Contract: gateway/images-text-audio-system.md 2.4, 2.5, 3.3, 4.10, 4.14.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploy.sandbox import models
from deploy.sandbox.models import Family
from deploy.sandbox.replies import Reply
from deploy.sandbox.shelf import MEDIA_TYPES
from deploy.sandbox.sizes import Size


@dataclass(frozen=True)
class Order:
    """Pictures asked for, checked."""

    model: str
    family: Family
    prompt: str
    n: int
    size: Size
    format: str
    response_format: str
    """Shape of the answer unless it is told another."""
    inputs: list[str]
    """Paths of what came in."""


@dataclass(frozen=True)
class Answer:
    """What there is to answer with; `base64s` is empty where addresses do."""

    order: Order
    created: int
    urls: Sequence[str]
    base64s: Sequence[str]

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.order.format]


@dataclass(frozen=True)
class View:
    """How one format shows pictures."""

    reply: Callable[[str, Answer], Reply]
    """From the shape's name and what there is."""
    with_bytes: frozenset[str]
    """Shapes that need the pictures themselves."""


def reply(variant: str, answer: Answer) -> Reply:
    """The answer in this shape; as addresses where the shape is another route's."""
    return VARIANTS.get(variant, _urls)(answer)


def _urls(answer: Answer) -> Reply:
    """V1; Seedream adds the real size (4.14)."""
    width, height = answer.order.size
    more = {"size": f"{width}x{height}"} if answer.order.family is models.SEEDREAM else {}
    return _data(answer, [{"url": url, **more} for url in answer.urls])


def _b64_json(answer: Answer) -> Reply:
    """V2, with what the official gpt-image models add (4.10)."""
    width, height = answer.order.size
    more = {"background": "opaque", "output_format": answer.order.format, "quality": "medium", "usage": USAGE}
    is_gpt = answer.order.family is models.GPT_IMAGE
    return _data(
        answer,
        [{"b64_json": code} for code in answer.base64s],
        **({"size": f"{width}x{height}", **more} if is_gpt else {}),
    )


def _both_empty(answer: Answer) -> Reply:
    """V3: both keys, the unused one empty."""
    return _data(answer, [{"url": "", "b64_json": code, "revised_prompt": ""} for code in answer.base64s])


def _data_uri(answer: Answer) -> Reply:
    """V4: a data URI in `url`."""
    return _data(answer, [{"url": f"data:{answer.media_type};base64,{code}"} for code in answer.base64s])


def _b64_data_uri(answer: Answer) -> Reply:
    """V4: a data URI in `b64_json`."""
    return _data(answer, [{"b64_json": f"data:{answer.media_type};base64,{code}"} for code in answer.base64s])


def _partial(answer: Answer) -> Reply:
    """V5: the last picture is an error."""
    told = _urls(answer).body
    if answer.order.family is models.SEEDREAM:
        told |= {"model": answer.order.model, "usage": _ark_usage(len(answer.urls) - 1)}
    return Reply(200, {**told, "data": [*told["data"][:-1], {"error": OUTPUT_BLOCKED}]})


def _ark_usage(pictures: int) -> dict[str, int]:
    """As Ark counts: by the pictures that it made (4.14)."""
    return {"generated_images": pictures, "output_tokens": 16_224, "total_tokens": 16_224}


def _fewer(answer: Answer) -> Reply:
    """V5: one less than asked for."""
    return _data(answer, [{"url": url} for url in answer.urls[:-1]])


def _no_media(answer: Answer) -> Reply:
    """A sentence in place of a picture."""
    return _data(answer, [{"url": "", "b64_json": "", "revised_prompt": "I can't create that image."}])


def _refusal(answer: Answer) -> Reply:
    """Only errors where pictures should be."""
    return _data(answer, [{"error": OUTPUT_BLOCKED} for _ in answer.urls])


def _raw(answer: Answer) -> Reply:
    """The body is the picture itself."""
    return Reply(200, base64.b64decode(answer.base64s[0]), answer.media_type)


def _sse(answer: Answer) -> Reply:
    """V7: a stream of events although none was asked for; a draft comes before each picture."""
    events = [event for code in answer.base64s for event in _drawn_twice(code)]
    text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return Reply(200, f"{text}data: [DONE]\n\n", "text/event-stream")


def _drawn_twice(code: str) -> list[dict[str, Any]]:
    return [
        {"type": "image_generation.partial_image", "b64_json": code, "partial_image_index": 0},
        {"type": "image_generation.completed", "b64_json": code, "usage": USAGE},
    ]


def _data(answer: Answer, data: Any, **more: Any) -> Reply:
    return Reply(200, {"created": answer.created, "data": data, **more})


USAGE: Final = {
    "total_tokens": 1096,
    "input_tokens": 40,
    "output_tokens": 1056,
    "input_tokens_details": {"text_tokens": 40, "image_tokens": 0},
}
OUTPUT_BLOCKED: Final = {
    "code": "OutputImageSensitiveContentDetected",
    "message": "The output image may contain sensitive information.",
}
ERROR_200: Final = {
    "message": "upstream refused",
    "type": "upstream_error",
    "param": "",
    "code": "content_policy_violation",
}
PAGE_200: Final = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking</body></html>"

WITH_BYTES: Final = frozenset({"b64_json", "both_empty", "data_uri", "b64_data_uri", "raw", "sse"})
VARIANTS: Final[Mapping[str, Callable[[Answer], Reply]]] = {
    "url": _urls,
    "b64_json": _b64_json,
    "both_empty": _both_empty,
    "data_uri": _data_uri,
    "b64_data_uri": _b64_data_uri,
    "partial": _partial,
    "fewer": _fewer,
    "empty": lambda answer: _data(answer, []),
    "null_data": lambda answer: _data(answer, None),
    "no_media": _no_media,
    "refusal": _refusal,
    "error200": lambda answer: Reply(200, {"error": ERROR_200}),
    "html200": lambda answer: Reply(200, PAGE_200, "text/html; charset=utf-8"),
    "receipt": lambda answer: Reply(200, {"id": "task_8f2a", "object": "generation.task", "status": "queued"}),
    "single_object": lambda answer: _data(answer, {"url": answer.urls[0]}),
    "images_key": lambda answer: Reply(200, {"images": [{"url": url} for url in answer.urls]}),
    "raw": _raw,
    "sse": _sse,
}

VIEW: Final = View(reply, WITH_BYTES)
