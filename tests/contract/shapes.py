"""The structure of an answer: what stays when its words, numbers and addresses are taken out.  Pure.

JSON becomes a set of lines, one for each place in the tree: `data[].url: address`.  Equal elements of a list are one;
different ones are numbered in their order.  A stream becomes the sequence of its events, repeats collapsed, and what
its pieces say together.  Text becomes its pattern: `![](data URL)`, `> line`, `[](address)`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

#: Fields whose value is a part of the contract: clients decide by it.
WORDS: Final = frozenset(
    {"object", "type", "status", "code", "role", "action", "@type", "outcome"}
    | {"finish_reason", "finishReason", "stop_reason", "reason", "blockReason", "success"}
)
#: Fields for people and notes; whether there are words, nothing or null in them tells a client nothing.
TALK: Final = frozenset({"param", "emoji", "label", "description", "revised_prompt", "instanceId", "signature", "word"})
#: Fields that hold bytes, however few.
BYTES: Final = frozenset({"b64_json", "data", "audio", "result", "embedding", "thoughtSignature"})
#: Fields that come in pieces, which are cut anywhere.
PIECES: Final = frozenset({"content", "text", "delta", "arguments", "partial_json", "thinking", "reasoning_content"})

BASE64: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9+/_\s-]{4,}={0,2}\s*")
TOKENS: Final = re.compile(
    r"(?P<code>```.*?```)|(?P<link>!?\[[^\]]*(?:\[[^\]]*\][^\]]*)*\]\(<?(?:data:|https?:|/)[^\s]*(?:\s\"[^\"]*\")?>?)"
    r"|(?P<tag><(?:img|video|a|p|think)\b[^>]*>)|(?P<data>data:[\w/]+;base64,)|(?P<address>https?://[^\s)\"'>]+)"
    r"|(?P<quote>^>)|(?P<heading>^\#{1,3}\s)|(?P<keycap>[1-9]\ufe0f?\u20e3)|(?P<number>^\d+\.\s)"
    r"|(?P<time>\d\d:\d\d:\d\d[,.]\d{3} --> )|(?P<mark>^WEBVTT)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Loose:
    """An exception: lines that match are not compared.  `why` is for the reader, who must be able to agree."""

    lines: str
    """A regular expression, matched from the beginning of a line."""
    why: str
    is_shallow: bool = False
    """Only what stands below the match is left out: something must be there."""


@dataclass(frozen=True)
class Event:
    """One event of a stream: its name, and the lines of its data."""

    name: str
    lines: frozenset[str]


@dataclass(frozen=True)
class Shape:
    """An answer's structure: lines of one document, or events in their order."""

    lines: frozenset[str] = frozenset()
    events: tuple[Event, ...] = ()

    def shown(self) -> list[str]:
        """For a failed assertion: one line for each place."""
        told = [f"{number}. {event.name}: {line}" for number, event in self._numbered() for line in sorted(event.lines)]
        return [*sorted(self.lines), *told]

    def _numbered(self) -> Iterator[tuple[int, Event]]:
        return enumerate(self.events, 1)


def shape_of(body: bytes, loose: Sequence[Loose] = ()) -> Shape:
    """The structure of a body, whatever it is: a document, a stream, a page, words, or half of something."""
    text = body.decode("utf-8", "replace")
    if is_stream(text):
        return _stream(text, loose)
    return Shape(_allowed(_document(text), loose))


def lines_of(value: Any, path: str = "", *, in_stream: bool = False) -> Iterator[str]:
    """One line for each place in a JSON value."""
    if isinstance(value, dict) and value:
        for name, one in value.items():
            yield from lines_of(one, f"{path}.{name}" if path else name, in_stream=in_stream)
    elif isinstance(value, list) and value:
        yield from _elements(value, path, in_stream)
    else:
        yield _line(value, path, in_stream)
        yield from _inner(value, path, in_stream)


def _elements(value: list[Any], path: str, in_stream: bool) -> Iterator[str]:
    """Those of a list: what is alike is one, what differs is numbered."""
    shapes = list(dict.fromkeys(frozenset(lines_of(one, "", in_stream=in_stream)) for one in value))
    for number, shape in enumerate(shapes, 1):
        place = f"{path}[{number if len(shapes) > 1 else ''}]"
        for line in shape:
            yield f"{place}{'' if line.startswith((':', '[', ' ')) else '.'}{line}"


def _line(value: Any, path: str, in_stream: bool) -> str:
    name = re.split(r"[.\]]", path)[-1]
    if name in TALK and not isinstance(value, dict | list):
        return f"{path}: talk"
    if name in WORDS and not isinstance(value, dict | list):
        return f"{path} = {value!r}"
    if in_stream and name in PIECES and isinstance(value, str):
        return f"{path}: {'piece' if value else 'blank'}"
    if name in BYTES and isinstance(value, str) and BASE64.fullmatch(value):
        return f"{path}: base64"
    return f"{path}: {kind_of(value)}"


