"""Which adapter serves which operation.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.gateway.adapter import Adapter
from shared.gateway.adapters import (
    audio,
    chat,
    chat_images,
    chat_videos,
    claude,
    gemini_images,
    gemini_text,
    images,
    midjourney,
    responses,
    vectors,
    videos,
)

BY_OPERATION: Final[Mapping[str, Adapter]] = {
    adapter.name: adapter
    for family in (
        images,
        chat_images,
        gemini_images,
        midjourney,
        videos,
        chat_videos,
        audio,
        vectors,
        chat,
        responses,
        claude,
        gemini_text,
    )
    for adapter in family.ADAPTERS
}
