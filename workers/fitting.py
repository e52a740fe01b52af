"""Makes a call's pictures fit what its endpoint takes (`shared/gateway/taken.py`): another type, fewer bytes or pixels.

Only what a stated limit demands, and of that the least: the same pixels in another type before fewer pixels, what has
transparency keeps it, what is upright by EXIF is upright without.  What fits goes as it came.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image, ImageOps

from shared.errors import InputRefused
from shared.gateway import taken
from shared.gateway.call import Call, Media
from shared.gateway.taken import Taken
from shared.media import DECODING

QUALITY: Final = 92
LEAST_SIDE: Final = 64
"""A picture that is still too large then is refused."""
TYPES: Final = {"PNG": ("image/png", "png"), "JPEG": ("image/jpeg", "jpg")}


@dataclass(frozen=True)
class Fitted:
    """A call whose pictures fit."""

    call: Call
    changes: tuple[str, ...] = ()
    """What was done to which input, for people."""


def fitted(call: Call) -> Fitted:
    """The call with pictures that its endpoint takes.

    Raises:
        InputRefused: one of them cannot be made to fit.
    """
    wanted = taken.by(call)
    if wanted.is_first_frame and call.images:
        return _with_first_frame(call, wanted)
    most_bytes = _most_bytes(call, wanted)
    inputs = {
        role: tuple(one if role == "mask" else _fit(one, wanted, most_bytes) for one in some)
        for role, some in call.inputs.items()
    }
    if call.mask is not None:
        inputs["mask"] = (_fit_mask(call.mask, call, inputs),)
    return _told(call, replace(call, inputs=inputs))


def _told(before: Call, after: Call) -> Fitted:
    changes = (
        f"{role} {index}: {_shown(old)} to {_shown(new)}"
        for role, some in before.inputs.items()
        for index, (old, new) in enumerate(zip(some, after.inputs[role], strict=True))
        if old is not new
    )
    return Fitted(after, tuple(changes))


def _shown(media: Media) -> str:
    return f"{media.content_type}, {media.width}x{media.height}, {len(media.content)} bytes"


def _most_bytes(call: Call, wanted: Taken) -> int | None:
    """Of one picture, so that all of them fit, too."""
    if wanted.together_bytes is None:
        return wanted.most_bytes
    sizes = {role: [min(len(one.content), _cap(one, wanted)) for one in some] for role, some in call.inputs.items()}
    share = taken.share_bytes((size for some in sizes.values() for size in some), wanted.together_bytes)
    return min(share, wanted.most_bytes or share)


def _cap(media: Media, wanted: Taken) -> int:
    return wanted.most_bytes if media.kind == "image" and wanted.most_bytes else len(media.content)


def _fit(media: Media, wanted: Taken, most_bytes: int | None) -> Media:
    if media.kind != "image":
        return media
    is_large = most_bytes is not None and len(media.content) > most_bytes
    is_wide = wanted.most_side is not None and max(media.width or 0, media.height or 0) > wanted.most_side
    if media.content_type in wanted.types and not is_large and not is_wide:
        return media
    with DECODING, _opened(media) as image:
        if wanted.most_side is not None:
            image.thumbnail((wanted.most_side, wanted.most_side), Image.Resampling.LANCZOS)
        for name, content, size in _smaller_and_smaller(image, was_lossy=media.content_type == "image/jpeg"):
            if most_bytes is None or len(content) <= most_bytes:
                return _made(media, name, content, size)
    raise InputRefused(f"{media.filename} has {len(media.content)} bytes; {wanted.why} takes {most_bytes}")


def _opened(media: Media) -> Image.Image:
    """Its first frame, upright, with or without transparency, and nothing else."""
    image: Image.Image = Image.open(io.BytesIO(media.content))
    image.load()
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 256).convert("L")
    upright = ImageOps.exif_transpose(image)
    upright.info.pop("exif", None)
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    return upright if upright.mode == mode else upright.convert(mode)


def _smaller_and_smaller(image: Image.Image, *, was_lossy: bool) -> Iterator[tuple[str, bytes, tuple[int, int]]]:
    """First without loss, then as a JPEG where nothing is transparent, then with ever fewer pixels."""
    name = "PNG" if image.mode == "RGBA" else "JPEG"
    if name == "JPEG" and not was_lossy:
        yield "PNG", _encoded(image, "PNG"), image.size
    while max(image.size) >= LEAST_SIDE:
        yield name, _encoded(image, name), image.size
        width, height = image.size
        image = image.resize((max(1, width * 4 // 5), max(1, height * 4 // 5)), Image.Resampling.LANCZOS)


def _encoded(image: Image.Image, name: str) -> bytes:
    file = io.BytesIO()
    options = {"quality": QUALITY, "subsampling": 0} if name == "JPEG" else {}
    image.save(file, name, icc_profile=image.info.get("icc_profile"), **options)
    return file.getvalue()


def _made(media: Media, name: str, content: bytes, size: tuple[int, int]) -> Media:
    content_type, extension = TYPES[name]
    return replace(
        media,
        content_type=content_type,
        filename=f"{media.filename.rpartition('.')[0]}.{extension}",
        content=content,
        width=size[0],
        height=size[1],
        url=None,  # what is there is not this any more
    )


def _with_first_frame(call: Call, wanted: Taken) -> Fitted:
    """Cut from the middle of the picture, and the film gets the size that this is (video 7.1)."""
    first = call.images[0]
    asked = call.params.given().get("size")
    size = taken.frame_size(asked, first.width, first.height)
    if (first.width, first.height) != size or first.content_type not in wanted.types:
        with DECODING, _opened(first) as image:
            frame = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
            name = "PNG" if first.content_type != "image/jpeg" or frame.mode == "RGBA" else "JPEG"
            first = _made(first, name, _encoded(frame, name), size)
    others = (_fit(one, wanted, None) for one in call.images[1:])
    params = call.params if asked else call.params.model_copy(update={"size": f"{size[0]}x{size[1]}"})
    return _told(call, replace(call, params=params, inputs={**call.inputs, "images": (first, *others)}))


def _fit_mask(mask: Media, call: Call, inputs: Mapping[str, tuple[Media, ...]]) -> Media:
    """As large as its picture has become, as PNG, and below its limit: only its transparent part says anything."""
    before, after = (next(iter(some.get("images", ())), None) for some in (call.inputs, inputs))
    size = None
    if before is not None and after is not None and (mask.width, mask.height) == (before.width, before.height):
        size = (after.width or 0, after.height or 0)
    is_fine = mask.content_type == "image/png" and len(mask.content) < taken.MASK_MOST_BYTES
    if is_fine and size in (None, (mask.width, mask.height)):
        return mask
    with DECODING, _opened(mask) as image:
        if image.mode != "RGBA" and mask.content_type != "image/png" and call.operation.startswith("image."):
            return mask  # nothing of it is transparent: its adapter says what is wrong
        resized = image if size is None else image.resize(size, Image.Resampling.NEAREST)
        if resized.mode == "RGBA" and len(_encoded(resized, "PNG")) >= taken.MASK_MOST_BYTES:
            alpha = resized.getchannel("A")
            resized = Image.new("RGBA", resized.size)
            resized.putalpha(alpha)
        return _made(mask, "PNG", _encoded(resized, "PNG"), resized.size)
