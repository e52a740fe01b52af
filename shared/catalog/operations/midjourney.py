"""Midjourney: `/mj/submit/…`.  Pure.

Source: gateway/midjourney-and-video.md 3.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import StringConstraints

from shared.catalog.entry import Operation, Role
from shared.catalog.params import Params, Short


class MidjourneyImagineParams(Params):
    """`midjourney.imagine`: `POST {mode}/mj/submit/imagine` (3.1).  Flags such as `--ar 3:2` stand in the prompt."""

    mode: Literal["fast", "relax", "turbo"] | None = None
    """Speed, by path (2.1); left out, it is the operator's default."""
    bot_type: Literal["MID_JOURNEY", "NIJI_JOURNEY"] | None = None
    """Which of the two bots draws."""


class MidjourneyActionParams(Params):
    """`midjourney.action`: `POST {mode}/mj/submit/action`, one button of a finished task (3.2)."""

    task_id: Short
    """The upstream task whose button is pressed; it must have succeeded."""
    custom_id: Annotated[str, StringConstraints(min_length=3, max_length=512, pattern="::")]
    """The button, exactly as the parent's `result.buttons` names it."""
    mode: Literal["fast", "relax", "turbo"] | None = None
    """Speed, by path (2.1); left out, it is the operator's default."""


OPERATIONS: Final = (
    Operation(
        "midjourney.imagine",
        "Four pictures in a grid from words, with reference pictures",
        MidjourneyImagineParams,
        gives="image",
        prompt_most=6_000,
        inputs={"images": Role(0, 5)},
        is_asynchronous=True,
    ),
    Operation(
        "midjourney.action",
        "One button of a finished Midjourney job: upscale, variation, reroll, zoom, pan",
        MidjourneyActionParams,
        gives="image",
        prompt_required=False,
        is_asynchronous=True,
    ),
)
