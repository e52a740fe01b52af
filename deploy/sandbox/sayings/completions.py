"""What sayings about chat completions have in common, whole ones and chunks.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from deploy.sandbox.replies import Reply
from deploy.sandbox.sayings.saying import ADDRESS, DATA_URL, Saying, Usual, body, stream

PIECE: Final = 7
"""Letters in one delta of a stream."""


def said(usual: Usual) -> str:
    """All that the model says, of a whole answer or out of the pieces of a stream."""
    if not usual.is_stream:
        return str(usual.body["choices"][0]["message"]["content"])
    deltas = (choice["delta"] for event in usual.events for choice in event.get("choices", ()))
    return "".join(delta.get("content") or "" for delta in deltas)


def url(usual: Usual) -> str:
    """The last address that is told: of what was made."""
    return str(ADDRESS.findall(said(usual))[-1])


def data_url(usual: Usual) -> str:
    return str(DATA_URL.findall(said(usual))[0])


def choice(**fields: Any) -> Saying:
    """The usual completion with other fields in its only choice."""
    return body(lambda usual: {**usual.body, "choices": [{**usual.body["choices"][0], **fields}]})


def message(make: Callable[[Usual], Mapping[str, Any]]) -> Saying:
    """The usual completion with other or more fields in its message."""

    def say(usual: Usual) -> Any:
        first = usual.body["choices"][0]
        return {**usual.body, "choices": [{**first, "message": {**first["message"], **make(usual)}}]}

    return body(say)


def content(make: Callable[[Usual], Any]) -> Saying:
    """The usual completion with another content."""
    return message(lambda usual: {"content": make(usual)})


def chunk(usual: Usual, delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
    """A chunk of the same stream."""
    return {**usual.events[0], "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def first(usual: Usual) -> dict[str, Any]:
    return chunk(usual, {"role": "assistant", "content": ""})


def chunks(make: Callable[[Usual], Iterable[Any]], *, is_done: bool = True) -> Saying:
    """These after the first chunk."""
    return stream(lambda usual: [first(usual), *make(usual)], is_done=is_done)


def has_words(event: Mapping[str, Any]) -> bool:
    """Whether a chunk says anything; the first does not, nor the last ones."""
    deltas = [choice["delta"] for choice in event.get("choices", ())]
    return any(delta.keys() - {"role"} and delta.get("content") != "" for delta in deltas)


def is_usage(event: Mapping[str, Any]) -> bool:
    return "choices" in event and not event["choices"]


NO_USAGE = stream(lambda usual: [event for event in usual.events if not is_usage(event)])
NO_FIRST = stream(lambda usual: usual.events[1:])
NO_DONE = stream(lambda usual: usual.events, is_done=False)
"""A stream that was not asked for its usage, that begins with words, that ends without `[DONE]`."""


def tells(make: Callable[[Usual], str]) -> Saying:
    """The usual completion with these words, whole or in pieces; a stream ends as it would have."""

    def say(usual: Usual) -> Reply:
        return (_streamed(make) if usual.is_stream else content(make))(usual)

    return say


def _streamed(make: Callable[[Usual], str]) -> Saying:
    return stream(lambda usual: [first(usual), *pieces(usual, make(usual)), *endings(usual)])


def pieces(usual: Usual, text: str) -> list[Any]:
    """A text in pieces, which are cut anywhere."""
    return [chunk(usual, {"content": text[at : at + PIECE]}) for at in range(0, len(text), PIECE)]


def endings(usual: Usual) -> list[Any]:
    """The last chunks: why it ends, and what it cost."""
    return [event for event in usual.events[1:] if not has_words(event)]


def words_only(usual: Usual) -> list[Any]:
    """A stream without its end."""
    return [event for event in usual.events if has_words(event) or event == first(usual)]


def no_pings(usual: Usual) -> Reply:
    """A stream without comments."""
    blocks = [block for block in str(usual.body).split("\n\n") if not block.startswith(":")]
    return replace(usual.reply, body="\n\n".join(blocks))
