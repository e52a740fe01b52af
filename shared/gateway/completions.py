"""Chat completions, streamed or not, as one value: what every adapter of `/v1/chat/completions` reads.  Pure.

Deployments differ in where a text, a picture or a thought stands; here all of it is brought to one place, and what
none of us reads is left as it came.  `is_whole` tells whether the answer came to its end: `[DONE]` is no proof of
it, since the gateway writes that also when its upstream broke off (5.2).

Contract: gateway/images-text-audio-system.md 2.1 (E9 to E11), 4.1, 5.1, 5.2, 5.4, 5.6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shared.errors import UnreadableReply
from shared.gateway import reading, sounds
from shared.gateway.request import Response

TEXT_PARTS: Final = frozenset({"text", "output_text", "input_text"})
THOUGHT_PARTS: Final = frozenset({"thinking", "reasoning"})

REASONING: Final = ("reasoning_content", "reasoning", "thinking")
"""Where thoughts stand, by build; some write the same to two of them."""

OWN_KEYS: Final = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint"})
"""Of a completion's top level; what stands beside them is in `Completion.more`."""
CHOICE_KEYS: Final = frozenset({"index", "message", "delta", "text", "finish_reason", "logprobs", "error"})
MESSAGE_KEYS: Final = frozenset(
    {"role", "content", "refusal", "images", "annotations", "tool_calls", "function_call", "audio", *REASONING}
)
CALL_KEYS: Final = frozenset({"index", "id", "type", "function", "custom"})

SAID_ONCE: Final = frozenset(
    {"id", "type", "role", "name", "format", "index", "model", "object", "signature", "thought_signature"}
)
"""Texts that are the same in each piece in which they stand; all other texts of a message come in pieces."""


@dataclass(frozen=True)
class Choice:
    """One answer, complete as far as it came."""

    content: str = ""
    """All text of the answer, without thoughts."""
    parts: tuple[Any, ...] = ()
    """What an array `content` has besides text: `image_url` and whatever else."""
    images: tuple[Any, ...] = ()
    """`message.images`, as they came."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    """`{"id", "type", "function": {"name", "arguments"}}`; `arguments` is JSON text and may be invalid or empty (5.4).

    A custom tool has `"custom": {"name", "input"}` in place of `function`.  What else a vendor put there stays, as
    the signature of the thought behind a call.
    """
    reasoning: str = ""
    """Thoughts, also those that stood as `<think>` before the content."""
    refusal: str = ""
    annotations: tuple[Any, ...] = ()
    """Citations, as they came."""
    audio: Mapping[str, Any] = field(default_factory=dict)
    """`{"id", "data", "transcript", "expires_at"}` of an answer that was spoken; `data` is one base64, of a file."""
    finish_reason: str = ""
    """Empty where the gateway gave none."""
    logprobs: Mapping[str, Any] = field(default_factory=dict)
    """Likelihoods of all its tokens."""
    in_message: Mapping[str, Any] = field(default_factory=dict)
    """What a vendor put into the message besides: to be given back in the next turn."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What stood beside the message: ratings, the vendor's own reason."""


@dataclass(frozen=True)
class Completion:
    """One completion, whatever number of pieces it came in."""

    choices: tuple[Choice, ...]
    """By index; empty where the gateway sent none."""
    is_completion: bool = True
    """It has `choices`, if only an empty list of them."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    model: str = ""
    is_stream: bool = False
    """It came in pieces."""
    is_whole: bool = True
    """Each choice of a stream has a finish reason and every event could be read; what is no stream is whole."""
    is_done: bool = True
    """A stream ended with `[DONE]` and every event could be read: nothing was lost between the gateway and us."""
    errors: tuple[Mapping[str, Any], ...] = ()
    """Objects that hold an error, for `classify.said`: events of a stream (E11), or of one choice."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What stood at the top level besides: `media`, `data` … (3.3 V14); lists of several events are joined."""

    @property
    def first(self) -> Choice:
        """The first choice, or an empty one."""
        return self.choices[0] if self.choices else Choice()


