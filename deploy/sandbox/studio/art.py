"""Pleasant pictures out of nothing: one scene per seed, the same at every size.  Pure."""

from __future__ import annotations

import colorsys
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from PIL import Image, ImageDraw, ImageFilter

Color = tuple[int, int, int]
Size = tuple[int, int]

#: Scenes are drawn no larger than this and then enlarged: nobody needs sharper hills.
MOST_DRAWN: Final = 1280


@dataclass(frozen=True)
class Palette:
    """Colours that go together: a sky from top to bottom, a light, and layers from far to near."""

    top: Color
    bottom: Color
    light: Color
    layers: tuple[Color, ...]


def palette(rng: random.Random) -> Palette:
    hue = rng.random()
    warm = hue + rng.choice((0.45, 0.5, 0.55, 0.08, -0.08))
    night = rng.random() < 0.35
    top, bottom = (0.16, 0.42) if night else (0.62, 0.95)
    layers = tuple(_color(hue + 0.02 * i, 0.35 + 0.09 * i, (0.55 if night else 0.78) - 0.14 * i) for i in range(5))
    return Palette(_color(hue, 0.62, top), _color(warm, 0.38, bottom), _color(warm, 0.45, 1.0), layers)


def scene(seed: str, size: Size) -> Image.Image:
    """The picture of this seed; the same seed gives the same picture at any size."""
    rng = random.Random(seed)  # noqa: S311 - a picture, not a secret
    colors = palette(rng)
    draw = rng.choice(SCENES)
    small = _within(size, MOST_DRAWN)
    # Twice as large and halved: edges without steps.
    canvas = backdrop(colors, (small[0] * 2, small[1] * 2))
    draw(canvas, colors, rng)
    canvas = canvas.reduce(2)
    return canvas if canvas.size == size else canvas.resize(size, Image.Resampling.BICUBIC)


def backdrop(colors: Palette, size: Size) -> Image.Image:
    """A sky: top colour to bottom colour."""
    strip = Image.new("RGB", (1, 64))
    for y in range(64):
        strip.putpixel((0, y), mix(colors.top, colors.bottom, y / 63))
    return strip.resize(size, Image.Resampling.BICUBIC)


def hills(canvas: Image.Image, colors: Palette, rng: random.Random) -> None:
    """A sun over five ranges of hills."""
    width, height = canvas.size
    glow(canvas, (width * rng.uniform(0.2, 0.8), height * rng.uniform(0.18, 0.42)), min(canvas.size) * 0.11, colors)
    pen = ImageDraw.Draw(canvas)
    for depth, color in enumerate(colors.layers):
        ground = height * (0.45 + 0.11 * depth)
        pen.polygon(ridge(rng, width, height, ground, height * 0.08), fill=color)


