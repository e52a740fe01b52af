"""Models that make films: data only.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from shared.catalog.entry import Entry, Limit, Price

SORA: Final = {"seconds": Limit(values=(4, 8, 12)), "size": Limit(values=("720x1280", "1280x720"))}
SORA_PRO: Final = {
    "seconds": Limit(values=(4, 8, 12)),
    "size": Limit(values=("720x1280", "1280x720", "1024x1792", "1792x1024")),
}
VEO: Final = {
    "seconds": Limit(values=(4, 6, 8)),
    "size": Limit(values=("1280x720", "720x1280", "1920x1080", "1080x1920", "16x9", "9x16")),
}


def _film(title: str, lane: str, typical_s: float, usd_a_second: str, **more: Any) -> Entry:
    return Entry(
        title=title,
        operation="video.create",
        lane=lane,
        typical_s=typical_s,
        price=Price(per_second=Decimal(usd_a_second)),
        first_look_s=10,
        look_every_s=10,
        **more,
    )


ENTRIES: Final[Mapping[str, Entry]] = {
    "sora-2": _film("Sora 2", "sora", 180, "0.1", stuck_after_s=1800, limits=SORA, max_images=1),
    "sora-2-pro": _film("Sora 2 Pro", "sora", 600, "0.3", stuck_after_s=2700, limits=SORA_PRO, max_images=1),
    "veo3.1": _film("Veo 3.1", "veo", 180, "0.4", stuck_after_s=1800, limits=VEO, max_images=3),
    "veo3.1-fast": _film("Veo 3.1 Fast", "veo", 90, "0.15", stuck_after_s=1200, limits=VEO, max_images=3),
    "veo3": _film("Veo 3", "veo", 180, "0.4", stuck_after_s=1800, limits=VEO, max_images=2),
    "veo3-fast": _film("Veo 3 Fast", "veo", 90, "0.15", stuck_after_s=1200, limits=VEO, max_images=2),
}
