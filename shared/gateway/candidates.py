"""Answers in Gemini's format, streamed or not, as one value.  Pure.

Contract: gateway/images-text-audio-system.md 2.4, 4.5, 4.7, 5.13.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import UnreadableReply
from shared.gateway import reading
from shared.gateway.request import Response

OWN_KEYS: Final = frozenset({"content", "finishReason", "finish_reason", "index"})
PLAIN_KEYS: Final = frozenset({"text", "thought"})


@dataclass(frozen=True)
class Candidate:
    """One answer, of as many events as it came in."""

    parts: Sequence[Mapping[str, Any]]
    """As they came; texts that follow each other are one, unless a signature stands at one of them."""
    finish_reason: str
    """Folded; empty where there is none."""
    more: Mapping[str, Any]
    """What stands beside the content: what it was found in, ratings, likelihoods; the last of each."""

    @property
    def text(self) -> str:
        """What it says, thoughts apart."""
        return "".join(_text(part) for part in self.parts if not part.get("thought"))

    @property
    def thoughts(self) -> str:
        return "".join(_text(part) for part in self.parts if part.get("thought"))


@dataclass(frozen=True)
class Said:
    """All that an answer says."""

    candidates: Sequence[Candidate]
    usage: Mapping[str, Any]
    feedback: Mapping[str, Any]
    """On the prompt, if it was blocked."""
    errors: Sequence[Mapping[str, Any]]
    model: str
    id: str
    is_answer: bool
    """It has candidates, if only an empty list of them, or feedback."""
    is_whole: bool
    """Every event could be read and each candidate came to an end; what is no stream is whole."""


def join(response: Response) -> Said:
    """Bring an answer into one.

    Reply: one object, a stream of such (4.7), or an array of them; keys in camelCase or snake_case.

    Raises:
        UnreadableReply: it is none of these.
    """
    chunks, is_stream, is_readable = _chunks(response)
    by_index: dict[int, list[Mapping[str, Any]]] = {}
    for chunk in chunks:
        for place, one in enumerate(_objects(chunk.get("candidates"))):
            index = one.get("index")
            by_index.setdefault(index if isinstance(index, int) else place, []).append(one)
    candidates = [_candidate(by_index[index]) for index in sorted(by_index)]
    has_ended = bool(candidates) and all(one.finish_reason for one in candidates)
    feedback = _last(chunks, "promptFeedback", "prompt_feedback")
    return Said(
        candidates=candidates,
        usage=_last(chunks, "usageMetadata", "usage_metadata"),
        feedback=feedback,
        errors=[one for one in chunks if one.get("error") or one.get("success") is False],
        model=_first(chunks, "modelVersion", "model_version"),
        id=_first(chunks, "responseId", "response_id"),
        is_answer=bool(feedback) or any("candidates" in chunk for chunk in chunks),
        is_whole=not is_stream or (has_ended and is_readable),
    )


def _chunks(response: Response) -> tuple[list[Mapping[str, Any]], bool, bool]:
    """The objects of the answer; whether they are a stream; whether all of it could be read."""
    start = response.body.lstrip()[:1]
    if start == b"{":
        return [reading.object_of(response)], False, True
    if start == b"[":
        chunks, is_readable = _objects(reading.json_of(response)), True
    else:
        events = list(reading.events(response.body))
        chunks, is_readable = [event for event in events if event is not None], None not in events
    if not chunks:
        raise UnreadableReply("neither an answer nor a stream of one")
    return chunks, True, is_readable


def _candidate(pieces: Sequence[Mapping[str, Any]]) -> Candidate:
    reasons = [reading.fold(one.get("finishReason") or one.get("finish_reason")) for one in pieces]
    more = {key: value for one in pieces for key, value in one.items() if key not in OWN_KEYS and value}
    return Candidate(
        list(_merged(part for one in pieces for part in _objects(reading.dig(one, "content.parts")))),
        next(filter(None, reversed(reasons)), ""),
        more,
    )


def _merged(parts: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Texts that follow each other as one: in a stream they are pieces of it."""
    before: dict[str, Any] | None = None
    for part in parts:
        is_plain = isinstance(part.get("text"), str) and part.keys() <= PLAIN_KEYS
        if is_plain and before is not None and bool(before.get("thought")) == bool(part.get("thought")):
            before["text"] += part["text"]
            continue
        if before is not None:
            yield before
        before = dict(part) if is_plain else None
        if not is_plain:
            yield part
    if before is not None:
        yield before


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _last(chunks: Sequence[Mapping[str, Any]], *keys: str) -> Mapping[str, Any]:
    found = (chunk.get(key) for chunk in reversed(chunks) for key in keys)
    return next((one for one in found if isinstance(one, Mapping) and one), {})


def _first(chunks: Sequence[Mapping[str, Any]], *keys: str) -> str:
    return next(filter(None, (reading.first_text(chunk, *keys) for chunk in chunks)), "")


def _text(part: Mapping[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else ""
