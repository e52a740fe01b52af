"""What the studio is told to draw for Midjourney: grids, single pictures, films.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from deploy.sandbox import sizes
from deploy.sandbox.script import drawn
from deploy.sandbox.sizes import Size
from deploy.sandbox.tasks import Task

Spec = dict[str, Any]

#: Actions whose result is one picture; the others give a grid.
SINGLE: Final = frozenset({"UPSCALE", "SWAP_FACE", "DESCRIBE", "VIDEO", "VIDEO_EXTEND"})
AREA: Final = 1024 * 1024
DIMENSIONS: Final[Mapping[str, float]] = {"PORTRAIT": 2 / 3, "SQUARE": 1.0, "LANDSCAPE": 3 / 2}
#: Pixels of a film by its type (5.1).
FILM_SIZES: Final[Mapping[str, Size]] = {"vid_1.1_i2v_480": (832, 464), "vid_1.1_i2v_720": (1280, 720)}
FIRST_SECONDS: Final = 5
MORE_SECONDS: Final = 4
MOST_SECONDS: Final = 21


def picture(
    action: str, prompt: str, *, seed: str, inputs: Sequence[str] = (), size: Size | None = None, title: str = ""
) -> Spec:
    """A grid, or one picture, as its action gives."""
    width, height = size or sizes.midjourney_size(prompt)
    return {
        "draws": "picture" if action in SINGLE else "grid",
        "format": "png",
        "seed": seed,
        "width": width,
        "height": height,
        "title": title or drawn(prompt),
        "note": f"Midjourney · {action.lower().replace('_', ' ')}",
        "inputs": list(inputs),
    }


def blend(prompt: str, inputs: Sequence[str], dimensions: str) -> Spec:
    size = sizes.in_ratio(DIMENSIONS[dimensions], AREA)
    return picture("BLEND", prompt, seed="/".join(inputs), inputs=inputs, size=size, title=drawn(prompt) or "a blend")


def pressed(parent: Task, action: str, custom_id: str, prompt: str) -> Spec:
    """A tile alone, or a new grid that follows from the parent and the button."""
    came = parent.params["spec"]
    number = re.search(r"::(\d+)::", custom_id)
    is_tile = action in SINGLE and came["draws"] == "grid" and number is not None
    seed = f"{came['seed']}/{number[1]}" if is_tile and number else f"{came['seed']}/{custom_id}/{drawn(prompt)}"
    return picture(action, prompt, seed=seed, inputs=came["inputs"], title=drawn(prompt) or came["title"])


def films(prompt: str, inputs: Sequence[str], *, seed: str, count: int, video_type: str, seconds: int) -> list[Spec]:
    """Clips that differ in their seed."""
    width, height = FILM_SIZES[video_type]
    return [
        {
            "draws": "film",
            "format": "mp4",
            "seed": f"{seed}/{number}",
            "width": width,
            "height": height,
            "seconds": seconds,
            "title": drawn(prompt) or "a film",
            "note": f"Midjourney · film {number}",
            "inputs": list(inputs),
        }
        for number in range(1, count + 1)
    ]


def longer(seconds: int) -> int:
    """How long a film is that goes on (5.2)."""
    return min(seconds + MORE_SECONDS, MOST_SECONDS)
