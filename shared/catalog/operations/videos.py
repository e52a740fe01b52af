"""Films: `/v1/videos` (Sora, Veo and kin).  Pure.

Source: gateway/midjourney-and-video.md 7, 8.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from shared.catalog.entry import Operation, Role
from shared.catalog.params import Params, Short

VideoSize = Annotated[str, StringConstraints(pattern=r"^([1-9]\d{2,3}x[1-9]\d{2,3}|16x9|9x16|small|large)$")]


class VideoCreateParams(Params):
    """`video.create`: `POST /v1/videos` (video 7.1, 8.1)."""

    seconds: int | None = Field(None, ge=1, le=60)
    """Length of the film, whole seconds; paid for by the second at most models."""
    size: VideoSize | None = None
    """`WIDTHxHEIGHT` in pixels, or a name that the model knows."""
    aspect_ratio: Literal["16:9", "9:16", "1:1"] | None = None
    """Width to height, for models that take it apart from `size`."""
    orientation: Literal["portrait", "landscape"] | None = None
    """For models that take no size."""
    watermark: bool | None = None
    """Whether the provider may print its mark."""
    private: bool | None = None
    """Keep the film out of the provider's public gallery."""
    style: Short | None = None
    """A style name that the model knows."""
    enhance_prompt: bool | None = None
    """Let the provider rewrite or translate the prompt."""
    enable_upsample: bool | None = None
    """1080p by upscaling (Veo)."""
    quality: Short | None = None
    """A grade that the model knows."""
    negative_prompt: Annotated[str, StringConstraints(max_length=4000)] | None = None
    """What must not be in the film (Veo)."""
    seed: int | None = Field(None, ge=0, le=2**32 - 1)
    """The same seed and prompt give a like film, where the model honours it (Veo)."""


OPERATIONS: Final = (
    Operation(
        "video.create",
        "A film from words, with a first frame or reference pictures where the model takes them",
        VideoCreateParams,
        gives="video",
        inputs={"images": Role(0, 3)},
        is_asynchronous=True,
        timeout_s=120,
    ),
)
