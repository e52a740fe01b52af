"""Rarer answers of a chat that draws.

Contract: gateway/images-text-audio-system.md 2.1, 2.4, 3.3 to 3.5, 4.1, 4.8, 4.12, 5.1, 5.2, 5.6.  Pure.
"""

from __future__ import annotations

from typing import Any, Final

from deploy.sandbox.sayings.completions import (
    NO_DONE,
    NO_FIRST,
    NO_USAGE,
    choice,
    chunk,
    chunks,
    content,
    data_url,
    has_words,
    message,
    said,
    url,
)
from deploy.sandbox.sayings.images import BLOCKED
from deploy.sandbox.sayings.saying import Sayings, Usual, body, instead, stream, then

DRAFT: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
BLOCKED_ONE: Final = {
    "message": "one picture was blocked",
    "type": "upstream_error",
    "code": "content_policy_violation",
}
NO_RESPONSE: Final = {
    "message": "empty response from Gemini API",
    "type": "empty_response",
    "code": "empty_response",
}
REJECTED: Final = {
    "message": "Your request was rejected by the safety system.",
    "type": "image_generation_user_error",
    "param": None,
    "code": "moderation_blocked",
}
GONE: Final = {"message": "upstream is gone", "type": "upstream_error", "code": "internal"}
SOURCE: Final = "[原始数据](https://async.example.net/source/task_01kb7q2m9x)"


def _log(usual: Usual) -> str:
    """What is told before the picture."""
    text = said(usual)
    return text[: text.index("> ✅")]


def _here(usual: Usual) -> str:
    """The address without the gateway's own."""
    return "/" + url(usual).split("/", 3)[3]


def _sources(usual: Usual) -> list[Any]:
    code = data_url(usual).partition(",")[2]
    inline = {"type": "base64", "media_type": "image/png", "data": code}
    return [
        {"type": "image", "source": inline},
        {"type": "image", "source": {"type": "url", "url": "https://cdn.example.net/i/8f2a.png"}},
    ]


def _images(usual: Usual) -> list[Any]:
    return [{"type": "image_url", "image_url": {"url": DRAFT}}]


def _indexed(usual: Usual) -> dict[str, Any]:
    picture = {"type": "image_url", "image_url": {"url": data_url(usual)}, "index": 0}
    return chunk(usual, {"content": "", "images": [picture]})


def _in_lines(usual: Usual) -> str:
    head, _, code = data_url(usual).partition(",")
    lines = "\n".join(code[at : at + 76] for at in range(0, len(code), 76))
    return f"First:\n![one]({head},{lines})\nSecond:\n![two]({DRAFT})\nBoth are yours."


def _seedream(usual: Usual) -> list[Any]:
    """One chunk with the picture, one that stops (4.12)."""
    words = {"role": "assistant", "content": f"\n\n![image]({url(usual)})\n\n"}
    return [chunk(usual, words), chunk(usual, {"content": ""}, "stop")]


def _in_pieces(usual: Usual) -> list[Any]:
    text, end = said(usual), usual.events[-2:]
    pieces = [text[at : at + 4096] for at in range(0, len(text), 4096)]
    return [*(chunk(usual, {"content": piece}) for piece in pieces), *end]


def _message_alone(usual: Usual) -> list[Any]:
    [whole] = usual.events
    return [{"id": whole["id"], "choices": whole["choices"]}]


SAYINGS: Final[Sayings] = {
    "no_usage": NO_USAGE,
    "no_first": NO_FIRST,
    "error_beside_picture": chunks(
        lambda usual: [chunk(usual, {"content": f"![image]({url(usual)})"}), {"error": BLOCKED_ONE}]
    ),
    "error_empty_response": chunks(lambda usual: [{"error": NO_RESPONSE}]),
    "error_policy": chunks(lambda usual: [{"error": REJECTED}]),
    "error": chunks(lambda usual: [{"error": GONE}]),
    "content_null": content(lambda usual: None),
    "nothing": stream(lambda usual: [event for event in usual.events if not has_words(event)]),
    "failed_in_english": content(lambda usual: "> Generation failed ❌"),
    "short_log": chunks(
        lambda usual: [
            chunk(usual, {"content": f"> 🏃 进度 14..37..\n\n{said(usual)[said(usual).index('> ❌') :]}"}),
            *usual.events[-2:],
        ]
    ),
    "link_and_address": content(lambda usual: f"{_log(usual)}> 生成完成 ✅\n\n[点击下载]({url(usual)}) {url(usual)}\n"),
    "in_a_sentence": content(lambda usual: f"图片：{url(usual)}，看看 https://docs.example.com/help"),
    "sources": content(_sources),
    "output_image": content(
        lambda usual: [
            {"type": "output_text", "text": "Here it is."},
            {"type": "output_image", "image_url": url(usual)},
        ]
    ),
    "images_too": message(lambda usual: {"images": _images(usual)}),
    "images_chunk": chunks(
        lambda usual: [chunk(usual, {"content": "Here it is."}), _indexed(usual), chunk(usual, {}, "stop")]
    ),
    "body_failed": instead({"data": [{"error": {**BLOCKED, "message": "sensitive"}}]}),
    "body_mixed": body(lambda usual: {**usual.body, "data": [*usual.body["data"], {"error": BLOCKED}]}),
    "body_with_usage": body(
        lambda usual: {
            **usual.body,
            "data": [{**one, "revised_prompt": "a tin robot"} for one in usual.body["data"]],
            "usage": {"total_tokens": 9},
        }
    ),
    "media_strings": then(
        body(
            lambda usual: {**usual.body, "media": {"outputs": [one["url"] for one in usual.body["media"]["outputs"]]}}
        ),
        content(lambda usual: ""),
    ),
    "in_pieces": chunks(_in_pieces),
    "in_lines_twice": content(_in_lines),
    "parentheses": content(lambda usual: f"![kite]({url(usual)}&n=(1\\)) ![kite]({url(usual)}&n=(2))"),
    "titled": content(lambda usual: f'Done: ![a [red] kite](<{url(usual)}> "a kite (red)") and more'),
    "bare_data": content(lambda usual: f"The picture follows. {data_url(usual)} That was it."),
    "html": content(lambda usual: f'<p align="center"><img alt="kite" src="{url(usual).replace("&", "&amp;")}"></p>'),
    "twice": content(lambda usual: f"![a]({url(usual)}) and again ![b]({url(usual)}&again=1)"),
    "at_the_gateway": content(lambda usual: f"![image]({_here(usual)}) ![image]({url(usual).partition(':')[2]})"),
    "length": choice(finish_reason="length"),
    "seedream_stream": stream(_seedream),
    "unreasoned": choice(finish_reason=None),
    "only_log": content(_log),
    "no_choices": instead({"id": "c", "object": "chat.completion", "choices": [], "usage": {"total_tokens": 1}}),
    "another_kind": instead({"object": "list", "page": 1}),
    "broken_before": chunks(lambda usual: [chunk(usual, {"content": f"> 🏃 进度 14..37.. {SOURCE}"})]),
    "broken_in_url": then(
        chunks(lambda usual: [chunk(usual, {"content": f"![image]({url(usual)[:30]}"})]),
        NO_DONE,
    ),
    "message_alone": stream(_message_alone),
    "draft_in_thoughts": message(lambda usual: {"reasoning_content": f"A draft: ![image]({DRAFT})"}),
}
