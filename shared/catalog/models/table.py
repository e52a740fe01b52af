"""The built-in catalog: every model by name, and the lanes that they share.  Data only.  Pure.

Names of models are the operator's configuration (images 3.2, video 7.1, 8.1): these are the ones that most
deployments have, under the list prices of their providers; `DARKROOM_CATALOG` corrects both without code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.catalog.entry import Entry, Lane
from shared.catalog.models import audio, images, midjourney, text, vectors, videos

LANES: Final[Mapping[str, Lane]] = {
    "nano-banana": Lane(limit=20, rate_per_minute=300),
    "gpt-image": Lane(limit=10, rate_per_minute=120),
    "seedream": Lane(limit=20, rate_per_minute=300),
    "midjourney": Lane(limit=10, rate_per_minute=60),
    "sora": Lane(limit=20, rate_per_minute=60),
    "veo": Lane(limit=20, rate_per_minute=60),
    "audio": Lane(limit=10, rate_per_minute=120),
    "embedding": Lane(limit=20, rate_per_minute=600),
    "text": Lane(limit=20, rate_per_minute=300),
    "other": Lane(limit=5, rate_per_minute=60),
}

ENTRIES: Final[Mapping[str, Entry]] = {
    **images.ENTRIES,
    **midjourney.ENTRIES,
    **videos.ENTRIES,
    **audio.ENTRIES,
    **vectors.ENTRIES,
    **text.ENTRIES,
}
