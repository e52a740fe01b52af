"""Rarer answers of `/v1/videos`.  Contract: gateway/midjourney-and-video.md 6, 7, 8, 10.1.  Pure."""

from __future__ import annotations

from typing import Any, Final

from deploy.sandbox.sayings.saying import Sayings, Usual, body, changed, instead, kept, left_out

VIOLATES: Final = "This content may violate our guardrails concerning similarity to third-party content."
SIZE: Final = "Inpaint image must match the requested width and height"


def _wrapped(make: Any) -> Any:
    return body(lambda usual: {"code": "success", "message": "", "data": make(usual)})


def _in_data(usual: Usual, **fields: Any) -> Any:
    return {**usual.body, "data": {**usual.body["data"], **fields}}


def _every_source(usual: Usual) -> Any:
    """An address in each place that has been seen."""
    url = usual.url
    listed = {"videos": [{"url": url}], "generations": [{"url": url}]}
    return {**usual.body, "url": url, "metadata": {"url": url}, "data": {"url": url}, **listed}


def _best(usual: Usual) -> Any:
    """The wrapper as gpt-best shows it (6.8)."""
    row = usual.body["data"]
    kept_fields = {name: row[name] for name in ("task_id", "action", "status", "fail_reason", "progress")}
    film = {"id": "video_1", "status": "completed", "video_url": row["result_url"]}
    return {**usual.body, "data": {**kept_fields, "notify_hook": "", "action": "sora-video", "data": film}}


#: Of the answer to a create or a remix.
SUBMITTED: Final[Sayings] = {
    "camel_case": body(lambda usual: {"taskId": usual.body["id"]}),
    "failed_at_once": body(
        lambda usual: {
            "id": usual.body["id"],
            "object": "video",
            "status": "failed",
            "error": {"code": "moderation_blocked", "message": "blocked"},
        }
    ),
    "number": body(lambda usual: {"id": usual.body["created_at"]}),
    "video_id": body(lambda usual: {"video_id": usual.body["id"]}),
    "without_id": kept("object", "status"),
    "without_length": left_out("seconds", "size"),
    "wrapped_id": _wrapped(lambda usual: {"id": usual.body["id"]}),
    "wrapped_object": _wrapped(lambda usual: {"id": 811, "task_id": usual.body["id"], "status": "NOT_START"}),
    "video_generation": body(
        lambda usual: {
            "id": usual.body["id"],
            "object": "video.generation",
            "created": usual.body["created_at"],
            "model": usual.body["model"],
            "status": "processing",
        }
    ),
    "generation_pending": body(
        lambda usual: {
            "id": usual.body["id"],
            "object": "video.generation",
            "created": usual.body["created_at"],
            "status": "pending",
            "model": usual.body["model"],
        }
    ),
}

#: Of the answer to a query, at either address.
LOOKED_AT: Final[Sayings] = {
    "inner_running": body(lambda usual: _in_data(usual, data={"id": "video_1", "status": "in_progress"})),
    "completed_at_early": body(lambda usual: {**usual.body, "completed_at": usual.body["created_at"] + 90}),
    "expired": changed(status="expired"),
    "odd_word": changed(status="Polishing frames"),
    "all_done_while_running": changed(progress=100),
    "every_source": body(_every_source),
    "error_text": changed(error="task failed"),
    "fail_reason": body(lambda usual: {"id": usual.body["id"], "status": "FAILURE", "fail_reason": VIOLATES}),
    "failed_size": changed(error={"code": "", "message": SIZE}),
    "no_error_code": changed(error={"message": "Sora is under heavy load, please try again later."}),
    "empty_record": instead({"code": "success", "data": None}),
    "video_url_empty": changed(video_url=""),
    "video_url_null": changed(video_url=None),
    "detail_without_url": body(
        lambda usual: {
            **{name: usual.body[name] for name in ("id", "status")},
            "detail": {"id": "x", "status": "processing", "pending_info": {"progress_pct": 0.93}},
            "video_url": None,
        }
    ),
    "detail_url": body(
        lambda usual: {
            **{name: usual.body[name] for name in ("id", "status")},
            "detail": {"status": "completed", "url": usual.url},
            "video_url": None,
        }
    ),
    "short_list": kept("id", "status", "url", "content_url", "output"),
    "gpt_best": body(_best),
}
