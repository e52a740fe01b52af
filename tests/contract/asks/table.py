"""Every folder of tests/replies/, and how the sandbox is asked for what stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.contract.asks import (
    account,
    audio,
    chat,
    chat_images,
    chat_videos,
    claude,
    errors,
    gemini_images,
    gemini_text,
    images,
    midjourney,
    responses,
    vectors,
    videos,
)
from tests.contract.asks.ask import Family

FAMILIES: Final[Mapping[str, Family]] = {
    "account": account.FAMILY,
    "audio": audio.FAMILY,
    "chat": chat.FAMILY,
    "chat_images": chat_images.FAMILY,
    "chat_videos": chat_videos.FAMILY,
    "claude": claude.FAMILY,
    "errors": errors.FAMILY,
    "gemini_images": gemini_images.FAMILY,
    "gemini_text": gemini_text.FAMILY,
    "images": images.FAMILY,
    "midjourney": midjourney.FAMILY,
    "responses": responses.FAMILY,
    "vectors": vectors.FAMILY,
    "videos": videos.FAMILY,
}
