"""`POST /v1/messages`: words in Anthropic's format, streamed or not.

Contract: gateway/images-text-audio-system.md 2.1 (E2), 5.14.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from deploy.sandbox import bodies, calls, door
from deploy.sandbox.door import Key
from deploy.sandbox.replies import Refused, Reply, upstream_error
from deploy.sandbox.routes import text_calls
from deploy.sandbox.routes.chat_text import last, listed, texts
from deploy.sandbox.routes.text_calls import Answer, events, pieces, shown
from deploy.sandbox.studio import words
from deploy.sandbox.studio.words import Asked, Tool

router = APIRouter(dependencies=[Depends(door.counted)])

KINDS: Final = {"image": "image", "document": "document"}
REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "calls": "tool_use", "filter": "refusal"}
"""By how an answer ends, where it is not the same word."""
UNCACHED: Final = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
OVERLOADED: Final = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@router.post("/v1/messages", name="claude.messages")
async def create(request: Request, key: Key) -> Response:
    """Answer the last message; streamed with `stream`.  A wrong key is told in the usual envelope, the rest in E2."""
    try:
        return await _create(request, key)
    except Refused as refused:
        raise Refused(_in_own_words(refused.reply)) from refused


async def _create(request: Request, key: str) -> Response:
    fields = await bodies.json_fields(request)
    model, messages = str(fields.get("model", "")), listed(fields.get("messages"))
    content = last(messages, "user")
    prompt = "\n".join(texts(content))
    call = calls.begin(request, key, family="text", kind="claude.message", model=model, prompt=prompt)
    family = text_calls.writer(model)
    if not messages:
        raise text_calls.missing("field messages")
    tools, thinking = listed(fields.get("tools")), fields.get("thinking") or {}
    if (thinking.get("budget_tokens") or 0) >= (fields.get("max_tokens") or 8192):
        message = "`max_tokens` must be greater than `thinking.budget_tokens`."
        raise Refused(upstream_error(400, None, message, type_="invalid_request_error"))
    asked = Asked(
        prompt=prompt,
        system="\n".join(texts(fields.get("system"))),
        shown=[shown(*found) for found in _media(content)],
        tools=[Tool(one["name"], one["input_schema"]) for one in tools if "input_schema" in one],
        choice=_choice(fields.get("tool_choice")),
        may_search=any(str(one.get("type")).startswith("web_search") for one in tools),
        schema=(fields.get("output_format") or {}).get("schema"),
        thinks=thinking.get("type") == "enabled",
        most_tokens=fields.get("max_tokens"),
        read_tokens=words.tokens_of([messages, fields.get("system")]),
    )
    return await text_calls.serve(request, call, family, asked, _stream if fields.get("stream") is True else _whole)


def _in_own_words(reply: Reply) -> Reply:
    """E2, of what is told in E1 elsewhere."""
    error = reply.body.get("error") if isinstance(reply.body, dict) else None
    if not isinstance(error, dict):
        return reply
    told = {"type": error.get("code") or error.get("type"), "message": error.get("message", "")}
    return replace(reply, body={"type": "error", "error": told})


def _media(content: Any) -> Iterator[tuple[str, str]]:
    for part in listed(content):
        source = part.get("source") or {}
        if part.get("type") in KINDS:
            yield KINDS[part["type"]], str(source.get("data") or source.get("url") or "")


def _choice(choice: Any) -> str:
    told = choice if isinstance(choice, dict) else {}
    return {"any": "any", "none": "none", "tool": str(told.get("name", ""))}.get(str(told.get("type")), "auto")


# What is answered.


def _whole(answer: Answer) -> Reply:
    if answer.is_cut_by_error:
        return Reply(200, OVERLOADED)
    reason = None if answer.is_unfinished else _reason(answer)
    return Reply(200, {**_message(answer), "content": list(_blocks(answer)), "stop_reason": reason})


def _stream(answer: Answer) -> Reply:
    """Events in their order, a ping among them; without the last one the answer is not whole."""
    found: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**_message(answer), "content": []}},
    ]
    for index, block in enumerate(_blocks(answer)):
        found += _block_events(index, block)
    found.insert(2, {"type": "ping"})  # behind the beginning of the first block
    if answer.is_cut_by_error:
        found.append(OVERLOADED)
    elif not answer.is_unfinished:
        ended = {"stop_reason": _reason(answer), "stop_sequence": None}
        found.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": answer.said.tokens}})
        found.append({"type": "message_stop"})
    return events(found, are_named=True)


def _block_events(index: int, block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A block without what comes in pieces, the pieces, and its end."""
    yield {"type": "content_block_start", "index": index, "content_block": {**block, **_emptied(block)}}
    kind = block["type"]
    if kind in ("text", "thinking"):
        for piece in pieces(block[kind]):
            yield _delta(index, f"{kind}_delta", kind, piece)
    for cited in block.get("citations", ()):
        yield _delta(index, "citations_delta", "citation", cited)
    if "signature" in block:
        yield _delta(index, "signature_delta", "signature", block["signature"])
    if "input" in block:
        for piece in _input_pieces(kind, block["input"]):
            yield _delta(index, "input_json_delta", "partial_json", piece)
    yield {"type": "content_block_stop", "index": index}


def _input_pieces(kind: str, given: Any) -> list[str]:
    """Of a tool of the caller's nothing comes first, and then nothing else where it is given nothing."""
    first = [""] if kind == "tool_use" else []
    return [*first, *(pieces(json.dumps(given)) if given else [])]


def _emptied(block: Mapping[str, Any]) -> dict[str, Any]:
    nothing = {"input": {}, "text": "", "thinking": "", "signature": "", "citations": []}
    return {name: value for name, value in nothing.items() if name in block}


def _delta(index: int, kind: str, name: str, piece: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: piece}}


def _message(answer: Answer) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": answer.read_tokens, **UNCACHED, "output_tokens": answer.said.tokens},
    }


def _blocks(answer: Answer) -> Iterator[dict[str, Any]]:
    said = answer.said
    if said.thoughts:
        yield {"type": "thinking", "thinking": said.thoughts, "signature": f"Ep{answer.id}"}
    for page in said.found:
        yield {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": page["title"]}}
        result = {"type": "web_search_result", **page, "encrypted_content": "EqgfCioI", "page_age": None}
        yield {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [result]}
    for number, (name, given) in enumerate(said.calls, 1):
        yield {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given}
    if said.text:
        cited = [
            {"type": "web_search_result_location", **page, "encrypted_index": "Eo8BCioI", "cited_text": page["title"]}
            for page in said.found
        ]
        yield {"type": "text", "text": said.text, **({"citations": cited} if cited else {})}


def _reason(answer: Answer) -> str:
    return REASONS.get(answer.said.end, answer.said.end)
