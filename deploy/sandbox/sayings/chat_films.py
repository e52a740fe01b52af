"""Rarer answers of a chat that films.  Contract: gateway/midjourney-and-video.md 9.2 to 9.4.  Pure."""

from __future__ import annotations

from typing import Any, Final

from deploy.sandbox.replies import Reply
from deploy.sandbox.sayings.completions import (
    NO_DONE,
    NO_USAGE,
    chunks,
    content,
    first,
    message,
    no_pings,
    pieces,
    said,
    tells,
    url,
    words_only,
)
from deploy.sandbox.sayings.images import RECEIPT
from deploy.sandbox.sayings.saying import Sayings, Usual, body, instead, stream

PREVIEW: Final = "[数据预览](https://asyncdata.example/web/task_1)"
VIOLATES: Final = "This content may violate our guardrails concerning similarity to third-party content."
SIZE: Final = "Inpaint image must match the requested width and height"
ENGLISH_POLICY: Final = "Generation failed: this content may violate our policies, see https://help.example/policies"
LOADED: Final = "We're under heavy load, please try again later. Credits have been refunded."
NOT_COUNTED: Final = {"message": "usage could not be counted", "type": "upstream_error"}
BLOCKED: Final = {
    "message": "The request was blocked by the moderation system.",
    "type": "invalid_request_error",
    "code": "moderation_blocked",
}
GONE: Final = {
    "message": "upstream error: do request failed",
    "type": "upstream_error",
    "code": "do_request_failed",
}


def _link(usual: Usual, words: str = "下载", more: str = "") -> str:
    return f"[{words}]({url(usual)}{more})"


def _log(usual: Usual) -> str:
    """What is told before the links."""
    text = said(usual)
    return text[: text.index("[▶️")]


def _two_choices(usual: Usual) -> Any:
    first = usual.body["choices"][0]
    return {**usual.body, "choices": [{**first, "index": 0}, {**first, "index": 1}]}


def _parts(usual: Usual) -> list[Any]:
    return [{"type": "text", "text": "Here it is."}, {"type": "video_url", "video_url": {"url": url(usual)}}]


def _cut_in_first(usual: Usual) -> Reply:
    return Reply(200, str(no_pings(usual).body)[:57], usual.reply.media_type)


def _cut_in_last(usual: Usual) -> Reply:
    """The last words of a log are half an event."""
    return Reply(200, str(NO_DONE(usual).body).rstrip()[:-80], usual.reply.media_type)


def _two_in_one(usual: Usual) -> str:
    links = f"{_link(usual, '在线观看')} | {_link(usual)}"
    return f"1. {links}\n2. {links}\n"


SAYINGS: Final[Sayings] = {
    "no_pings": no_pings,
    "no_usage": NO_USAGE,
    "no_done": NO_DONE,
    "cut_in_first": _cut_in_first,
    "cut_in_last": _cut_in_last,
    "broken_off": stream(words_only),
    "broken_in_link": stream(
        lambda usual: [first(usual), *pieces(usual, f"{_log(usual)}{url(usual)[:-8]}")], is_done=False
    ),
    "address_in_words": tells(lambda usual: f"生成完成：{url(usual)}\n"),
    "tag_alone": tells(
        lambda usual: f"> 进度 50..100\n\n<video controls src='{url(usual).replace('&', '&amp;')}'></video>\n"
    ),
    "receipt": instead(RECEIPT),
    "refusal_field": message(lambda usual: {"content": None, "refusal": "I cannot make films of real people."}),
    "echo": content(lambda usual: '```json\n{"character_url":"https://mine.example/me.mp4"}\n```\n进度 40..\n'),
    "error_beside_film": chunks(lambda usual: [*pieces(usual, _link(usual)), {"error": NOT_COUNTED}]),
    "error_policy": chunks(lambda usual: [{"error": BLOCKED}]),
    "error": stream(lambda usual: [*usual.events[:-1], {"error": GONE}]),
    "busy": content(lambda usual: "❌ 当前服务繁忙，请稍后再试"),
    "failed_load": tells(lambda usual: f"> ID: `task_1`\n> ❌ 生成失败 {LOADED}\n"),
    "failed_once": content(lambda usual: f"> 进度 12..\n> ❌ 第一次失败，重试中\n> 进度 40..100\n{_link(usual)}"),
    "failed_policy": content(lambda usual: f"> ID: `task_1`\n> Progress 20%\n❌ {ENGLISH_POLICY}"),
    "failed_size": content(lambda usual: f"Generation failed: {SIZE}"),
    "failed_third_party": content(lambda usual: f"生成失败：\n> {VIOLATES}"),
    "failed_timeout": content(lambda usual: "> 进度 12..58\n> 任务超时，额度已退回"),
    "host_of_the_preview": content(lambda usual: f"> ID: `task_1`\n> {PREVIEW}\n\n{_link(usual)}"),
    "link_in_thoughts": message(
        lambda usual: {"content": "Try again later, please.", "reasoning_content": f"maybe {url(usual)}"}
    ),
    "html_link": content(lambda usual: f'<p><a href="{url(usual).replace("&", "&amp;")}">点击下载视频</a></p>'),
    "cover_too": content(lambda usual: f"完成 [图](https://files.example/cover.png) {_link(usual, '▶️ 在线观看')}"),
    "parentheses": content(lambda usual: _link(usual, more='&n=(1).mp4 "boat"')),
    "parts": content(_parts),
    "path_in_query": content(lambda usual: _link(usual, "Download", "&u=https%3A%2F%2Ffiles.example%2Fx.mp4")),
    "preview_alone": content(lambda usual: f"> ID: `task_1`\n> {PREVIEW} | {PREVIEW}\n> 进度 99..100"),
    "several_links": content(lambda usual: f"{_link(usual, '在线观看')}\n{_link(usual, '备用', '&again=1')}\n"),
    "two_choices": body(_two_choices),
    "two_in_one": content(_two_in_one),
    "two_to_watch": content(lambda usual: f"{said(usual)}\n{said(usual)}&again=1\n"),
}