def join(response: Response) -> Completion:
    """Bring an answer of `/v1/chat/completions` into one completion.

    Reply: a JSON object; a stream of events, with or without `data:` before a line; an array of chunks.  Chunks have
    a `delta` or a whole `message`; `choices` may be empty or missing.

    Raises:
        UnreadableReply: it is none of these: a page, nothing, or cut off before the first event was complete.
    """
    body = response.body
    if body.lstrip()[:1] in (b"{", b"["):
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None  # lines of JSON, or cut off
        if isinstance(found, Mapping):
            return replace(_joined([_unwrapped(found)]), is_stream=False, is_whole=True)
        if isinstance(found, list):
            return _joined([one for one in found if isinstance(one, Mapping)])
    events = list(reading.events(body))
    joined = _joined([one for one in events if one is not None])
    is_readable = None not in events
    is_done = is_readable and b"[DONE]" in body[-256:]
    return replace(joined, is_whole=is_readable and joined.is_whole, is_done=is_done)


def _unwrapped(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is inside `{"code": …, "data": {"choices": …}}`."""
    inner = body.get("data")
    return inner if isinstance(inner, Mapping) and "choices" in inner and "choices" not in body else body


def _joined(chunks: list[Mapping[str, Any]]) -> Completion:
    """A stream of chunks as one completion; one that is no stream is its only chunk."""
    if not chunks:
        raise UnreadableReply("neither a completion nor a stream of one")
    gathered: dict[int, _Gathered] = {}
    errors = [chunk for chunk in chunks if _is_error(chunk)]
    for chunk in chunks:
        for place, choice in enumerate(_list(chunk.get("choices"))):
            if not isinstance(choice, Mapping):
                continue
            gathered.setdefault(_index(choice, place), _Gathered()).take(choice)
            if choice.get("error"):
                errors.append({"error": choice["error"]})
    choices = tuple(gathered[index].choice() for index in sorted(gathered))
    is_ended = bool(choices) and all(choice.finish_reason for choice in choices)
    return Completion(
        choices=choices,
        is_completion=any(isinstance(chunk.get("choices"), list) for chunk in chunks),
        usage=next((one["usage"] for one in reversed(chunks) if _is_filled(one.get("usage"))), {}),
        id=_first_text(chunks, "id"),
        model=_first_text(chunks, "model"),
        is_stream=True,
        is_whole=is_ended,
        errors=tuple(errors),
        more=_more(chunks),
    )


def _first_text(chunks: list[Mapping[str, Any]], key: str) -> str:
    return next((text for chunk in chunks if (text := _string(chunk.get(key)))), "")


def _is_error(chunk: Mapping[str, Any]) -> bool:
    return bool(chunk.get("error")) or chunk.get("type") == "error" or chunk.get("success") is False


def _is_filled(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _more(chunks: list[Mapping[str, Any]]) -> dict[str, Any]:
    more: dict[str, Any] = {}
    for chunk in chunks:
        for key, value in chunk.items():
            if key in OWN_KEYS or value is None:
                continue
            known = more.get(key)
            more[key] = [*known, *value] if isinstance(known, list) and isinstance(value, list) else value
    return more


def _index(piece: Mapping[str, Any], otherwise: int) -> int:
    index = piece.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) else otherwise


def _list(value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


class _Gathered:
    """What came of one choice so far."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.refusals: list[str] = []
        self.parts: list[Any] = []
        self.images: list[Any] = []
        self.annotations: list[Any] = []
        self.audio: dict[str, Any] = {}
        self.sounds: list[str] = []
        self.calls: list[_Call] = []
        self.finish_reason = ""
        self.logprobs: dict[str, Any] = {}
        self.in_message: dict[str, Any] = {}
        self.more: dict[str, Any] = {}

    def take(self, choice: Mapping[str, Any]) -> None:
        whole, delta = choice.get("message"), choice.get("delta")
        if isinstance(whole, Mapping):
            self._take_whole(whole)
        if isinstance(delta, Mapping):
            self._take_delta(delta)
        if isinstance(choice.get("text"), str):
            self.texts.append(choice["text"])
        reason = choice.get("finish_reason")
        self.finish_reason = reason if isinstance(reason, str) and reason else self.finish_reason
        logprobs = choice.get("logprobs")
        _grow(self.logprobs, logprobs if isinstance(logprobs, Mapping) else {})
        _grow(self.more, _besides(choice, CHOICE_KEYS), said_once=True)

    def choice(self) -> Choice:
        content, thoughts = _without_thoughts(_text(self.texts))
        return Choice(
            content=content,
            parts=tuple(self.parts),
            images=tuple(self.images),
            tool_calls=tuple(call.whole() for call in self.calls),
            reasoning=_text([*self.thoughts, thoughts]),
            refusal=_text(self.refusals),
            annotations=tuple(self.annotations),
            audio={**self.audio, **({"data": sounds.joined(self.sounds)} if self.sounds else {})},
            finish_reason=self.finish_reason,
            logprobs=self.logprobs,
            in_message=self.in_message,
            more=self.more,
        )

    def _take_whole(self, message: Mapping[str, Any]) -> None:
        """A message where a delta is expected: all of the answer so far, or no more than the next piece of it."""
        said = _Gathered()
        said._take_delta(message)
        self.texts = _continued(self.texts, said.texts)
        self.thoughts = _continued(self.thoughts, said.thoughts)
        self.refusals = _continued(self.refusals, said.refusals)
        self.parts = said.parts or self.parts
        self.images = said.images or self.images
        self.annotations = said.annotations or self.annotations
        self.audio = said.audio or self.audio
        self.sounds = said.sounds or self.sounds
        self.in_message = said.in_message or self.in_message
        # In a whole message each call is whole, too: ids may be missing or the same in all (5.4).
        whole = [_Call.of(piece) for piece in _calls(message)]
        self.calls = whole or self.calls

    def _take_delta(self, delta: Mapping[str, Any]) -> None:
        for part in _list(delta.get("content")):
            self._take_part(part)
        self.thoughts.append(next((text for key in REASONING if (text := _thought(delta.get(key)))), ""))
        self.refusals.append(_string(delta.get("refusal")))
        self.images += _list(delta.get("images"))
        self.annotations += _list(delta.get("annotations"))
        _grow(self.in_message, _besides(delta, MESSAGE_KEYS))
        self._take_audio(delta.get("audio"))
        for piece in _calls(delta):
            self._take_call(piece)

    def _take_audio(self, audio: Any) -> None:
        if not isinstance(audio, Mapping):
            return
        self.sounds += filter(None, [_string(audio.get("data"))])
        _grow(self.audio, _besides(audio, frozenset({"data"})))

    def _take_part(self, part: Any) -> None:
        if isinstance(part, str):
            self.texts.append(part)
            return
        kind = _string(part.get("type")) if isinstance(part, Mapping) else ""
        if kind in TEXT_PARTS:
            self.texts.append(_string(part.get("text")))
        elif kind in THOUGHT_PARTS:
            self.thoughts.append(_thought(part.get("thinking") or part.get("text")))
        elif kind == "refusal":
            self.refusals.append(_string(part.get("refusal")))
        else:
            self.parts.append(part)

    def _take_call(self, piece: Mapping[str, Any]) -> None:
        """A piece goes to the call of its index; one without goes to the last, unless it begins another."""
        index, call_id = _index(piece, -1), _string(piece.get("id"))
        same = self.calls if index < 0 else [call for call in self.calls if call.index == index]
        known = same[-1:]
        if index < 0 and _name(piece) and not (call_id and known and known[0].id == call_id):
            known = []
        # Some upstreams number all calls 0 and tell them apart by id alone.
        if known and not (call_id and known[0].id and call_id != known[0].id):
            known[0].take(piece)
        else:
            self.calls.append(_Call.of(piece))


def _besides(said: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key not in known and value is not None}


def _grow(into: dict[str, Any], said: Mapping[str, Any], *, said_once: bool = False) -> None:
    """Put a piece behind those that came before: texts and lists grow, objects key by key; of all else the last counts.

    Args:
        said_once: no text comes in pieces.
    """
    for key, piece in said.items():
        known = into.get(key)
        if isinstance(piece, Mapping):
            inner = known if isinstance(known, dict) else {}
            _grow(inner, piece, said_once=said_once)
            into[key] = inner
        elif isinstance(piece, list):
            into[key] = known if isinstance(known, list) else []
            _grow_list(into[key], piece)
        elif isinstance(piece, str) and isinstance(known, str) and not said_once and key not in SAID_ONCE:
            into[key] = known + piece
        elif piece is not None:
            into[key] = piece


def _grow_list(into: list[Any], said: list[Any]) -> None:
    """Items with a number are pieces of the one with that number and type; all others stand for themselves."""
    for item in said:
        index = item.get("index") if isinstance(item, Mapping) else None
        same = (one for one in into if index is not None and _is_same(one, item))
        known = next(same, None)
        if known is not None:
            _grow(known, item)
        else:
            into.append(dict(item) if isinstance(item, Mapping) else item)


def _is_same(one: Any, other: Mapping[str, Any]) -> bool:
    return isinstance(one, dict) and all(one.get(key) == other.get(key) for key in ("index", "type"))


def _continued(known: list[str], said: list[str]) -> list[str]:
    before, now = _text(known), _text(said)
    return [now] if now.startswith(before) else [before, now]


def _calls(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tool calls of a message or a delta, the one of the old `function_call` included."""
    old = message.get("function_call")
    calls = [*_list(message.get("tool_calls")), *([{"function": old}] if _is_filled(old) else [])]
    return [call for call in calls if isinstance(call, Mapping)]


class _Call:
    """What came of one tool call so far."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.type = ""
        self.name = ""
        self.texts: list[str] = []
        self.more: dict[str, Any] = {}

    @classmethod
    def of(cls, piece: Mapping[str, Any]) -> _Call:
        call = cls(_index(piece, -1))
        call.take(piece)
        return call

    def take(self, piece: Mapping[str, Any]) -> None:
        self.id = self.id or _string(piece.get("id"))
        self.type = self.type or ("custom" if "custom" in piece else _string(piece.get("type")))
        self.name = self.name or _name(piece)
        _grow(self.more, _besides(piece, CALL_KEYS))
        told = _told(piece)
        given = told.get("arguments", told.get("input"))
        if isinstance(given, str):
            self.texts.append(given)
        elif given is not None:
            self.texts.append(json.dumps(given, ensure_ascii=False))

    def whole(self) -> Mapping[str, Any]:
        if self.type == "custom":
            custom = {"name": self.name, "input": _text(self.texts)}
            return {"id": self.id, "type": "custom", "custom": custom, **self.more}
        told = {"name": self.name, "arguments": _text(self.texts)}
        return {"id": self.id, "type": self.type or "function", "function": told, **self.more}


def _told(piece: Mapping[str, Any]) -> Mapping[str, Any]:
    """The name and the arguments in a piece of a tool call."""
    told = piece.get("function") or piece.get("custom")
    return told if isinstance(told, Mapping) else {}


def _name(piece: Mapping[str, Any]) -> str:
    return _string(_told(piece).get("name"))


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _thought(value: object) -> str:
    """Thoughts as a text, as an object that holds one, or as a list of such."""
    if isinstance(value, Mapping):
        return _thought(value.get("text") or value.get("content"))
    return "".join(map(_thought, value)) if isinstance(value, list) else _string(value)


def _text(pieces: list[str]) -> str:
    filled = [piece for piece in pieces if piece]
    return filled[0] if len(filled) == 1 else "".join(filled)  # tens of megabytes are not copied


def _without_thoughts(content: str) -> tuple[str, str]:
    """The content and the thoughts of `<think>…</think>content`; without an end all of it is thoughts (5.6)."""
    head = re.match(r"\s*<think(?:ing)?>", content)
    if head is None:
        return content, ""
    end = re.search(r"</think(?:ing)?>\s*", content)
    if end is None:
        return "", content[head.end() :]
    return content[end.end() :], content[head.end() : end.start()].strip()
