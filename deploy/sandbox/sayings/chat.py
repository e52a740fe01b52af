"""Rarer answers of a chat that writes.  Contract: gateway/images-text-audio-system.md 2.1, 2.4, 5.1 to 5.6.  Pure."""

from __future__ import annotations

from typing import Any, Final

from deploy.sandbox.replies import Reply
from deploy.sandbox.sayings.completions import (
    NO_DONE,
    NO_FIRST,
    NO_USAGE,
    choice,
    chunk,
    content,
    has_words,
    is_usage,
    message,
    said,
)
from deploy.sandbox.sayings.saying import Saying, Sayings, Usual, body, crlf, instead, left_out, stream, then

FILTERED: Final = {
    "message": "The response was filtered due to our content policy",
    "type": "invalid_request_error",
    "code": "content_filter",
}
VECTOR: Final = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}]}
SOUND: Final = "UklGRoQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YWAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
ARGUMENTS: Final = '{"port":"Brest"}'
SEALED: Final = "CsoBAR4hPq"
UNFILTERED: Final = {"hate": {"filtered": False, "severity": "safe"}}
LOGPROBS: Final = {"content": [{"token": "Three", "logprob": -0.01, "bytes": [84], "top_logprobs": []}]}


def _choices(*made: dict[str, Any]) -> Saying:
    return body(lambda usual: {**usual.body, "choices": list(made)})


