"""What Midjourney is asked: submits, and the query for a seed.  Pure.

Contract: gateway/midjourney-and-video.md 2.1, 3, 4.3, 5.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from shared.catalog.operations.midjourney import CONTENT
from shared.catalog.operations.table import OPERATIONS
from shared.errors import InputRefused
from shared.gateway import reading, taken
from shared.gateway.adapters.midjourney import windows
from shared.gateway.call import Call, Media
from shared.gateway.request import Request

PREFIXES: Final[Mapping[str | None, str]] = {
    None: "",
    "fast": "/mj-fast",
    "relax": "/mj-relax",
    "turbo": "/mj-turbo",
}
"""By speed; queries go without (2.1)."""

FIRST_LETTERS: Final[Mapping[str, str]] = {"U": "UPSCALE", "V": "VARIATION", "R": "REROLL"}

ANY_INDEX: Final = 1
"""What a reroll says, since new-api refuses 0 and nothing (3.5)."""


def build_imagine(call: Call) -> Request:
    """A grid of four pictures (3.1); references go along as data URLs."""
    return _submit(
        call,
        "submit/imagine",
        {"prompt": _with_plain_dashes(call.prompt), "base64Array": [_data_url(one) for one in call.images]},
    )


def build_blend(call: Call) -> Request:
    """A grid of four from two to five pictures (3.3)."""
    return _submit(call, "submit/blend", {"base64Array": [_data_url(one) for one in call.images], **_prompt(call)})


def build_describe(call: Call) -> Request:
    """Prompts for a picture (3.4)."""
    return _submit(call, "submit/describe", {"base64": _data_url(call.images[0])})


def build_shorten(call: Call) -> Request:
    """What counts in a prompt (3.8)."""
    return _submit(call, "submit/shorten", {"prompt": _with_plain_dashes(call.prompt)})


def build_action(call: Call) -> Request:
    """One button of a finished task (3.2), at the account that made it.

    Raises:
        InputRefused: the button opens a window that needs what is not there.
    """
    lacking = windows.lacking(call.params.given()["custom_id"], call.prompt, has_mask=call.mask is not None)
    if lacking is not None:
        raise InputRefused(f"{lacking.pointer}: {lacking.detail}")
    _mask(call)  # refused now, and not once the window is open
    return _submit(call, "submit/action", {"chooseSameChannel": True})


def build_change(call: Call) -> Request:
    """The same by number, without a button (3.5)."""
    return _submit(call, "submit/change", {"index": call.params.given().get("index", ANY_INDEX)})


def build_simple_change(call: Call) -> Request:
    """The same in one text; stock new-api reads the fields of `change` here instead, so both go along (3.6)."""
    named = CONTENT.fullmatch(call.params.given()["content"])
    if named is None:
        raise InputRefused("/params/content: is not like `<task id> U2`")
    task_id, letter, index = named.groups()
    action = FIRST_LETTERS[(letter or "R").upper()]
    body = {"taskId": task_id, "action": action, "index": int(index or ANY_INDEX)}
    return _submit(call, "submit/simple-change", body)


def build_modal(call: Call) -> Request:
    """What a window wants to know that is open already (3.7)."""
    return fill_in(call, call.params.given()["task_id"], call.prompt)


def fill_in(call: Call, window_id: str, prompt: str) -> Request:
    """What a window wants to know: `window_id` is the task that the button's answer named."""
    body = {"taskId": window_id, **_prompt_as(prompt), **_mask(call)}
    return _post(call, "submit/modal", body)


def build_swap_face(call: Call) -> Request:
    """The face of one picture in another (3.9).

    Raises:
        InputRefused: it is the same picture twice, which fails later and is paid for.
    """
    source, target = call.inputs["source"][0], call.inputs["target"][0]
    if source.content == target.content:
        raise InputRefused("source and target are the same picture, and must differ")
    body = {"sourceBase64": _data_url(source), "targetBase64": _data_url(target)}
    return _submit(call, "insight-face/swap", body)


def build_video(call: Call) -> Request:
    """Films from a first frame, or a finished one made longer (5.1).

    Raises:
        InputRefused: neither a first frame nor a film to go on from, or both.
    """
    fields = call.params.given()
    frames = {"image": call.one("images"), "endImage": call.one("end_image")}
    if (frames["image"] is None) == ("task_id" not in fields):
        raise InputRefused("it takes either a first frame (inputs.images) or the task_id of a film that is to go on")
    body = {
        "motion": fields.get("motion", "low"),
        **_prompt(call),
        **{name: _data_url(one) for name, one in frames.items() if one},
    }
    return _submit(call, "submit/video", body | (_extension(fields) if "task_id" in fields else {}), "index_base")


def _extension(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Which film goes on; one sibling reads `task_id`, and the index must be a number (5.1)."""
    index = fields.get("index", 0) + fields.get("index_base", 0)
    return {"action": "extend", "task_id": fields["task_id"], "index": index}


def build_seed(call: Call) -> Request:
    """The seed of a task (4.3): a query, though it may take as long as a submit."""
    path = f"/mj/task/{reading.segment(call.params.given()['task_id'])}/image-seed"
    return Request("GET", path, timeout_s=_timeout_s(call), name=call.operation)


def _submit(call: Call, path: str, body: Mapping[str, Any], *unsent: str) -> Request:
    """What was asked for in the gateway's spelling, under what this call makes of it."""
    given = call.params.model_dump(by_alias=True, exclude_none=True, exclude={"mode", *unsent})
    return _post(call, path, {**given, **body})


def _post(call: Call, path: str, body: Mapping[str, Any]) -> Request:
    prefix = PREFIXES[call.params.given().get("mode")]
    # `state` comes back in the task, so that one whose answer was lost can be found again (2.9).
    state = {"state": call.mark} if call.mark else {}
    return Request(
        "POST", f"{prefix}/mj/{path}", json={**body, **state}, timeout_s=_timeout_s(call), name=call.operation
    )


def _timeout_s(call: Call) -> float:
    return OPERATIONS[call.operation].timeout_s


def _prompt(call: Call) -> dict[str, str]:
    return _prompt_as(call.prompt)


def _prompt_as(prompt: str) -> dict[str, str]:
    return {"prompt": _with_plain_dashes(prompt)} if prompt.strip() else {}


def _with_plain_dashes(prompt: str) -> str:
    """`—ar 3:2` as `--ar 3:2`: keyboards make a long dash of it, Midjourney an invalid parameter (3.1)."""
    return re.sub(r"(?<!\S)[\u2013\u2014]+(?=[a-z])", "--", prompt)


def _data_url(media: Media) -> str:
    """
    Raises:
        InputRefused: no deployment promises to take pictures of this type.
    """
    if media.content_type not in taken.COMMON:
        raise InputRefused(f"{media.filename} is {media.content_type}; Midjourney takes PNG, JPEG and WebP")
    return media.data_url


def _mask(call: Call) -> dict[str, str]:
    """
    Raises:
        InputRefused: a mask must be a PNG (3.7).
    """
    if call.mask is None:
        return {}
    if call.mask.content_type != "image/png":
        raise InputRefused(f"the mask is {call.mask.content_type} and must be a PNG")
    return {"maskBase64": call.mask.data_url}
