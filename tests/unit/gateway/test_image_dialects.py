"""The one images format as each family of models takes it: what it does not know is said in its words, or not sent."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

import pytest

from shared.errors import InputRefused
from shared.gateway.adapters import images
from shared.gateway.call import Call, Media
from tests.unit.gateway.replies import JPEG, PNG, call

SEEDREAM: Final = "doubao-seedream-4-0-250828"
SEEDREAM_4_5: Final = "doubao-seedream-4-5-251128"


def asked_of(model: str, *pictures: Media, operation: str = "image.generate", **params: Any) -> Call:
    return replace(call(operation, *pictures, **params), model=model)


def generated(model: str, **params: Any) -> dict[str, Any]:
    body: dict[str, Any] = images.GENERATE.build(asked_of(model, **params)).json
    return body


# Seedream.


@pytest.mark.parametrize("model", [SEEDREAM, "seedream-4-0", "jimeng-4.0", "doubao-seededit-3-0-i2i-250628"])
def test_an_edit_of_seedream_goes_where_no_channel_drops_its_pictures(model: str) -> None:
    request = images.EDIT.build(asked_of(model, PNG, JPEG, operation="image.edit", input_fidelity="high"))

    assert (request.path, request.form, request.files) == ("/v1/images/generations", None, ())
    assert request.name == "image.edit"
    assert request.json == {
        "model": model,
        "prompt": "a tin robot",
        "image": [PNG.data_url, JPEG.data_url],
        "watermark": False,
    }


def test_a_mask_for_seedream_is_refused_since_it_would_be_paid_for_and_not_looked_at() -> None:
    masked = replace(call("image.edit", PNG, mask=PNG), model=SEEDREAM)

    with pytest.raises(InputRefused, match="takes no mask"):
        images.EDIT.build(masked)


def test_seedream_prints_its_mark_only_where_somebody_wants_it() -> None:
    assert generated("jimeng-4.0")["watermark"] is False
    assert generated("jimeng-4.0", watermark=True)["watermark"] is True
    assert "watermark" not in generated("gpt-image-1")


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"aspect_ratio": "1:1"}, "2048x2048"),
        ({"aspect_ratio": "3:2"}, "2496x1664"),
        ({"size": "16:9"}, "2720x1536"),
        ({"aspect_ratio": "16:9", "image_size": "4K"}, "5456x3072"),
        ({"aspect_ratio": "1:16", "size": "2K"}, "512x8192"),
        ({"image_size": "2K"}, "2K"),
        ({"size": "2K"}, "2K"),
        ({"size": "1536x1024", "aspect_ratio": "3:2"}, "1536x1024"),
    ],
)
def test_a_ratio_for_seedream_becomes_pixels_since_ark_knows_no_ratios(asked: dict[str, Any], size: str) -> None:
    body = generated(SEEDREAM, **asked)

    assert body["size"] == size
    assert not body.keys() & {"aspect_ratio", "image_size"}


@pytest.mark.parametrize("ratio", [f"{width}:{height}" for width in (1, 2, 3, 9, 16) for height in (1, 2, 3, 9, 16)])
@pytest.mark.parametrize("resolution", ["1K", "2K", "4K"])
def test_whatever_the_ratio_ark_takes_the_pixels(ratio: str, resolution: str) -> None:
    width, height = map(int, generated(SEEDREAM, aspect_ratio=ratio, image_size=resolution)["size"].split("x"))

    wanted = int(ratio.partition(":")[0]) / int(ratio.partition(":")[2])
    assert 1280 * 720 <= width * height <= 4096 * 4096
    assert 1 / 16 <= width / height <= 16
    assert width / height == pytest.approx(wanted, rel=0.04)


def test_a_size_that_is_left_to_seedream_is_not_sent() -> None:
    assert "size" not in generated(SEEDREAM, size="auto")
    assert generated(SEEDREAM, size="auto", aspect_ratio="1:1")["size"] == "2048x2048"


def test_what_an_unknown_version_draws_is_left_to_it() -> None:
    assert generated("doubao-seedream-3-0-t2i-250415", size="512x512")["size"] == "512x512"


def test_the_aliases_of_seedream_take_a_ratio_as_it_is() -> None:
    assert generated("jimeng-4.0", aspect_ratio="2:3")["size"] == "2:3"


@pytest.mark.parametrize(
    ("model", "asked", "told"),
    [
        (SEEDREAM, {"size": "1024x512"}, "size 1024x512 has 524288 pixels; doubao-seedream-4-0-250828 takes 921600 to"),
        (SEEDREAM, {"size": "8192x4096"}, "has 33554432 pixels"),
        (SEEDREAM, {"size": "8160x480"}, "size 8160x480 is longer than 16 times its short side"),
        (SEEDREAM, {"aspect_ratio": "1:17"}, "is longer than 16 times its short side"),
        (SEEDREAM, {"size": "512"}, "size 512 is none of 1K, 2K, 4K and WIDTHxHEIGHT"),
        (SEEDREAM_4_5, {"size": "1920x1080"}, "takes 3686400 to 16777216"),
        (SEEDREAM_4_5, {"size": "1K"}, "size 1K is none of"),
        (SEEDREAM_4_5, {"aspect_ratio": "3:2", "image_size": "1K"}, "takes 3686400 to 16777216"),
    ],
)
def test_a_size_that_seedream_does_not_draw_is_refused_before_anything_is_sent(
    model: str, asked: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputRefused, match=re.escape(told)):
        images.GENERATE.build(asked_of(model, **asked))


# GPT image.


@pytest.mark.parametrize(
    ("ratio", "size"), [("1:1", "1024x1024"), ("3:2", "1536x1024"), ("2:3", "1024x1536"), ("16:9", "16:9")]
)
@pytest.mark.parametrize("name", ["aspect_ratio", "size"])
def test_a_ratio_for_gpt_image_becomes_the_pixels_that_it_draws(name: str, ratio: str, size: str) -> None:
    body = generated("gpt-image-1", **{name: ratio})

    assert (body["size"], "aspect_ratio" in body) == (size, False)


def test_gpt_image_is_not_told_what_its_vendor_refuses() -> None:
    edit = images.EDIT.build(
        asked_of("gpt-image-1", PNG, operation="image.edit", aspect_ratio="3:2", response_format="url", seed=7)
    )

    assert generated("gpt-image-1.5", response_format="b64_json") == {
        "model": "gpt-image-1.5",
        "prompt": "a tin robot",
    }
    assert edit.form == {"model": "gpt-image-1", "prompt": "a tin robot", "size": "1536x1024"}
    assert generated("gpt-4o-image", response_format="url", aspect_ratio="3:2") == {
        "model": "gpt-4o-image",
        "prompt": "a tin robot",
        "response_format": "url",
        "aspect_ratio": "3:2",
        "size": "3:2",
    }


# Nano Banana.


@pytest.mark.parametrize(
    ("asked", "quality"),
    [
        ({"image_size": "4K"}, "4K"),
        ({"image_size": "2K", "aspect_ratio": "3:2"}, "2K"),
        ({"image_size": "2K", "quality": "hd"}, "hd"),
        ({"image_size": "512"}, None),
        ({}, None),
    ],
)
def test_the_long_side_is_told_to_nano_banana_in_the_one_field_that_arrives(
    asked: dict[str, Any], quality: str | None
) -> None:
    body = generated("nano-banana-pro", **asked)

    assert body.get("quality") == quality
    assert body.get("image_size") == asked.get("image_size")
