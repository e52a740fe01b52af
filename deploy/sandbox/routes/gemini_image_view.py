"""Every way in which a picture comes back in Gemini's own format, streamed or not, or does not.

Contract: gateway/images-text-audio-system.md 2.4, 3.3 (V16 to V19), 3.4, 4.5 to 4.7.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.sandbox.replies import Reply
from deploy.sandbox.routes.chat_image_view import CANNOT, DRAFT
from deploy.sandbox.routes.image_view import ERROR_200, PAGE_200, Answer, View

USAGE: Final = {
    "promptTokenCount": 13,
    "candidatesTokenCount": 1120,
    "totalTokenCount": 1133,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 13}],
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
}
DRAFT_PART: Final = {"inlineData": {"mimeType": "image/png", "data": DRAFT}}
OVERLOADED: Final = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
PIECE: Final = 16
"""Letters in one text part of a stream."""


@dataclass(frozen=True)
class Said:
    """One candidate."""

    parts: list[dict[str, Any]] | None
    """None where it has no content at all."""
    reason: str = "STOP"
    body: Mapping[str, Any] = field(default_factory=dict)
    """What the answer has besides; a `candidates` in it stands in the place of the candidate."""


def _inline(answer: Answer) -> list[dict[str, Any]]:
    """V16."""
    return [{"inlineData": {"mimeType": answer.media_type, "data": code}} for code in answer.base64s]


def _with_words(*parts: dict[str, Any]) -> Said:
    return Said([{"text": "Here it is."}, *parts])


def _inline_snake(answer: Answer) -> Said:
    """V17."""
    codes = answer.base64s
    return _with_words(*({"inline_data": {"mime_type": answer.media_type, "data": code}} for code in codes))


def _data(answer: Answer) -> Said:
    """V18: a channel of OpenAI's kind behind this path."""
    return _text("\n".join(f"![image](data:{answer.media_type};base64,{code})" for code in answer.base64s))


def _text(text: str) -> Said:
    return Said([{"text": text}])


def _file(answer: Answer) -> Said:
    """V19."""
    return _with_words(*({"fileData": {"mimeType": answer.media_type, "fileUri": url}} for url in answer.urls))


def _drafts(answer: Answer) -> Said:
    """A draft that is a thought, one that is not, and then what was asked for (3.4)."""
    return Said([{**DRAFT_PART, "thought": True}, DRAFT_PART, {"text": "Here it is."}, *_inline(answer)])


def _thoughts(answer: Answer) -> Said:
    return Said([{"text": "Done.", "thought": True}, *({**part, "thought": True} for part in _inline(answer))])


def _blocked(answer: Answer) -> Said:
    return Said(None, body={"candidates": None, "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})


#: What is said, by shape.
SAID: Final[Mapping[str, Callable[[Answer], Said]]] = {
    "inline": lambda answer: _with_words(*_inline(answer)),
    "inline_snake": _inline_snake,
    "data_uri": _data,
    "url": lambda answer: _text("\n".join(f"![image]({url})" for url in answer.urls)),
    "bare_url": lambda answer: _text(answer.urls[0]),
    "file": _file,
    "drafts": _drafts,
    "thoughts": _thoughts,
    "no_media": lambda answer: _text(CANNOT),
    "image_safety": lambda answer: Said(None, "IMAGE_SAFETY"),
    "prohibited": lambda answer: Said(None, "PROHIBITED_CONTENT"),
    "no_image": lambda answer: Said(None, "NO_IMAGE"),
    "image_other": lambda answer: Said(None, "IMAGE_OTHER"),
    "max_tokens": lambda answer: Said(None, "MAX_TOKENS"),
    "blocked": _blocked,
    "empty": lambda answer: Said(None, body={"candidates": []}),
    "unfinished": lambda answer: Said([{"text": "Here it is."}, *_inline(answer)], ""),
}

#: What is answered in place of candidates, by shape.
BODIES: Final[Mapping[str, Callable[[Answer], Reply]]] = {
    "raw": lambda answer: Reply(200, base64.b64decode(answer.base64s[0]), answer.media_type),
    "receipt": lambda answer: Reply(200, {"id": "task_8f2a", "object": "generation.task", "status": "queued"}),
    "error200": lambda answer: Reply(200, {"error": ERROR_200}),
    "html200": lambda answer: Reply(200, PAGE_200, "text/html; charset=utf-8"),
}

ERROR_EVENT: Final = "error_event"
WITH_BYTES: Final = frozenset({"inline", "inline_snake", "data_uri", "drafts", "thoughts", "unfinished", "raw"})
VARIANTS: Final = frozenset({*SAID, *BODIES, ERROR_EVENT})


def _whole(variant: str, answer: Answer) -> Reply:
    """An answer that is no stream; what only streams do is an error with status 200 here."""
    if variant in BODIES:
        return BODIES[variant](answer)
    if variant == ERROR_EVENT:
        return Reply(200, {"error": OVERLOADED})
    said = SAID.get(variant, SAID["url"])(answer)
    return Reply(200, _answer(answer, said.parts, said.reason, {"usageMetadata": USAGE, **said.body}))


def _stream(variant: str, answer: Answer) -> Reply:
    """Events without `[DONE]`: texts in pieces, pictures whole, the reason in the last one (4.7)."""
    if variant in BODIES:
        return BODIES[variant](answer)
    if variant == ERROR_EVENT:
        return _events([_answer(answer, [{"text": "Here "}], ""), {"error": OVERLOADED}])
    said = SAID.get(variant, SAID["url"])(answer)
    parts = [piece for part in said.parts or [] for piece in _pieces(part)]
    events = [_answer(answer, [part], "") for part in parts]
    if said.reason:
        last = [] if said.parts else said.parts
        events.append(_answer(answer, last, said.reason, {"usageMetadata": USAGE, **said.body}))
    return _events(events)


WHOLE: Final = View(_whole, WITH_BYTES)
STREAMED: Final = View(_stream, WITH_BYTES)


def _answer(
    answer: Answer, parts: list[dict[str, Any]] | None, reason: str, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    candidate: dict[str, Any] = {} if parts is None else {"content": {"role": "model", "parts": parts}}
    candidate |= {"finishReason": reason} if reason else {}
    body = {
        "candidates": [{**candidate, "index": 0}],
        "modelVersion": answer.order.model,
        "responseId": f"{answer.created:x}",
        **(more or {}),
    }
    return {name: value for name, value in body.items() if value is not None}


def _pieces(part: dict[str, Any]) -> list[dict[str, Any]]:
    text = part.get("text", "")
    if not text or "base64," in text:
        return [part]
    return [{**part, "text": text[at : at + PIECE]} for at in range(0, len(text), PIECE)]


def _events(events: list[dict[str, Any]]) -> Reply:
    lines = (json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in events)
    return Reply(200, "".join(f"data: {line}\n\n" for line in lines), "text/event-stream")
