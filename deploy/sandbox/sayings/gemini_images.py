"""Rarer answers of Gemini's own format to what is to be drawn.

Contract: gateway/images-text-audio-system.md 2.1, 2.4, 3.3, 3.4, 4.5, 4.7.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from deploy.sandbox.replies import Reply
from deploy.sandbox.sayings.saying import Saying, Sayings, Usual, body, instead, stream

Part = dict[str, Any]
SIGNATURE: Final = "Eq4BCqsB"
INTERNAL: Final = {"error": {"code": 500, "message": "internal", "status": "INTERNAL"}}
THOUGHT: Final = {"thought": True}


def candidate(parts: list[Part] | None, reason: str = "", index: int = 0, **more: Any) -> Part:
    """One candidate; without parts it has no content at all."""
    content = {} if parts is None else {"content": {"role": "model", "parts": parts}}
    return {**content, **({"finishReason": reason} if reason else {}), "index": index, **more}


def candidates(make: Callable[[Usual], list[Part]]) -> Saying:
    """The usual body with other candidates."""
    return body(lambda usual: {**usual.body, "candidates": make(usual)})


def event(usual: Usual, *told: Part) -> Part:
    """An event of the same stream."""
    return {**usual.events[0], "candidates": list(told)}


def events(make: Callable[[Usual], list[Part]]) -> Saying:
    """A stream without `[DONE]` (4.7)."""
    return stream(make, is_done=False)


def array(usual: Usual) -> Reply:
    """The stream as one array, which is what Google sends without `alt=sse` (4.7)."""
    return Reply(200, usual.events)


def _picture(usual: Usual) -> Part:
    """The last one that was drawn, of a whole answer or of a stream."""
    bodies = usual.events if usual.is_stream else [usual.body]
    parts = [part for told in bodies for one in told["candidates"] for part in one["content"]["parts"]]
    return next(part for part in reversed(parts) if "inlineData" in part)


def _url(usual: Usual) -> str:
    return usual.url


def _body_of_images(usual: Usual) -> Any:
    return {"created": 1_768_729_420, "data": [{"url": _url(usual)}]}


def _sound(usual: Usual) -> Part:
    return {"inlineData": {"mimeType": "audio/wav", "data": _picture(usual)["inlineData"]["data"]}}


def _file_snake(usual: Usual) -> list[Part]:
    return [candidate([{"file_data": {"mime_type": "image/png", "file_uri": _url(usual)}}], "STOP")]


def _draft_is_a_thought(usual: Usual) -> list[Part]:
    draft = {**_picture(usual), "thoughtSignature": SIGNATURE, **THOUGHT}
    return [candidate([{"text": "Let me see.", **THOUGHT}, draft, {"text": "Here it is."}, _picture(usual)], "STOP")]


def _drafts(usual: Usual) -> list[Part]:
    draft = {**_picture(usual), "thoughtSignature": SIGNATURE}
    return [candidate([draft, {"text": "Better:"}, _picture(usual)], "STOP")]


def _thought_last(usual: Usual) -> list[Part]:
    draft = {**_picture(usual), "thoughtSignature": SIGNATURE, **THOUGHT}
    return [candidate([_picture(usual), draft], "STOP")]


def _two(usual: Usual) -> list[Part]:
    draft = {**_picture(usual), "thoughtSignature": SIGNATURE}
    return [candidate([draft], "STOP"), candidate([_picture(usual)], "STOP", 1)]


def _signed(usual: Usual) -> list[Part]:
    return [candidate([{"text": "Here it is."}, {**_picture(usual), "thoughtSignature": SIGNATURE}], "STOP")]


def _thoughts_and_signatures(usual: Usual) -> list[Part]:
    """A thought in words, one that is a picture, and signatures beside words and picture (4.6)."""
    words = {"text": "Here it is.", "thoughtSignature": SIGNATURE}
    thoughts = [{"text": "The user wants a tin robot.", **THOUGHT}, {**_picture(usual), **THOUGHT}]
    return [candidate([*thoughts, words, {**_picture(usual), "thoughtSignature": SIGNATURE}], "STOP")]


def _stream_drafts(usual: Usual) -> list[Part]:
    draft = {**_picture(usual), "thoughtSignature": SIGNATURE}
    told = [candidate([{**draft, **THOUGHT}]), candidate([draft]), candidate([_picture(usual)], "STOP")]
    return [event(usual, one) for one in told]


def _last_text_stops(usual: Usual) -> list[Part]:
    """The reason stands beside the last words."""
    texts = [one for one in usual.events if one["candidates"][0].get("content", {}).get("parts")]
    last = texts[-1]["candidates"][0]
    return [*texts[:-1], event(usual, {**last, "finishReason": "STOP"})]


def _stops_twice(usual: Usual) -> list[Part]:
    """As a channel of another kind: the reason beside the last words, and once more with the usage."""
    return [*_last_text_stops(usual), event(usual, candidate([], "STOP"))]


SAYINGS: Final[Sayings] = {
    "error_beside_picture": events(lambda usual: [event(usual, candidate([_picture(usual)])), INTERNAL]),
    "blocked_null": instead(
        {
            "candidates": None,
            "promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "The prompt was blocked for safety."},
            "usageMetadata": {"promptTokenCount": 13},
        }
    ),
    "blocked_image": events(lambda usual: [{**usual.events[0], "promptFeedback": {"blockReason": "IMAGE_SAFETY"}}]),
    "draft_then_safety": candidates(lambda usual: [candidate([{**_picture(usual), **THOUGHT}], "IMAGE_SAFETY")]),
    "safety_in_the_end": events(
        lambda usual: [event(usual, candidate([{"text": "Here "}])), event(usual, candidate(None, "IMAGE_SAFETY"))]
    ),
    "null_parts": instead({"candidates": [{"content": {"role": "model", "parts": None}, "finishReason": "STOP"}]}),
    "with_message": candidates(
        lambda usual: [{**usual.body["candidates"][0], "finishMessage": "Unable to show the generated image."}]
    ),
    "safety_with_text": candidates(lambda usual: [candidate([{"text": "This cannot be shown."}], "SAFETY")]),
    "last_text_stops": events(_last_text_stops),
    "stops_twice": events(_stops_twice),
    "images_body": body(_body_of_images),
    "file_snake": candidates(_file_snake),
    "draft_is_a_thought": candidates(_draft_is_a_thought),
    "signed_draft": candidates(_drafts),
    "label_lies": candidates(
        lambda usual: [
            candidate([{"inlineData": {**_picture(usual)["inlineData"], "mimeType": "image/jpeg"}}], "STOP"),
        ]
    ),
    "second_blocked": candidates(
        lambda usual: [candidate([_picture(usual)], "STOP"), candidate(None, "IMAGE_SAFETY", 1)]
    ),
    "sound_too": candidates(lambda usual: [candidate([_picture(usual), _sound(usual)], "STOP")]),
    "thought_last": candidates(_thought_last),
    "two_candidates": candidates(_two),
    "signed": candidates(_signed),
    "thoughts_and_signatures": candidates(_thoughts_and_signatures),
    "another_kind": instead({"models": [{"name": "gemini-2.5-flash-image"}]}),
    "array": array,
    "broken_before": events(lambda usual: [event(usual, candidate([{"text": text}])) for text in ("Here ", "it is")]),
    "stream_drafts": events(_stream_drafts),
}
