"""How a Midjourney task is told: the answer to its submit, and its row.

Contract: gateway/midjourney-and-video.md 2.2 to 2.8, 3.2, 4, 5.2.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.midjourney import buttons, words
from deploy.sandbox.midjourney.drawings import SINGLE
from deploy.sandbox.parts import Parts
from deploy.sandbox.replies import Reply, midjourney_error
from deploy.sandbox.script import drawn
from deploy.sandbox.shelf import Result
from deploy.sandbox.tasks import Phase, Task, phase, seen

TEXT: Final = "text/plain; charset=utf-8"
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
    "24": {"description": "可能包含敏感词", "properties": {"promptEn": "a gory scene", "bannedWord": "gory"}},
    "30": {"description": "当前分组上游负载已饱和，请稍后再试", "properties": None},
}
#: Those that new-api bills (1.6).
PAID_CODES: Final = frozenset({"1", "21", "22", "empty"})
#: Actions whose window costs nothing; its code stays 21 (1.6, 2.3).
FREE_WINDOWS: Final = buttons.WINDOWED
#: What a window says by its code: 21, or 1 which new-api made of it (2.3).
WINDOW: Final[Mapping[int, str]] = {21: "Waiting for window confirm", 1: "窗口等待"}
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


def window(task_id: str, prompt: str, *, is_free: bool) -> Reply:
    """The answer to a button that asks back (3.2)."""
    code = 21 if is_free else 1
    properties = {"finalPrompt": drawn(prompt), "remix": True}
    body = {"code": code, "description": WINDOW[code], "properties": properties, "result": task_id}
    return Reply(200, body, TEXT)


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


def fetched(house: Parts, base: str, task: Task) -> dict[str, Any]:
    """The row that a fetch finds: the first of its id, which stays a window until all is over (3.7)."""
    is_window = _is_window_still(house, task)
    return window_row(house, base, task) if is_window else row(house, base, task)


def rows(house: Parts, base: str, task: Task) -> list[dict[str, Any]]:
    """The rows that a list has of this task; a window that was filled in leaves its own behind."""
    told = task.behaviour.list_row
    is_first = told == "omitted_once" and house.tasks.looks(task, "list") == 0
    times = {"omitted": 0, "doubled": 2, "omitted_once": 0 if is_first else 1}.get(told, 1)
    windows = [window_row(house, base, task)] if times and _is_window_still(house, task) else []
    return windows + ([row(house, base, task)] * times if times else [])


def _is_window_still(house: Parts, task: Task) -> bool:
    return bool(task.params.get("was_window")) and phase(task, house.now()).state not in ("completed", "failed")


def window_row(house: Parts, base: str, task: Task) -> dict[str, Any]:
    nothing = {"promptEn": "", "state": "", "startTime": 0, "imageUrl": "", "properties": None}
    return {**row(house, base, task), **nothing, "status": "MODAL", "progress": "0%"}


def row(house: Parts, base: str, task: Task) -> dict[str, Any]:
    """The task object of 2.4."""
    at = Phase(0.4, "running") if task.is_modal else seen(house.tasks, task, house.now())
    told = task.behaviour
    is_done = at.state == "completed"
    is_blank = is_done and told.late_image > 0 and house.tasks.looks(task, "late_image") < told.late_image
    started = at.fraction >= JUST_WRITTEN and not task.is_modal
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
        "buttons": buttons.FORMS[told.buttons](buttons.below(task)) if is_done else None,
        "maskBase64": "",
        "properties": {"finalPrompt": _drawn_from(task) if is_done else "", "finalZhPrompt": ""} if started else None,
    }
    if is_blank or task.is_modal:
        return body
    body |= _pictures(house, base, task, at)
    return _with_films(house, base, task, _with_words(body, task)) if is_done else body


def _drawn_from(task: Task) -> str:
    """The prompt as Midjourney understood it; where the result is words, they have their own place."""
    return "" if task.params.get("text") else drawn(task.prompt)


def _with_words(body: dict[str, Any], task: Task) -> dict[str, Any]:
    text = task.params.get("text")
    return body | words.PLACES[task.behaviour.text_place](text) if text else body


def _with_films(house: Parts, base: str, task: Task, body: dict[str, Any]) -> dict[str, Any]:
    """The films where its behaviour has them (5.2)."""
    urls = [film.url(base) for one in task.params.get("films", ()) if (film := house.shelf.find(one)) is not None]
    if not urls:
        return body
    if task.behaviour.films in OLD_BUILDS:
        body = {name: value for name, value in body.items() if name not in ("videoUrl", "videoUrls")}
    return body | FILM_FORMS[task.behaviour.films](urls)


#: Builds that know no films and drop their fields.
OLD_BUILDS: Final = frozenset({"picture", "proxy", "snake", "text"})
FILM_FORMS: Final[Mapping[str, Callable[[list[str]], dict[str, Any]]]] = {
    "objects": lambda urls: {"videoUrl": urls[0], "videoUrls": [{"url": url} for url in urls]},
    "thumbnails": lambda urls: {"videoUrls": [{"url": url, "thumbnail": f"{url}&thumbnail"} for url in urls]},
    "strings": lambda urls: {"videoUrls": urls},
    "text": lambda urls: {"video_urls": json.dumps(urls)},
    "snake": lambda urls: {"video_url": urls[0], "video_urls": urls},
    "single": lambda urls: {"videoUrl": urls[0]},
    "properties": lambda urls: {"properties": {"finalPrompt": "", "videoUrls": [{"url": url} for url in urls]}},
    "picture": lambda urls: {"imageUrl": urls[0]},
    "proxy": lambda urls: {},
}


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
    picture = result(house, task)
    if picture is None:
        return {}
    if at.state == "running":
        # A cache buster while it is drawn (2.8).
        return {"imageUrl": f"{own}?rand={house.now_ns()}"}
    if at.state != "completed":
        return {}
    hosted = picture.url(base)
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


def result(house: Parts, task: Task) -> Result | None:
    """The picture of a task; None for words."""
    return house.shelf.find(task.params["result"]) if task.params["result"] else None


def behind_image(house: Parts, task: Task) -> Result | None:
    """What `/mj/image` serves: the picture, or the film where a build has no other place for it (5.2)."""
    if task.behaviour.films == "proxy" and task.params.get("films"):
        return house.shelf.find(task.params["films"][0])
    return result(house, task)


def seed_of(task: Task) -> int:
    """Its seed: the same whenever it is asked for."""
    return int.from_bytes(hashlib.sha256(task.id.encode()).digest()[:4], "big")
