"""`POST /v1/responses`: words in OpenAI's second format, streamed or not.

Contract: gateway/images-text-audio-system.md 3.3 V20, 5.7.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from deploy.sandbox import bodies, calls, door, models
from deploy.sandbox.door import Key
from deploy.sandbox.replies import Refused, Reply, openai_error
from deploy.sandbox.routes import text_calls
from deploy.sandbox.routes.chat_image_view import DRAFT
from deploy.sandbox.routes.chat_text import last, listed, texts
from deploy.sandbox.routes.text_calls import OVERLOADED, Answer, events, pieces, shown
from deploy.sandbox.studio import words
from deploy.sandbox.studio.words import Asked, Tool

router = APIRouter(dependencies=[Depends(door.counted)])

MEDIA: Final = {"input_image": ("image", "image_url"), "input_file": ("document", "file_data")}
"""By the type of a part: what it shows, and where it has it."""

INCOMPLETE: Final = {"length": "max_output_tokens", "filter": "content_filter"}
"""Why a response is incomplete, by how the answer ends."""


THINKING: Final = ("gpt-5", "o3", "o4")
"""Models whose thoughts are an item of their own, also where they are not told."""


@router.post("/v1/responses", name="responses.create")
async def create(request: Request, key: Key) -> Response:
    """Answer the last message; streamed with `stream`."""
    fields = await bodies.json_fields(request)
    model, given = str(fields.get("model", "")), fields.get("input")
    content = given if isinstance(given, str) else last(listed(given), "user")
    prompt = "\n".join(texts(content))
    call = calls.begin(request, key, family="text", kind="response.create", model=model, prompt=prompt)
    family = text_calls.writer(model)
    if not given:
        raise text_calls.missing("input")
    if family is not models.GPT:
        raise Refused(openai_error(500, "convert_request_failed", "not implemented"))
    tools, wanted = listed(fields.get("tools")), (fields.get("text") or {}).get("format") or {}
    asked = Asked(
        prompt=prompt,
        system=str(fields.get("instructions") or ""),
        shown=[shown(*found) for found in _media(content)],
        tools=[Tool(one["name"], one.get("parameters") or {}) for one in tools if one.get("type") == "function"],
        choice=_choice(fields.get("tool_choice")),
        may_search=any(str(one.get("type")).startswith("web_search") for one in tools),
        schema=wanted.get("schema") or {} if str(wanted.get("type")).startswith("json") else None,
        thinks=bool((fields.get("reasoning") or {}).get("summary")),
        most_tokens=fields.get("max_output_tokens"),
        read_tokens=words.tokens_of([given, fields.get("instructions")]),
    )
    return await text_calls.serve(request, call, family, asked, _stream if fields.get("stream") is True else _whole)


def _media(content: Any) -> Iterator[tuple[str, str]]:
    for part in listed(content):
        kind = str(part.get("type"))
        if kind in MEDIA:
            yield MEDIA[kind][0], str(part.get(MEDIA[kind][1], ""))


def _choice(choice: Any) -> str:
    if isinstance(choice, dict):
        return str(choice.get("name", ""))
    return {"required": "any", "none": "none"}.get(str(choice), "auto")


# What is answered.


def _whole(answer: Answer) -> Reply:
    if answer.variant == "error_event":
        return Reply(200, {"error": OVERLOADED})
    return Reply(200, _response(answer))


def _stream(answer: Answer) -> Reply:
    """Events in their order; the last one has the whole response."""
    whole = _response(answer)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "error": None, "incomplete_details": None}
    found: list[dict[str, Any]] = [
        {"type": f"response.{word}", "response": begun} for word in ("created", "in_progress")
    ]
    for place, item in enumerate(whole["output"]):
        found += _item_events(place, item)
    if answer.variant == "error_event":
        found.append({**OVERLOADED, "type": "error", "param": None})
    elif not answer.is_unfinished:
        found.append({"type": f"response.{whole['status']}", "response": whole})
    return events([{**event, "sequence_number": number} for number, event in enumerate(found)], are_named=True)


def _item_events(place: int, item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    at = {"output_index": place, "item_id": item["id"]}
    yield {"type": "response.output_item.added", "output_index": place, "item": _begun(item)}
    for part in item.get("content", ()):
        yield from _part_events({**at, "content_index": 0}, part)
    for piece in pieces(item.get("arguments", "")):
        yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
    yield {"type": "response.output_item.done", "output_index": place, "item": item}


def _begun(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item before anything of it has come."""
    nothing = {"status": "in_progress", "content": [], "arguments": ""}
    return {**item, **{name: value for name, value in nothing.items() if name in item}}


def _part_events(at: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "text" not in part:
        return
    yield {"type": "response.content_part.added", **at, "part": {**part, "text": "", "annotations": []}}
    for piece in pieces(part["text"]):
        yield {"type": "response.output_text.delta", **at, "delta": piece}
    yield {"type": "response.output_text.done", **at, "text": part["text"]}


def _response(answer: Answer) -> dict[str, Any]:
    said, reason = answer.said, INCOMPLETE.get(answer.said.end)
    status = "failed" if said.end == "failed" else "incomplete" if reason else "completed"
    usage = {
        "input_tokens": answer.read_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": said.tokens,
        "output_tokens_details": {"reasoning_tokens": len(said.thoughts) // words.LETTERS_A_TOKEN},
        "total_tokens": answer.read_tokens + said.tokens,
    }
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": answer.created,
        "status": status,
        "error": {"code": "server_error", "message": OVERLOADED["message"]} if status == "failed" else None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": answer.model,
        "output": list(_items(answer)),
        "usage": None if status == "failed" else usage,
    }


def _items(answer: Answer) -> Iterator[dict[str, Any]]:
    said = answer.said
    if said.thoughts or answer.model.startswith(THINKING):
        summary = [{"type": "summary_text", "text": said.thoughts}] if said.thoughts else []
        yield {"id": "rs_1", "type": "reasoning", "summary": summary}
    for page in said.found:
        action = {"type": "search", "query": page["title"]}
        yield {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": action}
    if said.has_picture:
        yield {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": DRAFT}
    for number, (name, arguments) in enumerate(said.calls, 1):
        told = {"call_id": f"call_{number}", "name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
        yield {"id": f"fc_{number}", "type": "function_call", "status": "completed", **told}
    if said.text:
        cited = [{"type": "url_citation", "start_index": 0, "end_index": 9, **page} for page in said.found]
        part = {"type": "output_text", "text": said.text, "annotations": cited}
        if said.end == "refusal":
            part = {"type": "refusal", "refusal": said.text}
        yield {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
