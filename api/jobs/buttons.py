"""Midjourney's buttons: which of those that a result offers is meant.  Pure.

A button is never made up, only found: its `custom_id` holds what nobody can guess (video 2.7).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.shapes import NewAction
from shared.errors import Conflict, FieldError, InvalidRequest
from shared.gateway.adapters.midjourney import windows

Buttons = Sequence[Mapping[str, Any]]

VARIATION: Final = re.compile(r"MJ::JOB::(?:\w+_)?variation")

SHAPES: Final[Mapping[str, re.Pattern[str]]] = {
    "upscale": re.compile(r"MJ::JOB::upsample"),
    "variation": VARIATION,
    "reroll": re.compile(r"MJ::JOB::reroll"),
    "zoom": re.compile(r"MJ::Outpaint::"),
    "pan": re.compile(r"MJ::JOB::pan_"),
    "inpaint": re.compile(re.escape(windows.INPAINT)),
    "remix": VARIATION,
}
"""How the buttons of each action begin.  A remix is a variation by another prompt."""

CUSTOM_ZOOM: Final = re.compile(re.escape(windows.CUSTOM_ZOOM))
"""In place of those of `zoom`, if the prompt says how far: `--zoom 1.8`."""

TAKES_PROMPT: Final = re.compile(r"MJ::JOB::(?:(?:\w+_)?variation|reroll|pan_)")
"""Buttons that draw by another prompt if their window is asked for; by default only in remix mode (video 2.7)."""

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


def choose(buttons: Buttons, wanted: NewAction) -> str:
    """The `custom_id` of the button that is meant.

    Raises:
        InvalidRequest: it cannot be told which.
        Conflict: the result does not offer it.
    """
    offered = [str(button["custom_id"]) for button in buttons if button.get("custom_id")]
    if wanted.custom_id is not None:
        found = [wanted.custom_id] if wanted.custom_id in offered else []
    else:
        found = _named(offered, wanted)
    if not found:
        raise Conflict(f"the result does not offer this; it offers {told(buttons)}")
    return found[0]


def is_grid(buttons: Buttons) -> bool:
    """Whether the buttons are those below four pictures in one."""
    return any(NUMBERED.match(str(button.get("custom_id"))) for button in buttons)


def told(buttons: Buttons) -> str:
    """What people see on the buttons, with what programs send."""
    shown = [f"{button.get('label') or button.get('emoji') or '?'} ({button.get('custom_id')})" for button in buttons]
    return ", ".join(shown) or "nothing"


def _named(offered: Sequence[str], wanted: NewAction) -> list[str]:
    found = [custom_id for custom_id in offered if _shape(wanted).match(custom_id)]
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


def _shape(wanted: NewAction) -> re.Pattern[str]:
    if wanted.action == "zoom" and windows.zooms(wanted.prompt or ""):
        return CUSTOM_ZOOM
    return SHAPES[str(wanted.action)]


def _number(custom_id: str) -> int | None:
    match = NUMBERED.match(custom_id)
    return None if match is None else int(match[1])


def _unclear(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer}: {detail}", (FieldError(pointer, detail),))
