"""Rarer answers of `/mj`.  Contract: gateway/midjourney-and-video.md 1.8, 2.2 to 2.8, 3.4, 3.8, 4, 5.2.  Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from deploy.sandbox.replies import Reply
from deploy.sandbox.sayings.saying import Saying, Sayings, Usual, body, changed, instead, left_out, then

DISCORD: Final = {"discordInstanceId": "1190022000330004400", "discordChannelId": "1190022000330004400"}
TEXT_FIELDS: Final = ("id", "action", "status", "progress", "prompt", "promptEn", "imageUrl", "failReason")


def _refused(code: int, description: str, properties: Any = None, result: Any = None) -> Saying:
    return changed(code=code, description=description, properties=properties, result=result)


#: Of the answer to a submit.
SUBMITTED: Final[Sayings] = {
    "english": changed(description="Submit Success", properties=DISCORD),
    "english_short": changed(description="Submit Success"),
    "list": changed(description="success", result=["https://cdn.discordapp.com/attachments/1/2/a.png"]),
    "several_ids": body(lambda usual: {**usual.body, "result": f"{usual.body['result']},1772611200345019"}),
    "no_properties": left_out("properties"),
    "0": changed(code=0, description="success"),
    "200": changed(code=200, description="ok", result="task_9f"),
    "77": changed(code=77, description="?"),
    "queued": changed(description="排队中，前面还有2个任务", properties={"numberOfQueues": 2}),
    "window_english": changed(description="Waiting for window confirm"),
    "window_without_prompt": changed(properties={}),
    "window_without_words": changed(description=""),
    "exists": changed(
        code=21, description="任务已存在", properties={"status": "SUCCESS", "imageUrl": "https://cdn/1.png"}
    ),
    "no_account": _refused(3, "无可用的账号实例", {}),
    "parent_gone": _refused(3, "关联任务不存在或已失效", {}),
    "no_prompt": _refused(4, "prompt不能为空", {}),
    "5": _refused(5, "do_request_failed", {}),
    "9_blank": _refused(9, "提交失败", None, ""),
    "24_english": _refused(24, "submit failed"),
}


def _snake(usual: Usual) -> Any:
    """The names of the gateway's own table, with JSON in a text."""
    row = usual.body
    return {
        "id": 8711,
        "mj_id": row["id"],
        "action": row["action"],
        "status": row["status"],
        "progress": row["progress"],
        "image_url": row["imageUrl"],
        "fail_reason": "",
        "submit_time": row["submitTime"],
        "prompt_en": row["promptEn"],
        "buttons": json.dumps([{"customId": one["customId"], "label": one["label"]} for one in row["buttons"]]),
    }


def _reimplemented(usual: Usual) -> Any:
    urls = [one["url"] for one in usual.body["videoUrls"]]
    told = {"taskId": usual.body["id"], "status": "completed", "video_url": urls[0], "video_urls": urls}
    return {"code": 0, "message": "", "data": told}


def _films(make: Callable[[list[str]], Any]) -> Saying:
    """The films in another place, and their usual fields gone."""

    def say(usual: Usual) -> Any:
        urls = [one["url"] for one in usual.body["videoUrls"]]
        rest = {name: value for name, value in usual.body.items() if name not in ("videoUrl", "videoUrls")}
        return {**rest, **make(urls)}

    return body(say)


def _extendable(urls: list[str]) -> Any:
    """Each film with a still and its own buttons."""
    return {
        "videoUrls": [
            {
                "url": url,
                "thumbnail": f"{url}&still.webp",
                "buttons": [
                    {
                        "customId": f"MJ::JOB::video_extend::{number}::9b1c",
                        "emoji": "",
                        "label": f"Extend {number}",
                        "type": 2,
                        "style": 2,
                    }
                ],
            }
            for number, url in enumerate(urls, 1)
        ]
    }


def _described(text: str, **more: Any) -> Saying:
    """A text in `finalPrompt`, which is all that there is."""
    return changed(promptEn="", properties={"finalPrompt": text, "finalZhPrompt": ""}, **more)


