"""The buttons below a result, and what each stands for.  Pure.

Contract: gateway/midjourney-and-video.md 2.6, 2.7.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from deploy.sandbox.tasks import Task

#: What a `customId` begins with → the action that stock knows (2.7); the first that fits.
ACTIONS: Final[Sequence[tuple[str, str]]] = (
    ("MJ::JOB::upsample", "UPSCALE"),
    ("MJ::JOB::variation", "VARIATION"),
    ("MJ::JOB::low_variation", "LOW_VARIATION"),
    ("MJ::JOB::high_variation", "HIGH_VARIATION"),
    ("MJ::JOB::reroll", "REROLL"),
    ("MJ::JOB::pan_", "PAN"),
    ("MJ::Outpaint", "ZOOM"),
    ("MJ::CustomZoom", "CUSTOM_ZOOM"),
    ("MJ::Inpaint", "INPAINT"),
)
#: Actions that always open a window, for nothing.
WINDOWED: Final = frozenset({"CUSTOM_ZOOM", "INPAINT"})
#: Actions that open one in remix mode.
REMIXED: Final = frozenset({"VARIATION", "LOW_VARIATION", "HIGH_VARIATION", "REROLL", "PAN"})

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
KEYCAPS: Final = ("1️⃣", "2️⃣", "3️⃣", "4️⃣", "5️⃣")
UNDER_DESCRIPTION: Final = (
    *((f"MJ::Job::PicReader::{number}", keycap, "") for number, keycap in enumerate(KEYCAPS[:4], 1)),
    ("MJ::Picread::Retry", "🔄", ""),
    ("MJ::Job::PicReader::all", "🎉", "Imagine all"),
)
UNDER_SHORT_PROMPTS: Final = tuple(
    (f"MJ::Job::PromptAnalyzer::{number}", keycap, "") for number, keycap in enumerate(KEYCAPS[:3], 1)
)

#: By action, where it has neither those of a grid nor none.
UNDER: Final[Mapping[str, Sequence[tuple[str, str, str]]]] = {
    "UPSCALE": UNDER_PICTURE,
    "DESCRIBE": UNDER_DESCRIPTION,
    "SHORTEN": UNDER_SHORT_PROMPTS,
    "SWAP_FACE": (),
    "VIDEO": (),
    "VIDEO_EXTEND": (),
}


def below(task: Task) -> list[dict[str, Any]]:
    """All that a finished task offers."""
    job = uuid.uuid5(uuid.NAMESPACE_URL, task.id)
    return [
        {"customId": shape.format(job), "emoji": emoji, "label": label, "type": 2, "style": 2}
        for shape, emoji, label in UNDER.get(task.action, UNDER_GRID)
    ]


def action_of(custom_id: str) -> str | None:
    """What stock takes a button for; None for one that it does not know."""
    return next((action for start, action in ACTIONS if custom_id.startswith(start)), None)


FORMS: Final[Mapping[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]] | None]]] = {
    "stock": lambda buttons: buttons,
    "none": lambda buttons: None,
    "nulls": lambda buttons: [
        {"customId": one["customId"], "emoji": one["emoji"] or None, "label": one["label"] or None, "type": None}
        for one in buttons
    ],
}
