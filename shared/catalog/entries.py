"""The built-in catalog: data only.  Pure.

Names of models are the operator's configuration (images 3.2, video 7.1, 8.1): these are the ones that most
deployments have, under the list prices of their providers; `DARKROOM_CATALOG` corrects both without code.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from shared.catalog.entry import Entry, Lane, Limit, Operation, Price, Role
from shared.catalog.params import (
    ImageEditParams,
    ImageGenerateParams,
    MidjourneyActionParams,
    MidjourneyImagineParams,
    VideoCreateParams,
)

OPERATIONS: Final[Mapping[str, Operation]] = {
    operation.name: operation
    for operation in (
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
        Operation(
            "video.create",
            "A film from words, with a first frame or reference pictures where the model takes them",
            VideoCreateParams,
            gives="video",
            inputs={"images": Role(0, 3)},
            is_asynchronous=True,
            timeout_s=120,
        ),
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
}

LANES: Final[Mapping[str, Lane]] = {
    "nano-banana": Lane(limit=20, rate_per_minute=300),
    "gpt-image": Lane(limit=10, rate_per_minute=120),
    "seedream": Lane(limit=20, rate_per_minute=300),
    "midjourney": Lane(limit=10, rate_per_minute=60),
    "sora": Lane(limit=20, rate_per_minute=60),
    "veo": Lane(limit=20, rate_per_minute=60),
    "other": Lane(limit=5, rate_per_minute=60),
}


def _image(title: str, lane: str, usd: str, typical_s: float, **more: Any) -> Entry:
    more.setdefault("operation_with_images", "image.edit")
    price = Price(per_call=Decimal(usd))
    return Entry(title=title, operation="image.generate", lane=lane, typical_s=typical_s, price=price, **more)


def _film(title: str, lane: str, typical_s: float, usd_a_second: str, **more: Any) -> Entry:
    return Entry(
        title=title,
        operation="video.create",
        lane=lane,
        typical_s=typical_s,
        price=Price(per_second=Decimal(usd_a_second)),
        first_look_s=10,
        look_every_s=10,
        **more,
    )


ONE_PICTURE: Final = {"n": Limit(maximum=1)}
GPT: Final = {"n": Limit(maximum=10), "size": Limit(values=("auto", "1024x1024", "1536x1024", "1024x1536"))}
SORA: Final = {"seconds": Limit(values=(4, 8, 12)), "size": Limit(values=("720x1280", "1280x720"))}
SORA_PRO: Final = {
    "seconds": Limit(values=(4, 8, 12)),
    "size": Limit(values=("720x1280", "1280x720", "1024x1792", "1792x1024")),
}
VEO: Final = {
    "seconds": Limit(values=(4, 6, 8)),
    "size": Limit(values=("1280x720", "720x1280", "1920x1080", "1080x1920", "16x9", "9x16")),
}

ENTRIES: Final[Mapping[str, Entry]] = {
    "nano-banana": _image("Nano Banana", "nano-banana", "0.039", 12, limits=ONE_PICTURE, max_images=3),
    "gemini-2.5-flash-image": _image("Nano Banana", "nano-banana", "0.039", 12, limits=ONE_PICTURE, max_images=3),
    "nano-banana-pro": _image("Nano Banana Pro", "nano-banana", "0.134", 30, limits=ONE_PICTURE, max_images=14),
    "gemini-3-pro-image-preview": _image(
        "Nano Banana Pro", "nano-banana", "0.134", 30, limits=ONE_PICTURE, max_images=14
    ),
    "nano-banana-2": _image("Nano Banana 2", "nano-banana", "0.067", 20, limits=ONE_PICTURE, max_images=14),
    "gpt-4o-image": _image("GPT-4o-Image", "gpt-image", "0.04", 60, limits={"n": Limit(maximum=4)}, max_images=5),
    "gpt-image-1": _image("GPT Image 1", "gpt-image", "0.042", 40, limits=GPT, max_images=16),
    "gpt-image-1-mini": _image("GPT Image 1 Mini", "gpt-image", "0.011", 30, limits=GPT, max_images=16),
    "gpt-image-1.5": _image("GPT Image 1.5", "gpt-image", "0.034", 30, limits=GPT, max_images=16),
    "gpt-image-2": _image("GPT Image 2", "gpt-image", "0.053", 90, limits={"n": Limit(maximum=10)}, max_images=16),
    # Ark has no edits route and a Volcengine channel drops the file there and charges (4.15): references go to create.
    "doubao-seedream-4-0-250828": _image(
        "Seedream 4.0",
        "seedream",
        "0.03",
        15,
        operation_with_images="image.generate",
        max_images=10,
        defaults={"watermark": False},
    ),
    "doubao-seedream-4-5-251128": _image(
        "Seedream 4.5",
        "seedream",
        "0.04",
        20,
        operation_with_images="image.generate",
        max_images=14,
        defaults={"watermark": False},
    ),
    "midjourney": Entry(
        title="Midjourney",
        operation="midjourney.imagine",
        lane="midjourney",
        typical_s=60,
        stuck_after_s=3900,
        price=Price(per_call=Decimal("0.1")),
    ),
    "sora-2": _film("Sora 2", "sora", 180, "0.1", stuck_after_s=1800, limits=SORA, max_images=1),
    "sora-2-pro": _film("Sora 2 Pro", "sora", 600, "0.3", stuck_after_s=2700, limits=SORA_PRO, max_images=1),
    "veo3.1": _film("Veo 3.1", "veo", 180, "0.4", stuck_after_s=1800, limits=VEO, max_images=3),
    "veo3.1-fast": _film("Veo 3.1 Fast", "veo", 90, "0.15", stuck_after_s=1200, limits=VEO, max_images=3),
    "veo3": _film("Veo 3", "veo", 180, "0.4", stuck_after_s=1800, limits=VEO, max_images=2),
    "veo3-fast": _film("Veo 3 Fast", "veo", 90, "0.15", stuck_after_s=1200, limits=VEO, max_images=2),
}
