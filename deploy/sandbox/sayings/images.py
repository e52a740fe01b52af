"""Rarer answers of `/v1/images/*`.

Contract: gateway/images-text-audio-system.md 2.4, 3.3 to 3.5, 4.10, 4.14.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from deploy.sandbox.replies import Reply
from deploy.sandbox.sayings.saying import Saying, Sayings, Usual, body, changed, instead, kept, stream, written

BLOCKED: Final = {
    "code": "OutputImageSensitiveContentDetected",
    "message": "The output image may contain sensitive information.",
}
INTERNAL: Final = {
    "code": "InternalServiceError",
    "message": "The service encountered an unexpected internal error.",
}
SERVER_ERROR: Final = {"type": "server_error", "code": "server_error", "message": "The server had an error."}
REJECTED: Final = {"code": "moderation_blocked", "message": "Your request was rejected by the safety system."}
EVENTS: Final = "text/event-stream"
RECEIPT: Final = {"id": "task_8f2a", "object": "generation.task", "status": "queued"}
COMPLETION: Final = {"id": "chatcmpl-1", "object": "chat.completion", "choices": []}


def _items(make: Any) -> Saying:
    """Only `data`, each picture in another spelling."""
    return body(lambda usual: {"data": [make(item) for item in usual.body["data"]]})


def _by_url(make: Any) -> Saying:
    return _items(lambda item: make(item["url"]))


def _here(url: str) -> str:
    """An address without its host."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def _url_safe(item: dict[str, Any]) -> dict[str, Any]:
    """Base64 for addresses, in lines, and without its end."""
    code = item["b64_json"].replace("+", "-").replace("/", "_").rstrip("=")
    return {"b64_json": "".join(f"{code[at : at + 76]}\n" for at in range(0, len(code), 76))}


def _ark(usual: Usual) -> Reply:
    """V7 as Ark streams it: an event for each picture, and for one that failed."""
    model, size = "doubao-seedream-4-0-250828", "2048x2048"
    pictures = [
        {"type": "image_generation.partial_succeeded", "model": model, "image_index": index, "url": url, "size": size}
        for index, url in enumerate(usual.urls)
    ]
    failed = {"type": "image_generation.partial_failed", "image_index": len(pictures), "error": BLOCKED}
    end = {"type": "image_generation.completed", "usage": {"generated_images": len(pictures)}}
    return Reply(200, written([*pictures, failed, end], is_named=True), EVENTS)


def _ark_all_failed(usual: Usual) -> Reply:
    failed = {"type": "image_generation.partial_failed", "image_index": 0, "error": BLOCKED}
    end = {"type": "image_generation.completed", "usage": {"generated_images": 0}}
    return Reply(200, written([failed, end], is_named=True), EVENTS)


def _stream(make: Callable[[Any, Any], list[Any]]) -> Saying:
    """The draft of the usual stream, and something else than its end."""
    return stream(lambda usual: make(*usual.events[:2]), is_done=False, is_named=True)


def _edits(usual: Usual) -> Reply:
    """One picture of two, with its address; the other failed."""
    done = {"type": "image_edit.completed", "url": usual.url, "usage": {"total_tokens": 100}}
    return Reply(200, written([done, {"type": "error", **REJECTED}], is_named=True), EVENTS)


SAYINGS: Final[Sayings] = {
    "null": instead(None),
    "another_kind": instead(COMPLETION),
    "only_data": kept("data"),
    "reason_beside_no_data": changed(data=[], message="由于内容限制，无法生成该图片"),
    "reason_in_an_item": changed(data=[{"url": "", "text": "I can't create that image."}]),
    "success_beside_no_data": instead({"code": 0, "message": "success", "data": []}),
    "b64_empty": body(
        lambda usual: {
            "data": [{"url": item["url"], "b64_json": "", "revised_prompt": ""} for item in usual.body["data"]],
            "created": usual.body["created"],
        }
    ),
    "error_beside_data": changed(error={**INTERNAL, "message": "one image failed"}),
    "task_in_data": instead({"code": 200, "data": [{"task_id": "task_8f2a"}]}),
    "ark_stream": _ark,
    "ark_all_failed": _ark_all_failed,
    "stream_error": _stream(lambda draft, done: [draft, {"type": "error", "error": SERVER_ERROR}]),
    "stream_error_bare": _stream(lambda draft, done: [draft, {"type": "error", **REJECTED}]),
    "stream_of_edits": _edits,
    "b64_url_safe": _items(_url_safe),
    "image_url": _by_url(lambda url: {"image_url": url}),
    "nested_image_url": _by_url(lambda url: {"image_url": {"url": url}}),
    "image": _by_url(lambda url: {"image": url}),
    "output": body(lambda usual: {"output": usual.urls}),
    "twice": body(lambda usual: {"data": [{"url": url} for url in usual.urls for _ in range(2)]}),
    "relative": _by_url(lambda url: {"url": _here(url)}),
    "no_scheme": _by_url(lambda url: {"url": url.partition(":")[2]}),
    "reverse": body(
        lambda usual: {
            "created": usual.body["created"],
            "object": "list",
            "model": "gpt-4o-image",
            "data": [{"url": url, "revised_prompt": "a tin robot, studio light"} for url in usual.urls],
            "usage": {"total_tokens": 12},
        }
    ),
    "all_failed": changed(data=[{"error": INTERNAL}]),
    "all_failed_and_error": changed(error=INTERNAL, data=[{"error": INTERNAL}]),
}