def _inner(value: Any, path: str, in_stream: bool) -> Iterator[str]:
    """What a text holds that is JSON itself."""
    if isinstance(value, str) and not in_stream and kind_of(value) == "JSON":
        yield from lines_of(json.loads(value), f"{path}(text)")


def kind_of(value: Any) -> str:
    """What sort of value this is."""
    if isinstance(value, str):
        return _kind_of_text(value)
    if value is None:
        return "null"
    return {bool: "true or false", int: "number", float: "number", dict: "empty object", list: "empty list"}[
        type(value)
    ]


TEXTS: Final[Mapping[str, str]] = {
    r"": "blank",
    r"data:[^\s]+": "data URL",
    r"https?://\S+": "address",
    r"(?=.{60})[A-Za-z0-9+/_\s-]+={0,2}": "base64",
    r"//\S+": "address without a scheme",
    r"/\S+": "path",
    r"\d+": "digits",
    r"\d+%": "percent",
    r"\d+(\.\d+)?": "number in a text",
    r"(?is)<(!doctype|html).*": "page",
}
"""By the first pattern that is all of it."""


def _kind_of_text(text: str) -> str:
    kind = next((kind for pattern, kind in TEXTS.items() if re.fullmatch(pattern, text.strip(" \n"))), None)
    if kind is not None:
        return kind
    return "JSON" if _is_json(text) else pattern_of(text)


def pattern_of(text: str) -> str:
    """The marks in a text, in their order, repeats collapsed; `text` where there are none."""
    found = [_mark(token) for token in TOKENS.finditer(text)]
    return " ".join(mark for mark, _ in groupby(found)) or "text"


def _mark(token: re.Match[str]) -> str:
    word = token[0]
    if token.lastgroup == "link":
        target = word.partition("](")[2].removeprefix("<")
        sort = "data URL" if target.startswith("data:") else "address" if target.startswith("http") else "path"
        return f"{'!' if word.startswith('!') else ''}[]({sort})"
    if token.lastgroup == "tag":
        return re.match(r"<\w+", word)[0] + ">"  # type: ignore[index]
    return str(token.lastgroup)


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[", '"')):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _document(text: str) -> Iterable[str]:
    if _is_json(text) or text.strip() == "null":
        return lines_of(json.loads(text))
    if text.lstrip().startswith(('{"', "[{")):
        return ["JSON that breaks off"]
    return [f": {_kind_of_text(text)}"]


# Streams.


def is_stream(text: str) -> bool:
    """Whether a body is a stream of events."""
    return text.startswith(("data:", "event:", ": "))


def _stream(text: str, loose: Sequence[Loose]) -> Shape:
    events: list[Event] = []
    said: defaultdict[str, str] = defaultdict(str)
    text = text.replace("\r\n", "\n")  # either ends a line
    blocks = text.rstrip("\n").split("\n\n")
    if any(block.startswith(":") for block in blocks):
        events.append(Event("comments", frozenset()))  # they may stand anywhere, as often as time passes
    for name, data in (_fields(block) for block in blocks if not block.startswith(":")):
        events.append(Event(name, _allowed(_data(data, said), loose)))
    together = _allowed((f"{path} together: {_kind_of_text(words)}" for path, words in said.items() if words), loose)
    return Shape(together, tuple(event for event, _ in groupby(events)))


def _fields(block: str) -> tuple[str, str]:
    """The name of an event, and its data; a bare line is told by its name."""
    fields = dict(line.partition(":")[::2] for line in block.split("\n"))
    if "data" not in fields:
        return "bare line", block
    return fields.get("event", "").strip(), fields["data"].strip()


def _data(data: str, said: defaultdict[str, str]) -> Iterable[str]:
    if data in ("", "[DONE]"):
        return [data] if data else []
    try:
        value = json.loads(data)
    except ValueError:
        return ["JSON that breaks off"]
    for path, words in _pieces(value):
        said[path] += words
    return lines_of(value, in_stream=True)


def _pieces(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    for name, one in value.items() if isinstance(value, dict) else ():
        if isinstance(one, str) and name in PIECES:
            yield f"{path}{name}", one
        yield from _pieces(one, f"{path}{name}.")
    for one in value if isinstance(value, list) else ():
        yield from _pieces(one, path)


def _allowed(lines: Iterable[str], loose: Sequence[Loose]) -> frozenset[str]:
    return frozenset(kept for line in lines if (kept := _loosened(line, loose)) is not None)


def _loosened(line: str, loose: Sequence[Loose]) -> str | None:
    for one in loose:
        if found := re.match(one.lines, line):
            return f"{found[0]}: anything" if one.is_shallow else None
    return line
