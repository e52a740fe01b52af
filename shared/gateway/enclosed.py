"""Media that stand inside an answer of text: taken out of it, so that they are stored as artifacts.  Pure.

A model may answer with pictures or with sound beside its words, in base64 (images 3.3 V13, V16, V17, V20).  A row
is no place for megabytes, and nobody can look at base64; what is taken out leaves `artifact_index` behind.  Only what
begins like a picture or a sound is taken: everything else stays what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shared.gateway import reading
from shared.gateway.outcome import Output, Source

PLACES: Final = ("data", "result", "url", "b64_json", "image_url")
"""Where base64 or a data URL stands in an object."""

LEAST_CHARACTERS: Final = 64
"""Shorter ones hold no media."""

MAGIC: Final[tuple[tuple[str, int, bytes], ...]] = (
    ("image", 0, b"\x89PNG\r\n\x1a\n"),
    ("image", 0, b"\xff\xd8\xff"),
    ("image", 0, b"GIF8"),
    ("image", 8, b"WEBP"),
    ("audio", 8, b"WAVE"),
    ("audio", 0, b"ID3"),
    ("audio", 0, b"OggS"),
    ("audio", 0, b"fLaC"),
    ("audio", 0, b"\xff\xfb"),
    ("audio", 0, b"\xff\xf3"),
)
"""Of which kind a file is that has these bytes there."""


def taken_out(said: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Output, ...]]:
    """The same without its media, and the media in their order; what stands in two places is one."""
    found: dict[str, Output] = {}
    return {name: _without(value, found) for name, value in said.items()}, tuple(found.values())


def _without(value: Any, found: dict[str, Output]) -> Any:
    if isinstance(value, list | tuple):
        return [_without(one, found) for one in value]
    if not isinstance(value, Mapping):
        return value
    for place in PLACES:
        index = _index(value.get(place), found)
        if index is not None:
            rest = {name: one for name, one in value.items() if name != place}
            return {**_without(rest, found), "artifact_index": index}
    return {name: _without(one, found) for name, one in value.items()}


def _index(text: Any, found: dict[str, Output]) -> int | None:
    """Which of the media found so far a text is, this one included; None if it is none."""
    if not isinstance(text, str) or len(text) < LEAST_CHARACTERS:
        return None
    if text not in found:
        kind = _kind(text)
        content = reading.decoded(text) if kind else None
        if content is None:
            return None
        found[text] = Output(kind, (Source(content=content),))
    return list(found).index(text)


def _kind(text: str) -> str:
    """By its first bytes; empty if it is no picture and no sound."""
    start = text.find(",") + 1 if text[:5].lower() == "data:" else 0
    head = reading.decoded(text[start : start + 24]) or b""
    return next((kind for kind, at, magic in MAGIC if head.startswith(magic, at)), "")
