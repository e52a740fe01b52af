"""What a stream says besides its text is put together and kept, as a whole answer would have it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from shared.gateway import sounds
from tests.unit.gateway.test_completions import joined, piece, stream, whole

TOKENS: list[dict[str, Any]] = [{"token": "Three", "logprob": -0.25}, {"token": ".", "logprob": -0.5}]


def code(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_likelihoods_stand_in_the_order_of_their_tokens() -> None:
    events = [
        {"choices": [{"index": 0, "delta": {"content": one["token"]}, "logprobs": {"content": [one], "refusal": None}}]}
        for one in TOKENS
    ]

    streamed = joined(stream(*events, piece({}, "stop"))).first
    at_once = joined({"choices": [{"message": {"content": "Three."}, "logprobs": {"content": TOKENS}}]}).first

    assert streamed.logprobs == at_once.logprobs == {"content": TOKENS}


def test_texts_of_a_vendor_grow_and_names_do_not() -> None:
    pieces = [{"vendor": {"id": "v1", "note": "Three "}}, {"vendor": {"id": "v1", "note": "colours."}}]

    first = joined(stream(*map(piece, pieces), piece({}, "stop"))).first

    assert first.in_message == {"vendor": {"id": "v1", "note": "Three colours."}}


def test_items_with_a_number_are_pieces_of_one_and_others_stand_for_themselves() -> None:
    told = [
        {"type": "text", "index": 0, "text": "Three "},
        {"type": "text", "index": 0, "text": "colours."},
        {"type": "data", "index": 0, "data": "x"},
        {"type": "text", "text": "one"},
        {"type": "text", "text": "two"},
    ]

    first = joined(stream(*(piece({"steps": [one]}) for one in told), piece({}, "stop"))).first

    assert first.in_message["steps"] == [{**told[0], "text": "Three colours."}, *told[2:]]


def test_what_stands_beside_the_message_is_the_last_that_was_said_of_it() -> None:
    events = [
        {"choices": [{"index": 0, "delta": {"content": "a"}, "rating": "unsure"}]},
        {"choices": [{"index": 0, "delta": {}, "rating": "safe", "finish_reason": "stop"}]},
    ]

    assert joined(stream(*events)).first.more == {"rating": "safe"}


def test_a_whole_message_at_the_end_counts_and_not_what_came_before_it() -> None:
    last = whole({"content": "One", "steps": ["a", "b"], "audio": {"id": "x", "data": code(b"ID3-whole")}})

    first = joined(stream(piece({"content": "One", "steps": ["a"], "audio": {"data": code(b"ID3-")}}), last)).first

    assert first.in_message == {"steps": ["a", "b"]}
    assert first.audio == {"id": "x", "data": code(b"ID3-whole")}


def test_the_pieces_of_a_sound_are_joined_as_bytes_since_each_is_padded_for_itself() -> None:
    samples = bytes(range(200)) * 2

    (made,) = {sounds.joined([code(samples[:at]), code(samples[at:])]) for at in (1, 100, 399)}

    content = base64.b64decode(made)
    assert content.startswith(b"RIFF")
    assert content.endswith(samples)


def test_a_file_that_came_in_pieces_is_that_file() -> None:
    assert sounds.joined([code(b"ID3-on"), code(b"e-song")]) == code(b"ID3-one-song")


@pytest.mark.parametrize("pieces", [["ID3!"], ["UklG", "no base64!"]])
def test_what_is_no_sound_is_left_as_it_came(pieces: list[str]) -> None:
    assert sounds.joined(pieces) == "".join(pieces)


def test_a_call_of_a_tool_keeps_what_its_vendor_needs_in_the_next_turn() -> None:
    signed = {"google": {"thought_signature": "CsoB"}}
    pieces = [
        {"index": 0, "id": "call_1", "function": {"name": "get_tide", "arguments": ""}, "extra_content": signed},
        {"index": 0, "function": {"arguments": "{}"}, "extra_content": signed},
    ]

    (call,) = joined(
        stream(*(piece({"tool_calls": [one]}) for one in pieces), piece({}, "tool_calls"))
    ).first.tool_calls

    assert call["extra_content"] == signed
    assert call["function"] == {"name": "get_tide", "arguments": "{}"}
