"""All sayings by family, `say=<name>`: what a rarer build answers in place of the usual.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deploy.sandbox.replies import Reply, openai_error
from deploy.sandbox.sayings import (
    audio,
    chat,
    chat_films,
    chat_images,
    claude,
    gemini_images,
    gemini_text,
    images,
    midjourney,
    responses,
    system,
    vectors,
    videos,
)
from deploy.sandbox.sayings.saying import Sayings, Usual

SAYINGS: Final[Mapping[str, Sayings]] = {
    "images": images.SAYINGS,
    "chat pictures": chat_images.SAYINGS,
    "Gemini pictures": gemini_images.SAYINGS,
    "films": videos.SUBMITTED,
    "films, queried": videos.LOOKED_AT,
    "chat films": chat_films.SAYINGS,
    "Midjourney": midjourney.SUBMITTED,
    "Midjourney, queried": midjourney.LOOKED_AT,
    "Midjourney, listed": midjourney.LISTED,
    "chat": chat.SAYINGS,
    "responses": responses.SAYINGS,
    "Claude": claude.SAYINGS,
    "Gemini": gemini_text.SAYINGS,
    "audio": audio.SAYINGS,
    "vectors": vectors.SAYINGS,
    "account": system.SAYINGS,
}
"""By what the README calls the family."""

KINDS: Final[Mapping[str, str]] = {
    "image.generate": "images",
    "image.edit": "images",
    "image.chat": "chat pictures",
    "image.gemini": "Gemini pictures",
    "video.create": "films",
    "video.remix": "films",
    "video.chat": "chat films",
    "midjourney": "Midjourney",
    "chat.completion": "chat",
    "response.create": "responses",
    "claude.message": "Claude",
    "gemini.generate": "Gemini",
    "audio.speech": "audio",
    "audio.transcription": "audio",
    "audio.translation": "audio",
    "embedding.create": "vectors",
    "rerank": "vectors",
}
"""By the kind of a paid call, or the word before its dot."""

NAMES: Final = frozenset(name for sayings in SAYINGS.values() for name in sayings)

JOINED: Final = "+"
"""Between several sayings, of which each hears the one before."""


def are_known(names: str) -> bool:
    return set(names.split(JOINED)) <= NAMES


def paid(name: str | None, kind: str, reply: Reply) -> Reply:
    """The reply of a paid call as the build says it that `name` names; as usual if its family has no such name."""
    family = KINDS.get(kind) or KINDS[kind.partition(".")[0]]
    return said(name, family, reply) if name else reply


def said(name: str | None, family: str, reply: Reply) -> Reply:
    """The same for the reply of a query."""
    for one in (name or "").split(JOINED):
        reply = _said(one, family, reply)
    return reply


def _said(name: str, family: str, reply: Reply) -> Reply:
    saying = SAYINGS[family].get(name)
    if saying is None:
        return reply
    try:
        return saying(Usual(reply))
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration):
        # Made for another shape: of a stream, of a picture in base64 … Whoever wrote the tag must learn it.
        return openai_error(500, "sandbox_script", f"sandbox: say={name} does not fit this answer")


def table() -> str:
    """All sayings as one Markdown table: the one in README.md."""
    rows = [f"| {family} | {' '.join(f'`{name}`' for name in sayings)} |" for family, sayings in SAYINGS.items()]
    return "\n".join(["| family | `say=` |", "|---|---|", *rows])
