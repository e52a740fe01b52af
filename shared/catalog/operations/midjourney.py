"""Midjourney: `/mj/submit/…`, the buttons below its results, its films.  Pure.

Source: gateway/midjourney-and-video.md 3, 4.3, 5.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from shared.catalog.entry import Operation, Role
from shared.catalog.params import Params, Short

CONTENT: Final = re.compile(r"(\S+) (?:([UV])([1-4])|R)", re.IGNORECASE)
"""What `midjourney.simple_change` is told: `<task id> U2`, `V3` or `R` (3.6)."""


class MidjourneyParams(Params):
    """What all submits take."""

    mode: Literal["fast", "relax", "turbo"] | None = None
    """Speed, by path (2.1); left out, it is the operator's default."""


class MidjourneyBotParams(MidjourneyParams):
    """What submits take that begin something new."""

    bot_type: Literal["MID_JOURNEY", "NIJI_JOURNEY"] | None = None
    """Which of the two bots is at work."""


class MidjourneyImagineParams(MidjourneyBotParams):
    """`midjourney.imagine`: `POST {mode}/mj/submit/imagine` (3.1).  Flags such as `--ar 3:2` stand in the prompt."""


class MidjourneyBlendParams(MidjourneyBotParams):
    """`midjourney.blend`: `POST {mode}/mj/submit/blend` (3.3)."""

    dimensions: Literal["PORTRAIT", "SQUARE", "LANDSCAPE"] | None = None
    """Width to height: 2:3, 1:1 (if left out) or 3:2."""


class MidjourneyDescribeParams(MidjourneyBotParams):
    """`midjourney.describe`: `POST {mode}/mj/submit/describe` (3.4)."""

    language: Short | None = None
    """In which the prompts are to be, where the deployment can."""


class MidjourneyShortenParams(MidjourneyBotParams):
    """`midjourney.shorten`: `POST {mode}/mj/submit/shorten` (3.8)."""


class MidjourneySwapFaceParams(MidjourneyParams):
    """`midjourney.swap_face`: `POST {mode}/mj/insight-face/swap` (3.9)."""


class MidjourneyActionParams(MidjourneyParams):
    """`midjourney.action`: `POST {mode}/mj/submit/action`, one button of a finished task (3.2)."""

    task_id: Short
    """The upstream task whose button is pressed; it must have succeeded."""
    custom_id: Annotated[str, StringConstraints(min_length=3, max_length=512, pattern="::")]
    """The button, exactly as the parent's `result.buttons` names it."""
    enable_remix: bool | None = None
    """Ask for the window in which the prompt can be changed, also where the account does not open it by itself."""


class MidjourneyChangeParams(MidjourneyParams):
    """`midjourney.change`: `POST {mode}/mj/submit/change`, for deployments without buttons (3.5)."""

    task_id: Short
    """The upstream task whose picture is changed: a grid of four."""
    action: Literal["UPSCALE", "VARIATION", "REROLL"]
    """One picture alone, four like one of them, or four others."""
    index: int | None = Field(None, ge=1, le=4, validate_default=True)
    """Which of the four, from 1; needed but for REROLL, to which it means nothing."""

    @field_validator("index")
    @classmethod
    def _is_said(cls, index: int | None, info: ValidationInfo) -> int | None:
        if index is None and info.data.get("action") in ("UPSCALE", "VARIATION"):
            raise PydanticKnownError("missing")
        return index


class MidjourneySimpleChangeParams(MidjourneyParams):
    """`midjourney.simple_change`: `POST {mode}/mj/submit/simple-change`, the same in one text (3.6)."""

    content: Annotated[str, StringConstraints(max_length=280)]
    """`<task id> U2`, `<task id> V3` or `<task id> R`."""
    task_id: Short | None = Field(None, validate_default=True)
    """The upstream task that `content` names; may be left out."""

    @field_validator("content")
    @classmethod
    def _is_readable(cls, content: str) -> str:
        if not CONTENT.fullmatch(content):
            raise PydanticCustomError("content", "must be a task id, one blank, and U1 to U4, V1 to V4 or R")
        return content

    @field_validator("task_id", mode="before")
    @classmethod
    def _is_the_same(cls, task_id: Any, info: ValidationInfo) -> Any:
        """Known apart, so that whoever guards tasks need not read `content`."""
        named = info.data.get("content", "").partition(" ")[0]
        if named and task_id is not None and task_id != named:
            raise PydanticCustomError("another_task", "must be the task that content names")
        return named or task_id


class MidjourneyModalParams(MidjourneyParams):
    """`midjourney.modal`: `POST {mode}/mj/submit/modal`, a window that a button opened (3.7)."""

    task_id: Short
    """The upstream task in state MODAL, as the button's answer named it; not the picture's."""


