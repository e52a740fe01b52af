"""Short films: a scene that moves, with caption and clock, as H.264 in a fast-start MP4."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from PIL import Image, ImageDraw, ImageOps

from deploy.sandbox.studio import art, pictures
from deploy.sandbox.studio.art import Size

#: Few frames where they are large: one slow core must keep up.
FRAMES_A_SECOND: Final = ((700_000, 24), (1_100_000, 15), (10**9, 12))
#: Hills are drawn wider than the frame, and the frame wanders along them.
WIDER: Final = 1.6


@dataclass(frozen=True)
class Layer:
    """One range of hills: its picture, where it stands, and how far it wanders (share of its spare width)."""

    image: Image.Image
    top: int
    pace: float


@dataclass(frozen=True)
class Set:
    """Everything that is drawn once and then only moved."""

    size: Size
    back: Image.Image
    layers: tuple[Layer, ...]
    band: Image.Image
    colors: art.Palette
    is_from_picture: bool


def write(spec: dict[str, Any], path: Path) -> None:
    """Write the film.

    Shape of `spec`: `seed`, `width`, `height`, `seconds`, `title`, `note`, `inputs` (its first frame and others).
    """
    size = (spec["width"], spec["height"])
    rate = next(rate for pixels, rate in FRAMES_A_SECOND if size[0] * size[1] <= pixels)
    stage = build(spec, size)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as film:
        stream = film.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "26"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.time_base = Fraction(1, rate)
        for number, image in enumerate(frames(stage, spec["seconds"], rate)):
            frame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
            frame.pts, frame.time_base = number, Fraction(1, rate)
            film.mux(stream.encode(frame))
        film.mux(stream.encode())


def build(spec: dict[str, Any], size: Size) -> Set:
    """Draw what does not change."""
    rng = random.Random(spec["seed"])  # noqa: S311 - a film, not a secret
    colors = art.palette(rng)
    given = pictures.opened(spec.get("inputs", ()))
    wide = (int(size[0] * 1.12), int(size[1] * 1.12))
    back = ImageOps.fit(given[0], wide, Image.Resampling.BICUBIC) if given else art.backdrop(colors, size)
    layers = () if given else tuple(_layer(rng, colors, size, depth) for depth in range(3))
    note = f"{spec['note']} · {size[0]}x{size[1]} · {spec['seconds']} s"
    return Set(size, back, layers, pictures.caption(size, spec["title"], note), colors, bool(given))


def frames(stage: Set, seconds: int, rate: int) -> Iterator[Image.Image]:
    total = seconds * rate
    for number in range(total):
        yield _frame(stage, number / max(total - 1, 1), number / rate)


def _frame(stage: Set, share: float, at_s: float) -> Image.Image:
    """The film at one moment: `share` of its length, `at_s` seconds after its start."""
    width, height = stage.size
    image = _ground(stage, share)
    if not stage.is_from_picture:
        middle = (width * (0.1 + 0.8 * share), height * (0.42 - 0.25 * math.sin(math.pi * share)))
        art.glow(image, middle, min(stage.size) * 0.08, stage.colors)
    for layer in stage.layers:
        spare = layer.image.width - width
        image.paste(layer.image, (-int(spare * layer.pace * share), layer.top), layer.image)
    image.paste(stage.band, (0, height - stage.band.height), stage.band)
    _clock(image, stage, share, at_s)
    return image


def _ground(stage: Set, share: float) -> Image.Image:
    """The sky, or the picture that came in, under a camera that wanders."""
    if not stage.is_from_picture:
        return stage.back.copy()
    spare_x, spare_y = stage.back.width - stage.size[0], stage.back.height - stage.size[1]
    left = int(spare_x * share)
    top = int(spare_y * (0.5 + 0.5 * math.sin(math.tau * share)))
    return stage.back.crop((left, top, left + stage.size[0], top + stage.size[1]))


def _clock(image: Image.Image, stage: Set, share: float, at_s: float) -> None:
    """A line that grows along the bottom, and the seconds."""
    width, height = stage.size
    thick = max(height // 120, 3)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, height - thick, width * share, height), fill=stage.colors.light)
    px = max(min(stage.size) // 24, 10)
    pen.text((width - px, px), f"{at_s:04.1f} s", (255, 255, 255), pictures.font(px), anchor="rt")


def _layer(rng: random.Random, colors: art.Palette, size: Size, depth: int) -> Layer:
    width, height = int(size[0] * WIDER), size[1]
    top = int(height * (0.36 + 0.15 * depth))
    image = Image.new("RGBA", (width, height - top))
    outline = art.ridge(rng, width, height - top, height * 0.11, height * 0.05)
    ImageDraw.Draw(image).polygon(outline, fill=(*colors.layers[depth + 1], 255))
    return Layer(image, top, (depth + 1) / 3)
