"""Pictures over Gemini's own format: what was asked for is found in the last turn of the user.

Contract: gateway/images-text-audio-system.md 3.6, 4.5 to 4.7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import Request, Response

from deploy.sandbox import calls, models, parts
from deploy.sandbox.models import Family
from deploy.sandbox.replies import Refused, openai_error, upstream_error
from deploy.sandbox.routes import gemini_image_view, images
from deploy.sandbox.routes.image_view import Order


async def answer(request: Request, key: str, model: str, family: Family, fields: dict[str, Any]) -> Response:
    """Paint what the last turn asks for.  Only `alt=sse` makes it a stream, whatever the action (4.7)."""
    house, turn = parts.of(request), _last(fields.get("contents"))
    prompt = " ".join(str(part["text"]) for part in turn if "text" in part)
    call = calls.begin(request, key, family="image", kind="image.gemini", model=model, prompt=prompt)
    is_gemini = family is models.NANO_BANANA
    order = Order(
        model=model,
        family=family,
        prompt=prompt,
        n=1,
        # Behind a channel of another kind all of the configuration is lost (4.5).
        size=images.size_of(_config(fields) if is_gemini else {}, family),
        format=family.picture,
        response_format="inline" if is_gemini else "url",
        inputs=await images.inputs_of(house, (), list(_pictures(turn))),
    )
    is_stream = request.query_params.get("alt") == "sse"
    view = gemini_image_view.STREAMED if is_stream else gemini_image_view.WHOLE
    return await images.paint(house, call, order, view)


def _last(contents: Any) -> list[dict[str, Any]]:
    """The parts of the user's last turn."""
    if not isinstance(contents, list) or not contents:
        raise Refused(openai_error(500, "invalid_request", "contents is required"))
    said = [one.get("parts") for one in contents if isinstance(one, dict) and one.get("role", "user") == "user"]
    return [part for part in (said[-1] if said else None) or [] if isinstance(part, dict)]


def _pictures(turn: list[dict[str, Any]]) -> Iterator[str]:
    """Base64, bare: addresses are not fetched here (3.6)."""
    for part in turn:
        inline = part.get("inlineData") or part.get("inline_data")
        if not isinstance(inline, dict):
            continue
        data = str(inline.get("data", ""))
        if data.startswith(("http", "data:")) or "\n" in data:
            message = "Invalid value at 'contents[0].parts[1].inline_data.data' (TYPE_BYTES), Base64 decoding failed"
            raise Refused(upstream_error(400, "400", message, type_="upstream_error"))
        yield data


def _config(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Shape and size as the images format names them, from either spelling."""
    config = fields.get("generationConfig") or fields.get("generation_config") or {}
    image = config.get("imageConfig") or config.get("image_config") or {}
    return {
        "aspect_ratio": image.get("aspectRatio") or image.get("aspect_ratio"),
        "image_size": image.get("imageSize") or image.get("image_size"),
    }
