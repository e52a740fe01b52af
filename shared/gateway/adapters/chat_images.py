"""`/v1/chat/completions` of models that draw (Nano Banana, GPT-4o-Image, Seedream): pictures in what they say.  Pure.

Contract: gateway/images-text-audio-system.md 2.4, 3.3 to 3.6, 4.1, 4.2, 4.8, 4.9, 4.12, 4.13, 5.1, 5.2.
Literal replies: tests/replies/chat_images/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from shared.gateway import classify, completions, conversation, lifted, pictures, reading
from shared.gateway.adapter import Adapter
from shared.gateway.call import Call
from shared.gateway.completions import Choice, Completion
from shared.gateway.lifted import Lifted
from shared.gateway.outcome import ErrorClass, Outcome, Output, Refused
from shared.gateway.request import Request, Response

SENT: Final = ("size", "modalities", "temperature", "top_p", "seed", "max_tokens", "user")
"""What the gateway keeps of what may be asked for (4.1, 5.1); the rest goes another way."""

NEEDS_STREAM: Final = re.compile(r"gpt-4o-image|sora_image", re.IGNORECASE)
"""Models that think for minutes: their progress lines keep an edge from giving up after 100 s (4.8)."""

FAILURE: Final = re.compile(
    r"(?:失败原因|(?:failure|fail(?:ed)?) reason|reason for failure)\W*?[:：]\s*`?(?P<reason>[^\n`]+)", re.IGNORECASE
)
FAILED: Final = re.compile(r"❌|生成失败|generation failed", re.IGNORECASE)
"""Lines in which a reverse channel says that it gave up (2.4, 4.8)."""


def build(call: Call) -> Request:
    """Ask for pictures in a conversation; input pictures go along as data URLs (3.6).

    Raises:
        InputRefused: a picture that a Gemini model does not take.
    """
    asked = call.params.given()
    is_gemini = pictures.is_gemini(call.model)
    if is_gemini:
        pictures.check_inline(call)
    is_stream = asked.get("stream", NEEDS_STREAM.match(call.model) is not None)
    body: dict[str, Any] = {
        "model": call.model,
        "messages": _messages(call, asked),
        "stream": is_stream,
        **({"stream_options": {"include_usage": True}} if is_stream else {}),
        **({"modalities": ["image", "text"]} if is_gemini else {}),
        **{name: asked[name] for name in SENT if name in asked},
        **_more(asked, is_gemini),
    }
    return Request("POST", "/v1/chat/completions", json=body, timeout_s=pictures.timeout_s(call), name=call.operation)


def read(response: Response, call: Call) -> Outcome:
    """The pictures in what the model said, or why there is none.

    Reply: a completion, streamed or not, with its pictures in one of the ways V1 to V15 of 3.3.  `result` has both
    counts, the text, usage, and the errors beside the pictures.

    Raises:
        UnreadableReply: no completion, and no list of pictures either.
    """
    sent = pictures.as_sent(response.body, response.headers.get("content-type", ""))
    if sent is not None:
        return pictures.produced([sent], call)
    answer = lifted.lift(response)
    completion = completions.join(answer.response)
    if not completion.is_completion and not _carries(completion.more):
        raise reading.unreadable("an object without choices", completion.more)
    listed = _listed(completion, answer)
    outputs = listed or _wanted(_said(completion, answer, conversation.asked(call)), call)
    errors = _errors(completion)
    # A stream that broke off may lack the end of an address, and one of a Gemini model the picture after a draft.
    is_told = bool(errors) and not pictures.is_gemini(call.model)
    if outputs and (listed or completion.is_whole or is_told):
        text = pictures.without_data(_text(completion), answer)
        return pictures.produced(outputs, call, errors, text=text, usage=completion.usage)
    return _nothing(completion, errors, answer)


# Asking.


def _messages(call: Call, asked: Mapping[str, Any]) -> list[Any]:
    """The conversation, with the input pictures and what no field says in its last message of the user."""
    messages = asked.get("messages") or [{"role": "user", "content": call.prompt}]
    last = max(place for place, message in enumerate(messages) if message["role"] == "user")
    content = _with_wishes(messages[last].get("content") or "", _wishes(asked))
    if call.images:
        said = [{"type": "text", "text": content}] if content and isinstance(content, str) else list(content)
        content = [*said, *({"type": "image_url", "image_url": {"url": one.data_url}} for one in call.images)]
    return [*messages[:last], {**messages[last], "content": content}, *messages[last + 1 :]]


def _wishes(asked: Mapping[str, Any]) -> str:
    """In words, what the gateway drops or most models look for in the prompt alone (4.1, 4.8, 4.12)."""
    size = asked.get("size", "auto")
    ratio = asked.get("aspect_ratio") or (size if ":" in size else "")
    pixels = size if re.fullmatch(r"\d+x\d+", size) else ""
    resolution = asked.get("image_size") or (size if re.fullmatch(r"512|[\d.]+K", size) else "")
    count = asked.get("n", 1)
    wishes = [
        *([f"aspect ratio {ratio}"] if ratio else []),
        *([f"{pixels} pixels"] if pixels else []),
        *([f"resolution {resolution}"] if resolution else []),
        *([f"{count} images"] if count > 1 else []),
    ]
    sentence = ", ".join(wishes)
    return f"{sentence[:1].upper()}{sentence[1:]}." if wishes else ""


def _with_wishes(content: Any, wishes: str) -> Any:
    if not wishes:
        return content
    return f"{content}\n\n{wishes}" if isinstance(content, str) else [*content, {"type": "text", "text": wishes}]


def _more(asked: Mapping[str, Any], is_gemini: bool) -> dict[str, Any]:
    if not is_gemini:
        return {"n": asked["n"]} if asked.get("n", 1) > 1 else {}
    # Only channels of Gemini's own kind know these, in snake_case; some refuse the very presence of `n` (4.1, 4.3).
    image = {name: asked[name] for name in ("aspect_ratio", "image_size") if name in asked}
    thinking = {name: asked[name] for name in ("thinking_budget", "include_thoughts") if name in asked}
    google = {**({"image_config": image} if image else {}), **({"thinking_config": thinking} if thinking else {})}
    return {"extra_body": {"google": google}} if google else {}


# Reading.


def _carries(more: Mapping[str, Any]) -> bool:
    """Whether something besides choices may hold pictures, or say why there are none."""
    known = (*pictures.LISTS, "media", "error", "status", "task_id")
    return any(key in more for key in known) or more.get("success") is False


def _listed(completion: Completion, answer: Lifted) -> list[Output]:
    """Pictures at the top of the body: an images body on this path, or `media.outputs` (3.3 V14)."""
    outputs = reading.dig(completion.more, "media.outputs")
    found = pictures.in_items(pictures.listed(completion.more), answer)
    return found or pictures.in_items(outputs if isinstance(outputs, list) else [], answer)


def _said(completion: Completion, answer: Lifted, asked: str) -> list[Output]:
    found = [output for choice in completion.choices for output in _in_choice(choice, answer, asked)]
    if not found:  # thoughts may hold the picture (3.3 V15), and drafts of it: only where there is no other
        found = [one for choice in completion.choices for one in pictures.in_text(choice.reasoning, answer, asked)]
    return list(dict.fromkeys(found))


def _in_choice(choice: Choice, answer: Lifted, asked: str) -> list[Output]:
    """Pictures of one answer: of the first place that has any, since some name them in two."""
    return (
        pictures.in_items(choice.images, answer)
        or pictures.in_items(choice.parts, answer)
        or pictures.in_text(choice.content, answer, asked)
    )


def _wanted(outputs: list[Output], call: Call) -> list[Output]:
    """Of what a Gemini model drew the last: it shows its drafts, too (3.4)."""
    return outputs[-call.params.given().get("n", 1) :] if pictures.is_gemini(call.model) else outputs


def _text(completion: Completion) -> str:
    return "\n\n".join(choice.content for choice in completion.choices if choice.content)


def _errors(completion: Completion) -> list[classify.Said]:
    """Errors of the stream, and of single pictures in a list."""
    items = (item for item in pictures.listed(completion.more) if isinstance(item, Mapping) and item.get("error"))
    return [classify.said(one) for one in (*completion.errors, *items)]


def _nothing(completion: Completion, errors: list[classify.Said], answer: Lifted) -> Refused:
    """Why there is no picture.  All of it is counted as paid (2.4)."""
    said = pictures.without_data(_text(completion), answer)
    reasons = {choice.finish_reason for choice in completion.choices}
    if errors:
        return pictures.failure(errors[0])
    if "content_filter" in reasons:
        told = said or "the prompt or the picture was blocked"
        return classify.refused(ErrorClass.CONTENT_POLICY, "content_filter", told, charged=True)
    receipt = pictures.receipt({**completion.more, "id": completion.id})
    if receipt is not None and not completion.is_completion:
        return receipt
    if completion.is_stream and completion.is_done and not said and not any(map(_is_telling, completion.choices)):
        told = "the stream ended without a word, which is how the gateway shows a blocked prompt"
        return classify.refused(ErrorClass.CONTENT_POLICY, "empty_stream", told, charged=True)
    if not completion.is_whole:
        return pictures.broken(said)
    failure = _failure(said)
    if failure is not None:
        return failure
    refusal = next((choice.refusal for choice in completion.choices if choice.refusal), "")
    code = next((f"finish_{one}" for one in reasons if one not in ("", "stop")), "empty_answer")
    return pictures.no_picture(refusal or said or pictures.words(completion.more), code)


def _is_telling(choice: Choice) -> bool:
    return bool(choice.reasoning or choice.refusal or choice.tool_calls or choice.finish_reason not in ("", "stop"))


def _failure(said: str) -> Refused | None:
    """What a progress log says of its failure: policy, or something that may pass."""
    reason = FAILURE.search(said)
    if reason is None and not FAILED.search(said):
        return None
    words = reason["reason"].strip().rstrip("。.") if reason is not None else said
    return classify.failure(classify.Said(("generation_failed",), words), ErrorClass.NO_MEDIA, charged=True)


CHAT: Final = Adapter("image.chat", build, read)
ADAPTERS: Final = (CHAT,)
