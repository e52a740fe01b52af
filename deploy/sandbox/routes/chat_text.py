"""Words over `/v1/chat/completions`: what was asked is found in the last message of the user.

Contract: gateway/images-text-audio-system.md 2.1, 2.4, 5.1 to 5.6.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi import Request, Response

from deploy.sandbox import calls
from deploy.sandbox.models import Family
from deploy.sandbox.replies import Reply
from deploy.sandbox.routes import text_calls
from deploy.sandbox.routes.chat_image_view import DRAFT
from deploy.sandbox.routes.text_calls import OVERLOADED, Answer, events, pieces, shown
from deploy.sandbox.studio import words
from deploy.sandbox.studio.words import Asked, Tool

REASONS: Final = {"calls": "tool_calls", "filter": "content_filter", "refusal": "stop"}
"""By how an answer ends, where it is not the same word."""

MEDIA: Final[Mapping[str, tuple[str, str]]] = {
    "image_url": ("image", "url"),
    "file": ("document", "file_data"),
    "input_audio": ("audio", "data"),
    "video_url": ("video", "url"),
}
"""By the type of a part: what it shows, and where the object of its name has it (5.3)."""


async def answer(request: Request, key: str, family: Family, fields: dict[str, Any]) -> Response:
    """Answer the last message; streamed with `stream`."""
    model, messages = str(fields.get("model", "")), fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise text_calls.missing("field messages")
    content = last(messages, "user")
    prompt = "\n".join(texts(content))
    call = calls.begin(request, key, family="text", kind="chat.completion", model=model, prompt=prompt)
    family = text_calls.writer(model)
    asked = Asked(
        prompt=prompt,
        system="\n".join(texts(last(messages, "system", "developer"))),
        shown=[shown(*found) for found in _media(content)],
        tools=[tool for one in listed(fields.get("tools")) if (tool := _tool(one))],
        choice=_choice(fields.get("tool_choice")),
        may_search=bool(fields.get("web_search_options")),
        schema=_schema(fields.get("response_format")),
        thinks=bool(fields.get("reasoning_effort") or fields.get("enable_thinking")),
        most_tokens=fields.get("max_completion_tokens") or fields.get("max_tokens"),
        read_tokens=words.tokens_of(messages),
    )
    view = _stream if fields.get("stream") is True else _whole
    return await text_calls.serve(request, call, family, asked, view, fields.get("n") or 1)


# What is asked.


def last(messages: Sequence[Any], *roles: str) -> Any:
    """The content of the last message of one of these roles."""
    said = [one.get("content") for one in messages if isinstance(one, dict) and one.get("role") in roles]
    return said[-1] if said else ""


def texts(content: Any) -> Iterator[str]:
    """All texts of a content, whatever its parts are called."""
    if isinstance(content, str):
        yield content
    for part in listed(content):
        if isinstance(part.get("text"), str):
            yield part["text"]


def listed(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _media(content: Any) -> Iterator[tuple[str, str]]:
    for part in listed(content):
        kind = str(part.get("type"))
        if kind in MEDIA:
            told, name = part.get(kind), MEDIA[kind][1]
            yield MEDIA[kind][0], str(told.get(name, "") if isinstance(told, dict) else told)


def _tool(one: Mapping[str, Any]) -> Tool | None:
    told = one.get("function")
    return Tool(str(told["name"]), told.get("parameters") or {}) if isinstance(told, dict) else None


def _choice(choice: Any) -> str:
    if isinstance(choice, dict):
        return str((choice.get("function") or {}).get("name", ""))
    return {"required": "any", "none": "none"}.get(str(choice), "auto")


def _schema(wanted: Any) -> Mapping[str, Any] | None:
    if not isinstance(wanted, dict) or wanted.get("type") not in ("json_object", "json_schema"):
        return None
    return dict((wanted.get("json_schema") or {}).get("schema") or {})


# What is answered.


def _whole(answer: Answer) -> Reply:
    reason = None if answer.is_unfinished else _reason(answer)
    message = {"role": "assistant", **_message(answer)}
    choices = [{"index": index, "message": message, "finish_reason": reason} for index in range(answer.count)]
    if answer.is_cut_by_error:
        return Reply(200, {"error": OVERLOADED})
    return Reply(
        200,
        {
            "id": f"chatcmpl-{answer.id}",
            "object": "chat.completion",
            "created": answer.created,
            "model": answer.model,
            "choices": choices,
            "usage": _usage(answer),
        },
    )


def _message(answer: Answer) -> dict[str, Any]:
    said = answer.said
    text: Any = f"<think>{said.thoughts}</think>\n{said.text}" if answer.variant == "think_tag" else said.text
    if answer.variant == "parts":
        text = [{"type": "text", "text": piece} for piece in pieces(said.text)]
    span = {"start_index": 0, "end_index": 9}
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DRAFT}"}}
    more = {
        "refusal": said.text if said.end == "refusal" else None,
        "reasoning_content": said.thoughts if answer.variant != "think_tag" else None,
        "tool_calls": [_call(number, *call) for number, call in enumerate(said.calls)],
        "annotations": [{"type": "url_citation", "url_citation": {**span, **page}} for page in said.found],
        "images": [picture] if said.has_picture else [],
    }
    content = None if said.calls or said.end == "refusal" else text
    return {"content": content, **{name: value for name, value in more.items() if value}}


def _call(number: int, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    told = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": f"call_{number + 1}", "type": "function", "function": told}


def _stream(answer: Answer) -> Reply:
    """Chunks of every answer in turn.  What says nothing at all is how a blocked prompt looks (2.4)."""
    first = _chunk(answer, 0, {"role": "assistant", "content": ""})
    if answer.variant == "empty":
        return events([first], is_done=True)
    if answer.is_cut_by_error:
        return events([first, *_deltas(answer, 0), {"error": OVERLOADED}], is_done=True)
    chunks = [first]
    for index in range(answer.count):
        chunks += _deltas(answer, index)
        chunks += [] if answer.is_unfinished else [_chunk(answer, index, {}, _reason(answer))]
    chunks.append({**first, "choices": [], "usage": _usage(answer)})
    if answer.variant == "one_chunk":
        whole = _chunk(answer, 0, {"role": "assistant", **_message(answer)}, _reason(answer))
        chunks = [{**whole, "usage": _usage(answer)}]
    return events(chunks, is_done=True)


def _deltas(answer: Answer, index: int) -> list[dict[str, Any]]:
    """Texts in pieces; of a call its name first and then its arguments, in pieces, too."""
    message = _message(answer)
    content = message.pop("content")
    calls = message.pop("tool_calls", [])
    found = [{name: piece} for name, text in message.items() for piece in (pieces(text) if _is_text(text) else [text])]
    if _is_text(content):
        found += [{"content": piece} for piece in pieces(content)]
    else:
        found += [{"content": [part]} for part in content or []]
    for number, call in enumerate(calls):
        arguments = call["function"]["arguments"]
        begun = arguments if arguments == "{}" else ""
        found.append({"tool_calls": [{"index": number, **call, "function": {**call["function"], "arguments": begun}}]})
        rest = pieces(arguments.removeprefix(begun))
        found += [{"tool_calls": [{"index": number, "function": {"arguments": piece}}]} for piece in rest]
    return [_chunk(answer, index, delta) for delta in found]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _chunk(answer: Answer, index: int, delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.id}",
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "choices": [{"index": index, "delta": delta, "finish_reason": reason}],
    }


def _reason(answer: Answer) -> str:
    return REASONS.get(answer.said.end, answer.said.end)


def _usage(answer: Answer) -> dict[str, Any]:
    said = answer.said.tokens * answer.count
    thought = len(answer.said.thoughts) // words.LETTERS_A_TOKEN
    return {
        "prompt_tokens": answer.read_tokens,
        "completion_tokens": said,
        "total_tokens": answer.read_tokens + said,
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
