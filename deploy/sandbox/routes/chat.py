"""`POST /v1/chat/completions`: the kind of the model tells who answers.

Contract: gateway/images-text-audio-system.md 3.3, 4.1, 5.1, 5.2; gateway/midjourney-and-video.md 7, 8.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from deploy.sandbox import bodies, door, models
from deploy.sandbox.door import Key
from deploy.sandbox.models import Family, Kind
from deploy.sandbox.replies import Refused
from deploy.sandbox.routes import chat_films, chat_images, chat_text

Answer = Callable[[Request, str, Family, dict[str, Any]], Awaitable[Response]]
"""From the call, the shown key, the model's family and the body's fields."""

ANSWERS: Final[Mapping[Kind, Answer]] = {
    "image": chat_images.answer,
    "video": chat_films.answer,
    "text": chat_text.answer,
}

router = APIRouter(dependencies=[Depends(door.counted)])


@router.post("/v1/chat/completions", name="chat.completions")
async def complete(request: Request, key: Key) -> Response:
    """Pictures, films or words, streamed or not."""
    fields = await bodies.json_fields(request)
    model = str(fields.get("model", ""))
    family = models.first_family(model, tuple(ANSWERS))
    if family is None:
        raise Refused(models.no_channel(model))
    return await ANSWERS[family.kind](request, key, family, fields)
