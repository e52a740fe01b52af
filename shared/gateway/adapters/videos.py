"""`/v1/videos` (Sora, Veo and kin): ask for a film, or for it once more, then look until it is there.  Pure.

Contract: gateway/midjourney-and-video.md 6 to 8.  Literal replies: tests/replies/videos/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from shared.catalog.operations.table import OPERATIONS
from shared.errors import InputRefused
from shared.gateway import classify, reading
from shared.gateway.adapter import Adapter, Looking
from shared.gateway.call import Call
from shared.gateway.outcome import Accepted, Look, Outcome, Output, Pending, Produced, Source
from shared.gateway.request import Part, Request, Response

LOOK_TIMEOUT_S: Final = 30.0

IDS: Final = ("id", "task_id", "data.task_id", "data.id", "data", "taskId", "video_id")
"""Where an answer has the upstream id, in the order to try them (6.5)."""

VENDOR_FIELDS: Final = {
    "negative_prompt": "negativePrompt",
    "seed": "seed",
    "aspect_ratio": "aspectRatio",
    "resolution": "resolution",
    "person_generation": "personGeneration",
    "generate_audio": "generateAudio",
}
"""What the official Veo channel reads from `metadata` alone, with its spelling there (8.1)."""

ONLY_VENDOR: Final = frozenset(VENDOR_FIELDS) - {"aspect_ratio"}
"""Of these, what no build knows as a field of its own."""

HOW: Final = frozenset({"metadata", "encoding", "images_in"})
"""Parameters that are no fields of the request, or not as they are."""

TEXTS: Final = frozenset({"seconds", "watermark", "private"})
"""Fields that are texts also in JSON: a number of seconds answers 400 (6.7)."""

OFFICIAL_VEO: Final = re.compile(r"veo-\d.*-generate", re.IGNORECASE)

LARGE_SIDE: Final = 1920
"""From this side on a film is in 1080p, pixels."""
LONG_S: Final = 8
"""How long an official Veo's films in 1080p and 4K are (8.1)."""

NEEDS_PICTURES: Final = re.compile(r"[-_](?:frames|fl|components)(?:[-_]|\Z)", re.IGNORECASE)
"""Models that film pictures and nothing else, by their names (8.1)."""

URLS: Final = (
    "video_url",
    "url",
    "result_url",
    "output_url",
    "download_url",
    "content_url",
    "metadata.url",
    "metadata.video_url",
    "metadata.result_urls.0",
    "data.url",
    "data.video_url",
    "data.result_url",
    "data.output",
    "data.output.0",
    "data.data.url",
    "data.data.video_url",
    "data.metadata.url",
    "fail_reason",  # an old build keeps the address of a success here; where it is a sentence, it is no source
    "content.video_url",
    "content.url",
    "detail.video_url",
    "detail.url",
    "video.url",
    "videos.0.url",
    "data.videos.0.url",
    "output",
    "output.0",
    "output.0.url",
    "results.0.url",
    "generations.0.url",
)
"""Where a finished film may be found, in the order to try them (6.6)."""

BEGINS: Final = ("created_at", "created", "submit_time")
ENDS: Final = ("completed_at", "finished_at", "finish_time")
"""When a film was begun and finished, seconds since 1970 (6.2, 6.9)."""

KEPT: Final = ("seconds", "size", "enhanced_prompt", "remixed_from_video_id")
"""Fields of the video object that the user sees in `result`."""


def build(call: Call) -> Request:
    """Ask for one film; as a form also when there is no file: all templates do, and stock reads both (7.1).

    Raises:
        InputRefused: the model films pictures, and there are none; the field for them holds one; or it makes no
            film of that length in that size.
    """
    check_pictures(call.model, has_pictures=bool(call.images))
    asked = call.params.given()
    fields = {name: value for name, value in asked.items() if name not in ONLY_VENDOR | HOW}
    vendor = {**_vendor(call.model, asked), **asked.get("metadata", {})}
    _check_length(call.model, asked, vendor)
    is_json = asked.get("encoding") == "json"
    spelled = _json(call, fields, vendor) if is_json else _form(call, fields, vendor)
    return Request("POST", "/v1/videos", timeout_s=OPERATIONS[call.operation].timeout_s, name=call.operation, **spelled)


def check_pictures(model: str, *, has_pictures: bool) -> None:
    """Whether the model has what it cannot film without, before anything is sent; the catalog knows it of its own.

    Raises:
        InputRefused: it has not.
    """
    if NEEDS_PICTURES.search(model) and not has_pictures:
        raise InputRefused(f"{model} makes films of pictures, and there are none")


def _check_length(model: str, asked: Mapping[str, Any], vendor: Mapping[str, Any]) -> None:
    """
    Raises:
        InputRefused: an official Veo makes films in 1080p and 4K of eight seconds alone (8.1).
    """
    seconds = vendor.get("durationSeconds", LONG_S)
    sides = re.findall(r"\d{3,4}", asked.get("size", ""))
    is_large = vendor.get("resolution") in ("1080p", "4k") or any(int(side) >= LARGE_SIDE for side in sides)
    if OFFICIAL_VEO.search(model) and is_large and seconds != LONG_S:
        raise InputRefused(f"seconds must be {LONG_S} for a film in 1080p or 4K, not {seconds} (model {model})")


