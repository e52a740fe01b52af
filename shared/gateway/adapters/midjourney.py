"""Midjourney: submit a prompt or press a button, then look, at one task or at many in one call.  Pure.

Contract: gateway/midjourney-and-video.md 2 to 4.  Literal replies: tests/replies/midjourney/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from shared.catalog.operations.table import OPERATIONS
from shared.errors import UnreadableReply
from shared.gateway import classify, reading
from shared.gateway.adapter import Adapter, Looking
from shared.gateway.call import Call
from shared.gateway.outcome import Accepted, ErrorClass, Look, Outcome, Output, Pending, Produced, Refused, Source
from shared.gateway.request import Request, Response

LOOK_TIMEOUT_S: Final = 30.0

LOOK_MANY_MOST: Final = 100
"""Most ids in one `list-by-condition` call (4.2)."""

PREFIXES: Final[Mapping[str | None, str]] = {
    None: "",
    "fast": "/mj-fast",
    "relax": "/mj-relax",
    "turbo": "/mj-turbo",
}
"""By speed; queries go without (2.1)."""

ACCEPTED: Final = frozenset({0, 1, 21, 22, 200})
"""Codes of a submit result that has a task: accepted, exists already, queued, and what re-implementations say (2.3)."""

WINDOW: Final = re.compile("窗口|window confirm", re.IGNORECASE)
"""How `description` says that a window (modal) waits to be filled in."""

LIST_WRAPPERS: Final = ("result", "data", "list", "data.list")

KEPT: Final = {
    "action": ("action",),
    "prompt_en": ("promptEn", "prompt_en"),
    "final_prompt": ("properties.finalPrompt", "properties.final_prompt", "final_prompt"),
    "seed": ("seed", "properties.seed"),
}
"""Fields of a task that the user sees in `result`, and where deployments have them (2.4)."""


def build_imagine(call: Call) -> Request:
    """Ask for a grid of four pictures (3.1); references go along as data URLs."""
    body: dict[str, Any] = {
        "prompt": _with_plain_dashes(call.prompt),
        "base64Array": [media.data_url for media in call.images],
    }
    bot_type = call.params.given().get("bot_type")
    return _submit(call, "imagine", body | ({"botType": bot_type} if bot_type else {}))


def build_action(call: Call) -> Request:
    """Press one button of a finished task (3.2), at the account that made it."""
    fields = call.params.given()
    body = {"taskId": fields["task_id"], "customId": fields["custom_id"], "chooseSameChannel": True}
    return _submit(call, "action", body)


def read_submit(response: Response, call: Call) -> Outcome:
    """What came of a submit: judged by the `code` in the body, never by the HTTP status.

    Reply: the submit result of 2.2.  A button that opens a window is refused, since there is no operation that
    fills one in; opening it is free as code 21 and billed where it was rewritten to 1 (1.6).

    Raises:
        UnreadableReply: no such object, a code that nobody listed, or success without a task id.
    """
    body = reading.object_of(response)
    code = _number(body.get("code"))
    if code is not None and code in classify.MIDJOURNEY:
        return _refused(body, code)
    task_id = reading.first_id(body, "result")
    if code not in ACCEPTED or not task_id:
        raise reading.unreadable(f"a submit result with code {code} and task id {task_id or 'missing'}", body)
    if _opens_window(body, code):
        message = "this button opens a window (modal) that must be filled in, which is not supported"
        return classify.refused(ErrorClass.INVALID_REQUEST, "modal_required", message, charged=code != 21)
    # Some buttons make several tasks, named with commas; the first is the one that can be followed (2.2).
    return Accepted(task_id.split(",")[0].strip(), "queued" if code == 22 else "")


def build_look(task_id: str) -> Request:
    path = f"/mj/task/{reading.segment(task_id)}/fetch"
    return Request("GET", path, timeout_s=LOOK_TIMEOUT_S, name="midjourney.look")


def read_look(response: Response, _asked_id: str = "") -> Look:
    """What the gateway says about one task; null and an empty body are unreadable (4.1).

    Raises:
        UnreadableReply: not a task.
    """
    body = reading.unwrap(reading.object_of(response))
    inner = body.get("result")
    return read_task(inner if isinstance(inner, Mapping) else body)


def build_look_many(task_ids: Sequence[str]) -> Request:
    """Ask about up to `LOOK_MANY_MOST` tasks; ids are texts, as numbers they answer 400 (4.2)."""
    body = {"ids": list(task_ids)}
    return Request(
        "POST", "/mj/task/list-by-condition", json=body, timeout_s=LOOK_TIMEOUT_S, name="midjourney.look_many"
    )


def read_look_many(response: Response) -> dict[str, Look]:
    """By task id, whatever the order; tasks that the gateway does not know are missing.

    One id may come twice, after a window was filled in: what is further counts (4.2).

    Raises:
        UnreadableReply: no list of tasks.
    """
    looks: dict[str, Look] = {}
    for task in _listed(reading.json_of(response)):
        task_id = _task_id(task)
        if task_id:
            looks[task_id] = max(read_task(task), looks.get(task_id, Pending()), key=_rank)
    return looks


def read_task(task: Mapping[str, Any]) -> Look:
    """What a task object (2.4) says.

    Only `status` ends it: 100 percent comes with failures, too, and a success that has no picture yet gets one
    within the next looks (2.5).

    Raises:
        UnreadableReply: neither an id nor a status.
    """
    if not _task_id(task) and "status" not in task:
        raise reading.unreadable("neither id nor status in the answer", task)
    status = reading.fold(task.get("status"))
    if status in reading.FAILED:
        return classify.failure(classify.said({"message": reading.first_text(task, "failReason", "fail_reason")}))
    outputs = _outputs(task) if status in reading.DONE else ()
    if outputs:
        return Produced(outputs, _result(task), status)
    return Pending(reading.percent(task.get("progress")), status)


def _submit(call: Call, action: str, body: Mapping[str, Any]) -> Request:
    prefix = PREFIXES[call.params.given().get("mode")]
    # `state` comes back in the task, so that one whose answer was lost can be found again (2.9).
    state = {"state": call.job_id} if call.job_id else {}
    timeout_s = OPERATIONS[call.operation].timeout_s
    path = f"{prefix}/mj/submit/{action}"
    return Request("POST", path, json={**body, **state}, timeout_s=timeout_s, name=call.operation)


def _with_plain_dashes(prompt: str) -> str:
    """`—ar 3:2` as `--ar 3:2`: keyboards make a long dash of it, Midjourney an invalid parameter (3.1)."""
    return re.sub(r"(?<!\S)[\u2013\u2014]+(?=[a-z])", "--", prompt)


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else None


def _refused(body: Mapping[str, Any], code: int) -> Refused:
    refused = classify.submit_refusal(body, code)
    word = reading.first_text(body, "properties.bannedWord")
    if not word:
        return refused
    return Refused(replace(refused.error, message=classify.clean(f"{refused.error.message}: {word}")))


def _opens_window(body: Mapping[str, Any], code: int | None) -> bool:
    """Code 21 means "exists already" with the state of that task, and "window" with a prompt to change (2.3)."""
    if WINDOW.search(reading.first_text(body, "description")):
        return True
    properties = body.get("properties")
    return code == 21 and isinstance(properties, Mapping) and "remix" in properties


def _listed(body: Any) -> Iterator[Mapping[str, Any]]:
    found = (
        body
        if isinstance(body, list)
        else next(filter(_is_list, (reading.dig(body, path) for path in LIST_WRAPPERS)), None)
    )
    if found is None:
        raise UnreadableReply("no list of tasks in the answer")
    return (task for task in found if isinstance(task, Mapping))


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _task_id(task: Mapping[str, Any]) -> str:
    return reading.first_id(task, "mj_id", "id", "task_id", "taskId")


def _rank(look: Look) -> tuple[int, int]:
    """How far a task is."""
    if isinstance(look, Pending):
        return 0, look.progress or 0
    return (2 if isinstance(look, Produced) else 1), 0


def _outputs(task: Mapping[str, Any]) -> tuple[Output, ...]:
    """The films of a task, or its picture and, where the deployment hands them out, the single tiles of a grid."""
    films = _urls(task, "videoUrls", "video_urls") or _urls(task, "videoUrl", "video_url")
    if films:
        return tuple(Output("video", (film,)) for film in films)
    whole = _urls(task, "imageUrl", "image_url")
    tiles = [tile for tile in _urls(task, "imageUrls", "image_urls") if tile not in whole]
    if whole and len(tiles) == 1:  # the same picture at another address
        whole, tiles = [*whole, *tiles], []
    if whole and _task_id(task):  # the gateway's own copy, since the host that it names may be wrong (2.8)
        whole.append(Source(path=f"/mj/image/{reading.segment(_task_id(task))}"))
    pictures = [tuple(whole)] if whole else []
    return tuple(Output("image", sources) for sources in (*pictures, *((tile,) for tile in tiles)))


def _urls(task: Mapping[str, Any], *names: str) -> list[Source]:
    found = (reading.source(_url(item)) for name in names for item in _as_list(task.get(name)))
    return list(dict.fromkeys(filter(None, found)))


def _as_list(value: Any) -> list[Any]:
    """A list as such, as JSON in a text, or as its only item."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        decoded = classify.documents(value.encode())
        return decoded[0] if decoded and isinstance(decoded[0], list) else []
    return value if isinstance(value, list) else [value]


