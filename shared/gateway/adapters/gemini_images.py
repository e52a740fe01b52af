"""`/v1beta/models/{model}:generateContent` (Nano Banana): pictures in Gemini's own format.  Pure.

Contract: gateway/images-text-audio-system.md 2.4, 3.3 (V16 to V19), 3.4, 3.6, 4.5 to 4.7.
Literal replies: tests/replies/gemini_images/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.gateway import answers, candidates, classify, conversation, lifted, pictures, reading
from shared.gateway.adapter import Adapter
from shared.gateway.call import Call
from shared.gateway.candidates import Candidate, Said
from shared.gateway.lifted import Lifted
from shared.gateway.outcome import ErrorClass, Outcome, Output, Refused
from shared.gateway.request import Request, Response

POLICY: Final = frozenset(
    {
        *("safety", "image_safety", "prohibited_content", "image_prohibited_content", "blocklist", "spii"),
        *("recitation", "image_recitation"),
    }
)
"""Reasons, folded, for which a candidate has no picture and will have none for the same prompt (2.4).

`NO_IMAGE`, `IMAGE_OTHER` and `OTHER` are none of them: the next try may have one."""

WHOLE: Final = frozenset({"", "stop", "max_tokens"})
"""Reasons, folded, after which a draft may be all there is to have."""


def build(call: Call) -> Request:
    """Ask for a picture; input pictures go along inline, since nothing here is fetched (3.6).

    Raises:
        InputRefused: pictures that a Gemini model does not take.
    """
    pictures.check_inline(call)
    asked = call.params.model_dump(by_alias=True, exclude_none=True)
    is_stream = asked.get("stream", False)
    instruction = asked.get("systemInstruction")
    body: dict[str, Any] = {
        "contents": _contents(call, asked),
        "generationConfig": _config(asked),
        **({"systemInstruction": _as_content(instruction)} if instruction else {}),
        **{name: asked[name] for name in SENT if name in asked},
    }
    # Only the query makes it a stream (4.7).
    action = "streamGenerateContent?alt=sse" if is_stream else "generateContent"
    path = f"/v1beta/models/{reading.segment(call.model)}:{action}"
    return Request("POST", path, json=body, timeout_s=pictures.timeout_s(call), name=call.operation)


def read(response: Response, call: Call) -> Outcome:
    """The last picture of the last candidate that has one, or why there is none: earlier ones are drafts (3.4).

    Reply: one object, a stream of such, or an array of them; pictures as V16 to V19 of 3.3.  `result` has both counts,
    the text and usage, and `message`, to be given back in `contents` of the next turn (4.6): what the model said with
    every signature, and `artifact_index` in the place of the picture.

    Raises:
        UnreadableReply: neither candidates nor feedback on the prompt.
    """
    sent = pictures.as_sent(response.body, response.headers.get("content-type", ""))
    if sent is not None:
        return pictures.produced([sent], call)
    answer = lifted.lift(response)
    said = candidates.join(answer.response)
    if not said.is_answer and not said.errors:
        return _of_another_kind(answer, call)
    asked = "\n".join([call.prompt, json.dumps(call.params.given().get("contents") or "", ensure_ascii=False)])
    shown = [(one, outputs) for one in said.candidates if (outputs := _pictures(one, answer, asked))]
    errors = [classify.said(one) for one in said.errors]
    text = pictures.without_data("\n\n".join(filter(None, (one.text for one in said.candidates))), answer)
    # A stream that broke off may have shown no more than a draft (4.7).
    if shown and said.is_whole:
        candidate, outputs = shown[-1]
        message = _message(candidate, answer, call)
        return pictures.produced(outputs[-1:], call, errors, text=text, usage=said.usage, message=message)
    return _nothing(said, errors, text)


# Asking.

SENT: Final = ("safetySettings", "tools", "toolConfig", "cachedContent")


def _contents(call: Call, asked: Mapping[str, Any]) -> list[Any]:
    """The conversation, with input pictures where earlier ones stood, and the others in its last turn of the user."""
    contents = asked.get("contents") or [{"role": "user", "parts": [{"text": call.prompt}]}]
    turns = [place for place, one in enumerate(contents) if one.get("role", "user") == "user"]
    last = max(turns, default=len(contents) - 1)
    contents, placed = conversation.with_earlier(contents, call.images)
    inline = [{"inlineData": {"mimeType": one.content_type, "data": one.base64}} for one in call.images[placed:]]
    with_inline = {**contents[last], "parts": [*contents[last]["parts"], *inline]}
    return [*contents[:last], with_inline, *contents[last + 1 :]]


def _config(asked: Mapping[str, Any]) -> dict[str, Any]:
    config = dict(asked.get("generationConfig") or {})
    image = {name: asked[name] for name in ("aspectRatio", "imageSize") if name in asked}
    image |= config.get("imageConfig") or {}
    # With `IMAGE` alone a refusal has no words (4.5).
    return {"responseModalities": ["TEXT", "IMAGE"], **config, **({"imageConfig": image} if image else {})}


def _as_content(instruction: Any) -> Any:
    return {"parts": [{"text": instruction}]} if isinstance(instruction, str) else instruction


# Reading.


def _of_another_kind(answer: Lifted, call: Call) -> Outcome:
    """An images body, or the receipt of a task, where candidates should be."""
    body = reading.object_of(answer.response)
    found = pictures.in_items(pictures.listed(body), answer)
    if found:
        return pictures.produced(found[-1:], call, usage=body.get("usage"))
    receipt = pictures.receipt(body)
    if receipt is None:
        raise reading.unreadable("an answer without candidates", body)
    return receipt


def _pictures(candidate: Candidate, answer: Lifted, asked: str) -> list[Output]:
    """Its pictures in order; those among its thoughts only where it has no others."""
    said = [part for part in candidate.parts if not part.get("thought")]
    found = pictures.in_items(filter(_is_picture, said), answer) or pictures.in_text(candidate.text, answer, asked)
    if found or candidate.finish_reason not in WHOLE:
        return found
    return pictures.in_items(filter(_is_picture, candidate.parts), answer)


MESSAGE_MOST: Final = 32_000
"""Characters of a `message` that every picture has beside it.  A longer one would be a file of its own, and only a
conversation has a use for it: signatures of pictures may be megabytes."""


def _message(candidate: Candidate, answer: Lifted, call: Call) -> Mapping[str, Any]:
    """What the model said, without its thoughts; nothing where its picture is in no part of its own."""
    said = [part for part in candidate.parts if not part.get("thought")]
    drawn = next((part for part in reversed(said) if _inline(part)), None)
    if drawn is None:
        return {}
    kept = [_kept(part, answer) for part in said if part is drawn or not _is_picture(part)]
    message = {"role": "model", "parts": kept}
    is_short = len(json.dumps(message)) <= MESSAGE_MOST
    return message if is_short or call.params.given().get("contents") else {}


def _kept(part: Mapping[str, Any], answer: Lifted) -> dict[str, Any]:
    kept = {key: answer.restored(value) if isinstance(value, str) else value for key, value in part.items()}
    key = _inline(part)
    if key:
        kept[key] = {**{name: value for name, value in part[key].items() if name != "data"}, "artifact_index": 0}
    return kept


def _inline(part: Mapping[str, Any]) -> str:
    """Under which name a part holds a picture; empty: it does not."""
    held = ((key, part.get(key)) for key in conversation.INLINE)
    return next((key for key, inner in held if isinstance(inner, Mapping) and not _is_other(inner)), "")


def _is_other(inner: Mapping[str, Any]) -> bool:
    return re.match("audio|video|text", str(inner.get("mimeType") or inner.get("mime_type"))) is not None


def _is_picture(part: Mapping[str, Any]) -> bool:
    return any(key in part for key in ("inlineData", "inline_data", "fileData", "file_data"))


def _nothing(said: Said, errors: Sequence[classify.Said], text: str) -> Refused:
    """Why there is no picture.  All of it is counted as paid (2.4, 2.7)."""
    if errors:
        return pictures.failure(errors[0])
    blocked = reading.first_text(said.feedback, "blockReason", "block_reason")
    if blocked:
        return _refused(blocked, reading.first_text(said.feedback, "blockReasonMessage") or "the prompt was blocked")
    reasons = [one.finish_reason for one in said.candidates if one.finish_reason]
    policy = next((reason for reason in reasons if reason in POLICY), "")
    if policy:
        return _refused(policy, text or "the picture was blocked")
    if said.candidates and not said.is_whole:
        return pictures.broken(text)
    return pictures.no_picture(text, next((reason for reason in reasons if reason != "stop"), "empty_answer"))


def _refused(reason: str, words: str) -> Refused:
    code = reading.fold(reason)
    return classify.refused(ErrorClass.CONTENT_POLICY, code, f"{code.upper()}: {words}", charged=True)


GEMINI: Final = Adapter("image.gemini", build, read, free_at=answers.FREE_AT)
ADAPTERS: Final = (GEMINI,)