def arcs(canvas: Image.Image, colors: Palette, rng: random.Random) -> None:
    """A wall of tiles: quarters and halves of circles."""
    pen = ImageDraw.Draw(canvas)
    side = max(min(canvas.size) // 4, 1)
    inks = (*colors.layers[:4], colors.light, colors.bottom)
    for top in range(0, canvas.height, side):
        for left in range(0, canvas.width, side):
            ground, ink = rng.sample(inks, 2)
            pen.rectangle((left, top, left + side, top + side), fill=ground)
            _tile(pen, (left, top), side, ink, rng)


def rings(canvas: Image.Image, colors: Palette, rng: random.Random) -> None:
    """Ripples of circles that meet."""
    pen = ImageDraw.Draw(canvas, "RGBA")
    reach = min(canvas.size)
    for color in (*colors.layers, colors.light, *colors.layers[:2]):
        middle = (rng.uniform(0, canvas.width), rng.uniform(0, canvas.height))
        for step in range(5, 0, -1):
            pen.ellipse(_disc(middle, reach * 0.075 * step), fill=(*color, 60))


def skyline(canvas: Image.Image, colors: Palette, rng: random.Random) -> None:
    """A city in the evening, windows lit."""
    width, height = canvas.size
    glow(canvas, (width * rng.uniform(0.2, 0.8), height * 0.3), min(canvas.size) * 0.09, colors)
    pen = ImageDraw.Draw(canvas)
    for depth, color in enumerate(colors.layers[1:4]):
        left = -rng.uniform(0, 0.1) * width
        while left < width:
            house = width * rng.uniform(0.06, 0.13)
            top = height * (rng.uniform(0.38, 0.62) + 0.1 * depth)
            pen.rectangle((left, top, left + house, height), fill=color)
            if depth == 2:
                _windows(pen, (left, top, left + house, height), colors.light, rng)
            left += house * rng.uniform(1.0, 1.15)


SCENES: Final[Sequence[Callable[[Image.Image, Palette, random.Random], None]]] = (hills, hills, arcs, rings, skyline)


def ridge(rng: random.Random, width: float, height: float, ground: float, swing: float) -> list[tuple[float, float]]:
    """The outline of one range: three waves on one another, closed along the bottom."""
    waves = [(rng.uniform(0.6, 1.4) * 2**i, rng.uniform(0, math.tau), swing / 1.7**i) for i in range(3)]
    steps = 96
    line = [
        (
            width * step / steps,
            ground + sum(high * math.sin(math.tau * often * step / steps + shift) for often, shift, high in waves),
        )
        for step in range(steps + 1)
    ]
    return [(0, height), *line, (width, height)]


def glow(canvas: Image.Image, middle: tuple[float, float], radius: float, colors: Palette) -> None:
    """A sun or moon with its halo."""
    rays = halo(max(int(radius * 8), 1))
    canvas.paste(colors.light, (int(middle[0] - radius * 4), int(middle[1] - radius * 4)), rays)
    ImageDraw.Draw(canvas).ellipse(_disc(middle, radius), fill=mix(colors.light, (255, 255, 255), 0.4))


@lru_cache(8)
def halo(side: int) -> Image.Image:
    """A soft round mask; kept, since a film needs it in every frame."""
    small = Image.new("L", (64, 64))
    ImageDraw.Draw(small).ellipse((16, 16, 48, 48), fill=130)
    return small.filter(ImageFilter.GaussianBlur(7)).resize((side, side), Image.Resampling.BICUBIC)


def mix(first: Color, second: Color, share: float) -> Color:
    """`share` of the second colour, the rest of the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _color(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, min(saturation, 1), max(value, 0.1)))
    return red, green, blue


def _within(size: Size, most: int) -> Size:
    shrink = min(1.0, most / max(size))
    return max(int(size[0] * shrink), 1), max(int(size[1] * shrink), 1)


def _disc(middle: tuple[float, float], radius: float) -> tuple[float, float, float, float]:
    return middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius


def _tile(pen: ImageDraw.ImageDraw, corner: tuple[int, int], side: int, ink: Color, rng: random.Random) -> None:
    left, top = corner
    quarter = rng.randrange(4)
    center = (left + side * (quarter % 2), top + side * (quarter // 2))
    if rng.random() < 0.25:
        center = (left + side // 2, top + side // 2)
        pen.ellipse(_disc(center, side * 0.36), fill=ink)
        return
    start = {0: 0, 1: 90, 2: 270, 3: 180}[quarter]
    pen.pieslice(_disc(center, side), start, start + 90, fill=ink)


def _windows(
    pen: ImageDraw.ImageDraw, house: tuple[float, float, float, float], light: Color, rng: random.Random
) -> None:
    left, top, right, bottom = house
    pane = (right - left) / 9
    for row in range(1, int((bottom - top) / (pane * 2.2))):
        for column in range(1, 8, 2):
            if rng.random() < 0.45:
                x, y = left + pane * column, top + pane * 2.2 * row
                pen.rectangle((x, y, x + pane, y + pane * 1.2), fill=light)
