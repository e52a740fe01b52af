"""What the four formats of conversation have in common: what is shown to a model, and the course of a call.

Contract: gateway/images-text-audio-system.md 3.6, 5.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request, Response
from PIL import Image

from deploy.sandbox import calls, models, parts
from deploy.sandbox.calls import Call, Price
from deploy.sandbox.inputs import DATA_URL
from deploy.sandbox.models import Family
from deploy.sandbox.replies import Refused, Reply, openai_error, upstream_error
from deploy.sandbox.routes.image_view import ERROR_200, PAGE_200
from deploy.sandbox.studio import words
from deploy.sandbox.studio.words import Asked, Said

OVERLOADED: Final = {"type": "server_error", "code": "server_error", "message": "The engine is currently overloaded."}
PIECE: Final = 16
"""Letters in one event of a stream."""

#: What is answered in place of words, by shape.
BODIES: Final = {
    "error200": Reply(200, {"error": ERROR_200}),
    "html200": Reply(200, PAGE_200, "text/html; charset=utf-8"),
}


@dataclass(frozen=True)
class Answer:
    """What there is to answer with."""

    model: str
    said: Said
    read_tokens: int
    created: int
    variant: str
    count: int = 1
    """Answers that were asked for."""

    @property
    def id(self) -> str:
        return f"{self.created:x}"

    @property
    def is_unfinished(self) -> bool:
        """Whether the stream breaks off before it says that it is over."""
        return self.variant == "unfinished"

    @property
    def is_cut_by_error(self) -> bool:
        return self.variant in ("error_event", "failed")


View = Callable[[Answer], Reply]


def writer(model: str) -> Family:
    """The family that writes as this model.

    Raises:
        Refused: no channel does.
    """
    family = models.first_family(model, ("image", "video", "text"))
    if family not in models.WRITING:
        raise Refused(models.no_channel(model))
    return family


async def serve(request: Request, call: Call, family: Family, asked: Asked, view: View, count: int = 1) -> Response:
    """Charge for what is read and said, think for a while, and answer."""
    house, variant = parts.of(request), str(call.behaviour.variant or "")
    said = words.said(asked, variant)
    answer = Answer(call.model, said, asked.read_tokens, int(house.now()), variant, count)

    async def work(_: int | None) -> Reply:
        await calls.until(house, house.now() + calls.work_seconds(house, call, family.takes_s))
        return BODIES[variant] if variant in BODIES else view(answer)

    tokens = asked.read_tokens + said.tokens * count
    return await calls.carry(house, call, Price(family.price_usd * tokens), work)


def pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def events(found: Sequence[Mapping[str, Any]], *, are_named: bool = False, is_done: bool = False) -> Reply:
    """A stream of these; with `event:` lines, and with `[DONE]` at its end, where the format has them."""
    text = "".join(
        (f"event: {event['type']}\n" if are_named else "") + f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
        for event in found
    )
    return Reply(200, text + ("data: [DONE]\n\n" if is_done else ""), "text/event-stream")


# What is shown.


def shown(kind: str, content: str) -> str:
    """What one input is, in words.

    Args:
        kind: `image`, `document`, `audio` or `video`.
        content: base64, or a data URL; an address is believed and not fetched.

    Raises:
        Refused: it is not what it should be.
    """
    if content.startswith(("http://", "https://")):
        return f"{ARTICLES[kind]} at an address"
    try:
        decoded = base64.b64decode(DATA_URL.sub("", content, count=1), validate=True)
    except binascii.Error:
        raise Refused(_invalid("invalid_base64", "Invalid base64 data.")) from None
    if kind == "image":
        return f"a picture of {_size(decoded)} pixels"
    if kind == "document" and not decoded.startswith(b"%PDF-"):
        raise Refused(_invalid("invalid_file", "The file is no PDF."))
    return f"{ARTICLES[kind]} of {len(decoded)} bytes"


ARTICLES: Final = {"image": "a picture", "document": "a PDF", "audio": "a sound", "video": "a film"}


def _size(content: bytes) -> str:
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP", "GIF")) as image:
            return f"{image.width}x{image.height}"
    except (OSError, ValueError, SyntaxError):
        raise Refused(_invalid("invalid_image_format", "You uploaded an unsupported image.")) from None


def missing(what: str) -> Refused:
    """A field that new-api itself wants, which it tells with 500 (2.2)."""
    return Refused(openai_error(500, "invalid_request", f"{what} is required"))


def _invalid(code: str, message: str) -> Reply:
    return upstream_error(400, code, message, type_="invalid_request_error")
