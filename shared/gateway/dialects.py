"""The one images format as each family of models takes it.  Pure.

A caller says `aspect_ratio`, `image_size` or `size` whatever the model; here that becomes what arrives.  Of a JSON
body the gateway drops what it does not know (1.4), and a ratio or a long side that is dropped is a picture of another
size, paid for; of a form everything arrives, and some vendors answer 400 to what they do not know (4.4, 4.10).

Contract: gateway/images-text-audio-system.md 3.1, 4.3, 4.4, 4.10, 4.11, 4.14, 4.15.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from shared.errors import InputRefused
from shared.gateway import pictures
from shared.gateway.call import Call

SIDES: Final[Mapping[str, int]] = {"1K": 1024, "2K": 2048, "4K": 4096}
"""Pixels along a square picture of that name."""


def fields(call: Call) -> dict[str, Any]:
    """What was asked for, as far as it is safe to say, in the words of the model's family.

    Raises:
        InputRefused: the model does not draw that size.
    """
    asked = call.params.given()
    if asked.get("n") == 1:
        del asked["n"]  # the default everywhere, and some Gemini back ends refuse its very presence (4.3)
    if is_seedream(call.model):
        return _for_seedream(asked, call.model)
    if GPT.search(call.model):
        return _for_gpt(asked)
    if "aspect_ratio" in asked:
        asked.setdefault("size", asked["aspect_ratio"])  # most builds drop the field and keep `size` (4.3)
    if pictures.is_gemini(call.model) and asked.get("image_size") in SIDES:
        asked.setdefault("quality", asked["image_size"])  # the same, and they keep `quality` (4.3)
    return asked


# GPT image.

GPT: Final = re.compile(r"gpt-image", re.IGNORECASE)
"""OpenAI's own kind; `gpt-4o-image` is a reverse channel and takes ratios."""
GPT_SIZES: Final[Mapping[str, str]] = {"1:1": "1024x1024", "3:2": "1536x1024", "2:3": "1024x1536"}
GPT_UNKNOWN: Final = frozenset({"aspect_ratio", "image_size", "response_format", "seed", "watermark"})
"""What the vendor may answer with 400 `unknown_parameter` (4.10); whatever the format of the answer, it is read."""


def _for_gpt(asked: Mapping[str, Any]) -> dict[str, Any]:
    size = asked.get("size") or asked.get("aspect_ratio")
    told = {name: value for name, value in asked.items() if name not in GPT_UNKNOWN}
    return {**told, **({"size": GPT_SIZES.get(size, size)} if size else {})}


# Seedream.

SEEDREAM: Final = re.compile(r"seedream|seededit|jimeng", re.IGNORECASE)
ALIAS: Final = re.compile(r"jimeng", re.IGNORECASE)
"""Names under which a ratio is taken as it is (4.14)."""
VERSION_4: Final = re.compile(r"seedream-4[.-](?P<minor>\d)", re.IGNORECASE)
"""Models whose sizes are known; others may draw what these do not."""

SEEDREAM_UNKNOWN: Final = frozenset({"aspect_ratio", "image_size", "input_fidelity", "size"})
"""What Ark has no such field for, and the size, which it takes in words of its own."""

RATIO_MOST: Final = 16
PIXELS_MOST: Final = 4096 * 4096
PIXELS_LEAST: Final = 1280 * 720
PIXELS_LEAST_LATER: Final = 3_686_400
"""Of the 4.5 models, which do not know 1K either."""
STEP: Final = 16
"""Sides of the pictures that we ask for are multiples of it."""


def is_seedream(model: str) -> bool:
    """Whether this is one of the Seedream models, by its name; the operator may have called it otherwise."""
    return SEEDREAM.search(model) is not None


def _for_seedream(asked: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Ark knows no ratios, and prints its mark unless told not to (4.14)."""
    told = {name: value for name, value in asked.items() if name not in SEEDREAM_UNKNOWN}
    size = _seedream_size(asked, model)
    return {"watermark": False, **told, **({"size": size} if size else {})}


def _seedream_size(asked: Mapping[str, Any], model: str) -> str:
    """Empty where the model is left to choose."""
    given = asked.get("size", "auto").replace("auto", "")
    is_side = given in ("", *SIDES)
    ratio = given if ":" in given else asked.get("aspect_ratio", "") if is_side else ""
    if ALIAS.search(model):
        return ratio or given or asked.get("image_size", "")
    named = given if given in SIDES else asked.get("image_size", "")
    size = _pixels(ratio, SIDES.get(named, SIDES["2K"])) if ratio else given or named
    version = VERSION_4.search(model)
    if size and version is not None:
        _check_seedream_size(size, model, is_later=version["minor"] != "0")
    return size


def _pixels(ratio: str, side: int) -> str:
    """The size of a picture of this ratio with about as many pixels as a square one of that side, and no more."""
    width, height = (int(part) for part in ratio.split(":"))
    scale = side / math.sqrt(width * height)
    return "x".join(str(int(part * scale / STEP) * STEP) for part in (width, height))


def _check_seedream_size(size: str, model: str, *, is_later: bool) -> None:
    found = re.fullmatch(r"(\d+)x(\d+)", size)
    if found is None:
        names = [name for name in SIDES if name != "1K" or not is_later]
        if size not in names:
            raise InputRefused(f"size {size} is none of {', '.join(names)} and WIDTHxHEIGHT, which {model} takes")
        return
    width, height = int(found[1]), int(found[2])
    least = PIXELS_LEAST_LATER if is_later else PIXELS_LEAST
    if not least <= width * height <= PIXELS_MOST:
        told = f"{model} takes {least} to {PIXELS_MOST}"
        raise InputRefused(f"size {size} has {width * height} pixels; {told}")
    if max(width, height) > RATIO_MOST * min(width, height):
        raise InputRefused(f"size {size} is longer than {RATIO_MOST} times its short side, which {model} does not draw")