def _url(item: Any) -> Any:
    return item.get("url") if isinstance(item, Mapping) else item


def _result(task: Mapping[str, Any]) -> dict[str, Any]:
    """What the next action needs, and how the prompt was understood."""
    kept = {name: reading.first_id(task, *paths) for name, paths in KEPT.items()}
    buttons = [_button(button) for button in _as_list(task.get("buttons")) if isinstance(button, Mapping)]
    result = {"task_id": _task_id(task), "buttons": [button for button in buttons if button], **kept}
    return {name: value for name, value in result.items() if value}


def _button(button: Mapping[str, Any]) -> dict[str, Any]:
    """One button in our spelling, without its empty fields; {} for one that cannot be pressed."""
    custom_id = reading.first_text(button, "customId", "custom_id")
    fields = {name: button.get(name) for name in ("label", "emoji", "style") if button.get(name)}
    return {"custom_id": custom_id, **fields} if custom_id else {}


LOOKING: Final = Looking(build_look, read_look, build_look_many, read_look_many, LOOK_MANY_MOST)

IMAGINE: Final = Adapter("midjourney.imagine", build_imagine, read_submit, LOOKING)
ACTION: Final = Adapter("midjourney.action", build_action, read_submit, LOOKING)
ADAPTERS: Final = (IMAGINE, ACTION)
