"""Every way in which a film comes back in a conversation, streamed or not, or does not.  Pure.

Contract: gateway/midjourney-and-video.md 9.2 to 9.4.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from deploy.sandbox.replies import Reply, openai_error
from deploy.sandbox.routes.image_view import PAGE_200

USAGE: Final = {"prompt_tokens": 13, "completion_tokens": 148, "total_tokens": 161}
PIECE: Final = 3
"""Letters in one delta of a stream, so that numbers, links and even words come in pieces."""
PING_EVERY: Final = 40
"""So many events, and then a comment that keeps the connection awake."""
UPSTREAM_GONE: Final = openai_error(500, "do_request_failed", "upstream error: do request failed").body["error"]

SORA_LOG: Final = """```json
{echo}
```
> ID: `task_{id}`
> [数据预览](https://asyncdata.example/web/task_{id}) | [原始数据](https://asyncdata.example/source/task_{id})
> 排队中....
> 生成中..
>🏃 进度 12..31..58..76..
"""
VEO_LOG: Final = """> 🎬 任务ID: `{model}:{id}`
> 模式: {mode}
> 排队中.
> 视频生成中 36%..72%..
"""
ENGLISH_LOG: Final = "Queuing...\nTask ID: vid_{id}\nProgress 8%\nProgress 36%\nProgress 72%\n"


@dataclass(frozen=True)
class Answer:
    """Films that were paid for, before they are told of."""

    id: str
    created: int
    model: str
    words: str
    """What was asked for."""
    has_picture: bool
    urls: tuple[str, ...]
    """Where the films are hosted."""
    watch_urls: tuple[str, ...]
    """The same, to be watched."""
    bare_urls: tuple[str, ...] = ()
    """The same by names that do not end like a film's."""
    data_urls: tuple[str, ...] = ()
    """The films themselves, for the variant that wants them."""


@dataclass(frozen=True)
class Said:
    """What the model says."""

    content: str | None
    reason: str | None = "stop"
    is_done: bool = True
    """The stream ends with `[DONE]`."""
    events: tuple[Mapping[str, Any], ...] = field(default=())
    """What a stream has besides, after what was said."""


def _log(answer: Answer) -> str:
    """What is told while a film is made: of Sora or of Veo."""
    log = VEO_LOG if answer.model.startswith("veo") else SORA_LOG
    return _filled(log, answer)


def _filled(log: str, answer: Answer) -> str:
    echo = _json({"prompt": answer.words, "orientation": "landscape"})
    mode = "图生视频" if answer.has_picture else "文生视频"
    facts = {"{echo}": echo, "{id}": answer.id, "{model}": answer.model, "{mode}": mode}
    for place, value in facts.items():
        log = log.replace(place, value)
    return log


def _links(answer: Answer) -> str:
    """Two addresses for each film: to watch, and to download."""
    pairs = zip(answer.watch_urls, answer.urls, strict=True)
    return "\n".join(f"[▶️ 在线观看]({watch}) | [⏬ 下载视频]({url})" for watch, url in pairs)


def _done(answer: Answer) -> str:
    return f"{_log(answer)}> 生成完成 ✅\n> sid: s_{answer.id}\n\n{_links(answer)}\n"


def _english(answer: Answer) -> Said:
    links = "\n".join(f"[Download]({url})" for url in answer.urls)
    return Said(f"{_filled(ENGLISH_LOG, answer)}Progress 100%\n\n{links}")


def _video_tag(answer: Answer) -> Said:
    tags = (f"<video controls src='{url.replace('&', '&amp;')}'></video>" for url in answer.urls)
    return Said(_log(answer) + "\n" + "\n".join(tags))


def _html_link(answer: Answer) -> Said:
    tags = (f'<a href="{url.replace("&", "&amp;")}">点击下载</a>' for url in answer.bare_urls)
    return Said("".join(tags))


def _failed(reason: str, answer: Answer) -> Said:
    return Said(f"{_log(answer)}> ❌ 生成失败\n> 原因: {reason}\n")


def _half(answer: Answer) -> str:
    """A log that breaks off in the midst of its first link."""
    whole = _done(answer)
    return whole[: whole.index("在线观看") + 12]


#: What is said, by shape.
SAID: Final[Mapping[str, Callable[[Answer], Said]]] = {
    "log": lambda answer: Said(_done(answer)),
    "english": _english,
    "link": lambda answer: Said("\n\n".join(f"[下载视频]({url})" for url in answer.urls) + "\n\n"),
    "bare_url": lambda answer: Said("\n".join(answer.urls)),
    "video_tag": _video_tag,
    "html_link": _html_link,
    "no_extension": lambda answer: Said(_log(answer) + "\n".join(f"[⏬ 下载视频]({url})" for url in answer.bare_urls)),
    "data_uri": lambda answer: Said("\n".join(f'<video src="{url}"></video>' for url in answer.data_urls)),
    "retried": lambda answer: Said(f"> ❌ 第一次失败，重试中\n{_done(answer)}"),
    "no_link": lambda answer: Said(_log(answer)),
    "failed": partial(_failed, "任务超时，额度已退回"),
    "failed_moderation": partial(_failed, "This content may violate our content policies."),
    "failed_load": partial(_failed, "We're under heavy load, please try again later."),
    "refusal": lambda answer: Said("Please describe the scene that I should film."),
    "content_filter": lambda answer: Said("", "content_filter"),
    "empty": lambda answer: Said(None),
    "no_done": lambda answer: Said(_done(answer), is_done=False),
    "unfinished": lambda answer: Said(_done(answer), None, is_done=False),
    "broken": lambda answer: Said(_half(answer), None, is_done=False),
    "broken_done": lambda answer: Said(_half(answer), None),
    "error_event": lambda answer: Said(_log(answer), None, events=({"error": UPSTREAM_GONE},)),
}

#: What is answered in place of a completion, by shape.
BODIES: Final[Mapping[str, Reply]] = {
    "error200": Reply(200, {"error": UPSTREAM_GONE}),
    "html200": Reply(200, PAGE_200, "text/html; charset=utf-8"),
}
VARIANTS: Final = frozenset({*SAID, *BODIES})
WITH_BYTES: Final = frozenset({"data_uri"})


def whole(variant: str, answer: Answer) -> Reply:
    """The answer in one piece, in this shape; an error in its midst is all of it."""
    if variant in BODIES:
        return BODIES[variant]
    said = SAID.get(variant, SAID["log"])(answer)
    if said.events:
        return Reply(200, said.events[0])
    unused: dict[str, Any] = {"refusal": None, "annotations": [], "audio": None}
    message = {"role": "assistant", "content": said.content, **unused}
    choice = {"index": 0, "message": message, "finish_reason": said.reason}
    return Reply(200, {**_head(answer, "chat.completion"), "choices": [choice], "usage": USAGE})


def streamed(variant: str, answer: Answer) -> Reply:
    """The answer as events, in this shape; each ends with an empty line."""
    if variant in BODIES:
        return BODIES[variant]
    return Reply(200, "".join(_events(SAID.get(variant, SAID["log"])(answer), answer)), "text/event-stream")


def _events(said: Said, answer: Answer) -> Iterator[str]:
    for number, chunk in enumerate(_chunks(said, answer)):
        if number % PING_EVERY == 0:
            yield ": PING\n\n"
        yield f"data: {_json(chunk)}\n\n"
    if said.is_done:
        yield "data: [DONE]\n\n"


def _chunks(said: Said, answer: Answer) -> Iterator[Mapping[str, Any]]:
    yield _chunk(answer, {"role": "assistant", "content": ""})
    content = said.content or ""
    piece = len(content) if "base64," in content else PIECE  # one that is megabytes
    for at in range(0, len(content), piece):
        yield _chunk(answer, {"content": content[at : at + piece]})
    yield from said.events
    if said.reason is not None:
        yield _chunk(answer, {}, said.reason)
        yield {**_head(answer, "chat.completion.chunk"), "choices": [], "usage": USAGE}


def _chunk(answer: Answer, delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {**_head(answer, "chat.completion.chunk"), "choices": [choice]}


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{answer.id}", "object": kind, "created": answer.created, "model": answer.model}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
