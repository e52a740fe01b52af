"""Rarer answers of `/v1/responses`.  Contract: gateway/images-text-audio-system.md 2.1, 3.3, 5.7.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from deploy.sandbox.replies import Reply
from deploy.sandbox.sayings.saying import Saying, Sayings, Usual, body, changed, instead, stream, written

OVERLOADED: Final = {"message": "The engine is currently overloaded", "type": "server_error", "code": None}
SERVER_ERROR: Final = {"code": "server_error", "message": "The server had an error."}
APPROVAL: Final = {
    "id": "mcpr_1",
    "type": "mcp_approval_request",
    "name": "get_tide",
    "arguments": "{}",
    "server_label": "tides",
}
CUSTOM: Final = {
    "id": "ctc_1",
    "type": "custom_tool_call",
    "status": "completed",
    "call_id": "call_9b",
    "name": "run_query",
    "input": "SELECT 1",
}


def _items(make: Callable[[list[Any]], list[Any]]) -> Saying:
    """The usual response with other items."""
    return changed_output(lambda usual: make(usual.body["output"]))


def changed_output(make: Callable[[Usual], list[Any]]) -> Saying:
    return body(lambda usual: {**usual.body, "output": make(usual)})


def _kind(kind: str, items: list[Any]) -> list[Any]:
    return [item for item in items if item["type"] == kind]


def _failed(code: str, message: str) -> Saying:
    error = {"code": code, "message": message}
    return changed(status="failed", error=error, output=[], usage=None)


def _with_text(usual: Usual, **more: Any) -> list[Any]:
    message = _kind("message", usual.body["output"])[0]
    return [{**message, **more}]


def _two_parts(usual: Usual) -> list[Any]:
    part = _with_text(usual)[0]["content"][0]
    return _with_text(usual, content=[part, part])


def _open_thoughts(items: list[Any]) -> list[Any]:
    told = {"content": [{"type": "reasoning_text", "text": "Brest is on the Atlantic."}]}
    return [{**item, **told} if item["type"] == "reasoning" else item for item in items]


def _revised(items: list[Any]) -> list[Any]:
    more = {"output_format": "png", "revised_prompt": "A lighthouse"}
    return [{**item, **more} if item["type"] == "image_generation_call" else item for item in items]


def _named(make: Callable[[Usual], list[Any]]) -> Saying:
    return stream(make, is_done=False, is_named=True)


def _until(kind: str, usual: Usual) -> list[Any]:
    """The events up to the first of this kind."""
    place = next(place for place, event in enumerate(usual.events) if event["type"] == kind)
    return usual.events[: place + 1]


def _ends(usual: Usual, status: str, **more: Any) -> list[Any]:
    """What breaks off after its first words, and is told so."""
    told = _until("response.output_text.delta", usual)
    whole = {**usual.events[-1]["response"], "status": status, **more}
    return [*told, {"type": f"response.{status}", "sequence_number": len(told), "response": whole}]


def _failed_stream(usual: Usual) -> list[Any]:
    return _ends(usual, "failed", error=SERVER_ERROR, output=[], usage=None)


def _incomplete_stream(usual: Usual) -> list[Any]:
    said = _kind("message", usual.events[-1]["response"]["output"])
    return _ends(usual, "incomplete", incomplete_details={"reason": "max_output_tokens"}, output=said)


def _error_stream(usual: Usual) -> list[Any]:
    return [*usual.events[:2], {"type": "error", "sequence_number": 2, **SERVER_ERROR, "param": None}]


def _unnamed(usual: Usual) -> Reply:
    """Without `event:` lines, and with `[DONE]`."""
    return Reply(200, written(usual.events), usual.reply.media_type)


def _shuffled(usual: Usual) -> list[Any]:
    """Events out of order, and nothing in the last one: the numbers tell the order."""
    *told, last = usual.events
    return [*reversed(told), {**last, "response": {**last["response"], "output": []}}]


SAYINGS: Final[Sayings] = {
    "error": stream(lambda usual: [*usual.events[:2], {"error": OVERLOADED}], is_done=False),
    "approval": changed(output=[APPROVAL]),
    "custom_tool": changed(output=[CUSTOM]),
    "nothing": changed(output=[]),
    "failed_image": _failed("invalid_image_format", "The image is not in a supported format."),
    "failed_policy": _failed("invalid_prompt", "Your prompt was flagged."),
    "in_progress": changed(status="in_progress", output=[], usage=None),
    "filtered_midway": changed(status="incomplete", incomplete_details={"reason": "content_filter"}),
    "another_kind": instead({"object": "list", "data": []}),
    "open_thoughts": _items(_open_thoughts),
    "no_summary": _items(lambda items: [{**one, "summary": []} if "summary" in one else one for one in items]),
    "no_thoughts": _items(lambda items: [one for one in items if one["type"] != "reasoning"]),
    "two_parts": changed_output(_two_parts),
    "revised": _items(_revised),
    "broken": _named(lambda usual: _until("response.output_text.delta", usual)),
    "failed_stream": _named(_failed_stream),
    "incomplete_stream": _named(_incomplete_stream),
    "error_stream": _named(_error_stream),
    "shuffled": _named(_shuffled),
    "unnamed": _unnamed,
}
