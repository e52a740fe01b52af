"""`/v1/images/generations` and `/v1/images/edits` (GPT image, Nano Banana, Seedream): pictures in the answer.  Pure.

Contract: gateway/images-text-audio-system.md 2.4, 3.3 to 3.6, 4.3, 4.4, 4.10, 4.11, 4.14, 4.15, 8.
Literal replies: tests/replies/images/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.errors import InputRefused
from shared.gateway import classify, dialects, lifted, pictures, reading, taken
from shared.gateway.adapter import Adapter
from shared.gateway.adapters import chat_images
from shared.gateway.call import Call, Media
from shared.gateway.lifted import Lifted
from shared.gateway.outcome import Continued, ErrorClass, GatewayError, Outcome, Refused
from shared.gateway.request import Part, Request, Response


def build_generate(call: Call) -> Request:
    """Ask for pictures from words; references go along as data URLs in `image` (3.6).

    Raises:
        InputRefused: the model does not draw that size.
    """
    body = {"model": call.model, "prompt": call.prompt, **dialects.fields(call)}
    references = [media.data_url for media in call.images]
    if references:
        body["image"] = references if len(references) > 1 else references[0]
    return Request("POST", "/v1/images/generations", json=body, timeout_s=pictures.timeout_s(call), name=call.operation)


def build_edit(call: Call) -> Request:
    """Ask for pictures from pictures and words, as a form: as JSON most builds answer 500 (4.4).

    Raises:
        InputRefused: the mask does not fit its picture, the model takes none, or it does not draw that size.
    """
    if dialects.is_seedream(call.model):
        return _build_seedream_edit(call)
    if call.mask is not None:
        _check_mask(call.mask, call.images[0])
    fields = {"model": call.model, "prompt": call.prompt, **dialects.fields(call)}
    # One name for all: the gateway makes `image[]` of several, and reads only one group where names are mixed (4.4).
    parts = [Part("image", media.filename, media.content_type, media.content) for media in call.images]
    if call.mask is not None:
        parts.append(Part("mask", call.mask.filename, call.mask.content_type, call.mask.content))
    return Request(
        "POST",
        "/v1/images/edits",
        form={name: _as_text(value) for name, value in fields.items()},
        files=tuple(parts),
        timeout_s=pictures.timeout_s(call),
        name=call.operation,
    )


def read(response: Response, call: Call) -> Outcome:
    """The pictures in the answer, or why there is none.

    Reply: variants V1 to V7 of 3.3.  Fewer pictures than asked for are a result; `result` has both counts and the
    errors of those that are missing.  An answer with no picture at all is counted as paid (2.4).

    Raises:
        UnreadableReply: it has no list of pictures and is no receipt either.
    """
    sent = pictures.as_sent(response.body, response.headers.get("content-type", ""))
    if sent is not None:
        return pictures.produced([sent], call)
    answer = lifted.lift(response)
    body = _body(answer)
    items = list(pictures.listed(body))
    outputs = pictures.in_items(items, answer)
    errors = [classify.said(one) for one in (*items, body) if isinstance(one, Mapping) and one.get("error")]
    if not outputs:
        return _nothing(body, items, errors)
    prompts = [text for item in items if (text := reading.first_text(item, "revised_prompt"))]
    return pictures.produced(outputs, call, errors, revised_prompts=prompts, usage=body.get("usage"))


def _check_mask(mask: Media, picture: Media) -> None:
    """A mask says which part of the first picture may change, so both have the same size (3.6, 4.11)."""
    if mask.content_type != "image/png":
        raise InputRefused(
            f"the mask must be PNG, since its transparent part is what may change, not {mask.content_type}"
        )
    if len(mask.content) >= taken.MASK_MOST_BYTES:
        raise InputRefused(f"the mask has {len(mask.content)} bytes; it must have less than {taken.MASK_MOST_BYTES}")
    sizes = [(one.width, one.height) for one in (mask, picture)]
    if None not in (*sizes[0], *sizes[1]) and sizes[0] != sizes[1]:
        told = " and ".join(f"{width}x{height}" for width, height in sizes)
        raise InputRefused(f"the mask must be as large as the first picture; they have {told} pixels")


def _build_seedream_edit(call: Call) -> Request:
    """Its pictures go to the other route: at this one a Volcengine channel drops the files and charges (4.15)."""
    if call.mask is not None:
        raise InputRefused(f"{call.model} takes no mask; the prompt must say what may change")
    return build_generate(call)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _body(answer: Lifted) -> Mapping[str, Any]:
    """The JSON object, or a stream brought into its form: some builds stream without being asked (3.3 V7)."""
    response = answer.response
    if response.body.lstrip().startswith(b"{"):
        return reading.object_of(response)
    events = [event for event in reading.events(response.body) if event is not None]
    # `partial_image` is a draft; Ark's pictures are `partial_succeeded`, and its `completed` has none.
    ended = [event for event in events if str(event.get("type")).endswith((".completed", "_succeeded", "_failed"))]
    items = [event for event in ended if event.get("error") or pictures.in_item(event, answer)]
    error = next((event for event in events if event not in ended and _is_error(event)), None)
    if not items and error is None:
        return reading.object_of(response)
    items.sort(key=_place)
    usage = next((event["usage"] for event in ended if event.get("usage")), None)
    return {"data": items, "usage": usage, **({"error": error.get("error") or error} if error is not None else {})}


def _is_error(event: Mapping[str, Any]) -> bool:
    """What ended the stream: it says so by its type or by a key (4.10)."""
    return bool(event.get("error")) or event.get("type") == "error"


def _place(event: Mapping[str, Any]) -> int:
    """Of a picture among its like: they arrive in any order (4.14)."""
    place = event.get("image_index")
    return place if isinstance(place, int) else 0


def _nothing(body: Mapping[str, Any], items: Sequence[Any], errors: Sequence[classify.Said]) -> Refused:
    """Why a whole answer holds no picture."""
    if errors and not items:  # the error ended a stream, in which a picture may have been under way
        return pictures.failure(errors[0])
    if errors:
        return classify.failure(errors[0], ErrorClass.NO_MEDIA, charged=True)
    receipt = pictures.receipt(body)
    if receipt is not None:
        return receipt
    if not any(key in body for key in pictures.LISTS):
        raise reading.unreadable("an object without pictures", body)
    return pictures.no_picture(pictures.words(*items, body), "empty_data")


FORM: Final = re.compile(r"image is required|multipart form", re.IGNORECASE)
"""What a channel says that wants no form (4.4, 8)."""


def _instead(error: GatewayError, call: Call) -> Continued | None:
    """A Nano Banana behind a channel that does not draw in this format (4.3): in a conversation it does.

    Of other models it is not known whether they would look at the pictures there, and they would charge (4.15).
    """
    is_free = error.error_class is ErrorClass.INVALID_REQUEST and not error.charged
    if not is_free or call.mask is not None or not pictures.is_gemini(call.model):
        return None
    if call.operation == EDIT.name and FORM.search(error.message):
        return Continued(build_generate(call))
    if error.code == "convert_request_failed":
        return Continued(chat_images.build(call), read=lambda response: chat_images.read(response, call))
    return None


GENERATE: Final = Adapter("image.generate", build_generate, read, instead=_instead)
EDIT: Final = Adapter("image.edit", build_edit, read, instead=_instead)
ADAPTERS: Final = (GENERATE, EDIT)
