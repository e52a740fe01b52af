"""Follow-ups: what another job must ask for to go on from a finished one.  Pure.

Midjourney's results have buttons; a film or a picture of another model goes on as an input or as a remix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from api.jobs import buttons
from api.jobs.buttons import Buttons
from api.shapes import Inputs, NewAction
from shared.errors import Conflict, FieldError, InvalidRequest
from shared.gateway.adapters.midjourney import windows

TILES: Final = 4
"""Pictures in a grid; some deployments hand them out one by one, behind the grid or without it (video 2.8)."""

GRIDS: Final = frozenset({"midjourney.imagine", "midjourney.blend"})
"""Operations that give a grid, also where its buttons are missing."""


@dataclass(frozen=True)
class Stored:
    """One artifact of the parent."""

    id: str
    kind: str


@dataclass(frozen=True)
class Parent:
    """A finished job."""

    operation: str
    prompt: str
    params: Mapping[str, Any]
    task_id: str | None
    """Its upstream task."""
    buttons: Buttons
    artifacts: Sequence[Stored]
    """In the order of their index."""


@dataclass(frozen=True)
class FollowUp:
    """What the new job asks for, beside what its caller wishes."""

    operation: str | None
    """None: whatever the parent's model does with pictures."""
    prompt: str
    params: Mapping[str, Any]
    inputs: Inputs = field(default_factory=dict)


def of(parent: Parent, wanted: NewAction) -> FollowUp:
    """What is meant.

    Raises:
        InvalidRequest: it cannot be told what, or something is missing.
        Conflict: the result does not offer it; the message lists what it offers.
    """
    if (wanted.action is None) == (wanted.custom_id is None):
        raise _wrong("/action", "either an action or a custom_id is needed")
    family = parent.operation.partition(".")[0]
    if family not in FAMILIES:
        raise Conflict(f"the result of {parent.operation} has no follow-ups; those of {' and '.join(FAMILIES)} have")
    return FAMILIES[family](parent, wanted)


# Midjourney.


def _pressed(parent: Parent, wanted: NewAction) -> FollowUp:
    """A button of the parent."""
    if wanted.action == "animate":
        return _animated(parent, wanted)
    custom_id = buttons.choose(parent.buttons, wanted)
    if wanted.action == "remix":
        _need_prompt(wanted)
    prompt = parent.prompt if wanted.prompt is None else wanted.prompt
    lacking = windows.lacking(custom_id, prompt, has_mask=bool(wanted.inputs.get("mask")))
    if lacking is not None:
        raise _wrong(lacking.pointer, lacking.detail)
    # Without the window another prompt would be dropped in silence.
    remix = {"enable_remix": True} if wanted.prompt is not None and buttons.TAKES_PROMPT.match(custom_id) else {}
    params = {**_speed(parent), **remix, **wanted.params, "task_id": parent.task_id, "custom_id": custom_id}
    return FollowUp("midjourney.action", prompt, params, wanted.inputs)


def _animated(parent: Parent, wanted: NewAction) -> FollowUp:
    """A film that goes on, or a film from a picture.

    Buttons that animate are refused by stock gateways (video 2.7), so the picture becomes a first frame.
    """
    prompt = wanted.prompt or ""
    params = {**_speed(parent), **wanted.params}
    if any(one.kind == "video" for one in parent.artifacts):
        index = _place(parent.artifacts, wanted)
        params |= {"task_id": parent.task_id, "index": index}
        return FollowUp("midjourney.video", prompt, params, wanted.inputs)
    picture = _single(parent, wanted)
    return FollowUp("midjourney.video", prompt, params, {"images": [picture.id], **wanted.inputs})


def _single(parent: Parent, wanted: NewAction) -> Stored:
    """The one picture that is to move: a grid of four does not."""
    pictures = [one for one in parent.artifacts if one.kind == "image"]
    if parent.operation in GRIDS or buttons.is_grid(parent.buttons):
        if len(pictures) < TILES:
            told = f"upscale one of them first; the result offers {buttons.told(parent.buttons)}"
            raise Conflict(f"four pictures in one cannot be animated: {told}")
        pictures = pictures[-TILES:]
    if not pictures:
        raise Conflict(f"the result has no picture; it offers {buttons.told(parent.buttons)}")
    return pictures[_place(pictures, wanted)]


def _speed(parent: Parent) -> dict[str, Any]:
    return {"mode": parent.params["mode"]} if "mode" in parent.params else {}


# Films and pictures of other models.


def _remixed(parent: Parent, wanted: NewAction) -> FollowUp:
    """The same film by another prompt."""
    if wanted.action != "remix" or parent.operation not in ("video.create", "video.remix") or parent.task_id is None:
        _refuse(parent, ("remix",) if parent.operation in ("video.create", "video.remix") else ())
    return FollowUp("video.remix", _need_prompt(wanted), {**wanted.params, "task_id": parent.task_id}, wanted.inputs)


EDITS: Final = ("variation", "remix", "inpaint")


def _edited(parent: Parent, wanted: NewAction) -> FollowUp:
    """Another picture from one of the parent's and words."""
    pictures = [one for one in parent.artifacts if one.kind == "image"]
    if wanted.action not in EDITS or not pictures:
        _refuse(parent, EDITS if pictures else ())
    prompt = _need_prompt(wanted)
    if wanted.action == "inpaint" and not wanted.inputs.get("mask"):
        raise _wrong("/inputs/mask", "is needed: it says which part may change")
    picture = pictures[_place(pictures, wanted)]
    images = [picture.id, *wanted.inputs.get("images", ())]
    return FollowUp(None, prompt, wanted.params, {**wanted.inputs, "images": images})


FAMILIES: Final[Mapping[str, Callable[[Parent, NewAction], FollowUp]]] = {
    "midjourney": _pressed,
    "image": _edited,
    "video": _remixed,
}
"""By the first word of the parent's operation."""


def _place(artifacts: Sequence[Stored], wanted: NewAction) -> int:
    """Which of them, from 0."""
    count = len(artifacts)
    if wanted.index is None and count > 1:
        raise _wrong("/index", f"which of them: 1 to {count}")
    index = wanted.index or 1
    if index > count:
        raise Conflict(f"the result has {count}, and no number {index}")
    return index - 1


def _need_prompt(wanted: NewAction) -> str:
    if not (wanted.prompt or "").strip():
        raise _wrong("/prompt", "is needed: it says what is to be different")
    return wanted.prompt or ""


def _refuse(parent: Parent, offers: Sequence[str]) -> NoReturn:
    told = ", ".join(offers) or "nothing"
    raise Conflict(f"the result of {parent.operation} does not offer this; it offers {told}")


def _wrong(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer}: {detail}", (FieldError(pointer, detail),))
