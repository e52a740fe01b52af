"""Which adapter serves which operation.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.gateway.adapter import Adapter
from shared.gateway.adapters import images, midjourney, videos

BY_OPERATION: Final[Mapping[str, Adapter]] = {
    adapter.name: adapter for family in (images, midjourney, videos) for adapter in family.ADAPTERS
}
