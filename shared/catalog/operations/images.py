"""Pictures while one waits: `/v1/images/generations` and `/v1/images/edits`.  Pure.

Source: gateway/images-text-audio-system.md 4.3, 4.4, 4.10, 4.11, 4.14, 4.15.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from shared.catalog.entry import Operation, Role
from shared.catalog.params import Params, Ratio, Short

ImageSize = Annotated[
    str,
    StringConstraints(pattern=r"^(auto|[1-9]\d{1,4}x[1-9]\d{1,4}|[1-9]\d?:[1-9]\d?|512|0\.5K|1K|2K|4K)$"),
]


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

    @field_validator("output_format")
    @classmethod
    def _holds_what_is_asked(cls, form: str | None, told: ValidationInfo) -> str | None:
        if form == "jpeg" and told.data.get("background") == "transparent":
            raise PydanticCustomError("transparent", "must be png or webp with a transparent background")
        return form

    @field_validator("output_compression")
    @classmethod
    def _may_lose(cls, percent: int | None, told: ValidationInfo) -> int | None:
        if percent is not None and told.data.get("output_format") == "png":
            raise PydanticCustomError("lossless", "must be left out with png, which loses nothing")
        return percent


class ImageEditParams(ImageGenerateParams):
    """`image.edit`: `POST /v1/images/edits`, multipart (4.4, 4.11, 4.15)."""

    input_fidelity: Literal["low", "high"] | None = None
    """How closely faces and details of the inputs are kept."""


OPERATIONS: Final = (
    Operation(
        "image.generate",
        "A picture from words, with reference pictures where the model takes them",
        ImageGenerateParams,
        gives="image",
        inputs={"images": Role(0, 16)},
        timeout_s=330,
    ),
    Operation(
        "image.edit",
        "A picture from pictures and words; a mask says which part may change",
        ImageEditParams,
        gives="image",
        inputs={"images": Role(1, 16), "mask": Role(0, 1)},
        timeout_s=330,
    ),
)
