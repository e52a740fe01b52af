"""Words over Gemini's own format: what was asked is found in the last turn of the user.

Contract: gateway/images-text-audio-system.md 2.4, 4.5, 4.7, 5.13.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import Request, Response

from deploy.sandbox import calls
from deploy.sandbox.models import Family
from deploy.sandbox.replies import Reply
from deploy.sandbox.routes import text_calls
from deploy.sandbox.routes.chat_image_view import DRAFT
from deploy.sandbox.routes.chat_text import listed, texts
from deploy.sandbox.routes.text_calls import Answer, events, pieces, shown
from deploy.sandbox.studio import words
from deploy.sandbox.studio.words import Asked, Tool

REASONS: Final = {"length": "MAX_TOKENS", "refusal": "SAFETY"}
"""By how an answer ends, where it is not `STOP`."""
KINDS: Final = {"image": "image", "audio": "audio", "video": "video", "application": "document"}
"""What an input is, by the beginning of its type."""
OVERLOADED: Final = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}


async def answer(request: Request, key: str, model: str, family: Family, fields: dict[str, Any]) -> Response:
    """Answer the last turn.  Only `alt=sse` makes it a stream, whatever the action (4.7)."""
    contents = listed(fields.get("contents"))
    if not contents:
        raise text_calls.missing("contents")
    turns = [listed(one.get("parts")) for one in contents if one.get("role", "user") == "user"]
    turn = turns[-1] if turns else []
    prompt = "\n".join(texts(turn))
    call = calls.begin(request, key, family="text", kind="gemini.generate", model=model, prompt=prompt)
    family = text_calls.writer(model)
    config = _either(fields, "generationConfig", "generation_config") or {}
    thinking = _either(config, "thinkingConfig", "thinking_config") or {}
    tools = listed(fields.get("tools"))
    instruction = _either(fields, "systemInstruction", "system_instruction") or {}
    asked = Asked(
        prompt=prompt,
        system="\n".join(texts(instruction.get("parts"))),
        shown=[shown(*found) for found in _media(turn)],
        tools=[Tool(one["name"], one.get("parameters") or {}) for tool in tools for one in _functions(tool)],
        choice=_choice(_either(fields, "toolConfig", "tool_config") or {}),
        may_search=any(tool.keys() & {"googleSearch", "google_search"} for tool in tools),
        schema=_schema(config),
        thinks=bool(_either(thinking, "includeThoughts", "include_thoughts")),
        most_tokens=_either(config, "maxOutputTokens", "max_output_tokens"),
        read_tokens=words.tokens_of([contents, instruction]),
    )
    is_stream = request.query_params.get("alt") == "sse"
    return await text_calls.serve(request, call, family, asked, _stream if is_stream else _whole)


def _either(fields: Mapping[str, Any], camel: str, snake: str) -> Any:
    return fields.get(camel) if camel in fields else fields.get(snake)


def _media(turn: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Base64, bare: addresses are not fetched here (3.6)."""
    for part in turn:
        inline = _either(part, "inlineData", "inline_data")
        if isinstance(inline, dict):
            kind = str(_either(inline, "mimeType", "mime_type")).partition("/")[0]
            yield KINDS.get(kind, "document"), str(inline.get("data", ""))


def _functions(tool: Mapping[str, Any]) -> list[dict[str, Any]]:
    return listed(_either(tool, "functionDeclarations", "function_declarations"))


def _choice(config: Mapping[str, Any]) -> str:
    told = _either(config, "functionCallingConfig", "function_calling_config") or {}
    names = _either(told, "allowedFunctionNames", "allowed_function_names") or ["any"]
    return {"ANY": str(names[0]), "NONE": "none"}.get(str(told.get("mode", "AUTO")).upper(), "auto")


def _schema(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    schema = _either(config, "responseSchema", "response_schema")
    schema = schema or _either(config, "responseJsonSchema", "response_json_schema")
    is_json = _either(config, "responseMimeType", "response_mime_type") == "application/json"
    return schema or ({} if is_json else None)


# What is answered.


def _whole(answer: Answer) -> Reply:
    if answer.is_cut_by_error:
        return Reply(200, OVERLOADED)
    parts = list(_parts(answer))
    return Reply(200, _body(answer, parts, _reason(answer)))


def _stream(answer: Answer) -> Reply:
    """Events without `[DONE]`: texts in pieces, everything else whole, the reason in the last one (4.7)."""
    bodies = [_body(answer, [piece], "") for part in _parts(answer) for piece in _pieces(part)]
    if answer.is_cut_by_error:
        return events([*bodies, OVERLOADED])
    last = [] if answer.is_unfinished else [_body(answer, [], _reason(answer))]
    return events([*bodies, *last])


def _body(answer: Answer, parts: list[dict[str, Any]], reason: str) -> dict[str, Any]:
    if answer.said.end == "filter":
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": _usage(answer)}
    content = {} if answer.said.end == "refusal" else {"content": {"role": "model", "parts": parts}}
    candidate = {**content, **({"finishReason": reason} if reason else {}), "index": 0, **_grounds(answer, reason)}
    candidates = [] if answer.variant == "empty" else [candidate]
    return {
        "candidates": candidates,
        "usageMetadata": _usage(answer),
        "modelVersion": answer.model,
        "responseId": answer.id,
    }


def _grounds(answer: Answer, reason: str) -> dict[str, Any]:
    found = answer.said.found if reason else ()
    chunks = [{"web": {"uri": page["url"], "title": page["title"]}} for page in found]
    return {"groundingMetadata": {"groundingChunks": chunks}} if chunks else {}


def _parts(answer: Answer) -> Iterator[dict[str, Any]]:
    said = answer.said
    if said.thoughts:
        yield {"text": said.thoughts, "thought": True}
    for name, arguments in said.calls:
        yield {"functionCall": {"name": name, "args": arguments}, "thoughtSignature": f"Eq{answer.id}"}
    if said.text:
        yield {"text": said.text}
    if said.has_picture:
        yield {"inlineData": {"mimeType": "image/png", "data": DRAFT}}


def _pieces(part: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**part, "text": piece} for piece in pieces(part["text"])] if "text" in part else [part]


def _reason(answer: Answer) -> str:
    return "" if answer.is_unfinished else REASONS.get(answer.said.end, "STOP")


def _usage(answer: Answer) -> dict[str, int]:
    thought = len(answer.said.thoughts) // words.LETTERS_A_TOKEN
    return {
        "promptTokenCount": answer.read_tokens,
        "candidatesTokenCount": answer.said.tokens - thought,
        "thoughtsTokenCount": thought,
        "totalTokenCount": answer.read_tokens + answer.said.tokens,
    }
