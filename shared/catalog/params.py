"""What can be asked of each operation: one class each, with units and bounds.  Pure.

Names are the gateway's own, in snake_case; its camelCase spelling is accepted too.  Bounds here are the
widest that any model takes; a catalog entry narrows them for its model (`Entry.limits`).
Source: gateway/images-text-audio-system.md 4, gateway/midjourney-and-video.md 3, 7, 8.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

ImageSize = Annotated[
    str,
    StringConstraints(pattern=r"^(auto|[1-9]\d{1,4}x[1-9]\d{1,4}|[1-9]\d?:[1-9]\d?|512|0\.5K|1K|2K|4K)$"),
]
VideoSize = Annotated[str, StringConstraints(pattern=r"^([1-9]\d{2,3}x[1-9]\d{2,3}|16x9|9x16|small|large)$")]
Ratio = Annotated[str, StringConstraints(pattern=r"^[1-9]\d?:[1-9]\d?$")]
Short = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Params(BaseModel):
    """What all operations share: frozen, nothing unknown, a field left out is None and is not sent."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )

    def given(self) -> dict[str, Any]:
        """The fields that were asked for, by their snake_case names."""
        return self.model_dump(exclude_none=True)


class ImageGenerateParams(Params):
    """`image.generate`: `POST /v1/images/generations` (4.3, 4.10, 4.14)."""

    n: int | None = Field(None, ge=1, le=15)
    """Pictures to make; each is paid for."""
    size: ImageSize | None = None
    """`WIDTHxHEIGHT` in pixels, a ratio as `16:9`, `1K`, `2K`, `4K`, or `auto`."""
    quality: Literal["auto", "low", "medium", "high", "standard", "hd", "1K", "2K", "4K"] | None = None
    """Effort and detail, where the model has grades of it."""
    aspect_ratio: Ratio | None = None
    """Width to height, as `3:2`, for models that take it apart from `size`."""
    image_size: Literal["512", "0.5K", "1K", "2K", "4K"] | None = None
    """Length of the long side, for the Nano Banana models."""
    background: Literal["auto", "transparent", "opaque"] | None = None
    """Transparent needs PNG or WebP."""
    output_format: Literal["png", "jpeg", "webp"] | None = None
    """File format of the result."""
    output_compression: int | None = Field(None, ge=0, le=100)
    """Percent, for JPEG and WebP."""
    moderation: Literal["auto", "low"] | None = None
    """How strictly the provider checks the prompt."""
    response_format: Literal["url", "b64_json"] | None = None
    """How the gateway hands the picture over; Darkroom stores it either way."""
    style: Short | None = None
    """A style name that the model knows."""
    watermark: bool | None = None
    """Whether the provider may print its mark (Seedream does unless told not to)."""
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    """The same seed and prompt give a like picture, where the model honours it."""
    user: Short | None = None
    """Your own user's id, handed on to the provider."""


class ImageEditParams(ImageGenerateParams):
    """`image.edit`: `POST /v1/images/edits`, multipart (4.4, 4.11, 4.15)."""

    input_fidelity: Literal["low", "high"] | None = None
    """How closely faces and details of the inputs are kept."""


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
