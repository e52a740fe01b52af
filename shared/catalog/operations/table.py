"""Every operation, by name.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.catalog.entry import Operation
from shared.catalog.operations import (
    audio,
    chat,
    chat_images,
    claude,
    gemini_text,
    images,
    midjourney,
    responses,
    vectors,
    videos,
)

OPERATIONS: Final[Mapping[str, Operation]] = {
    operation.name: operation
    for family in (images, chat_images, videos, midjourney, audio, vectors, chat, responses, claude, gemini_text)
    for operation in family.OPERATIONS
}
