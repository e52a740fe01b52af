"""`/v1/chat/completions` of models that write: a conversation in OpenAI's first format.  Pure.

Contract: gateway/images-text-audio-system.md 2.4, 2.5, 5.1 to 5.6.  Literal replies: tests/replies/chat/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shared.catalog.operations.text import TIMEOUT_S
from shared.errors import UnreadableReply
from shared.gateway import answers, completions, conversation, pictures, reading
from shared.gateway.adapter import Adapter
from shared.gateway.answers import Answer
from shared.gateway.call import Call, Media
from shared.gateway.completions import Choice, Completion
from shared.gateway.outcome import Outcome
from shared.gateway.request import Request, Response

SOUND_FORMATS: Final[Mapping[str, str]] = {"audio/mpeg": "mp3", "audio/wav": "wav", "audio/x-wav": "wav"}
"""What vendors call a sound; others go by the end of their file's name."""


def build(call: Call) -> Request:
    """Ask for an answer; inputs go along as data URLs in the last message of the user (5.3).

    Raises:
        InputRefused: inputs that a Gemini model does not take.
    """
    if pictures.is_gemini(call.model):
        conversation.check_inline(call)
    asked = call.params.given()
    turns = asked.pop("messages", None) or [{"role": "user", "content": call.prompt}]
    options = {"include_usage": True, **(asked.pop("stream_options", None) or {})}
    body: dict[str, Any] = {
        "model": call.model,
        "messages": conversation.with_inputs(turns, [_part(media) for media in conversation.all_inputs(call)]),
        **asked,
        **({"stream_options": options} if asked.get("stream") else {}),  # refused where there is no stream
    }
    return Request("POST", "/v1/chat/completions", json=body, timeout_s=TIMEOUT_S, name=call.operation)


def read(response: Response, call: Call) -> Outcome:
    """What the model said.

    Reply: a completion, streamed or not.  `result` is that of `answers`, and where several answers were asked for has
    `choices`: `[{"index", "text", "tool_calls", "finish_reason", "message", "reasoning"?, "logprobs"?}]`.  `message`
    is what the next turn gives back; of a whole answer it is the one that came, with all that a vendor put there.

    Raises:
        UnreadableReply: no completion, or a stream that broke off.
    """
    completion = completions.join(response)
    if completion.errors:
        return answers.failed(completion.errors[0])
    if not completion.is_completion:
        raise reading.unreadable("an object without choices", completion.more)
    if _is_blocked_stream(completion, call):
        return answers.blocked("empty_stream", "the stream ended without a word, as the gateway shows a blocked prompt")
    if not completion.is_whole:
        raise UnreadableReply("the stream broke off before its end")
    refused = [choice for choice in completion.choices if _is_refused(choice)]
    if refused and len(refused) == len(completion.choices):
        return answers.blocked(_word(refused[0]), refused[0].refusal or refused[0].content)
    if not completion.choices:
        return answers.nothing()
    return _produced(completion, _messages(response, completion))


# Asking.


def _part(media: Media) -> dict[str, Any]:
    if media.kind == "image":
        return {"type": "image_url", "image_url": {"url": media.data_url}}
    if media.kind == "video":
        return {"type": "video_url", "video_url": {"url": media.data_url}}
    if media.kind == "audio":
        form = SOUND_FORMATS.get(media.content_type) or media.filename.rpartition(".")[2]
        return {"type": "input_audio", "input_audio": {"data": media.base64, "format": form}}
    return {"type": "file", "file": {"filename": media.filename, "file_data": media.data_url}}


# Reading.


def _is_blocked_stream(completion: Completion, call: Call) -> bool:
    """A Gemini channel shows a blocked prompt as a stream that ends well and says nothing, not even why (2.4)."""
    is_silent = not any(_is_telling(choice) or choice.finish_reason for choice in completion.choices)
    return pictures.is_gemini(call.model) and completion.is_stream and completion.is_done and is_silent


