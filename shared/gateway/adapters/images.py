"""`/v1/images/generations` and `/v1/images/edits` (GPT image, Nano Banana, Seedream): pictures in the answer.  Pure.

Contract: gateway/images-text-audio-system.md 2.4, 3.3 to 3.6, 4.3, 4.4, 4.10, 4.11, 4.14, 4.15.
Literal replies: tests/replies/images/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from shared.catalog.operations.table import OPERATIONS
from shared.gateway import classify, reading
from shared.gateway.adapter import Adapter
from shared.gateway.call import Call
from shared.gateway.outcome import ErrorClass, Outcome, Output, Produced, Refused, Source
from shared.gateway.request import Part, Request, Response

LISTS: Final = ("data", "images", "output", "result")
"""Where the pictures stand, by build."""

PLACES: Final = ("b64_json", "url", "image_url.url", "image_url", "image")
"""Where one item has its picture, in the order to try them (3.4); what is not used is left out, null or `""`."""

TASK_IDS: Final = ("task_id", "data.0.task_id", "data.task_id")

LEAST_BASE64: Final = 32
"""No picture is shorter in base64; a word that happens to decode is."""


def build_generate(call: Call) -> Request:
    """Ask for pictures from words; references go along as data URLs in `image` (3.6)."""
    body = {"model": call.model, "prompt": call.prompt, **_fields(call)}
    references = [media.data_url for media in call.images]
    if references:
        body["image"] = references if len(references) > 1 else references[0]
    return Request("POST", "/v1/images/generations", json=body, timeout_s=_timeout_s(call), name=call.operation)


def build_edit(call: Call) -> Request:
    """Ask for pictures from pictures and words, as a form: as JSON most builds answer 500 (4.4)."""
    fields = {"model": call.model, "prompt": call.prompt, **_fields(call)}
    # One name for all: the gateway makes `image[]` of several, and reads only one group where names are mixed (4.4).
    parts = [Part("image", media.filename, media.content_type, media.content) for media in call.images]
    if call.mask is not None:
        parts.append(Part("mask", call.mask.filename, call.mask.content_type, call.mask.content))
    return Request(
        "POST",
        "/v1/images/edits",
        form={name: _as_text(value) for name, value in fields.items()},
        files=tuple(parts),
        timeout_s=_timeout_s(call),
        name=call.operation,
    )


def read(response: Response, call: Call) -> Outcome:
    """The pictures in the answer, or why there is none.

    Reply: variants V1 to V7 of 3.3.  Fewer pictures than asked for are a result; `result` has both counts and the
    errors of those that are missing.  An answer with no picture at all is counted as paid (2.4).

    Raises:
        UnreadableReply: it has no list of pictures and is no receipt either.
    """
    if response.headers.get("content-type", "").startswith("image/") and response.body:
        return _produced([Output("image", (Source(content=response.body),))], {}, [], call)
    body = _body(response)
    items = list(_items(body))
    # One picture named twice is one picture.
    outputs = list(dict.fromkeys(Output("image", sources) for item in items if (sources := _sources(item))))
    errors = [classify.said(one) for one in (*items, body) if isinstance(one, Mapping) and one.get("error")]
    return _produced(outputs, body, errors, call) if outputs else _nothing(body, items, errors)


def _fields(call: Call) -> dict[str, Any]:
    """What was asked for, as far as it is safe to say."""
    fields = call.params.given()
    if fields.get("n") == 1:
        del fields["n"]  # the default everywhere, and some Gemini back ends refuse its very presence (4.3)
    if "aspect_ratio" in fields:
        fields.setdefault("size", fields["aspect_ratio"])  # most builds drop the field and keep `size` (4.3)
    return fields


def _timeout_s(call: Call) -> float:
    return OPERATIONS[call.operation].timeout_s


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _body(response: Response) -> Mapping[str, Any]:
    """The JSON object, or a stream brought into its form: some builds stream without being asked (3.3 V7)."""
    if response.body.lstrip().startswith(b"{"):
        return reading.object_of(response)
    events = [event for event in classify.documents(response.body) if isinstance(event, Mapping)]
    # `partial_image` is a draft; Ark's pictures are `partial_succeeded`, and its `completed` has none.
    ended = [event for event in events if str(event.get("type")).endswith((".completed", "_succeeded", "_failed"))]
    items = [event for event in (ended or events) if event.get("error") or (ended and _sources(event))]
    if not items:
        return reading.object_of(response)
    return {"data": items, "usage": next((event["usage"] for event in ended if event.get("usage")), None)}


def _items(body: Mapping[str, Any]) -> Iterator[Any]:
    for key in LISTS:
        found = body.get(key)
        if isinstance(found, list):
            yield from found
        elif found:
            yield found


def _sources(item: Any) -> tuple[Source, ...]:
    places = (reading.dig(item, place) for place in PLACES) if isinstance(item, Mapping) else (item,)
    return tuple(dict.fromkeys(filter(None, map(_source, places))))


def _source(value: object) -> Source | None:
    found = reading.source(value)
    if found is not None or not isinstance(value, str) or len(value) < LEAST_BASE64:
        return found
    content = reading.decoded(value)
    return Source(content=content) if content else None


def _error(words: classify.Said) -> dict[str, str]:
    return {"code": next(iter(words.codes), ""), "message": classify.clean(words.message)}


def _produced(
    outputs: Sequence[Output], body: Mapping[str, Any], errors: Sequence[classify.Said], call: Call
) -> Produced:
    requested = max(call.params.given().get("n", 1), len(outputs))
    prompts = [text for item in _items(body) if (text := reading.first_text(item, "revised_prompt"))]
    more = {"revised_prompts": prompts, "errors": [_error(words) for words in errors], "usage": body.get("usage")}
    counts = {"delivered": len(outputs), "requested": requested}
    return Produced(tuple(outputs), {**counts, **{key: value for key, value in more.items() if value}})


def _nothing(body: Mapping[str, Any], items: Sequence[Any], errors: Sequence[classify.Said]) -> Refused:
    """Why a whole answer holds no picture."""
    if errors:
        return classify.failure(errors[0], ErrorClass.NO_MEDIA, charged=True)
    task_id = _receipt(body)
    if task_id:
        message = f"accepted as {task_id}, to be made later; this endpoint has no way to ask for the result"
        return classify.refused(ErrorClass.UNKNOWN_OUTCOME, "async_receipt", message, charged=True)
    if not any(key in body for key in LISTS):
        raise reading.unreadable("an object without pictures", body)
    words = _words(body, items)
    if words:
        return classify.refused(ErrorClass.NO_MEDIA, "refusal_text", words, charged=True)
    return classify.refused(ErrorClass.NO_MEDIA, "empty_data", "the answer holds no picture", charged=True)


def _receipt(body: Mapping[str, Any]) -> str:
    """The id of a task that will make the pictures later (3.3 V6), or an empty text."""
    word = reading.fold(body.get("status"))
    is_task = bool(word) and word not in reading.DONE | reading.FAILED
    return reading.first_id(body, *TASK_IDS) or (reading.first_id(body, "id") if is_task else "")


def _words(body: Mapping[str, Any], items: Sequence[Any]) -> str:
    """What a model says in place of a picture; a revised prompt is no such thing, nor is "success"."""
    found = (reading.first_text(one, "text", "content", "message") for one in (*items, body))
    return next((text for text in found if text and reading.fold(text) not in reading.DONE | {"ok"}), "")


GENERATE: Final = Adapter("image.generate", build_generate, read)
EDIT: Final = Adapter("image.edit", build_edit, read)
ADAPTERS: Final = (GENERATE, EDIT)
