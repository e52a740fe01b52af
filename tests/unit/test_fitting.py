"""Pictures are made to fit what their endpoint takes, and no further."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from PIL import Image

from shared.catalog.operations.table import OPERATIONS
from shared.errors import InputRefused
from shared.gateway import taken
from shared.gateway.call import Call, Media
from workers import fitting

NOISE = random.Random(7).randbytes(1200 * 1200 * 4)
"""What no encoder makes small."""


def media(image: Image.Image, form: str = "PNG", name: str = "images-0", **options: Any) -> Media:
    file = io.BytesIO()
    image.save(file, form, **options)
    extension = {"JPEG": "jpg"}.get(form, form.lower())
    return Media(
        f"image/{form.lower()}", f"{name}.{extension}", file.getvalue(), "image", *image.size, url="https://x.example/a"
    )


def noise(mode: str = "RGB", side: int = 1200) -> Image.Image:
    return Image.frombytes(mode, (side, side), NOISE[: side * side * len(mode)])


def call(operation: str, model: str, images: list[Media], mask: Media | None = None, **asked: Any) -> Call:
    params = OPERATIONS[operation].params.model_validate(asked)
    inputs = {"images": tuple(images)} | ({} if mask is None else {"mask": (mask,)})
    return Call(operation, model, "a boat", params, inputs)


def opened(one: Media) -> Image.Image:
    return Image.open(io.BytesIO(one.content))


def test_what_fits_goes_as_it_came() -> None:
    picture = media(Image.new("RGB", (300, 200)), "WEBP")
    before = call("image.edit", "nano-banana", [picture])

    after = fitting.fitted(before)

    assert after.call.images[0] is picture
    assert after.changes == ()


@pytest.mark.parametrize("operation", ["image.edit", "image.chat", "image.gemini", "midjourney.blend", "video.create"])
@pytest.mark.parametrize("form", ["GIF", "AVIF"])
def test_a_type_that_no_endpoint_takes_becomes_a_png_of_the_same_size(operation: str, form: str) -> None:
    model = {"midjourney.blend": "midjourney", "video.create": "veo3.1"}.get(operation, "nano-banana")
    before = call(operation, model, [media(Image.new("RGB", (300, 200), "red"), form)])

    after = fitting.fitted(before)

    (one,) = after.call.images
    assert (one.content_type, one.filename, one.width, one.height) == ("image/png", "images-0.png", 300, 200)
    assert (opened(one).format, opened(one).size) == ("PNG", (300, 200))
    assert one.url is None
    assert after.changes == (
        f"images 0: image/{form.lower()}, 300x200, {len(before.images[0].content)} bytes"
        f" to image/png, 300x200, {len(one.content)} bytes",
    )


def test_a_chat_model_gets_a_gif_as_it_is() -> None:
    picture = media(Image.new("RGB", (30, 20)), "GIF")

    assert fitting.fitted(call("chat.completion", "gpt-5", [picture])).changes == ()


def test_transparency_is_kept() -> None:
    image = Image.new("RGBA", (80, 40), (255, 0, 0, 0))

    (one,) = fitting.fitted(call("midjourney.blend", "midjourney", [media(image, "AVIF")])).call.images

    assert opened(one).convert("RGBA").getpixel((1, 1))[3] == 0  # type: ignore[index]


def test_a_picture_of_too_many_bytes_keeps_its_pixels_where_a_jpeg_will_do() -> None:
    picture = media(noise())
    assert len(picture.content) > 4_000_000

    (one,) = fitting.fitted(call("midjourney.blend", "midjourney", [picture])).call.images

    assert (one.content_type, one.width, one.height) == ("image/jpeg", 1200, 1200)
    assert len(one.content) <= 4_000_000


def test_one_that_must_stay_transparent_gets_fewer_pixels() -> None:
    (one,) = fitting.fitted(call("midjourney.blend", "midjourney", [media(noise("RGBA"))])).call.images

    assert one.content_type == "image/png"
    assert one.width == one.height
    assert 600 < (one.width or 0) < 1200
    assert len(one.content) <= 4_000_000


def test_a_long_side_is_cut_down_to_what_is_stated() -> None:
    picture = media(Image.new("RGB", (8192, 1024)), "JPEG")

    (one,) = fitting.fitted(call("image.gemini", "nano-banana", [picture])).call.images

    assert (one.width, one.height) == (4096, 512)


def test_the_pictures_of_a_call_share_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = taken.Rule(r".*", r"", taken.Taken("a small one", together_bytes=1_000_000))
    monkeypatch.setattr(taken, "RULES", (rule,))
    small, large = media(Image.new("RGB", (300, 200))), media(noise(), "JPEG", quality=95)

    after = fitting.fitted(call("image.edit", "nano-banana", [small, large, large]))

    assert after.call.images[0] is small
    assert sum(len(one.content) for one in after.call.images) <= 1_000_000
    assert len(after.changes) == 2


def test_a_share_is_what_the_small_ones_leave() -> None:
    assert taken.share_bytes([10, 500, 600], 1000) == 495
    assert taken.share_bytes([10, 20], 1000) == 1000
    assert taken.share_bytes([2000], 1000) == 1000
    assert taken.share_bytes([], 1000) == 1000


def test_a_picture_that_lies_on_its_side_by_exif_is_upright_when_it_is_written_anew() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (6000, 300), "red")
    picture = media(image, "JPEG", exif=exif)

    (one,) = fitting.fitted(call("image.gemini", "nano-banana", [picture])).call.images

    assert (one.width, one.height) == opened(one).size == (205, 4096)
    assert opened(one).getexif().get(0x0112, 1) == 1


def test_what_cannot_be_made_small_enough_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = taken.Rule(r".*", r"", taken.Taken("nobody", most_bytes=10))
    monkeypatch.setattr(taken, "RULES", (rule,))

    with pytest.raises(InputRefused, match="nobody takes 10"):
        fitting.fitted(call("image.edit", "nano-banana", [media(Image.new("RGB", (300, 200)))]))


@pytest.mark.parametrize(
    ("picture", "asked", "size"),
    [
        ((1920, 1080), {"size": "720x1280"}, (720, 1280)),
        ((1920, 1080), {"size": "1280x720"}, (1280, 720)),
        ((1920, 1080), {}, (1280, 720)),
        ((500, 900), {}, (720, 1280)),
    ],
)
def test_a_first_frame_of_sora_is_exactly_as_large_as_its_film(
    picture: tuple[int, int], asked: dict[str, str], size: tuple[int, int]
) -> None:
    before = call("video.create", "sora-2", [media(Image.new("RGB", picture, "blue"), "JPEG")], **asked)

    after = fitting.fitted(before)

    (one,) = after.call.images
    assert opened(one).size == (one.width, one.height) == size
    assert after.call.params.given()["size"] == f"{size[0]}x{size[1]}"


def test_a_frame_that_has_the_size_of_its_film_goes_as_it_came() -> None:
    picture = media(Image.new("RGB", (1280, 720)))

    after = fitting.fitted(call("video.create", "sora-2-pro", [picture], size="1280x720"))

    assert after.call.images[0] is picture


def test_other_film_models_get_the_picture_as_it_is() -> None:
    picture = media(Image.new("RGB", (1920, 1080)))

    assert fitting.fitted(call("video.create", "sora-2-all", [picture], size="720x1280")).changes == ()


def test_a_mask_goes_with_its_picture() -> None:
    mask = Image.new("RGBA", (8192, 1024), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 4096, 1024))
    picture = media(Image.new("RGB", (8192, 1024)), "JPEG")

    after = fitting.fitted(call("image.edit", "nano-banana", [picture], media(mask, name="mask-0")))

    made = after.call.mask
    assert made is not None
    alpha = opened(made).getchannel("A")
    assert alpha.size == (4096, 512)
    assert (alpha.getpixel((0, 0)), alpha.getpixel((2047, 0)), alpha.getpixel((2048, 0))) == (0, 0, 255)


def test_a_mask_of_another_size_is_left_for_its_adapter_to_refuse() -> None:
    mask = media(Image.new("RGBA", (100, 100)), name="mask-0")
    picture = media(Image.new("RGB", (8192, 1024)), "JPEG")

    after = fitting.fitted(call("image.edit", "nano-banana", [picture], mask))

    assert after.call.mask is mask


def test_a_large_mask_keeps_what_it_says_and_loses_the_rest() -> None:
    picture, mask = media(Image.new("RGB", (1200, 1200))), noise("RGBA")
    mask.putalpha(Image.new("L", (1200, 1200), 255))
    mask.paste((0, 0, 0, 0), (0, 0, 600, 1200))
    large = media(mask, name="mask-0")

    after = fitting.fitted(call("image.edit", "gpt-image-1", [picture], large))

    made = after.call.mask
    assert made is not None
    assert len(made.content) < taken.MASK_MOST_BYTES
    assert opened(made).getchannel("A").getextrema() == (0, 255)


@pytest.mark.parametrize(
    ("operation", "form", "content_type"),
    [
        ("image.edit", "JPEG", "image/jpeg"),
        ("midjourney.modal", "JPEG", "image/png"),
        ("image.edit", "WEBP", "image/png"),
    ],
)
def test_a_mask_becomes_a_png_where_that_keeps_its_meaning(operation: str, form: str, content_type: str) -> None:
    image = Image.new("RGB" if form == "JPEG" else "RGBA", (60, 40))
    model = "midjourney" if operation.startswith("midjourney") else "gpt-image-1"
    asked = {"task_id": "1768730001000000"} if model == "midjourney" else {}
    pictures = [] if model == "midjourney" else [media(Image.new("RGB", (60, 40)))]
    before = call(operation, model, pictures, media(image, form, "mask-0"), **asked)

    made = fitting.fitted(before).call.mask

    assert made is not None
    assert made.content_type == content_type
