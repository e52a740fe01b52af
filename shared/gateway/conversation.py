"""Conversations that are sent: where the inputs of a job go.  Pure.

Contract: gateway/images-text-audio-system.md 1.5, 3.6, 5.3, 5.13, 5.14.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.errors import InputRefused
from shared.gateway import pictures
from shared.gateway.call import Call, Media

Turn = Mapping[str, Any]


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
