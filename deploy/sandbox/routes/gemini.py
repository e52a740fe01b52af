"""`POST /v1beta/models/{model}:{action}`, Gemini's own format: the kind of the model tells who answers.

Contract: gateway/images-text-audio-system.md 4.5, 4.6, 5.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from deploy.sandbox import bodies, door, models
from deploy.sandbox.door import Key
from deploy.sandbox.models import Family, Kind
from deploy.sandbox.replies import Refused
from deploy.sandbox.routes import gemini_images, gemini_text

Answer = Callable[[Request, str, str, Family, dict[str, Any]], Awaitable[Response]]
"""From the call, the shown key, the model, its family and the body's fields."""

ANSWERS: Final[Mapping[Kind, Answer]] = {"image": gemini_images.answer, "text": gemini_text.answer}

router = APIRouter(dependencies=[Depends(door.counted)])


@router.post("/v1beta/models/{model}:generateContent", name="gemini.generate")
@router.post("/v1beta/models/{model}:streamGenerateContent", name="gemini.stream")
async def generate(request: Request, key: Key, model: str) -> Response:
    """Pictures or words, streamed (`alt=sse`) or not."""
    fields = await bodies.json_fields(request)
    family = models.first_family(model, tuple(ANSWERS))
    if family is None:
        raise Refused(models.no_channel(model))
    return await ANSWERS[family.kind](request, key, model, family, fields)
