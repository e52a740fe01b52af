"""What a size field means in pixels.  Pure.

Contract: `size` of images 4.3, 4.10, 4.14 and of videos 7.1, 8.1; `--ar` of Midjourney 3.1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

Size = tuple[int, int]

LONG_SIDE: Final[Mapping[str, int]] = {"512": 512, "0.5K": 512, "1K": 1024, "2K": 2048, "4K": 4096}
MOST_PIXELS: Final = 4096 * 4096
#: Films larger than this are drawn smaller, in the same shape: an encoder needs seconds for more.
MOST_FILM_PIXELS: Final = 1920 * 1080
NAMED_FILMS: Final[Mapping[str, Size]] = {
    "16x9": (1280, 720),
    "9x16": (720, 1280),
    "small": (720, 1280),
    "large": (1024, 1792),
    "16:9": (1280, 720),
    "9:16": (720, 1280),
    "1:1": (960, 960),
    "landscape": (1280, 720),
    "portrait": (720, 1280),
}


def picture_size(size: str, *, aspect: str = "", long_side: str = "") -> Size:
    """Pixels of a picture from `1024x1536`, `16:9`, `2K` or `auto`.

    Raises:
        ValueError: not a size, or more than 4096x4096 pixels.
    """
    if pixels := _pixels(size):
        return pixels
    side = LONG_SIDE.get(size) or LONG_SIDE.get(long_side, 1024)
    return in_ratio(_ratio(size) or _ratio(aspect) or 1.0, side * side)


def film_size(*names: str) -> Size:
    """Pixels of a film by the first name that means one; even, as H.264 wants them.

    Raises:
        ValueError: a size too small or too large to be one.
    """
    for name in names:
        if pixels := NAMED_FILMS.get(name) or _pixels(name):
            return _even(_at_most(pixels, MOST_FILM_PIXELS))
    return NAMED_FILMS["16x9"]


def midjourney_size(prompt: str) -> Size:
    """Pixels of a grid, and of one tile upscaled: about 1024x1024 in the shape of `--ar`."""
    flag = re.search(r"(?:--|—)(?:ar|aspect)\s+(\d+:\d+)", prompt)
    return in_ratio(_ratio(flag[1]) or 1.0 if flag else 1.0, 1024 * 1024)


def in_ratio(ratio: float, area: int) -> Size:
    """Width and height of this shape and area, in steps of 16."""
    ratio = min(max(ratio, 1 / 8), 8.0)
    return _step(math.sqrt(area * ratio)), _step(math.sqrt(area / ratio))


def _pixels(size: str) -> Size | None:
    found = re.fullmatch(r"(\d+)x(\d+)", size)
    if found is None:
        return None
    width, height = int(found[1]), int(found[2])
    if min(width, height) < 16 or width * height > MOST_PIXELS:
        raise ValueError(f"invalid size {size}: from 16x16 to 4096x4096 pixels")
    return width, height


def _ratio(words: str) -> float | None:
    found = re.fullmatch(r"([1-9]\d*):([1-9]\d*)", words)
    return int(found[1]) / int(found[2]) if found else None


def _step(length: float) -> int:
    return max(16, round(length / 16) * 16)


def _at_most(size: Size, pixels: int) -> Size:
    shrink = min(1.0, math.sqrt(pixels / (size[0] * size[1])))
    return int(size[0] * shrink), int(size[1] * shrink)


def _even(size: Size) -> Size:
    return size[0] // 2 * 2, size[1] // 2 * 2