def _said(index: int, text: str, reason: str) -> dict[str, Any]:
    return {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": reason}


def _calls(*calls: dict[str, Any], text: str | None = None) -> Saying:
    return message(lambda usual: {"content": text, "tool_calls": list(calls)})


def _function(name: str, arguments: str, **more: Any) -> dict[str, Any]:
    return {**more, "type": "function", "function": {"name": name, "arguments": arguments}}


def _cut_in_event(usual: Usual) -> Reply:
    text = str(stream(lambda told: [event for event in told.events if has_words(event)], is_done=False)(usual).body)
    return Reply(200, text[:-40], usual.reply.media_type)


def _role_with_words(usual: Usual) -> list[Any]:
    """Who speaks is told beside the first words."""
    _, opening, *rest = usual.events
    delta = opening["choices"][0]["delta"]
    nothing = {"content": None} if "tool_calls" in delta else {}
    return [chunk(usual, {"role": "assistant", **nothing, **delta}), *rest]


def _messages(usual: Usual) -> list[Any]:
    """Whole completions as events."""
    words = "".join(said(usual))
    counted = next(event["usage"] for event in usual.events if is_usage(event))
    head = {**usual.events[0], "object": "chat.completion"}
    return [{**head, "choices": [_said(0, words, "stop")], "usage": counted}]


def _without_thoughts(usual: Usual) -> Any:
    [only] = usual.body["choices"]
    told = {name: value for name, value in only["message"].items() if name != "reasoning_content"}
    return {**usual.body, "choices": [{**only, "message": told}]}


def _with_citations(usual: Usual) -> Any:
    found = usual.body["choices"][0]["message"]["annotations"]
    return {**usual.body, "citations": [one["url_citation"]["url"] for one in found]}


def _stream_logprobs(usual: Usual) -> list[Any]:
    """As OpenAI sends them: null where nothing is said."""
    rest = usual.events[1:]
    told = {**LOGPROBS, "refusal": None}
    chosen = [_in_choice(event, logprobs=told if has_words(event) else None) for event in rest]
    return [_in_choice(chunk(usual, {"role": "assistant", "content": "", "refusal": None}), logprobs=None), *chosen]


def _in_choice(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**event, "choices": [{**one, **more} for one in event["choices"]]}


def _stream_sound(usual: Usual) -> list[Any]:
    """Words and bytes in turn; each piece of base64 has its own end."""
    told: list[dict[str, Any]] = [
        {"id": "audio_1", "transcript": "Three "},
        {"data": SOUND},
        {"transcript": "colours."},
        {"data": SOUND},
        {"expires_at": 1_768_733_610},
    ]
    opening = chunk(usual, {"role": "assistant", "content": None, "refusal": None})
    return [opening, *(chunk(usual, {"audio": one}) for one in told), *usual.events[-2:]]


def _vendor_keys(usual: Usual) -> list[Any]:
    """Fields of a reseller beside the usual ones."""
    opening, call, *pieces, _, counted = usual.events
    thought = {"type": "reasoning.text", "text": "Brest ", "format": "google-gemini-v1", "index": 0}
    sealed = {"type": "reasoning.encrypted", "data": SEALED, "id": "call_1", "format": "google-gemini-v1", "index": 1}
    [told] = call["choices"][0]["delta"]["tool_calls"]
    signed = {**told, "extra_content": {"google": {"thought_signature": SEALED}}}
    ended = {"native_finish_reason": "STOP", "content_filter_results": UNFILTERED}
    spoken = [
        opening,
        chunk(usual, {"reasoning": "Brest ", "reasoning_details": [thought]}),
        chunk(usual, {"reasoning_details": [sealed], "tool_calls": [signed]}),
        *pieces,
        _in_choice(chunk(usual, {"role": "assistant", "content": ""}, "tool_calls"), **ended),
        counted,
    ]
    return [{**event, "provider": "Vertex"} if event["choices"] else event for event in spoken]


SAYINGS: Final[Sayings] = {
    "no_usage": NO_USAGE,
    "no_first": NO_FIRST,
    "no_done": NO_DONE,
    "role_with_words": stream(_role_with_words),
    "pings": lambda usual: Reply(200, f": PING\n\n{usual.body}", usual.reply.media_type),
    "crlf": crlf,
    "error_policy": stream(lambda usual: [*usual.events[:-1], {"error": FILTERED}]),
    "filtered_midway": choice(finish_reason="content_filter"),
    "content_null": content(lambda usual: None),
    "filtered": stream(
        lambda usual: [chunk(usual, {"role": "assistant", "content": "Three"}), chunk(usual, {}, "content_filter")]
    ),
    "one_filtered": _choices(_said(0, "", "content_filter"), _said(1, "Three colours.", "stop")),
    "citations": body(_with_citations),
    "finish_null": then(
        choice(finish_reason=None),
        body(lambda usual: {**usual.body, "created": f"{usual.body['created']}.5"}),
        left_out("usage"),
    ),
    "logprobs": choice(logprobs=LOGPROBS),
    "stream_logprobs": stream(_stream_logprobs),
    "stream_sound": stream(_stream_sound),
    "vendor_keys": stream(_vendor_keys),
    "no_choices": _choices(),
    "another_kind": instead(VECTOR),
    "several": _choices(_said(1, "Four.", "length"), _said(0, "Three colours.", "stop")),
    "sound": message(
        lambda usual: {
            "content": None,
            "audio": {"id": "audio_1", "expires_at": 1_768_733_601, "transcript": said(usual), "data": SOUND},
        }
    ),
    "wrapped": body(lambda usual: {"code": 0, "message": "ok", "data": usual.body}),
    "cut_in_event": _cut_in_event,
    "messages": stream(_messages),
    "custom_tool": _calls({"id": "call_1", "type": "custom", "custom": {"name": "run_query", "input": "SELECT 1"}}),
    "function_call": then(
        message(lambda usual: {"content": None, "function_call": {"name": "get_tide", "arguments": ARGUMENTS}}),
        choice(finish_reason="function_call"),
    ),
    "arguments_broken": then(
        _calls(_function("get_tide", ""), _function("get_wind", '{"port":', id=""), text=""),
        choice(finish_reason="tool_calls"),
    ),
    "arguments_cut_off": then(
        _calls(_function("get_tide", '{"port":"Br', id="call_1")), choice(finish_reason="length")
    ),
    "calls_but_stops": then(_calls(_function("get_tide", ARGUMENTS, id="call_1"), text="")),
    "no_thoughts": body(_without_thoughts),
    "reasoning": message(
        lambda usual: {
            "reasoning": "Brest lies west.",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAAA"}],
        }
    ),
}
