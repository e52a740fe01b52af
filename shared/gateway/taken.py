"""What each endpoint takes of the pictures that go to it: types, bytes and pixels, as a table.  Pure.

Contract: gateway/images-text-audio-system.md 1.3, 3.6, 4.11; gateway/midjourney-and-video.md 3, 3.7, 7.1.
What does not fit is made to fit by `workers/fitting.py`, before the call is claimed; nothing else is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.gateway.call import Call

COMMON: Final = frozenset({"image/png", "image/jpeg", "image/webp"})
"""What every endpoint takes, in all deployments."""


@dataclass(frozen=True)
class Taken:
    """What an endpoint takes of one picture, and of all of a call."""

    why: str
    """Who says so, for people: `a Gemini model takes …`."""
    types: frozenset[str] = COMMON
    most_bytes: int | None = None
    """Of one picture, as a file."""
    together_bytes: int | None = None
    """Of all inputs of a call, as files: in base64 they are a third longer."""
    most_side: int | None = None
    """Of the longer side, pixels."""
    is_first_frame: bool = False
    """The first picture must be exactly as large as the film, and nothing else will do."""


@dataclass(frozen=True)
class Rule:
    """Where something of this kind holds."""

    operations: str
    """A pattern of whole operation names."""
    models: str
    """A pattern of something in the model's name at the gateway, in any case."""
    taken: Taken


GEMINI_NAMES: Final = r"gemini|banana"
"""What the names of Gemini models have in them, in any case."""
GEMINI: Final = Taken("a Gemini model", most_bytes=7_000_000, together_bytes=14_500_000, most_side=4096)
RULES: Final = (
    Rule(r"(image|chat|response|claude|gemini)\..*", GEMINI_NAMES, GEMINI),
    Rule(r"image\..*", r"seedream|seededit|jimeng", Taken("Seedream", most_bytes=10_000_000)),
    Rule(r"image\..*", r"", Taken("GPT image", most_bytes=25_000_000)),
    Rule(r"midjourney\..*", r"", Taken("Midjourney", most_bytes=4_000_000)),
    Rule(r"video\.create", r"^sora-2(-pro)?(-\d{4}-\d\d-\d\d)?$", Taken("Sora", is_first_frame=True)),
    Rule(r"video\..*", r"", Taken("a film model")),
    Rule(r".*", r"", Taken("the model", types=COMMON | {"image/gif"})),
)
"""The first rule that holds counts."""

MASK_MOST_BYTES: Final = 4_000_000
"""Less than so many (images 3.6)."""

FRAME_SIZES: Final = ("720x1280", "1280x720")
"""Of a film whose size nobody named: upright, which is the gateway's default, and across."""


def by(call: Call) -> Taken:
    """What this call's endpoint takes of pictures."""
    return next(
        rule.taken
        for rule in RULES
        if re.fullmatch(rule.operations, call.operation) and re.search(rule.models, call.model, re.IGNORECASE)
    )


def share_bytes(sizes: Iterable[int], together_bytes: int) -> int:
    """The most that one input may have so that all of them fit: what the small ones leave is shared by the others."""
    left, share = together_bytes, together_bytes
    waiting = sorted(sizes)
    for place, size in enumerate(waiting):
        share = left // (len(waiting) - place)
        if size > share:
            return share
        left -= size
    return together_bytes


def frame_size(asked: str | None, width: int | None, height: int | None) -> tuple[int, int]:
    """Width and height of the film that begins with a picture: as asked for, else as the picture lies."""
    lies_across = (width or 0) > (height or 0)
    size = asked if asked and re.fullmatch(r"\d+x\d+", asked) else FRAME_SIZES[lies_across]
    wide, _, tall = size.partition("x")
    return int(wide), int(tall)