def _is_refused(choice: Choice) -> bool:
    """What came before a filter struck is no answer; words of refusal beside one are only a remark."""
    if _word(choice) == "content_filter":
        return True
    return bool(choice.refusal) and not (choice.content or choice.tool_calls)


def _word(choice: Choice) -> str:
    return choice.finish_reason if choice.finish_reason == "content_filter" else "refusal"


def _is_telling(choice: Choice) -> bool:
    told = (choice.content, choice.tool_calls, choice.reasoning, choice.parts, choice.images, choice.audio)
    return any(told)


def _produced(completion: Completion, messages: list[dict[str, Any]]) -> Outcome:
    told = [_told(choice, message) for choice, message in zip(completion.choices, messages, strict=True)]
    good = next(place for place, choice in enumerate(completion.choices) if not _is_refused(choice))
    first, choice = told[good], completion.choices[good]
    own = {
        "model": completion.model,
        "id": completion.id,
        "message": first["message"],
        "refusal": choice.refusal,
        "annotations": choice.annotations,
        "logprobs": first.get("logprobs"),
        "choices": [{"index": place, **one} for place, one in enumerate(told)] if len(told) > 1 else (),
        "details": {**completion.more, **choice.more},
    }
    calls = first["tool_calls"]
    answer = Answer(choice.content, choice.finish_reason, calls, choice.reasoning, completion.usage, own)
    return answers.produced(answer, holds_more=bool(choice.parts or choice.images))


def _told(choice: Choice, message: dict[str, Any]) -> dict[str, Any]:
    """One of several answers."""
    answer = Answer(choice.content, choice.finish_reason, [_call(one) for one in choice.tool_calls])
    return {
        "text": answer.text,
        "tool_calls": answer.tool_calls,
        "finish_reason": answer.finish or None,
        "message": message,
        **({"reasoning": choice.reasoning} if choice.reasoning else {}),
        **({"logprobs": choice.logprobs} if choice.logprobs else {}),
    }


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    custom = call.get("custom")
    if isinstance(custom, Mapping):
        return {"id": call["id"] or None, "name": custom["name"], "arguments": custom["input"]}
    return answers.tool_call(call["id"], call["function"]["name"], call["function"]["arguments"])


def _messages(response: Response, completion: Completion) -> list[dict[str, Any]]:
    """For each choice the message to give back."""
    if completion.is_stream:
        return [_made(choice) for choice in completion.choices]
    body = reading.object_of(response)
    raw = body["choices"] if "choices" in body else body["data"]["choices"]
    by_index = {_index(one, place): one for place, one in enumerate(raw) if isinstance(one, Mapping)}
    came = [by_index[index] for index in sorted(by_index)]
    return [_as_came(one, choice) for one, choice in zip(came, completion.choices, strict=True)]


def _as_came(raw: Mapping[str, Any], choice: Choice) -> dict[str, Any]:
    message = raw.get("message")
    return {"role": "assistant", **message} if isinstance(message, Mapping) else _made(choice)


def _made(choice: Choice) -> dict[str, Any]:
    """A message of the pieces that came."""
    text: list[Any] = [{"type": "text", "text": choice.content}] if choice.content else []
    told = {
        "reasoning_content": choice.reasoning,
        "refusal": choice.refusal,
        "tool_calls": list(choice.tool_calls),
        "images": list(choice.images),
        "annotations": list(choice.annotations),
        "audio": choice.audio,
        **choice.in_message,
    }
    content = [*text, *choice.parts] if choice.parts else choice.content or None
    return {"role": "assistant", "content": content, **{name: value for name, value in told.items() if value}}


def _index(raw: Mapping[str, Any], place: int) -> int:
    index = raw.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) else place


CHAT: Final = Adapter("chat.completion", build, read, free_at=answers.FREE_AT)
ADAPTERS: Final = (CHAT,)
