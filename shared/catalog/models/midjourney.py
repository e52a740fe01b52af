"""Midjourney: data only.  Pure.

Any of these serves every `midjourney.…` operation that is named; each does one of them unless told otherwise, with
the price and the times of that one.  List prices and times: video 1.6, 1.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from shared.catalog.entry import Entry, Price

PRICES: Final = {
    name: Price(per_call=Decimal(usd))
    for name, usd in (
        ("midjourney.describe", "0.05"),
        ("midjourney.swap_face", "0.05"),
        ("midjourney.video", "0.8"),
    )
}
"""What costs otherwise than a picture, whichever model is named."""


def _midjourney(title: str, act: str, usd: str, typical_s: float, stuck_after_s: float, **more: Any) -> Entry:
    return Entry(
        title=title,
        operation=f"midjourney.{act}",
        lane="midjourney",
        typical_s=typical_s,
        stuck_after_s=stuck_after_s,
        price=Price(per_call=Decimal(usd)),
        prices=PRICES,
        **more,
    )


def _speed(mode: str) -> dict[str, str]:
    return {"mode": mode}


ENTRIES: Final[Mapping[str, Entry]] = {
    # The operator's own speed, so the patience of the slowest.
    "midjourney": _midjourney("Midjourney", "imagine", "0.1", 60, 3900),
    "midjourney-turbo": _midjourney("Midjourney Turbo", "imagine", "0.1", 25, 900, defaults=_speed("turbo")),
    "midjourney-fast": _midjourney("Midjourney Fast", "imagine", "0.1", 60, 900, defaults=_speed("fast")),
    "midjourney-relax": _midjourney(
        "Midjourney Relax",
        "imagine",
        "0.1",
        200,
        3900,
        defaults=_speed("relax"),
        first_look_s=10,
        look_every_s=10,
    ),
    "midjourney-blend": _midjourney("Midjourney Blend", "blend", "0.1", 60, 3900),
    "midjourney-describe": _midjourney("Midjourney Describe", "describe", "0.05", 15, 600),
    "midjourney-shorten": _midjourney("Midjourney Shorten", "shorten", "0.1", 15, 600),
    "midjourney-swap-face": _midjourney("Midjourney Swap Face", "swap_face", "0.05", 20, 900),
    "midjourney-video": _midjourney("Midjourney Video", "video", "0.8", 150, 1800, first_look_s=10, look_every_s=8),
}
