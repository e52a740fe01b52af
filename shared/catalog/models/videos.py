"""Models that make films: data only.  Pure.

Most of these names are the operators' own, of reverse channels (video 7.1, 8.1): what such a name says of its model
(length, orientation, grade, what pictures are for) is all there is to know of it.  Their prices are those of the
provider's own model, which is what a film costs at most; operators sell below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from shared.catalog.entry import Entry, Limit, Price

# Of lengths the first is what a model makes when nothing is asked for: estimates follow from it.
SORA: Final = {"seconds": Limit(values=(4, 8, 12)), "size": Limit(values=("720x1280", "1280x720"))}
SORA_PRO: Final = {
    "seconds": Limit(values=(4, 8, 12)),
    "size": Limit(values=("720x1280", "1280x720", "1024x1792", "1792x1024")),
}
WIDE_AND_TALL: Final = ("1280x720", "720x1280", "1920x1080", "1080x1920", "16x9", "9x16")
VEO: Final = {"seconds": Limit(values=(8, 4, 6)), "size": Limit(values=WIDE_AND_TALL)}
REVERSE_VEO: Final = {"seconds": Limit(values=(8,)), "size": Limit(values=WIDE_AND_TALL)}
UHD: Final = {"size": Limit(values=(*WIDE_AND_TALL, "3840x2160", "2160x3840"))}

FRAMES: Final = 2
"""Pictures that a film begins and ends with."""
COMPONENTS: Final = 3
"""Pictures of what is to be seen in a film."""
PICTURE: Final = {"min_images": 1}
"""Of models that film pictures and nothing else (8.1)."""

LARGE: Final = {"1024x1792": Decimal("1.666667"), "1792x1024": Decimal("1.666667")}
"""What the gateway multiplies the price of a film by (1.6)."""


def _film(title: str, lane: str, typical_s: float, usd_a_second: str, **more: Any) -> Entry:
    price = Price(per_second=Decimal(usd_a_second), size_factors=LARGE if lane == "sora" else {})
    return Entry(
        title=title,
        operation="video.create",
        lane=lane,
        typical_s=typical_s,
        price=price,
        first_look_s=10,
        **{"look_every_s": 10, **more},
    )


def _sora(title: str, *seconds: int, usd: str = "0.1", typical_s: float = 180, stuck_after_s: float = 1800) -> Entry:
    """Of a reverse channel, which takes a size for its orientation alone, in any spelling."""
    limits = {"seconds": Limit(values=seconds)}
    return _film(title, "sora", typical_s, usd, stuck_after_s=stuck_after_s, limits=limits, max_images=1)


def _veo(title: str, usd: str, images: int, **more: Any) -> Entry:
    """Official channels ask Google anew at each look, so looks are rare (1.8, 8.2)."""
    told = {"stuck_after_s": 1800, "look_every_s": 15, "limits": REVERSE_VEO, "max_images": images}
    return _film(title, "veo", 180, usd, **{**told, **more})


def _fast(title: str, usd: str, images: int, **more: Any) -> Entry:
    return _film(title, "veo", 90, usd, **{"stuck_after_s": 1200, "limits": REVERSE_VEO, "max_images": images, **more})


def _uhd(title: str, usd: str, images: int, **more: Any) -> Entry:
    """Scaled up to 4K, which takes its time (1.8)."""
    told = {"stuck_after_s": 2700, "look_every_s": 30, "limits": {**REVERSE_VEO, **UHD}, "max_images": images}
    return _film(title, "veo", 450, usd, **told, **more)


def _oriented() -> Iterator[tuple[str, Entry]]:
    """Veo 3.1 by names that say everything: `veo-3.1-landscape-fast-fl`."""
    for shape, told in (("", ""), ("-landscape", " Landscape")):
        for frames, also, images, needs in (("", "", 0, {}), ("-fl", " Frames", FRAMES, PICTURE)):
            yield f"veo-3.1{shape}{frames}", _veo(f"Veo 3.1{told}{also}", "0.4", images, **needs)
            yield f"veo-3.1{shape}-fast{frames}", _fast(f"Veo 3.1 Fast{told}{also}", "0.15", images, **needs)
    for shape in ("portrait", "landscape"):
        told = shape.capitalize()
        yield f"veo_3_1-{shape}", _veo(f"Veo 3.1 {told}", "0.4", 0)
        yield f"veo_3_1-{shape}-fl", _veo(f"Veo 3.1 {told} Frames", "0.4", FRAMES, **PICTURE)


ENTRIES: Final[Mapping[str, Entry]] = {
    "sora-2": _film("Sora 2", "sora", 180, "0.1", stuck_after_s=1800, limits=SORA, max_images=1),
    "sora-2-pro": _film(
        "Sora 2 Pro", "sora", 600, "0.3", stuck_after_s=2700, look_every_s=20, limits=SORA_PRO, max_images=1
    ),
    "sora-2-all": _sora("Sora 2", 10, 15),
    "sora-2-pro-all": _sora("Sora 2 Pro", 10, 15, 25, usd="0.3", typical_s=600, stuck_after_s=2700),
    "sora-2-vip": _sora("Sora 2", 10, 15),
    "sora_video2": _sora("Sora 2 Portrait", 10),
    "sora_video2-landscape": _sora("Sora 2 Landscape", 10),
    "sora_video2-15s": _sora("Sora 2 Portrait, 15 s", 15),
    "sora_video2-landscape-15s": _sora("Sora 2 Landscape, 15 s", 15),
    "veo3.1": _veo("Veo 3.1", "0.4", COMPONENTS, limits=VEO),
    "veo3.1-fast": _fast("Veo 3.1 Fast", "0.15", COMPONENTS, limits=VEO),
    "veo3.1-pro": _veo("Veo 3.1 Pro", "0.4", FRAMES),
    "veo3.1-4k": _uhd("Veo 3.1 4K", "0.6", FRAMES),
    "veo3.1-pro-4k": _uhd("Veo 3.1 Pro 4K", "0.6", FRAMES),
    "veo3.1-components": _veo("Veo 3.1 Components", "0.4", COMPONENTS, **PICTURE),
    "veo3.1-components-4k": _uhd("Veo 3.1 Components 4K", "0.6", COMPONENTS, **PICTURE),
    "veo3.1-fast-components": _fast("Veo 3.1 Fast Components", "0.15", COMPONENTS, **PICTURE),
    "veo_3_1": _veo("Veo 3.1", "0.4", FRAMES),
    "veo_3_1-fast": _fast("Veo 3.1 Fast", "0.15", FRAMES),
    "veo_3_1-4K": _uhd("Veo 3.1 4K", "0.6", FRAMES),
    "veo_3_1-fast-4K": _uhd("Veo 3.1 Fast 4K", "0.35", FRAMES),
    "veo_3_1-components": _veo("Veo 3.1 Components", "0.4", COMPONENTS, **PICTURE),
    "veo_3_1-components-4K": _uhd("Veo 3.1 Components 4K", "0.6", COMPONENTS, **PICTURE),
    **dict(_oriented()),
    "veo3": _veo("Veo 3", "0.4", FRAMES, limits=VEO),
    "veo3-fast": _fast("Veo 3 Fast", "0.15", FRAMES, limits=VEO),
    "veo3-pro": _veo("Veo 3 Pro", "0.4", 0),
    "veo3-frames": _veo("Veo 3 Frames", "0.4", FRAMES, **PICTURE),
    "veo3-fast-frames": _fast("Veo 3 Fast Frames", "0.15", FRAMES, **PICTURE),
    "veo3-pro-frames": _veo("Veo 3 Pro Frames", "0.4", FRAMES, **PICTURE),
    "veo2": _veo("Veo 2", "0.35", 0),
    "veo2-fast": _fast("Veo 2 Fast", "0.35", 0),
    "veo2-pro": _veo("Veo 2 Pro", "0.35", 0),
    "veo2-fast-frames": _fast("Veo 2 Fast Frames", "0.35", FRAMES, **PICTURE),
    "veo2-fast-components": _fast("Veo 2 Fast Components", "0.35", COMPONENTS, **PICTURE),
    "veo2-pro-components": _veo("Veo 2 Pro Components", "0.35", COMPONENTS, **PICTURE),
    # Google's own names, of official channels.
    "veo-3.0-generate-001": _veo("Veo 3", "0.4", 1, limits=VEO),
    "veo-3.0-fast-generate-001": _fast("Veo 3 Fast", "0.15", 1, limits=VEO),
    "veo-3.1-generate-preview": _veo("Veo 3.1", "0.4", COMPONENTS, limits={**VEO, **UHD}),
    "veo-3.1-fast-generate-preview": _fast("Veo 3.1 Fast", "0.15", COMPONENTS, limits={**VEO, **UHD}),
}
