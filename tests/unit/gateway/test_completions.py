from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.errors import UnreadableReply
from shared.gateway import completions
from shared.gateway.completions import Completion
from shared.gateway.request import Response

#: The stream of 5.2, as it stands there.
STREAM = """\
data: {"id":"chatcmpl-CqXx2","object":"chat.completion.chunk","created":1768730010,"model":"gpt-4.1-mini",\
"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"id":"chatcmpl-CqXx2","object":"chat.completion.chunk","created":1768730010,"model":"gpt-4.1-mini",\
"choices":[{"index":0,"delta":{"content":"Three"},"finish_reason":null}]}

data: {"id":"chatcmpl-CqXx2","object":"chat.completion.chunk","created":1768730010,"model":"gpt-4.1-mini",\
"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"id":"chatcmpl-CqXx2","object":"chat.completion.chunk","created":1768730010,"model":"gpt-4.1-mini",\
"choices":[],"usage":{"prompt_tokens":21,"completion_tokens":1,"total_tokens":22}}

data: [DONE]

"""


def joined(body: Any) -> Completion:
    text = body if isinstance(body, str) else json.dumps(body)
    return completions.join(Response(200, body=text.encode()))


def whole(message: Any, reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": reason}], **more}


def piece(delta: Any, reason: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": index, "delta": delta, "finish_reason": reason}], **more}


def stream(*events: Any, end: str = "data: [DONE]\n\n") -> str:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + end


def test_a_completion_that_is_no_stream_is_read() -> None:
    body = whole({"role": "assistant", "content": "Three colours.", "refusal": None, "annotations": []})

    completion = joined({**body, "model": "gpt-4.1-mini", "usage": {"total_tokens": 25}, "created": "1768730001.5"})

    assert completion.first == completions.Choice(content="Three colours.", finish_reason="stop")
    assert (completion.id, completion.model, completion.usage) == ("c", "gpt-4.1-mini", {"total_tokens": 25})
    assert completion.is_whole
    assert not completion.is_stream


def test_a_stream_is_joined() -> None:
    completion = joined(STREAM)

    assert completion.first == completions.Choice(content="Three", finish_reason="stop")
    assert (completion.id, completion.model) == ("chatcmpl-CqXx2", "gpt-4.1-mini")
    assert completion.usage["total_tokens"] == 22
    assert completion.is_whole
    assert completion.is_stream


@pytest.mark.parametrize(
    "body",
    [
        STREAM.replace("\n", "\r\n"),
        ": PING\n\n" + STREAM.replace("\n\n", "\n\n: PING\n\n"),
        STREAM.replace("data: ", "event: chunk\nid: 7\ndata:"),
        STREAM.replace("\n\n", "\n"),
        STREAM.replace("data: ", "").replace("[DONE]", ""),
        json.dumps([json.loads(line[6:]) for line in STREAM.split("\n") if line.startswith("data: {")]),
        STREAM.replace(',"choices"', ',\ndata: "choices"'),
    ],
    ids=["CRLF", "comments", "names and ids", "no blank lines", "lines of JSON", "an array", "an event in two lines"],
)
def test_the_forms_of_a_stream_are_one(body: str) -> None:
    completion = joined(body)

    assert completion.is_done == (body.startswith("[") or "[DONE]" in body)
    assert replace(completion, is_done=True) == joined(STREAM)


def test_separators_of_unicode_do_not_end_a_line() -> None:
    text = "one\u2028two\x85three"
    event = json.dumps(piece({"content": text}, "stop"), ensure_ascii=False)

    assert joined(f"data: {event}\n\n").first.content == text


@pytest.mark.parametrize("cut", range(0, len(STREAM), 11))
def test_a_stream_without_a_finish_reason_is_not_whole(cut: int) -> None:
    has_ended = '"finish_reason":"stop"}]}' in STREAM[:cut]

    try:
        completion = joined(STREAM[:cut])
    except UnreadableReply:
        assert not has_ended
        return

    # Cut inside the last event, the usage, it is not whole either: who knows what that event would have been.
    assert has_ended or not completion.is_whole
    assert completion.first.content in ("", "Three")


def test_done_alone_is_no_proof_of_an_end() -> None:
    assert not joined(stream(piece({"content": "Thr"}))).is_whole


def test_an_event_that_cannot_be_read_leaves_a_gap() -> None:
    broken = (
        stream(piece({"content": "a"}), end="") + 'data: {"choices":[{"delta":{"con\n\n' + stream(piece({}, "stop"))
    )

    assert not joined(broken).is_whole


@pytest.mark.parametrize("body", ["", "<html></html>", "null", "7", '"text"', "data: [DONE]\n\n", '{"choices":[{"mess'])
def test_what_is_no_completion_is_unreadable(body: str) -> None:
    with pytest.raises(UnreadableReply):
        joined(body)


@pytest.mark.parametrize("body", [{"choices": []}, {"choices": None}, {"object": "list"}, {"choices": ["?", {}]}])
def test_a_completion_without_an_answer_has_an_empty_first_choice(body: Any) -> None:
    assert joined(body).first == completions.Choice()


def test_a_completion_inside_an_envelope_is_found() -> None:
    assert joined({"code": 200, "message": "ok", "data": whole({"content": "yes"})}).first.content == "yes"


@pytest.mark.parametrize("is_stream", [False, True])
def test_choices_stand_by_their_index(is_stream: bool) -> None:
    if is_stream:
        events = [
            piece({"content": "b1"}, index=1),
            piece({"content": "a1"}),
            piece({"content": "b2"}, "stop", index=1),
        ]
        completion = joined(stream(*events, piece({"content": "a2"}, "length")))
    else:
        choices = [
            {"index": 1, "message": {"content": "b1b2"}, "finish_reason": "stop"},
            {"index": 0, "message": {"content": "a1a2"}, "finish_reason": "length"},
        ]
        completion = joined({"choices": choices})

    told = [(choice.content, choice.finish_reason) for choice in completion.choices]
    assert told == [("a1a2", "length"), ("b1b2", "stop")]
    assert completion.is_whole


def test_choices_without_an_index_are_several_in_one_body() -> None:
    completion = joined({"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]})

    assert [choice.content for choice in completion.choices] == ["a", "b"]


def test_a_stream_with_one_choice_unfinished_is_not_whole() -> None:
    assert not joined(stream(piece({"content": "a"}, "stop"), piece({"content": "b"}, index=1))).is_whole


def test_content_in_parts_is_text_and_what_is_besides() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://cdn.example.net/a.png"}}
    parts = [{"type": "text", "text": "one "}, picture, {"type": "output_text", "text": "two "}, "three"]

    message = {"content": [*parts, {"type": "thinking", "thinking": "hm"}, {"type": "refusal", "refusal": "no"}]}

    for body in (whole(message), stream(piece(message, "stop"))):
        first = joined(body).first
        assert (first.content, first.parts) == ("one two three", (picture,))
        assert (first.reasoning, first.refusal) == ("hm", "no")


def test_content_that_is_one_part_is_taken_for_a_list_of_it() -> None:
    assert joined(whole({"content": {"type": "text", "text": "one"}})).first.content == "one"


def test_images_and_annotations_are_gathered() -> None:
    one, two, cited = {"image_url": {"url": "https://a"}}, {"image_url": {"url": "https://b"}}, {"url": "https://c"}

    streamed = joined(stream(piece({"images": [one]}), piece({"images": [two], "annotations": [cited]}, "stop"))).first
    at_once = joined(whole({"content": None, "images": [one, two], "annotations": [cited]})).first

    assert streamed == at_once == completions.Choice(images=(one, two), annotations=(cited,), finish_reason="stop")


@pytest.mark.parametrize(
    "message",
    [
        {"content": "yes", "reasoning_content": "so\nso"},
        {"content": "yes", "reasoning": "so\nso"},
        {"content": "yes", "reasoning": {"text": "so\nso"}},
        {"content": "yes", "reasoning": "so\nso", "reasoning_content": "so\nso"},
        {"content": "<think>\nso\nso\n</think>\n\nyes"},
        {
            "content": [
                {"type": "thinking", "thinking": [{"text": "so\n"}, {"text": "so"}]},
                {"type": "text", "text": "yes"},
            ]
        },
    ],
)
def test_thoughts_stand_apart_wherever_they_were(message: Any) -> None:
    for body in (whole(message), stream(piece(message, "stop"))):
        assert (joined(body).first.content, joined(body).first.reasoning) == ("yes", "so\nso")


def test_a_tag_of_thoughts_is_found_in_pieces() -> None:
    texts = ["<th", "ink>", "so", "</thi", "nk>yes, <think> is a tag"]

    first = joined(stream(*(piece({"content": text}) for text in texts), piece({}, "stop"))).first

    assert (first.reasoning, first.content) == ("so", "yes, <think> is a tag")


def test_thoughts_without_an_end_are_no_content() -> None:
    first = joined(whole({"content": "<think>so, I would"}, "length")).first

    assert (first.content, first.reasoning) == ("", "so, I would")


def test_a_refusal_is_joined() -> None:
    first = joined(stream(piece({"refusal": "I can't "}), piece({"refusal": "help."}), piece({}, "stop"))).first

    assert (first.refusal, first.content) == ("I can't help.", "")


TIDE = {"id": "call_7Yk", "type": "function", "function": {"name": "get_tide", "arguments": '{"port":"Brest"}'}}
WIND = {"id": "call_8Zl", "type": "function", "function": {"name": "get_wind", "arguments": "{}"}}


@pytest.mark.parametrize(
    "pieces",
    [
        [
            [{"index": 0, "id": "call_7Yk", "type": "function", "function": {"name": "get_tide", "arguments": ""}}],
            [{"index": 1, **WIND}],
            [{"index": 0, "function": {"arguments": '{"port":'}}],
            [{"index": 0, "function": {"arguments": '"Brest"}'}}],
        ],
        [[{"index": 0, **TIDE}, {"index": 1, **WIND}]],
        [[{"index": 0, **TIDE}], [{"index": 0, **WIND}]],
        [[TIDE, WIND]],
        [
            [{"id": "call_7Yk", "function": {"name": "get_tide", "arguments": '{"port":'}}],
            [{"function": {"arguments": '"Brest"}'}}],
            [WIND],
        ],
        [
            [{"id": "call_7Yk", "function": {"name": "get_tide", "arguments": '{"port":'}}],
            [{"id": "call_7Yk", "function": {"name": "get_tide", "arguments": '"Brest"}'}}],
            [WIND],
        ],
        [
            [{"index": 0, "id": "call_7Yk", "function": {"name": "get_tide", "arguments": '{"port":"Brest"}'}}],
            [{"index": 1, "id": "call_8Zl", "function": {"name": "get_wind", "arguments": {}}}],
        ],
    ],
    ids=["pieces", "whole", "all numbered 0", "no index", "no index in pieces", "id in each", "arguments an object"],
)
def test_pieces_of_tool_calls_find_together(pieces: list[Any]) -> None:
    first = joined(stream(*(piece({"tool_calls": calls}) for calls in pieces), piece({}, "tool_calls"))).first

    assert [dict(call) for call in first.tool_calls] == [TIDE, WIND]


def test_whole_tool_calls_stay_apart_when_their_ids_are_missing_or_the_same() -> None:
    calls = [{**TIDE, "id": "call_1"}, {**WIND, "id": "call_1"}, {"function": {"name": "get_moon"}}]

    found = joined(whole({"content": None, "tool_calls": calls}, "stop")).first.tool_calls

    assert [call["function"]["name"] for call in found] == ["get_tide", "get_wind", "get_moon"]
    assert found[2] == {"id": "", "type": "function", "function": {"name": "get_moon", "arguments": ""}}


def test_a_call_of_a_custom_tool_is_kept() -> None:
    call = {"id": "call_1", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}

    assert joined(whole({"tool_calls": [call]})).first.tool_calls == (call,)


def test_the_old_call_of_a_function_is_a_tool_call() -> None:
    old = joined(whole({"function_call": {"name": "get_tide", "arguments": "{}"}}, "function_call")).first

    assert old.tool_calls == ({"id": "", "type": "function", "function": {"name": "get_tide", "arguments": "{}"}},)


def test_a_whole_message_in_a_stream_is_taken_once() -> None:
    deltas = [piece({"content": "One "}), piece({"content": "two"})]
    last = whole({"content": "One two three"})

    assert joined(stream(last)).first.content == "One two three"
    assert joined(stream(*deltas, last)).first.content == "One two three"
    assert joined(stream(whole({"content": "One "}, None), whole({"content": "two"}))).first.content == "One two"


def test_one_chunk_may_hold_all_there_is() -> None:
    picture = {"type": "image", "url": "https://cdn.example.net/a.png"}
    event = piece(
        {"content": "https://cdn.example.net/a.png"}, "stop", usage={"total_tokens": 1}, media={"outputs": [picture]}
    )

    completion = joined(stream(event))

    assert completion.is_whole
    assert completion.usage == {"total_tokens": 1}
    assert completion.more == {"media": {"outputs": [picture]}}


def test_lists_beside_the_choices_are_joined_over_events() -> None:
    completion = joined(stream({"created": 1, "data": [{"url": "https://a"}]}, {"data": [{"url": "https://b"}]}))

    assert completion.more["data"] == [{"url": "https://a"}, {"url": "https://b"}]


@pytest.mark.parametrize(
    "told",
    [
        'data: {"error":{"message":"no","code":"moderation_blocked"}}\n\n',
        'event: error\ndata: {"type":"error","error":{"message":"no","code":"moderation_blocked"}}\n\n',
        ': PING\n\n{"error":{"message":"no","code":"moderation_blocked"}}\n',
        'data: {"choices":[{"index":0,"delta":{},"error":{"message":"no","code":"moderation_blocked"}}]}\n\n',
    ],
)
def test_an_error_in_a_stream_is_kept_for_who_reads_it(told: str) -> None:
    completion = joined(stream(piece({"role": "assistant", "content": ""}), end=told))

    assert [error["error"]["code"] for error in completion.errors] == ["moderation_blocked"]
    assert not completion.is_whole


def test_null_where_an_error_could_stand_is_none() -> None:
    assert joined({**whole({"content": "yes"}), "error": None}).errors == ()