NO_BUTTONS: Final[dict[str, Any]] = {"buttons": None}
NOTHING: Final = {**NO_BUTTONS, "properties": {"finalPrompt": "", "finalZhPrompt": ""}}

#: Of a task's row, fetched by its id or listed.
LOOKED_AT: Final[Sayings] = {
    "null": instead(None),
    "in_result": body(lambda usual: {"code": 1, "description": "成功", "result": usual.body}),
    "in_data": body(lambda usual: {"code": 1, "data": usual.body}),
    "reason": changed(failReason="the first try was blocked"),
    "reason_early": changed(failReason="slow down", imageUrl=""),
    "refunded": changed(failReason="[Queue full] the account has too many jobs", progress="100%", imageUrl=""),
    "timed_out": changed(failReason="上游任务超时（超过1小时）"),
    "no_reason": changed(failReason=None),
    "banned": changed(failReason="Banned prompt detected"),
    "banned_chinese": changed(failReason="提示词包含敏感内容"),
    "moderators": changed(failReason="Our AI moderators feel your prompt might be against our community standards."),
    "snake_case": body(_snake),
    "one_tile": body(lambda usual: {**usual.body, "imageUrls": [usual.body["imageUrl"]]}),
    "tiles_only": changed(imageUrl=""),
    "picture_null": changed(imageUrl=None),
    "completed": changed(status="completed"),
    "paused": changed(progress="(paused)"),
    "submitted": changed(status="SUBMITTED"),
    "odd_word": changed(status="UPSCALING_SOON"),
    "null_button": body(
        lambda usual: {**usual.body, "buttons": [*usual.body["buttons"], dict.fromkeys(usual.body["buttons"][0])]}
    ),
    "in_one": changed(prompt="a tin robot watering ferns --ar 1:1", promptEn="", **NOTHING),
    "text_blank": changed(promptEn="", prompt="", **NOTHING),
    "late_in_order": body(lambda usual: {**usual.body, "properties": {"finalPrompt": "Describe", "finalZhPrompt": ""}}),
    "plain_numbers": _described("1. a tin robot --ar 1:1\n2. macro photo --ar 1:1\n3. tin toys --ar 1:1"),
    "no_properties": changed(properties=None),
    "not_numbered": changed(properties={"finalPrompt": "paper lighthouse", "finalZhPrompt": ""}, **NO_BUTTONS),
    "not_shortened": changed(**NOTHING),
    "cover_only": changed(videoUrl="", videoUrls=None),
    "reimplementation": body(_reimplemented),
    "extendable": _films(_extendable),
    "films_alone": _films(lambda urls: {"videoUrls": [{"url": url} for url in urls]}),
    "films_text": _films(lambda urls: {"videoUrls": json.dumps(urls)}),
    "films_somewhere": then(
        _films(lambda urls: {"extra": {"clips": [{"src": url} for url in urls]}}), changed(imageUrl="")
    ),
}


def _unreadable_first(usual: Usual) -> Reply:
    """The row of films has half a letter in it, which no encoder takes."""
    names = ("id", "prompt", "failReason", "imageUrl")
    film = {name: usual.body[0][name] for name in names}
    done = {"action": "VIDEO", "status": "SUCCESS", "progress": "100%", "buttons": None, "videoUrl": ""}
    broken = {**film, **done, "videoUrls": '["https://cdn.example/fog\ud83d'}
    return replace(usual.reply, body=json.dumps([broken, *usual.body]).encode())


#: Of the answer to a list.
LISTED: Final[Sayings] = {
    "failed_first": body(
        lambda usual: [
            {
                **usual.body[0],
                "status": "FAILURE",
                "failReason": "[Invalid parameter]",
                "buttons": None,
                "imageUrl": "",
            },
            *usual.body[1:],
        ]
    ),
    "snake_case": body(
        lambda usual: [
            {
                "mj_id": row["id"],
                "state": row["state"],
                "submit_time": row["submitTime"],
                **{name: row[name] for name in ("status", "progress", "prompt")},
            }
            for row in usual.body
        ]
    ),
    "unreadable_first": _unreadable_first,
    "running_last": body(lambda usual: sorted(usual.body, key=lambda row: row["status"] == "IN_PROGRESS")),
}
