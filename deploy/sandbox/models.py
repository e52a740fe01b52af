"""The models that the sandbox offers: families by the start of their name, with list prices and times.  Pure.

Times are for a demonstration: a fifteenth of what the real ones take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from deploy.sandbox.replies import Reply, openai_error

Kind = Literal["image", "video", "midjourney", "text", "audio"]


@dataclass(frozen=True)
class Family:
    """Models that cost and behave alike."""

    kind: Kind
    names: tuple[str, ...]
    starts: tuple[str, ...]
    price_usd: Decimal
    """For one picture, one Midjourney task, one second of film."""
    takes_s: tuple[float, float]
    owner: str
    endpoint_types: tuple[str, ...]
    response_format: Literal["url", "b64_json"] = "url"
    picture: Literal["png", "jpeg", "webp"] = "png"
    seconds: tuple[int, ...] = ()
    """Lengths that the upstream takes; empty: any up to 60."""
    default_seconds: int = 4
    default_size: str = ""
    sizes: tuple[str, ...] = ()
    """Sizes that the gateway itself checks (Sora); empty: it does not."""


IMAGE_SECONDS: Final = (1.0, 3.0)
NANO_BANANA: Final = Family(
    "image",
    ("nano-banana", "gemini-2.5-flash-image", "nano-banana-pro", "gemini-3-pro-image-preview", "nano-banana-2"),
    ("nano-banana", "gemini-2.5-flash-image", "gemini-3-pro-image", "gemini-3.1-flash-image", "NanoBanana"),
    Decimal("0.039"),
    IMAGE_SECONDS,
    "custom",
    ("gemini", "openai"),
)
GPT_IMAGE: Final = Family(
    "image",
    ("gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2"),
    ("gpt-image", "chatgpt-image", "dall-e"),
    Decimal("0.042"),
    IMAGE_SECONDS,
    "openai",
    ("image-generation",),
    response_format="b64_json",
)
GPT_4O_IMAGE: Final = Family(
    "image", ("gpt-4o-image",), ("gpt-4o-image", "sora_image"), Decimal("0.04"), IMAGE_SECONDS, "custom", ("openai",)
)
SEEDREAM: Final = Family(
    "image",
    ("doubao-seedream-4-0-250828", "doubao-seedream-4-5-251128"),
    ("doubao-see", "seedream", "jimeng"),
    Decimal("0.03"),
    IMAGE_SECONDS,
    "volcengine",
    ("image-generation",),
    picture="jpeg",
    default_size="2048x2048",
)
OTHER_IMAGE: Final = Family(
    "image", (), ("flux", "imagen", "qwen-image", "test-image"), Decimal("0.05"), IMAGE_SECONDS, "custom", ("openai",)
)
SORA: Final = Family(
    "video",
    ("sora-2", "sora-2-pro"),
    ("sora-2", "sora_video"),
    Decimal("0.1"),
    (10.0, 14.0),
    "openai",
    ("openai-video",),
    seconds=(4, 8, 12, 16, 20),
    default_size="720x1280",
    sizes=("720x1280", "1280x720", "1024x1792", "1792x1024", "1080x1920", "1920x1080"),
)
REVERSE_SORA: Final = Family(
    "video",
    (),
    ("sora-2-all", "sora-2-pro-all", "sora-2-vip", "sora_video2"),
    Decimal("0.02"),
    (10.0, 14.0),
    "custom",
    ("openai-video",),
    default_seconds=10,
)
VEO: Final = Family(
    "video",
    ("veo3", "veo3-fast", "veo3.1", "veo3.1-fast"),
    ("veo",),
    Decimal("0.15"),
    (8.0, 12.0),
    "vertex-ai",
    ("openai-video",),
    seconds=(4, 5, 6, 7, 8),
    default_seconds=8,
    default_size="1280x720",
)
OTHER_VIDEO: Final = Family(
    "video", (), ("kling", "wan", "test-video"), Decimal("0.05"), (8.0, 12.0), "custom", ("openai-video",)
)
MIDJOURNEY: Final = Family(
    "midjourney",
    ("mj_imagine", "mj_variation", "mj_reroll", "mj_zoom", "mj_pan"),
    ("mj_",),
    Decimal("0.1"),
    (4.0, 8.0),
    "midjourney",
    ("openai",),
)
UPSCALE: Final = Family(
    "midjourney", ("mj_upscale",), ("mj_upscale",), Decimal("0.05"), (2.0, 2.0), "midjourney", ("openai",)
)

#: The first family that a name starts with owns it, so the narrower ones stand first.
FAMILIES: Final = (
    NANO_BANANA,
    GPT_IMAGE,
    GPT_4O_IMAGE,
    SEEDREAM,
    OTHER_IMAGE,
    REVERSE_SORA,
    SORA,
    VEO,
    OTHER_VIDEO,
    UPSCALE,
    MIDJOURNEY,
)


def family_of(model: str, kind: Kind, families: Sequence[Family] = FAMILIES) -> Family | None:
    """The family that serves this model on a route of this kind; None if no channel does."""
    return next((family for family in families if family.kind == kind and model.startswith(family.starts)), None)


def first_family(model: str, kinds: Sequence[Kind], families: Sequence[Family] = FAMILIES) -> Family | None:
    """The same on a route that serves several kinds."""
    return next((family for family in families if family.kind in kinds and model.startswith(family.starts)), None)


def no_channel(model: str) -> Reply:
    """503: nobody serves this model (images 2.2)."""
    return openai_error(503, "model_not_found", f"分组 default 下模型 {model} 无可用渠道（distributor）")
