"""Rarer answers of `/v1/messages`.  Contract: gateway/images-text-audio-system.md 2.1 (E2), 5.14.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from deploy.sandbox.sayings.saying import Saying, Sayings, Usual, body, changed, instead, stream

COMPLETION: Final = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_768_730_001,
    "model": "gpt-4.1-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Three colours."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 21, "completion_tokens": 4, "total_tokens": 25},
}
CONTAINER: Final = {"id": "container_1", "expires_at": "2026-01-18T10:00:00Z"}
OVERLOADED: Final = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
REDACTED: Final = {"type": "redacted_thinking", "data": "EmwKAhgB"}


def _blocks(make: Callable[[list[Any]], list[Any]]) -> Saying:
    return body(lambda usual: {**usual.body, "content": make(usual.body["content"])})


def _events(make: Callable[[Usual], list[Any]]) -> Saying:
    return stream(make, is_done=False, is_named=True)


def _until(usual: Usual, delta: str) -> list[Any]:
    """The events up to the first delta of this kind."""
    kinds = [event.get("delta", {}).get("type") for event in usual.events]
    return usual.events[: kinds.index(delta) + 1]


def _refusing(usual: Usual) -> list[Any]:
    """Some words, and then no more of them; nothing closes the block."""
    return [*_until(usual, "text_delta"), *_ending(usual, "refusal")]


def _cut_tool(usual: Usual) -> list[Any]:
    """Arguments that stop in the midst of a word."""
    told = [event for event in usual.events if event.get("delta", {}).get("type") != "input_json_delta"]
    start = next(place for place, event in enumerate(told) if event["type"] == "content_block_start")
    delta = {"type": "input_json_delta", "partial_json": '{"port": "Br'}
    piece = {"type": "content_block_delta", "index": told[start]["index"], "delta": delta}
    whole = [*told[: start + 1], piece, {"type": "content_block_stop", "index": told[start]["index"]}]
    return [*whole, *_ending(usual, "max_tokens")]


def _ending(usual: Usual, reason: str) -> list[Any]:
    ended = usual.events[-2]
    return [{**ended, "delta": {**ended["delta"], "stop_reason": reason}}, usual.events[-1]]


def _spoken_in_two(blocks: list[Any]) -> list[Any]:
    """Words without a source, and words with one."""
    *rest, text = blocks
    return [*rest, {"type": "text", "text": "At ", "citations": None}, text]


SAYINGS: Final[Sayings] = {
    "context_window": changed(stop_reason="model_context_window_exceeded"),
    "nothing_and_no_reason": changed(content=[], stop_reason=None),
    "nothing": changed(content=[]),
    "another_kind": instead(COMPLETION),
    "pause_turn": body(
        lambda usual: {
            **usual.body,
            "content": usual.body["content"][:-1],
            "stop_reason": "pause_turn",
            "container": CONTAINER,
        }
    ),
    "redacted": _blocks(lambda blocks: [REDACTED, *blocks]),
    "stop_sequence": changed(stop_reason="stop_sequence", stop_sequence="\n"),
    "words_first": _blocks(lambda blocks: [{"type": "text", "text": "Let me look."}, *blocks]),
    "spoken_in_two": _blocks(_spoken_in_two),
    "broken": _events(lambda usual: _until(usual, "text_delta")),
    "error": _events(lambda usual: [*_until(usual, "thinking_delta"), OVERLOADED]),
    "refusing": _events(_refusing),
    "cut_tool": _events(_cut_tool),
    "no_stop": _events(lambda usual: usual.events[:-1]),
    "no_pings": _events(lambda usual: [event for event in usual.events if event["type"] != "ping"]),
}
