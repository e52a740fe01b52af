"""How a Midjourney task is told: the answer to its submit, its row, its buttons.

Contract: gateway/midjourney-and-video.md 2.2 to 2.8, 4.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Reply, midjourney_error
from deploy.sandbox.shelf import Result
from deploy.sandbox.tasks import Phase, Task, seen

TEXT: Final = "text/plain; charset=utf-8"
#: Actions whose result is one picture; the others give a grid.
SINGLE: Final = frozenset({"UPSCALE"})
#: What a submit's answer says beside the id (2.3).
CODES: Final[Mapping[str, dict[str, Any]]] = {
    "1": {"description": "提交成功", "properties": {}},
    "21": {"description": "任务已存在", "properties": {"status": "SUBMITTED", "imageUrl": ""}},
    "22": {
        "description": "排队中，前面还有3个任务",
        "properties": {"numberOfQueues": 3, "discordInstanceId": "1190022000330004400"},
    },
    "3": {"description": "无可用的账号实例", "properties": None},
    "4": {"description": "参数错误", "properties": None},
    "5": {"description": "unmarshal_response_body_failed", "properties": None},
    "9": {"description": "执行失败", "properties": None},
    "23": {"description": "提交失败，队列已满，请稍后尝试", "properties": {"discordInstanceId": "1190022000330004400"}},
    "24": {"description": "可能包含敏感词", "properties": {"promptEn": "", "bannedWord": "gore"}},
    "30": {"description": "当前分组上游负载已饱和，请稍后再试", "properties": None},
}
#: Those that new-api bills (1.6).
PAID_CODES: Final = frozenset({"1", "21", "22", "empty"})
WINDOW: Final = {"code": 21, "description": "Waiting for window confirm"}
#: Codes that the gateway itself answers, in envelope C.
GATEWAY_CODES: Final[Mapping[str, int]] = {"5": 400, "30": 429}


def submitted(code: str, task_id: str, told: Behaviour) -> Reply:
    """The answer to a submit (2.2), labelled as text."""
    if code == "empty":
        return Reply(200, "", TEXT)
    if code in GATEWAY_CODES:
        return midjourney_error(CODES[code]["description"], code=int(code), status=GATEWAY_CODES[code])
    result = RESULTS[told.result](task_id) if code in PAID_CODES else None
    return Reply(200, {"code": int(code), **CODES[code], "result": result}, TEXT)


RESULTS: Final[Mapping[str, Callable[[str], Any]]] = {
    "string": lambda task_id: task_id,
    "number": int,
    "null": lambda task_id: None,
    "blank": lambda task_id: "",
}


WORDS: Final[Mapping[str, tuple[str, str, str, str, str]]] = {
    # just written, queued, running, completed, failed
    "stock": ("", "SUBMITTED", "IN_PROGRESS", "SUCCESS", "FAILURE"),
    "upper": ("NOT_START", "SUBMITTED", "IN_PROGRESS", "SUCCESS", "FAILURE"),
    "lower": ("not_start", "submitted", "in_progress", "success", "failure"),
    "pending": ("PENDING", "QUEUED", "PROCESSING", "COMPLETED", "FAILED"),
    "submitted": ("submitted", "submitted", "processing", "succeed", "failed"),
    "mixed": ("NotStart", "Submitted", "In-Progress", "Success", "Failure"),
    "unknown": ("UNKNOWN", "UNKNOWN", "BREWING", "SUCCESS", "FAILURE"),
    "blank": ("", "", "", "SUCCESS", "FAILURE"),
}
PROGRESS: Final[Mapping[str, Callable[[int], Any]]] = {
    "stock": lambda percent: f"{percent}%",
    "percent": lambda percent: f"{percent}%",
    "int": lambda percent: percent,
    "string": str,
    "float": lambda percent: percent / 100,
    "blank": lambda percent: "",
    "text": lambda percent: "Waiting to start",
    "none": lambda percent: None,
}
FAIL_REASONS: Final[Mapping[str, str]] = {
    "fail": "[Invalid parameter] Unrecognized parameter(s): `--arr`",
    "fail_reason": "Job failed, please try again later",
    "fail_bare": "",
    "moderation": "[Banned prompt] Your prompt was blocked by our AI moderator.",
    "cancelled": "",
}
JUST_WRITTEN: Final = 0.05
LIST_FORMS: Final[Mapping[str, Callable[[list[Any]], Any]]] = {
    "bare": lambda rows: rows,
    "code_result": lambda rows: {"code": 1, "result": rows},
    "data": lambda rows: {"data": rows},
    "list": lambda rows: {"list": rows},
}


def rows(house: Parts, base: str, task: Task) -> list[dict[str, Any]]:
    """The rows that a list has of this task."""
    told = task.behaviour.list_row
    is_first = told == "omitted_once" and house.tasks.looks(task, "list") == 0
    times = {"omitted": 0, "doubled": 2, "omitted_once": 0 if is_first else 1}.get(told, 1)
    return [row(house, base, task)] * times if times else []


def row(house: Parts, base: str, task: Task) -> dict[str, Any]:
    """The task object of 2.4."""
    at = Phase(0.4, "running") if task.is_modal else seen(house.tasks, task, house.now())
    told = task.behaviour
    is_done = at.state == "completed"
    is_blank = is_done and told.late_image > 0 and house.tasks.looks(task, "late_image") < told.late_image
    started = at.fraction >= JUST_WRITTEN
    body = {
        "id": task.id,
        "action": task.action,
        "customId": "",
        "botType": "",
        "prompt": task.prompt,
        "promptEn": task.prompt if started else "",
        "description": "提交成功",
        "state": task.params["state"] if started else "",
        "submitTime": int(task.created_at * 1000),
        "startTime": int((task.created_at + 0.1 * task.duration_s) * 1000) if at.fraction >= 0.1 else 0,
        "finishTime": int(task.ends_at * 1000) if at.state in ("completed", "failed") else 0,
        "imageUrl": "",
        "videoUrl": "",
        "videoUrls": None,
        "status": _word(task, at),
        "progress": PROGRESS[told.progress](100 if at.state == "failed" else int(at.fraction * 100)),
        "failReason": FAIL_REASONS.get(told.task, "上游任务失败") if at.state == "failed" else "",
        "buttons": BUTTON_FORMS[told.buttons](buttons(task)) if is_done else None,
        "maskBase64": "",
        "properties": {"finalPrompt": "", "finalZhPrompt": ""} if started else None,
    }
    return body if is_blank or task.is_modal else body | _pictures(house, base, task, at)


def _word(task: Task, at: Phase) -> str:
    if task.is_modal:
        return "MODAL"
    fresh, queued, running, completed, failed = WORDS[task.behaviour.words]
    if at.state == "failed":
        return "CANCEL" if task.behaviour.task == "cancelled" else failed
    if at.state == "queued":
        return fresh if at.fraction < JUST_WRITTEN else queued
    return completed if at.state == "completed" else running


def _pictures(house: Parts, base: str, task: Task, at: Phase) -> dict[str, Any]:
    """Where the picture is, and the tiles where they are listed."""
    told = task.behaviour
    own = f"{base}/mj/image/{task.id}"
    if at.state == "running":
        # A cache buster while it is drawn (2.8).
        return {"imageUrl": f"{own}?rand={house.now_ns()}"}
    if at.state != "completed":
        return {}
    hosted = result(house, task).url(base)
    places = {"proxy": {"imageUrl": own}, "hosted": {"imageUrl": hosted}, "snake": {"image_url": hosted}}
    return places[told.image_place] | TILE_FORMS[told.image_urls](_tile_urls(house, task, base))


def _tile_urls(house: Parts, task: Task, base: str) -> list[str]:
    """Addresses of the four tiles, made when first asked for."""
    if task.behaviour.image_urls == "none" or task.action in SINGLE:
        return []
    return [tile.url(base) for tile in house.shelf.tiles(task.params["result"])]


TILE_FORMS: Final[Mapping[str, Callable[[list[str]], dict[str, Any]]]] = {
    "none": lambda urls: {},
    "objects": lambda urls: {"imageUrls": [{"url": url} for url in urls]},
    "thumbnails": lambda urls: {"imageUrls": [{"url": url, "thumbnail": url} for url in urls]},
    "strings": lambda urls: {"imageUrls": urls},
}


def result(house: Parts, task: Task) -> Result:
    return cast(Result, house.shelf.find(task.params["result"]))


UNDER_GRID: Final = (
    *((f"MJ::JOB::upsample::{n}::{{}}", "", f"U{n}") for n in range(1, 5)),
    ("MJ::JOB::reroll::0::{}::SOLO", "🔄", ""),
    *((f"MJ::JOB::variation::{n}::{{}}", "", f"V{n}") for n in range(1, 5)),
)
UNDER_PICTURE: Final = (
    ("MJ::JOB::upsample_v6_2x_subtle::1::{}::SOLO", "upscale_1", "Upscale (Subtle)"),
    ("MJ::JOB::upsample_v6_2x_creative::1::{}::SOLO", "upscale_1", "Upscale (Creative)"),
    ("MJ::JOB::low_variation::1::{}::SOLO", "🪄", "Vary (Subtle)"),
    ("MJ::JOB::high_variation::1::{}::SOLO", "🪄", "Vary (Strong)"),
    ("MJ::Inpaint::1::{}::SOLO", "🖌️", "Vary (Region)"),
    ("MJ::Outpaint::50::1::{}::SOLO", "🔍", "Zoom Out 2x"),
    ("MJ::Outpaint::75::1::{}::SOLO", "🔍", "Zoom Out 1.5x"),
    ("MJ::CustomZoom::{}", "🔍", "Custom Zoom"),
    ("MJ::JOB::pan_left::1::{}::SOLO", "⬅️", ""),
    ("MJ::JOB::pan_right::1::{}::SOLO", "➡️", ""),
    ("MJ::JOB::pan_up::1::{}::SOLO", "⬆️", ""),
    ("MJ::JOB::pan_down::1::{}::SOLO", "⬇️", ""),
    ("MJ::BOOKMARK::{}", "❤️", ""),
)


def buttons(task: Task) -> list[dict[str, Any]]:
    job = uuid.uuid5(uuid.NAMESPACE_URL, task.id)
    rows = UNDER_PICTURE if task.action in SINGLE else UNDER_GRID
    return [
        {"customId": shape.format(job), "emoji": emoji, "label": label, "type": 2, "style": 2}
        for shape, emoji, label in rows
    ]


BUTTON_FORMS: Final[Mapping[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]] | None]]] = {
    "stock": lambda buttons: buttons,
    "none": lambda buttons: None,
    "nulls": lambda buttons: [
        {"customId": one["customId"], "emoji": one["emoji"] or None, "label": one["label"] or None, "type": None}
        for one in buttons
    ],
}
