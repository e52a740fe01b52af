"""Models that draw while one waits: data only.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from shared.catalog.entry import Entry, Limit, Price

ONE_PICTURE: Final = {"n": Limit(maximum=1)}
"""Of models whose gateway charges for `n` pictures and makes one (2.7, 4.14), or refuses the number (4.3)."""
RATIOS: Final = Limit(values=("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"))
"""Of the Nano Banana models before 3.1 (4.1); some channels draw a square instead of what they do not know (4.3)."""
SMALL_PICTURE: Final = {**ONE_PICTURE, "image_size": Limit(values=("1K",)), "aspect_ratio": RATIOS}
LARGE_PICTURE: Final = {**ONE_PICTURE, "image_size": Limit(values=("1K", "2K", "4K")), "aspect_ratio": RATIOS}
SEEDREAM_4_0: Final = {**ONE_PICTURE, "image_size": Limit(values=("1K", "2K", "4K"))}
SEEDREAM_4_5: Final = {**ONE_PICTURE, "image_size": Limit(values=("2K", "4K"))}
GPT: Final = {"n": Limit(maximum=10), "size": Limit(values=("auto", "1024x1024", "1536x1024", "1024x1536"))}


def _image(title: str, lane: str, usd: str, typical_s: float, **more: Any) -> Entry:
    more.setdefault("operation_with_images", "image.edit")
    price = Price(per_call=Decimal(usd))
    return Entry(title=title, operation="image.generate", lane=lane, typical_s=typical_s, price=price, **more)


ENTRIES: Final[Mapping[str, Entry]] = {
    "nano-banana": _image("Nano Banana", "nano-banana", "0.039", 12, limits=SMALL_PICTURE, max_images=3),
    "gemini-2.5-flash-image": _image("Nano Banana", "nano-banana", "0.039", 12, limits=SMALL_PICTURE, max_images=3),
    "nano-banana-pro": _image("Nano Banana Pro", "nano-banana", "0.134", 30, limits=LARGE_PICTURE, max_images=14),
    "gemini-3-pro-image-preview": _image(
        "Nano Banana Pro", "nano-banana", "0.134", 30, limits=LARGE_PICTURE, max_images=14
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
        limits=SEEDREAM_4_0,
        defaults={"watermark": False},
    ),
    "doubao-seedream-4-5-251128": _image(
        "Seedream 4.5",
        "seedream",
        "0.04",
        20,
        operation_with_images="image.generate",
        max_images=14,
        limits=SEEDREAM_4_5,
        defaults={"watermark": False},
    ),
}
