"""Conversations that are sent: where the inputs of a job go.  Pure.

Contract: gateway/images-text-audio-system.md 1.5, 3.6, 5.3, 5.13, 5.14.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from shared.errors import InputRefused
from shared.gateway import pictures
from shared.gateway.call import Call, Media

Turn = Mapping[str, Any]

PICTURE_PARTS: Final = frozenset({"image_url", "file_url", "image"})
"""Types of the parts of a message that hold a picture."""


def with_inputs(turns: Sequence[Turn], parts: Sequence[Turn], text_type: str = "text") -> list[Turn]:
    """The conversation with parts at the end of its last message of the user; in one of their own if there is none.

    Args:
        text_type: what a part is called that holds a text, where a message was one and no list.
    """
    if not parts:
        return list(turns)
    last = _last(turns)
    if last is None:
        return [*turns, {"role": "user", "content": list(parts)}]
    content = turns[last].get("content") or []
    said = [{"type": text_type, "text": content}] if isinstance(content, str) else content
    return [*turns[:last], {**turns[last], "content": [*said, *parts]}, *turns[last + 1 :]]


def with_parts(turns: Sequence[Turn], parts: Sequence[Turn]) -> list[Turn]:
    """The same in Gemini's format, where a turn without a role is the user's (4.5)."""
    if not parts:
        return list(turns)
    last = _last(turns, "user")
    if last is None:
        return [*turns, {"role": "user", "parts": list(parts)}]
    return [*turns[:last], {**turns[last], "parts": [*turns[last]["parts"], *parts]}, *turns[last + 1 :]]


INLINE: Final = ("inlineData", "inline_data")


def with_earlier(turns: Sequence[Turn], pictures: Sequence[Media]) -> tuple[list[Turn], int]:
    """The conversation in Gemini's format with a picture wherever an earlier answer left `artifact_index` (4.6).

    A `message` of a result has no bytes; the inputs take its places, in the order of the turns.

    Returns:
        The turns, and how many pictures have found a place.

    Raises:
        InputRefused: there are more places than pictures.
    """
    count = sum(_earlier(part) != "" for turn in turns for part in turn["parts"])
    if count > len(pictures):
        raise InputRefused(f"contents name {count} pictures by artifact_index; inputs have {len(pictures)}")
    left = iter(pictures)
    return [{**turn, "parts": [_with_bytes(part, left) for part in turn["parts"]]} for turn in turns], count


def _earlier(part: Any) -> str:
    """Under which name a part holds a picture of an earlier answer; empty: it does not."""
    held = ((key, part.get(key)) for key in INLINE) if isinstance(part, Mapping) else ()
    return next((key for key, inner in held if isinstance(inner, Mapping) and "artifact_index" in inner), "")


def _with_bytes(part: Turn, pictures: Iterator[Media]) -> Turn:
    key = _earlier(part)
    if not key:
        return part
    media = next(pictures)
    kind = "mimeType" if key == INLINE[0] else "mime_type"
    return {**part, key: {kind: media.content_type, "data": media.base64}}


def shows_pictures(turns: Sequence[Turn]) -> bool:
    """Whether pictures stand in a conversation, in whichever part of the kinds that gateways read (video 9.1)."""
    contents = (turn.get("content") for turn in turns)
    parts = (part for content in contents if isinstance(content, list) for part in content)
    return any(isinstance(part, Mapping) and part.get("type") in PICTURE_PARTS for part in parts)


def all_inputs(call: Call) -> list[Media]:
    """Every input, role after role in the order in which the operation names them."""
    return [media for role in ("images", "files", "audio", "videos") for media in call.inputs.get(role, ())]


def check_inline(call: Call) -> None:
    """Whether a Gemini model takes these inputs, before anything is sent.

    Raises:
        InputRefused: it does not.
    """
    pictures.check_inline(call)
    size_bytes = sum(4 * -(-len(media.content) // 3) for media in all_inputs(call))
    most_bytes = pictures.INLINE_MOST_BYTES
    if size_bytes > most_bytes:
        raise InputRefused(
            f"the inputs have {size_bytes} bytes in base64; a request to a Gemini model holds {most_bytes}"
        )


def _last(turns: Sequence[Turn], unsaid: str = "") -> int | None:
    return max((place for place, turn in enumerate(turns) if turn.get("role", unsaid) == "user"), default=None)


def asked(call: Call) -> str:
    """All that is said to the model, for readers of its answer: an address in it is no result."""
    urls = (media.url for media in call.images if media.url)
    return "\n".join([call.prompt, *urls, *_texts(call.params.given().get("messages"))])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str) and value[:5].lower() != "data:":
        yield value
