"""Every way in which a picture comes back in a conversation, streamed or not, or does not.

Contract: gateway/images-text-audio-system.md 2.1, 2.2, 2.4, 2.5, 3.3 (V8 to V15), 4.1, 4.8, 4.12, 5.1, 5.2.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from deploy.sandbox import models
from deploy.sandbox.replies import Reply, openai_error
from deploy.sandbox.routes.image_view import ERROR_200, OUTPUT_BLOCKED, PAGE_200, Answer, View

USAGE: Final = {"prompt_tokens": 12, "completion_tokens": 1297, "total_tokens": 1309}
CANNOT: Final = "I can't create that image."
DRAFT: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
"""A picture of one pixel."""
PIECE: Final = 7
"""Letters in one delta of a stream, so that numbers and addresses come in two."""

PROGRESS: Final = """```json
{echo}
```

> ID: `task_{id}`
>[数据预览](https://async.example.net/web/task_{id}) | [原始数据](https://async.example.net/source/task_{id})

>🕐 排队中.

>⚡ 生成中.....

>🏃 进度 14..37..[100](https://videos.example.com/raw/x.png)

"""


@dataclass(frozen=True)
class Said:
    """What the model says."""

    content: Any = ""
    reason: str | None = "stop"
    message: Mapping[str, Any] = field(default_factory=dict)
    """What its message has besides."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """What stands beside `choices`."""


def _urls(answer: Answer) -> Said:
    """V9."""
    return Said("\n\n".join(f"![image]({url})" for url in answer.urls))


def _data(answer: Answer) -> Said:
    """V8: words, and the picture as a data URL behind them."""
    return Said("Here it is.\n" + "\n".join(f"![image]({uri})" for uri in _uris(answer)))


def _progress(answer: Answer) -> Said:
    """V10."""
    pictures = "\n".join(f"![gen_{_id(answer)}]({url})\n\n[点击下载]({url})" for url in answer.urls)
    return Said(f"{_log(answer)}> ✅ 生成完成\n\n\n{pictures}\n")


def _parts(answer: Answer) -> Said:
    """V12."""
    images = [{"type": "image_url", "image_url": {"url": uri}} for uri in _uris(answer)]
    return Said([{"type": "text", "text": "Here it is."}, *images])


def _parts_source(answer: Answer) -> Said:
    """V12, in Anthropic's words."""
    sources = [{"type": "base64", "media_type": answer.media_type, "data": code} for code in answer.base64s]
    return Said([{"type": "image", "source": source} for source in sources])


def _message_images(answer: Answer) -> Said:
    """V13."""
    images = [
        {"type": "image_url", "image_url": {"url": uri}, "index": index} for index, uri in enumerate(_uris(answer))
    ]
    return Said(None, message={"images": images})


def _media(answer: Answer) -> Said:
    """V14: one chunk with an address that also stands beside it."""
    return Said(answer.urls[0], body={"media": {"outputs": [{"type": "image", "url": url} for url in answer.urls]}})


def _thoughts(answer: Answer) -> Said:
    """V15: a thought in the same chunk takes the picture along."""
    return Said(message={"reasoning_content": "\n".join(f"![image]({uri})" for uri in _uris(answer))})


def _drafts(answer: Answer) -> Said:
    """A draft, and then what was asked for (3.4)."""
    return Said(f"A first try:\n![image](data:image/png;base64,{DRAFT})\nBetter:\n![image]({_uris(answer)[-1]})")


def _failed(reason: str, answer: Answer) -> Said:
    return Said(f"{_log(answer)}> ❌ 生成失败\n\n> 失败原因：{reason}\n")


#: What is said, by shape.
SAID: Final[Mapping[str, Callable[[Answer], Said]]] = {
    "url": _urls,
    "data_uri": _data,
    "progress": _progress,
    "bare_url": lambda answer: Said("\n".join(answer.urls)),
    "link": lambda answer: Said(f"[the picture]({answer.urls[0]})"),
    "img_tag": lambda answer: Said("".join(f'<img src="{url.replace("&", "&amp;")}">' for url in answer.urls)),
    "parts": _parts,
    "parts_source": _parts_source,
    "message_images": _message_images,
    "media": _media,
    "thoughts": _thoughts,
    "drafts": _drafts,
    "whole_message": _urls,
    "no_media": lambda answer: Said(CANNOT),
    "refusal": lambda answer: Said(None, message={"refusal": CANNOT}),
    "content_filter": lambda answer: Said("", "content_filter"),
    "failed": partial(_failed, "超时"),
    "failed_moderation": partial(_failed, "`input_moderation`"),
    "empty": lambda answer: Said(),
    "unfinished": lambda answer: Said(_urls(answer).content, None),
}

#: What is answered in place of a completion, by shape.
BODIES: Final[Mapping[str, Callable[[Answer], Reply]]] = {
    "images_body": lambda answer: Reply(
        200, {"created": answer.created, "data": [{"url": url} for url in answer.urls]}
    ),
    "raw": lambda answer: Reply(200, base64.b64decode(answer.base64s[0]), answer.media_type),
    "receipt": lambda answer: Reply(200, {"id": "task_8f2a", "object": "generation.task", "status": "queued"}),
    "error200": lambda answer: Reply(200, {"error": ERROR_200}),
    "html200": lambda answer: Reply(200, PAGE_200, "text/html; charset=utf-8"),
    "prompt_blocked": lambda answer: openai_error(
        400, "prompt_blocked", "request blocked by Gemini API: PROHIBITED_CONTENT", type_="prompt_blocked"
    ),
    "empty_response": lambda answer: openai_error(
        500, "empty_response", "empty response from Gemini API", type_="empty_response"
    ),
}

#: What is sent in place of a stream of chunks, by shape.
STREAMS: Final[Mapping[str, Callable[[Answer], str]]] = {
    "images_body": lambda answer: _events([BODIES["images_body"](answer).body]),
    "empty": lambda answer: _events([_first(answer)]),
    "whole_message": lambda answer: _events([_whole(answer, _urls(answer))]),
    "media": lambda answer: _events([_media_chunk(answer)]),
    "error_event": lambda answer: _events([_first(answer), {"error": OUTPUT_BLOCKED}]),
    "error_ping": lambda answer: f": PING\n\n: PING\n\n{_json({'error': OUTPUT_BLOCKED})}\n",
}

WITH_BYTES: Final = frozenset({"data_uri", "parts", "parts_source", "message_images", "thoughts", "drafts", "raw"})
VARIANTS: Final = frozenset({*SAID, *BODIES, *STREAMS})


def _completion(variant: str, answer: Answer) -> Reply:
    """An answer that is no stream; what only streams do is an error with status 200 here."""
    if variant in BODIES:
        return BODIES[variant](answer)
    if variant not in SAID and variant in STREAMS:
        return Reply(200, {"error": OUTPUT_BLOCKED})
    return Reply(200, _whole(answer, SAID.get(variant, _urls)(answer)))


def _stream(variant: str, answer: Answer) -> Reply:
    if variant in STREAMS:
        return Reply(200, STREAMS[variant](answer), "text/event-stream")
    if variant in BODIES:
        return BODIES[variant](answer)
    text = _events(_chunks(answer, SAID.get(variant, _urls)(answer)))
    return Reply(200, f": PING\n\n{text}" if variant == "progress" else text, "text/event-stream")


WHOLE: Final = View(_completion, WITH_BYTES)
STREAMED: Final = View(_stream, WITH_BYTES)


def _whole(answer: Answer, said: Said) -> dict[str, Any]:
    message = {"role": "assistant", "content": said.content, **said.message}
    return {
        "id": f"chatcmpl-{_id(answer)}",
        "object": "chat.completion",
        "created": answer.created,
        "model": _model(answer),
        "choices": [{"index": 0, "message": message, "finish_reason": said.reason}],
        "usage": USAGE,
        **said.body,
    }


def _chunks(answer: Answer, said: Said) -> Iterator[dict[str, Any]]:
    yield _first(answer)
    for delta in _deltas(said):
        yield _chunk(answer, delta)
    if said.reason is not None:
        yield _chunk(answer, {}, said.reason)
        yield {**_chunk(answer, {}), "choices": [], "usage": USAGE}


def _deltas(said: Said) -> Iterator[dict[str, Any]]:
    if said.message:
        yield dict(said.message)
    if isinstance(said.content, list):
        yield from ({"content": [part]} for part in said.content)
    elif said.content and "base64," in said.content:
        yield {"content": said.content}  # one that is megabytes
    elif said.content:
        yield from ({"content": said.content[at : at + PIECE]} for at in range(0, len(said.content), PIECE))


def _first(answer: Answer) -> dict[str, Any]:
    return _chunk(answer, {"role": "assistant", "content": ""})


def _media_chunk(answer: Answer) -> dict[str, Any]:
    said = _media(answer)
    return {**_chunk(answer, {"role": "assistant", "content": said.content}, "stop"), **said.body}


def _chunk(answer: Answer, delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{_id(answer)}",
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": _model(answer),
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }


def _events(chunks: Any) -> str:
    return "".join(f"data: {_json(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _uris(answer: Answer) -> list[str]:
    return [f"data:{answer.media_type};base64,{code}" for code in answer.base64s]


def _log(answer: Answer) -> str:
    echo = _json({"prompt": "…", "ratio": "3:2", "n": answer.order.n})
    return PROGRESS.replace("{echo}", echo).replace("{id}", _id(answer))


def _id(answer: Answer) -> str:
    return f"{answer.created:x}"


def _model(answer: Answer) -> str:
    return "" if answer.order.family is models.SEEDREAM else answer.order.model  # an oddity of its channels (4.12)
