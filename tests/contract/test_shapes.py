"""What the comparison of literal replies sees, and what it overlooks on purpose."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.shapes import Loose, lines_of, pattern_of, shape_of


def shown(value: Any, *loose: Loose) -> list[str]:
    return shape_of(json.dumps(value).encode(), loose).shown()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": 1}, {"a": "1"}),
        ({"a": None}, {"a": ""}),
        ({"a": []}, {"a": [1]}),
        ({"a": {}}, {"a": None}),
        ({"url": ""}, {"url": "https://cdn.example/1.png"}),
        ({"url": "https://cdn.example/1.png"}, {"url": "data:image/png;base64,AAAA"}),
        ({"progress": 37}, {"progress": "37%"}),
        ({"status": "failed"}, {"status": "completed"}),
        ({"code": 429}, {"code": "429"}),
        ([{"a": 1}, {"b": 1}], [{"b": 1}, {"a": 1}]),
        ([{"a": 1}, {"b": 1}], [{"a": 1, "b": 1}]),
        ({"message": '{"error": 1}'}, {"message": '{"fault": 1}'}),
        ({"content": "![a](https://x.example/1)"}, {"content": "[a](https://x.example/1)"}),
    ],
)
def test_what_a_client_would_stumble_over_is_seen(one: Any, other: Any) -> None:
    assert shown(one) != shown(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 7, "a": 0.5}),
        ({"message": "size is wrong"}, {"message": "no such size"}),
        ({"data": [{"url": "https://a.example/1"}]}, {"data": [{"url": "https://b.example/1"}] * 3}),
        ({"buttons": [{"label": "U1"}, {"label": ""}]}, {"buttons": [{"label": None}]}),
    ],
)
def test_words_numbers_and_repeats_are_overlooked(one: Any, other: Any) -> None:
    assert shown(one) == shown(other)


def test_events_are_compared_in_their_order_and_repeats_once() -> None:
    begun, piece, end = '{"type":"begun"}', '{"delta":"a"}', '{"type":"done"}'

    once = shape_of(f"data: {begun}\n\ndata: {piece}\n\ndata: {end}\n\n".encode())
    twice = shape_of(f"data: {begun}\n\ndata: {piece}\n\ndata: {piece}\n\ndata: {end}\n\n".encode())
    turned = shape_of(f"data: {piece}\n\ndata: {begun}\n\ndata: {end}\n\n".encode())

    assert once == twice
    assert once != turned


@pytest.mark.parametrize(
    "stream",
    [
        'event: x\ndata: {"content":"a"}\n\ndata: [DONE]\n\n',
        'data: {"content":"a"}\n\n',
        'data: {"content":"a"}\n\ndata: {"cont',
        ': PING\n\ndata: {"content":"a"}\n\ndata: [DONE]\n\n',
        ': PING\n\n{"content":"a"}\n',
    ],
)
def test_the_framing_of_a_stream_is_seen(stream: str) -> None:
    usual = shape_of(b'data: {"content":"a"}\n\ndata: [DONE]\n\n')

    assert shape_of(stream.encode()) != usual


def test_pieces_are_compared_by_what_they_say_together() -> None:
    def told(*pieces: str) -> Any:
        return shape_of("".join(f"data: {json.dumps({'content': piece})}\n\n" for piece in pieces).encode())

    assert told("![a](https", "://x.example/1)") == told("![a](", "https://y.exam", "ple/2)")
    assert told("![a](https", "://x.example/1)") != told("[a](https", "://x.example/1)")


def test_half_of_a_document_is_no_document() -> None:
    assert shape_of(b'{"id":"task_1","obj').shown() == ["JSON that breaks off"]
    assert shape_of(b"").shown() == [": blank"]
    assert shape_of(b"<!DOCTYPE html><html></html>").shown() == [": page"]


def test_an_exception_leaves_out_its_lines_alone() -> None:
    usage = Loose("usage", "counted differently everywhere, for nobody", is_shallow=True)

    assert shown({"usage": {"a": 1}, "b": 1}, usage) == ["b: number", "usage: anything"]
    assert shown({"b": 1}, usage) == ["b: number"]


def test_different_elements_of_a_list_are_numbered() -> None:
    assert set(lines_of({"data": [{"url": ""}, {"error": {"code": "x"}}, {"url": ""}]})) == {
        "data[1].url: blank",
        "data[2].error.code = 'x'",
    }


def test_the_pattern_of_a_log() -> None:
    log = (
        "```json\n{}\n```\n> ID: `1`\n> 进度 14..\n\n![gen](https://x.example/1.png)\n[下载](https://x.example/1.png)\n"
    )

    assert pattern_of(log) == "code quote ![](address) [](address)"
