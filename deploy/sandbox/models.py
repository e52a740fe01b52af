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
    """For one picture, one Midjourney task, one second of film; one letter spoken, one minute heard, one token of a
    text that becomes a vector or a rank."""
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
    ("sora-2-all", "sora-2-pro-all", "sora_video2", "sora_video2-landscape", "sora_video2-15s"),
    ("sora-2-all", "sora-2-pro-all", "sora-2-vip", "sora_video2"),
    Decimal("0.02"),
    (10.0, 14.0),
    "custom",
    ("openai-video",),
    default_seconds=10,
)
VEO: Final = Family(
    "video",
    (
        *("veo2-fast-frames", "veo3", "veo3-fast", "veo3-pro-frames", "veo3.1", "veo3.1-fast", "veo3.1-4k"),
        *("veo3.1-components", "veo_3_1-fast", "veo-3.1-landscape-fl", "veo-3.1-generate-preview"),
    ),
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
    ("mj_imagine", "mj_blend", "mj_variation", "mj_reroll", "mj_zoom", "mj_pan", "mj_modal", "mj_shorten"),
    ("mj_",),
    Decimal("0.1"),
    (4.0, 8.0),
    "midjourney",
    ("openai",),
)
UPSCALE: Final = Family(
    "midjourney", ("mj_upscale",), ("mj_upscale",), Decimal("0.05"), (2.0, 2.0), "midjourney", ("openai",)
)
DESCRIBE: Final = Family(
    "midjourney", ("mj_describe",), ("mj_describe",), Decimal("0.05"), (1.0, 2.0), "midjourney", ("openai",)
)
SWAP_FACE: Final = Family(
    "midjourney", ("swap_face",), ("swap_face",), Decimal("0.05"), (1.0, 3.0), "midjourney", ("openai",)
)
MIDJOURNEY_FILM: Final = Family(
    "midjourney", ("mj_video",), ("mj_video",), Decimal("0.8"), (8.0, 12.0), "midjourney", ("openai",)
)

SPEECH_HD: Final = Family("audio", ("tts-1-hd",), ("tts-1-hd",), Decimal("0.00003"), (1.0, 3.0), "openai", ("openai",))
SPEECH: Final = Family(
    "audio",
    ("tts-1", "gpt-4o-mini-tts"),
    ("tts-1", "gpt-4o-mini-tts", "test-tts"),
    Decimal("0.000015"),
    (1.0, 3.0),
    "openai",
    ("openai",),
)
LISTENER: Final = Family(
    "audio",
    ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize"),
    ("whisper", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"),
    Decimal("0.006"),
    (1.0, 3.0),
    "openai",
    ("openai",),
)
VECTORS: Final = Family(
    "text",
    ("text-embedding-3-small", "text-embedding-3-large"),
    ("text-embedding",),
    Decimal("0.00000002"),
    (0.1, 0.3),
    "openai",
    ("embeddings",),
)
RANKS: Final = Family(
    "text",
    ("jina-reranker-v2-base-multilingual", "bge-reranker-v2-m3"),
    ("jina-reranker", "bge-reranker"),
    Decimal("0.00000005"),
    (0.1, 0.3),
    "custom",
    ("jina-rerank",),
)
GPT: Final = Family(
    "text",
    ("gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini"),
    ("gpt-4.1", "gpt-5", "o3", "o4-mini", "test-text"),
    Decimal("0.000002"),
    (0.3, 1.0),
    "openai",
    ("openai", "openai-response"),
)
CLAUDE: Final = Family(
    "text",
    ("claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"),
    ("claude-",),
    Decimal("0.000009"),
    (0.3, 1.0),
    "claude",
    ("anthropic", "openai"),
)
GEMINI: Final = Family(
    "text",
    ("gemini-2.5-flash", "gemini-2.5-pro"),
    ("gemini-",),
    Decimal("0.000002"),
    (0.3, 1.0),
    "google gemini",
    ("gemini", "openai"),
)
#: What the routes that are no chat look among; the narrower names stand first.
SPEAKING: Final = (SPEECH_HD, SPEECH)
LISTENING: Final = (LISTENER,)
EMBEDDING: Final = (VECTORS,)
RANKING: Final = (RANKS,)
#: Models that write, in whatever format.
WRITING: Final = (GPT, CLAUDE, GEMINI)

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
    DESCRIBE,
    SWAP_FACE,
    MIDJOURNEY_FILM,
    MIDJOURNEY,
    *SPEAKING,
    *LISTENING,
    *EMBEDDING,
    *RANKING,
    *WRITING,
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
