"""Midjourney's buttons: which of those that a result offers is meant.  Pure.

A button is never made up, only found: its `custom_id` holds what nobody can guess (video 2.7).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.shapes import NewAction
from shared.errors import Conflict, FieldError, InvalidRequest

SHAPES: Final[Mapping[str, re.Pattern[str]]] = {
    "upscale": re.compile(r"MJ::JOB::upsample"),
    "variation": re.compile(r"MJ::JOB::(?:\w+_)?variation"),
    "reroll": re.compile(r"MJ::JOB::reroll"),
    "zoom": re.compile(r"MJ::Outpaint::"),
    "pan": re.compile(r"MJ::JOB::pan_"),
    "inpaint": re.compile(r"MJ::Inpaint::"),
    "animate": re.compile(r"MJ::JOB::animate_"),
    "remix": re.compile(r"MJ::RemixModal::"),
}
"""How the buttons of each action begin."""

OPENS_WINDOW: Final = re.compile(r"MJ::(?:CustomZoom|Inpaint|RemixModal)::")
"""Buttons that ask back, which no operation answers yet."""

NUMBERED: Final = re.compile(r"MJ::JOB::(?:upsample|variation)::(\d)::")
"""U1 to U4 and V1 to V4, on a grid of four."""

SPELLED: Final[Mapping[str, tuple[str, ...]]] = {
    "left": ("pan_left",),
    "right": ("pan_right",),
    "up": ("pan_up",),
    "down": ("pan_down",),
    "subtle": ("subtle", "low_variation"),
    "strong": ("strong", "high_variation"),
    "creative": ("creative",),
}


def choose(buttons: Sequence[Mapping[str, Any]], wanted: NewAction) -> str:
    """The `custom_id` of the button that is meant.

    Raises:
        InvalidRequest: it cannot be told which.
        Conflict: the result does not offer it.
    """
    offered = [str(button["custom_id"]) for button in buttons if button.get("custom_id")]
    if (wanted.action is None) == (wanted.custom_id is None):
        raise InvalidRequest("name either an action or a custom_id", (FieldError("/action", "or custom_id is needed"),))
    if wanted.custom_id is not None:
        found = [wanted.custom_id] if wanted.custom_id in offered else []
    else:
        found = _named(offered, wanted)
    if not found:
        raise Conflict(f"the result does not offer this; it offers {_told(buttons)}")
    if OPENS_WINDOW.match(found[0]):
        raise Conflict("this button opens a window at Midjourney that Darkroom cannot fill in yet")
    return found[0]


def _named(offered: Sequence[str], wanted: NewAction) -> list[str]:
    found = [custom_id for custom_id in offered if SHAPES[str(wanted.action)].match(custom_id)]
    numbers = {match[1] for custom_id in found if (match := NUMBERED.match(custom_id))}
    if wanted.index is not None:
        return [custom_id for custom_id in found if _number(custom_id) == wanted.index]
    if len(numbers) > 1:
        raise _unclear("/index", f"which of the pictures: {', '.join(sorted(numbers))}")
    if wanted.direction is not None:
        return [custom_id for custom_id in found if any(word in custom_id for word in SPELLED[wanted.direction])]
    if wanted.action == "pan" and len(found) > 1:
        raise _unclear("/direction", "left, right, up or down")
    return found


def _number(custom_id: str) -> int | None:
    match = NUMBERED.match(custom_id)
    return None if match is None else int(match[1])


def _unclear(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer}: {detail}", (FieldError(pointer, detail),))


def _told(buttons: Sequence[Mapping[str, Any]]) -> str:
    """What people see on the buttons, with what programs send."""
    shown = [f"{button.get('label') or button.get('emoji') or '?'} ({button.get('custom_id')})" for button in buttons]
    return ", ".join(shown) or "nothing"
