"""Midjourney: data only.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from shared.catalog.entry import Entry, Price

ENTRIES: Final[Mapping[str, Entry]] = {
    "midjourney": Entry(
        title="Midjourney",
        operation="midjourney.imagine",
        lane="midjourney",
        typical_s=60,
        stuck_after_s=3900,
        price=Price(per_call=Decimal("0.1")),
    ),
}
