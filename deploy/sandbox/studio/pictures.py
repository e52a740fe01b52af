"""Pictures that say what they are: a scene, what came in, and a caption with prompt, model and size."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from deploy.sandbox.studio import art
from deploy.sandbox.studio.art import Size

INK: Final = (255, 255, 255, 255)
FAINT: Final = (255, 255, 255, 190)
SHADE: Final = (12, 14, 22, 190)
#: PNG at its quickest: these files live for minutes.
SAVE: Final[dict[str, dict[str, Any]]] = {
    "png": {"format": "PNG", "compress_level": 1},
    "jpeg": {"format": "JPEG", "quality": 88},
    "webp": {"format": "WEBP", "quality": 85, "method": 0},
}


def picture(spec: dict[str, Any]) -> Image.Image:
    """One picture.

    Shape of `spec`: `seed`, `width`, `height`, `title` (the prompt), `note` (model and what was done),
    `inputs` (paths of pictures that came in), `preview` (half-done: blurred).
    """
    size = (spec["width"], spec["height"])
    canvas = art.scene(spec["seed"], size)
    pictures = opened(spec.get("inputs", ()))
    if pictures:
        hang(canvas, pictures)
    if spec.get("preview"):
        canvas = canvas.filter(ImageFilter.GaussianBlur(min(size) / 40))
    label(canvas, spec["title"], f"{spec['note']} · {size[0]}x{size[1]}")
    return canvas


def grid(spec: dict[str, Any]) -> Image.Image:
    """Four tiles in one picture, each numbered; tile N is the picture of `tile_seed(seed, N)`."""
    width, height = spec["width"], spec["height"]
    gap = max(min(width, height) // 128, 2)
    tile = ((width - gap) // 2, (height - gap) // 2)
    canvas = Image.new("RGB", (width, height), (18, 20, 28))
    pictures = opened(spec.get("inputs", ()))
    for number in range(1, 5):
        square = art.scene(tile_seed(spec["seed"], number), tile)
        if pictures:
            hang(square, pictures)
        _number(square, number)
        canvas.paste(square, ((number - 1) % 2 * (tile[0] + gap), (number - 1) // 2 * (tile[1] + gap)))
    if spec.get("preview"):
        canvas = canvas.filter(ImageFilter.GaussianBlur(min(width, height) / 40))
    label(canvas, spec["title"], f"{spec['note']} · {width}x{height}")
    return canvas


def tile_seed(seed: str, number: int) -> str:
    return f"{seed}/{number}"


def encode(canvas: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    canvas.save(buffer, **SAVE[kind])
    return buffer.getvalue()


def opened(paths: Sequence[str]) -> list[Image.Image]:
    """The pictures that came in, those that are still there."""
    return [Image.open(path).convert("RGB") for path in paths if Path(path).exists()]


def hang(canvas: Image.Image, pictures: Sequence[Image.Image]) -> None:
    """Hang what came in on the scene: up to four framed prints in a row, in the upper two thirds."""
    shown = pictures[:4]
    room = (int(canvas.width * 0.86 / len(shown)), int(canvas.height * 0.56))
    for place, print_ in enumerate(shown):
        frame = max(min(room) // 24, 2)
        fitted = ImageOps.contain(print_, (room[0] - 4 * frame, room[1] - 2 * frame), Image.Resampling.BICUBIC)
        framed = ImageOps.expand(fitted, frame, (250, 248, 242))
        middle = canvas.width * (place + 0.5) / len(shown)
        left, top = int(middle - framed.width / 2), int(canvas.height * 0.37 - framed.height / 2)
        _shadow(canvas, (left, top), framed.size, frame)
        canvas.paste(framed, (left, top))


def label(canvas: Image.Image, title: str, note: str) -> None:
    """Write the caption into a dark band at the bottom."""
    band = caption(canvas.size, title, note)
    canvas.paste(band, (0, canvas.height - band.height), band)


def caption(size: Size, title: str, note: str) -> Image.Image:
    """The band as a layer of its own: up to three lines of prompt, one of notes."""
    text_px = max(round(min(size[0], size[1] * 1.6) / 26), 9)
    big, small = font(text_px), font(max(round(text_px * 0.62), 8))
    lines = _wrapped(title, big, size[0] - 2 * text_px)
    step = round(text_px * 1.3)
    band = Image.new("RGBA", (size[0], min(size[1], step * len(lines) + round(text_px * 2.1))), SHADE)
    pen = ImageDraw.Draw(band)
    for row, line in enumerate(lines):
        pen.text((text_px, text_px * 0.6 + row * step), line, INK, big)
    pen.text((text_px, text_px * 0.7 + len(lines) * step), note, FAINT, small)
    return band


@cache
def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


def _wrapped(text: str, face: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """At most three lines that fit; the third ends in dots if there is more."""
    letter = max(face.getlength(text) / max(len(text), 1), 1)
    return textwrap.wrap(text, max(int(width * 0.94 / letter), 4), max_lines=3, placeholder=" …") or ["(no prompt)"]


def _shadow(canvas: Image.Image, corner: tuple[int, int], size: Size, reach: int) -> None:
    shade = Image.new("L", (size[0] + 4 * reach, size[1] + 4 * reach))
    ImageDraw.Draw(shade).rectangle((2 * reach, 2 * reach, size[0] + 2 * reach, size[1] + 2 * reach), fill=120)
    canvas.paste((0, 0, 0), (corner[0] - 2 * reach, corner[1] - reach), shade.filter(ImageFilter.BoxBlur(reach)))


def _number(square: Image.Image, number: int) -> None:
    side = max(min(square.size) // 9, 14)
    pen = ImageDraw.Draw(square, "RGBA")
    pen.rounded_rectangle((side // 3, side // 3, side * 4 // 3, side * 4 // 3), side // 4, fill=SHADE)
    pen.text((side * 5 // 6, side * 5 // 6), str(number), INK, font(side * 2 // 3), anchor="mm")
