"""`/v1/responses`: a conversation in OpenAI's second format.  Pure.

Contract: gateway/images-text-audio-system.md 2.5, 3.3 V20, 5.7.  Literal replies: tests/replies/responses/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from shared.catalog.operations.text import TIMEOUT_S
from shared.errors import UnreadableReply
from shared.gateway import answers, classify, conversation, reading
from shared.gateway.adapter import Adapter
from shared.gateway.answers import Answer
from shared.gateway.call import Call, Media
from shared.gateway.outcome import ErrorClass, Outcome, Refused
from shared.gateway.request import Request, Response

TERMINAL: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Events that hold the whole response."""

WORDS: Final = frozenset({"message", "reasoning"})
"""Items that hold nothing but words and thoughts."""

CALLS: Final[Mapping[str, str]] = {"function_call": "arguments", "custom_tool_call": "input"}
"""Items that call one of our tools, and where each says with what."""

POLICY: Final = re.compile(r"invalid_prompt|.*content_policy.*")
OUR_INPUT: Final = re.compile(r"(?:invalid|empty|unsupported|failed_to_download)_image.*|image_.*|invalid_base64.*")
"""Codes of a response that failed for what we sent."""


def build(call: Call) -> Request:
    """Ask for an answer; inputs go along as data URLs in the last message of the user."""
    asked = call.params.given()
    parts = [_part(media) for media in conversation.all_inputs(call)]
    said = asked.pop("input", None) or call.prompt
    if parts:
        turns = [{"role": "user", "content": said}] if isinstance(said, str) else said
        said = conversation.with_inputs(turns, parts, "input_text")
    body = {"model": call.model, "input": said, **asked}
    return Request("POST", "/v1/responses", json=body, timeout_s=TIMEOUT_S, name=call.operation)


def read(response: Response, call: Call) -> Outcome:
    """What the model said.

    Reply: the response object of 5.7, or the stream that ends with it.  `result` is that of `answers`, with `output`
    (every item, also searches and thoughts, to be given back in the next turn) and `status`.

    Raises:
        UnreadableReply: no response that came to its end.
    """
    said = _stream(response) if _is_stream(response) else reading.object_of(response)
    if _is_error(said):
        return _failed(said)
    status, reason = said.get("status"), reading.first_text(said, "incomplete_details.reason")
    if status not in ("completed", "incomplete", None) or not isinstance(said.get("output"), list):
        raise reading.unreadable(f"no finished response but one that is {status}", said)
    items = [item for item in said["output"] if isinstance(item, Mapping)]
    refusal = "".join(_texts(items, "refusal", "refusal"))
    text, calls = "".join(_texts(items, "output_text", "text")), [_call(item) for item in items if _is_call(item)]
    if reason == "content_filter" or (refusal and not text and not calls):
        return answers.blocked(reason or "refusal", refusal or text)
    own = {
        "model": said.get("model"),
        "id": said.get("id"),
        "status": status,
        "output": items,
        "annotations": list(_annotations(items)),
        "refusal": refusal,
    }
    ended = reason if status == "incomplete" else "completed"
    answer = Answer(text, ended, calls, "\n\n".join(_thoughts(items)), said.get("usage") or {}, own)
    return answers.produced(answer, holds_more=any(item.get("type") not in WORDS for item in items))


# Asking.


def _part(media: Media) -> dict[str, Any]:
    if media.kind == "image":
        return {"type": "input_image", "image_url": media.data_url, "detail": "auto"}
    return {"type": "input_file", "filename": media.filename, "file_data": media.data_url}


# Reading.


def _is_stream(response: Response) -> bool:
    return response.body.lstrip()[:1] != b"{"


def _stream(response: Response) -> Mapping[str, Any]:
    """The response that a stream ends with, or the error that ended it.

    Some builds leave `output` empty at the end: then it is the items that were told as done.
    """
    events = [event for event in reading.events(response.body) if event is not None]
    ended = next((event for event in reversed(events) if event.get("type") in TERMINAL), None)
    if ended is not None and isinstance(ended.get("response"), Mapping):
        whole = ended["response"]
        return whole if whole.get("output") else {**whole, "output": _done(events)}
    error = next((event for event in events if _is_error(event)), None)
    if error is None:
        raise UnreadableReply(f"the stream broke off after {len(events)} events")
    return error


def _done(events: Sequence[Mapping[str, Any]]) -> list[Any]:
    done = [event for event in events if event.get("type") == "response.output_item.done"]
    return [event.get("item") for event in sorted(done, key=_place)]


def _place(event: Mapping[str, Any]) -> int:
    place = event.get("output_index")
    return place if isinstance(place, int) else 0


def _is_error(said: Mapping[str, Any]) -> bool:
    return bool(said.get("error")) or said.get("type") == "error" or said.get("status") == "failed"


def _failed(said: Mapping[str, Any]) -> Refused:
    """A response that failed.  Whether that is billed is in no contract, so it counts as paid (8)."""
    words = classify.said(said)
    code = next((code for code in words.codes if POLICY.fullmatch(code) or OUR_INPUT.fullmatch(code)), "")
    if not code:
        return answers.failed(said)
    error_class = ErrorClass.CONTENT_POLICY if POLICY.fullmatch(code) else ErrorClass.INVALID_REQUEST
    return classify.refused(error_class, code, words.message or code, charged=True)


def _parts(items: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for item in items:
        content = item.get("content") if item.get("type", "message") == "message" else None
        if isinstance(content, list):
            yield from (part for part in content if isinstance(part, Mapping))


def _texts(items: Sequence[Mapping[str, Any]], kind: str, name: str) -> Iterator[str]:
    for part in _parts(items):
        if part.get("type") == kind and isinstance(part.get(name), str):
            yield part[name]


def _annotations(items: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    for part in _parts(items):
        found = part.get("annotations")
        yield from found if isinstance(found, list) else ()


def _thoughts(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Summaries of thoughts, or the thoughts themselves where an open model tells them."""
    for item in items:
        if item.get("type") == "reasoning":
            told = item.get("summary") or item.get("content")
            yield from filter(None, (reading.first_text(one, "text") for one in told or ()))


def _is_call(item: Mapping[str, Any]) -> bool:
    return item.get("type") in CALLS


def _call(item: Mapping[str, Any]) -> dict[str, Any]:
    given = item.get(CALLS[item["type"]])
    call_id = item.get("call_id") or item.get("id")
    if item["type"] == "custom_tool_call":
        return {"id": call_id, "name": item.get("name"), "arguments": given}
    return answers.tool_call(call_id, item.get("name"), given)


RESPONSES: Final = Adapter("response.create", build, read, free_at=answers.FREE_AT)
ADAPTERS: Final = (RESPONSES,)