class MidjourneySeedParams(Params):
    """`midjourney.seed`: `GET /mj/task/{id}/image-seed` (4.3)."""

    task_id: Short
    """The upstream task whose seed is wanted; it must have succeeded."""


class MidjourneyVideoParams(MidjourneyBotParams):
    """`midjourney.video`: `POST {mode}/mj/submit/video`, from a first frame, or longer from a finished film (5.1)."""

    motion: Literal["low", "medium", "high"] | None = None
    """How much moves; low if left out."""
    video_type: Literal["vid_1.1_i2v_480", "vid_1.1_i2v_720"] | None = None
    """Resolution, where the deployment has several."""
    batch_size: Literal[1, 2, 4] | None = None
    """How many films; four if left out.  The price is for all of them."""
    loop: bool | None = None
    """Let it end as it began."""
    animate_mode: Literal["manual", "auto"] | None = None
    """By the prompt, or as the model likes."""
    no_storage: bool | None = None
    """Hand out the provider's own link instead of a stored copy; Darkroom stores the film either way."""
    task_id: Short | None = None
    """The upstream task of a finished film that is to go on; then there is no first frame."""
    index: int | None = Field(None, ge=0, le=3)
    """Which of its films goes on, from 0 as its artifacts are counted; the first if left out."""
    index_base: Literal[0, 1] | None = None
    """From what the deployment counts films; 0 if left out.  A matter for `DARKROOM_CATALOG` (video 10.3)."""

    @field_validator("index")
    @classmethod
    def _has_a_film(cls, index: int | None, info: ValidationInfo) -> int | None:
        if index is not None and info.data.get("task_id") is None:
            raise PydanticCustomError("which_film", "means nothing without the task_id of a film that is to go on")
        return index


PROMPT_MOST: Final = 6_000

OPERATIONS: Final = (
    Operation(
        "midjourney.imagine",
        "Four pictures in a grid from words, with reference pictures",
        MidjourneyImagineParams,
        gives="image",
        prompt_most=PROMPT_MOST,
        inputs={"images": Role(0, 5)},
        is_asynchronous=True,
    ),
    Operation(
        "midjourney.blend",
        "Four pictures in a grid from two to five pictures",
        MidjourneyBlendParams,
        gives="image",
        prompt_required=False,
        prompt_most=PROMPT_MOST,
        inputs={"images": Role(2, 5)},
        is_asynchronous=True,
    ),
    Operation(
        "midjourney.describe",
        "Four prompts that might have made a picture",
        MidjourneyDescribeParams,
        gives="text",
        prompt_required=False,
        inputs={"images": Role(1, 1)},
        is_asynchronous=True,
    ),
    Operation(
        "midjourney.shorten",
        "Which words of a prompt count, and shorter prompts",
        MidjourneyShortenParams,
        gives="text",
        prompt_most=PROMPT_MOST,
        is_asynchronous=True,
    ),
    Operation(
        "midjourney.action",
        "One button of a finished Midjourney job: upscale, variation, reroll, zoom, pan, a region, another prompt",
        MidjourneyActionParams,
        gives="image",
        prompt_required=False,
        prompt_most=PROMPT_MOST,
        inputs={"mask": Role(0, 1)},
        is_asynchronous=True,
    ),
    Operation(
        "midjourney.change",
        "Upscale, variation or reroll of a grid by its number, where the deployment has no buttons",
        MidjourneyChangeParams,
        gives="image",
        prompt_required=False,
        prompt_most=PROMPT_MOST,
        is_asynchronous=True,
    ),
    Operation(
        "midjourney.simple_change",
        "The same, in one text",
        MidjourneySimpleChangeParams,
        gives="image",
        prompt_required=False,
        prompt_most=PROMPT_MOST,
        is_asynchronous=True,
    ),
    Operation(
        "midjourney.modal",
        "What a window wants to know that a button opened: a prompt, a mask",
        MidjourneyModalParams,
        gives="image",
        prompt_required=False,
        prompt_most=PROMPT_MOST,
        inputs={"mask": Role(0, 1)},
        is_asynchronous=True,
    ),
    Operation(
        "midjourney.swap_face",
        "The face of one picture (source) in another picture (target)",
        MidjourneySwapFaceParams,
        gives="image",
        prompt_required=False,
        inputs={"source": Role(1, 1), "target": Role(1, 1)},
        is_asynchronous=True,
    ),
    Operation(
        "midjourney.video",
        "Short films from a first frame, or a finished film made longer",
        MidjourneyVideoParams,
        gives="video",
        prompt_required=False,
        prompt_most=PROMPT_MOST,
        images_or="task_id",
        inputs={"images": Role(0, 1), "end_image": Role(0, 1)},
        is_asynchronous=True,
    ),
    Operation(
        "midjourney.seed",
        "The seed of a finished Midjourney picture, where the deployment can tell it",
        MidjourneySeedParams,
        gives="text",
        prompt_required=False,
        is_free=True,
    ),
)
