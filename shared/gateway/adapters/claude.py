"""`/v1/messages`: a conversation in Anthropic's format.  Pure.

Contract: gateway/images-text-audio-system.md 2.1 (E2), 5.14.  Literal replies: tests/replies/claude/.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from shared.catalog.operations.text import TIMEOUT_S
from shared.errors import UnreadableReply
from shared.gateway import answers, conversation, reading
from shared.gateway.adapter import Adapter
from shared.gateway.answers import Answer
from shared.gateway.call import Call, Media
from shared.gateway.outcome import Outcome
from shared.gateway.request import Request, Response

VERSION: Final = "2023-06-01"
LONGEST_ANSWER: Final = 4_096
"""Tokens of an answer that nobody limited: the vendor wants a number, and older models take no larger one."""

DELTAS: Final[Mapping[str, tuple[str, str]]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "partial_json"),
}
"""By the type of a delta: where it has its piece, and what the block calls the whole."""


def build(call: Call) -> Request:
    """Ask for an answer; inputs go along in base64 in the last message of the user."""
    asked = call.params.given()
    betas = asked.pop("anthropic_beta", ())
    turns = asked.pop("messages", None) or [{"role": "user", "content": call.prompt}]
    budget = asked.get("thinking", {}).get("budget_tokens", 0)
    body = {
        "model": call.model,
        "messages": conversation.with_inputs(turns, [_block(media) for media in conversation.all_inputs(call)]),
        "max_tokens": LONGEST_ANSWER + budget,
        **asked,
    }
    headers = {"anthropic-version": VERSION, **({"anthropic-beta": ",".join(betas)} if betas else {})}
    return Request("POST", "/v1/messages", json=body, headers=headers, timeout_s=TIMEOUT_S, name=call.operation)


def read(response: Response, call: Call) -> Outcome:
    """What the model said.

    Reply: the message object of 5.14, or the stream that makes one up.  `result` is that of `answers`; `message` has
    all blocks, also thoughts with their signatures and searches with what they found, to be given back in the next
    turn, and `stop_reason` is the vendor's own word.

    Raises:
        UnreadableReply: no message, or a stream that broke off.
    """
    said = _stream(response) if _is_stream(response) else reading.object_of(response)
    if said.get("error") or said.get("type") == "error":
        return answers.failed(said)
    if not isinstance(said.get("content"), list):
        raise reading.unreadable("an object without content", said)
    blocks = [block for block in said["content"] if isinstance(block, Mapping)]
    text, reason = "".join(_texts(blocks, "text")), str(said.get("stop_reason") or "")
    if reason == "refusal":
        return answers.blocked(reason, text)
    answer = Answer(
        text,
        reason,
        [answers.tool_call(block.get("id"), block.get("name"), _given(block)) for block in blocks if _is_call(block)],
        "\n\n".join(_texts(blocks, "thinking")),
        said.get("usage") or {},
        {
            "model": said.get("model"),
            "id": said.get("id"),
            "message": {"role": "assistant", "content": blocks},
            "stop_reason": reason,
            "stop_sequence": said.get("stop_sequence"),
            "annotations": list(_citations(blocks)),
            "details": {name: said[name] for name in ("container", "context_management") if said.get(name)},
        },
    )
    # After the results of tools a model may have nothing to add; in a pause there are only searches.
    return answers.produced(answer, holds_more=bool(blocks) or answer.finish == "stop")


# Asking.


def _block(media: Media) -> dict[str, Any]:
    kind = "image" if media.kind == "image" else "document"
    return {"type": kind, "source": {"type": "base64", "media_type": media.content_type, "data": media.base64}}


# Reading.


def _is_stream(response: Response) -> bool:
    return response.body.lstrip()[:1] != b"{"


def _stream(response: Response) -> Mapping[str, Any]:
    """The message that the events make up, or the error that ended it; events without a use are passed over.

    Raises:
        UnreadableReply: there is no `message_stop`, or a piece is missing (5.14).
    """
    events = list(reading.events(response.body))
    error = next((event for event in events if event and (event.get("error") or event.get("type") == "error")), None)
    if error is not None:
        return error
    if None in events or not any(event and event.get("type") == "message_stop" for event in events):
        raise UnreadableReply(f"the stream broke off after {len(events)} events")
    return _joined([event for event in events if event is not None])


def _joined(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        match event.get("type"):
            case "message_start":
                message = dict(event["message"])
            case "content_block_start":
                blocks[event.get("index", 0)] = dict(event["content_block"])
            case "content_block_delta":
                _take(blocks[event.get("index", 0)], event["delta"])
            case "message_delta":
                usage = {**(message.get("usage") or {}), **(event.get("usage") or {})}
                message = {**message, **event["delta"], "usage": usage}
    return {**message, "content": [_whole(blocks[index]) for index in sorted(blocks)]}


def _take(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    kind = str(delta.get("type"))
    if kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or []), delta["citation"]]
    elif kind in DELTAS:
        piece, name = DELTAS[kind]
        block[name] = f"{block.get(name) or ''}{delta.get(piece) or ''}"


def _whole(block: Mapping[str, Any]) -> dict[str, Any]:
    """A block with its input as JSON; one that was cut off keeps the text that came as `partial_json`."""
    whole = dict(block)
    if "partial_json" not in block:
        return whole
    given = whole.pop("partial_json")
    try:
        return {**whole, "input": json.loads(given) if given else whole.get("input") or {}}
    except ValueError:
        return {**whole, "partial_json": given}


def _texts(blocks: Sequence[Mapping[str, Any]], kind: str) -> Iterator[str]:
    return (block[kind] for block in blocks if block.get("type") == kind and isinstance(block.get(kind), str))


def _is_call(block: Mapping[str, Any]) -> bool:
    """Calls of our tools alone: the provider makes its own."""
    return block.get("type") == "tool_use"


def _given(block: Mapping[str, Any]) -> Any:
    return block.get("partial_json", block.get("input"))


def _citations(blocks: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    for block in blocks:
        found = block.get("citations")
        yield from found if isinstance(found, list) else ()


CLAUDE: Final = Adapter("claude.message", build, read, free_at=answers.FREE_AT)
ADAPTERS: Final = (CLAUDE,)