def _vendor(model: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    vendor = {name: asked[field] for field, name in VENDOR_FIELDS.items() if field in asked}
    if OFFICIAL_VEO.search(model) and "seconds" in asked:
        vendor["durationSeconds"] = asked["seconds"]
    return vendor


def _form(call: Call, fields: Mapping[str, Any], vendor: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: _as_text(value) for name, value in fields.items()}
    if OFFICIAL_VEO.search(call.model) and "seconds" in fields:
        texts["duration"] = texts["seconds"]  # one relay wants both, another passes the twin over (8.1)
    metadata = {"metadata": json.dumps(vendor, ensure_ascii=False)} if vendor else {}
    files = (Part("input_reference", media.filename, media.content_type, media.content) for media in call.images)
    return {"form": {"model": call.model, "prompt": call.prompt, **texts, **metadata}, "files": tuple(files)}


def _json(call: Call, fields: Mapping[str, Any], vendor: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: _as_text(value) if name in TEXTS else value for name, value in fields.items()}
    metadata = {"metadata": vendor} if vendor else {}
    return {"json": {"model": call.model, "prompt": call.prompt, **values, **metadata, **_json_images(call)}}


def _json_images(call: Call) -> dict[str, Any]:
    """Input pictures as addresses, where their owner gave any: that is what these deployments ask for (7.1)."""
    field = call.params.given().get("images_in", "images")
    urls = [media.url or media.data_url for media in call.images]
    if not urls or field == "images":
        return {"images": urls} if urls else {}
    if len(urls) > 1:
        raise InputRefused(f"{field} holds one picture, not {len(urls)}")
    return {field: urls[0]}


def build_remix(call: Call) -> Request:
    """Ask for a film again by another prompt; the rest is the gateway's to know (7.3)."""
    task_id = reading.segment(call.params.given()["task_id"])
    timeout_s = OPERATIONS[call.operation].timeout_s
    body = {"prompt": call.prompt}
    return Request("POST", f"/v1/videos/{task_id}/remix", json=body, timeout_s=timeout_s, name=call.operation)


def read(response: Response, call: Call) -> Outcome:
    """The upstream id of the film to come.

    Reply: the variants of 6.5, 7.1 and 8.1.  A status that says "failed" is left to the first look.

    Raises:
        UnreadableReply: there is no id in it, so nobody can ask for the film.
    """
    body = reading.object_of(response)
    task_id = reading.first_id(body, *IDS)
    if not reading.looks_like_id(task_id):
        raise reading.unreadable("no id of a video in the answer", body)
    return Accepted(task_id, reading.fold(reading.unwrap(body).get("status")))


def build_look(task_id: str) -> Request:
    return Request("GET", f"/v1/videos/{reading.segment(task_id)}", timeout_s=LOOK_TIMEOUT_S, name="video.look")


def build_old_look(task_id: str) -> Request:
    """The same at the older route, which is all that some builds have for tasks of `/v1/videos` (6.8)."""
    path = f"/v1/video/generations/{reading.segment(task_id)}"
    return Request("GET", path, timeout_s=LOOK_TIMEOUT_S, name="video.look")


def read_look(response: Response, asked_id: str = "") -> Look:
    """What the gateway says about the film that it accepted as `asked_id`.

    Reply: the video object of 6.2, bare or wrapped (6.8, 6.9), in all variants of 7.2.  Only its status ends a
    film: `completed_at` stands there while it runs, and 100 percent comes with failures, too.

    Raises:
        UnreadableReply: not such an object, or the empty record of 6.8.
    """
    task = reading.unwrap(reading.object_of(response))
    task_id = reading.first_id(task, "id", "task_id")
    if not task_id and "status" not in task:
        raise reading.unreadable("neither id nor status in the answer", task)
    status = _status(task)
    if status in reading.FAILED:
        return classify.failure(classify.said(task))
    sources = _sources(task, asked_id or task_id)
    if status in reading.DONE and sources:
        kept = {name: task[name] for name in KEPT if task.get(name)}
        return Produced((Output("video", sources),), kept, status, reading.took_s(task, BEGINS, ENDS))
    # A word nobody listed is "running": taking it for a failure would throw away a paid film.
    return Pending(_progress(task), status)


def _status(task: Mapping[str, Any]) -> str:
    """The folded status; where the gateway's and its upstream's differ, the gateway's wins once it is final (10.1)."""
    outer = reading.fold(task.get("status"))
    inner = reading.fold(reading.first_text(task, "data.status", "detail.status"))
    return outer if outer in reading.DONE | reading.FAILED else inner or outer


def _progress(task: Mapping[str, Any]) -> int | None:
    places = ("progress", "detail.pending_info.progress_pct", "detail.progress", "data.progress")
    found = (reading.percent(reading.dig(task, place)) for place in places)
    return next((progress for progress in found if progress is not None), None)


def _sources(task: Mapping[str, Any], task_id: str) -> tuple[Source, ...]:
    """All places of the film; the last is the gateway's own, which needs the key and may be all there is."""
    found = [reading.source(reading.dig(task, place)) for place in URLS]
    if task_id:
        found.append(Source(path=f"/v1/videos/{reading.segment(task_id)}/content"))
    return tuple(dict.fromkeys(filter(None, found)))


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


LOOKING: Final = Looking(build_look, read_look, build_elsewhere=build_old_look)
CREATE: Final = Adapter("video.create", build, read, LOOKING)
REMIX: Final = Adapter("video.remix", build_remix, read, LOOKING)
ADAPTERS: Final = (CREATE, REMIX)
