"""`/v1beta/models/{model}:generateContent` of models that write: a conversation in Google's format.  Pure.

Contract: gateway/images-text-audio-system.md 2.4, 4.5, 4.7, 5.13.  Literal replies: tests/replies/gemini_text/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.catalog.operations.text import TIMEOUT_S
from shared.errors import UnreadableReply
from shared.gateway import answers, candidates, conversation, reading
from shared.gateway.adapter import Adapter
from shared.gateway.answers import Answer
from shared.gateway.call import Call
from shared.gateway.candidates import Candidate
from shared.gateway.outcome import Outcome
from shared.gateway.request import Request, Response

POLICY: Final = frozenset(
    {
        *("safety", "prohibited_content", "blocklist", "spii", "recitation"),
        *("image_safety", "image_prohibited_content", "image_recitation"),
    }
)
"""Reasons, folded, for which there will be no answer to the same prompt (2.4, 4.5)."""


def build(call: Call) -> Request:
    """Ask for an answer; inputs go along inline in the last turn of the user, since nothing here is fetched (3.6).

    Raises:
        InputRefused: inputs that a Gemini model does not take.
    """
    conversation.check_inline(call)
    asked = call.params.model_dump(by_alias=True, exclude_none=True)
    is_stream = asked.pop("stream", False)
    turns = asked.pop("contents", None) or [{"role": "user", "parts": [{"text": call.prompt}]}]
    turns, placed = conversation.with_earlier(turns, call.images)
    inputs = conversation.all_inputs(call)[placed:]  # pictures come first
    inline = [{"inlineData": {"mimeType": media.content_type, "data": media.base64}} for media in inputs]
    body = {"contents": conversation.with_parts(turns, inline), **asked}
    if isinstance(asked.get("systemInstruction"), str):
        body["systemInstruction"] = {"parts": [{"text": asked["systemInstruction"]}]}
    # Only the query makes it a stream (4.7).
    action = "streamGenerateContent?alt=sse" if is_stream else "generateContent"
    path = f"/v1beta/models/{reading.segment(call.model)}:{action}"
    return Request("POST", path, json=body, timeout_s=TIMEOUT_S, name=call.operation)


def read(response: Response, call: Call) -> Outcome:
    """What the model said.

    Reply: the object of 5.13, a stream of such, or an array of them.  `result` is that of `answers`; `message` is the
    content with all its parts, thought signatures included, to be given back in the next turn, and `details` what the
    answer was found in, how it was rated and how likely it was.

    Raises:
        UnreadableReply: neither candidates nor feedback on the prompt, or a stream that broke off.
    """
    said = candidates.join(response)
    if said.errors:
        return answers.failed(said.errors[0])
    blocked = reading.first_text(said.feedback, "blockReason", "block_reason")
    if blocked:
        return answers.blocked(blocked, reading.first_text(said.feedback, "blockReasonMessage"))
    if not said.is_answer:
        raise UnreadableReply("an answer without candidates")
    if said.candidates and not said.is_whole:
        raise UnreadableReply("the stream broke off before its end")
    good = [one for one in said.candidates if one.finish_reason not in POLICY]
    if not good:
        return _refused(said.candidates[0]) if said.candidates else answers.nothing()
    one, calls = good[0], list(_calls(good[0]))
    own = {
        "model": said.model,
        "id": said.id,
        "message": {"role": "model", "parts": one.parts},
        "annotations": list(_citations(one)),
        "details": one.more,
    }
    answer = Answer(one.text, one.finish_reason, calls, one.thoughts, said.usage, own)
    return answers.produced(answer, holds_more=any("text" not in part for part in one.parts))


def _refused(candidate: Candidate) -> Outcome:
    message = reading.first_text(candidate.more, "finishMessage", "finish_message")
    return answers.blocked(candidate.finish_reason, message or candidate.text)


def _calls(candidate: Candidate) -> Iterator[dict[str, Any]]:
    for part in candidate.parts:
        call = part.get("functionCall") or part.get("function_call")
        if isinstance(call, Mapping):
            yield answers.tool_call(call.get("id"), call.get("name"), call.get("args"))


def _citations(candidate: Candidate) -> Iterator[Any]:
    """Sources that the model names, and pages that it was given to read."""
    for path in ("citationMetadata.citationSources", "citationMetadata.citations", "groundingMetadata.groundingChunks"):
        found = reading.dig(candidate.more, path)
        yield from found if isinstance(found, list) else ()


GEMINI: Final = Adapter("gemini.generate", build, read, free_at=answers.FREE_AT)
ADAPTERS: Final = (GEMINI,)
